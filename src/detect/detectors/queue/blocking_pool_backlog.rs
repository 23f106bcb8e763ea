//! Blocking jobs that queue for a thread of their pool.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::jobs::JobsAtWork;
use crate::model::{SiteKey, TaskKey};
use crate::words;

static WAIT: Setting<Duration> =
    Setting::new("wait", Duration::from_secs(1), "minimum wait of one blocking job for a thread");
static JOBS: Setting<usize> = Setting::new("jobs", 20, "minimum number of waiting jobs where none has waited for long");
static SHORT: Setting<Duration> =
    Setting::new("short", Duration::from_millis(250), "minimum wait of the first job where many wait");
static CRITICAL: Setting<Duration> =
    Setting::new("critical", Duration::from_secs(10), "wait of one job for a thread that is critical");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "blocking-pool-backlog",
    family: Family::Queue,
    grade: Grade::Proof,
    title: "blocking jobs wait for a thread",
    explain: include_str!("../../../../docs/detectors/blocking-pool-backlog.md"),
    settings: &[&WAIT, &JOBS, &SHORT, &CRITICAL],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(2),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(4),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: true,
    explained_by: &[],
    look_alikes: &[],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let mut sites: BTreeMap<SiteKey, Vec<(Duration, TaskKey)>> = BTreeMap::new();
    for (key, job) in evidence.queued_jobs() {
        sites.entry(job.site).or_default().push((evidence.running_since(job.stats.created), key));
    }
    if sites.is_empty() {
        return;
    }
    let at_work = evidence.jobs_at_work();
    // Where jobs wait for jobs, all is one standstill: it is reported where the jobs at work come from.
    let origin = at_work.sites.iter().map(|(site, _)| *site).find(|site| sites.contains_key(site));
    let origin = origin.filter(|_| at_work.wait_at.is_some());
    let (sites, others): (Vec<_>, Vec<_>) =
        sites.into_iter().partition(|(site, _)| origin.is_none_or(|it| it == *site));
    let others: Vec<SiteKey> = others.into_iter().map(|(site, _)| site).collect();
    for (site, mut jobs) in sites {
        jobs.sort_unstable_by(|one, other| other.cmp(one));
        let oldest = jobs.first().map_or(Duration::ZERO, |(age, _)| *age);
        let crowded = jobs.len() >= settings.get(&JOBS) && oldest >= settings.get(&SHORT);
        if crowded || oldest >= settings.get(&WAIT) {
            let symptom = symptom(evidence, settings, site, &jobs, &at_work);
            found.extend(symptom.map(|it| it.involving(describe::related_sites(evidence, &others, Role::Waiter))));
        }
    }
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    key: SiteKey,
    jobs: &[(Duration, TaskKey)],
    at_work: &JobsAtWork,
) -> Option<Symptom> {
    let oldest = jobs.first().map_or(Duration::ZERO, |(age, _)| *age);
    let (site, wait, critical) = (evidence.site(key)?, settings.get(&WAIT), settings.get(&CRITICAL));
    let keys: Vec<TaskKey> = jobs.iter().map(|(_, key)| *key).collect();
    let threads = at_work.count;
    let culprits: Vec<SiteKey> = at_work.sites.iter().map(|(site, _)| *site).chain(at_work.wait_at).collect();
    let symptom = Symptom::of_site(evidence, key, &keys, jobs.len())
        .severity(if oldest >= critical { Severity::Critical } else { Severity::Warning })
        .summary(format!(
            "{} {} for a thread, the first for {} (warning from {}), while {} at work.",
            describe::blocking_jobs(site, jobs.len()),
            words::agree(jobs.len(), "waits", "wait"),
            words::duration(oldest),
            words::limit(wait),
            if threads == 1 { "1 is".to_owned() } else { format!("{threads} are") },
        ))
        .because(Fact::count("jobs waiting for a thread", "jobs", jobs.len()).from(settings.get(&JOBS)))
        .because(Fact::time("wait of the first job", oldest).from(wait))
        .because(Fact::count("jobs at work", "jobs", threads))
        .involving(describe::related_sites(evidence, &culprits, Role::Culprit))
        .cause(Some(cause(evidence, at_work)))
        .advice(advice(at_work.wait_at.is_some()))
        .since(Some(evidence.now().minus(oldest)));
    Some(symptom)
}

fn cause(evidence: &Evidence<'_>, at_work: &JobsAtWork) -> String {
    let Some(site) = at_work.wait_at.and_then(|site| evidence.site(site)) else {
        return "All threads of the blocking pool are taken by jobs that are still at work.".to_owned();
    };
    format!(
        "All threads of the blocking pool are taken by jobs that seem to wait in block_on ({}). If what they wait for needs a thread of the \
         same pool, none of them can end.",
        site.id.location.as_str()
    )
}

fn advice(jobs_wait: bool) -> &'static str {
    if jobs_wait {
        "Do not wait in a blocking job for what needs the same pool, such as another job, a file of tokio::fs or a DNS lookup: call it directly \
         (std::fs), or do the waiting in a task. More threads only postpone it."
    } else {
        "Start fewer jobs at a time (acquire a semaphore before spawn_blocking), make them shorter, or raise max_blocking_threads. A job that \
         waits for another job of the same pool can stop the pool altogether. Tokio's file and DNS functions use this pool too."
    }
}
