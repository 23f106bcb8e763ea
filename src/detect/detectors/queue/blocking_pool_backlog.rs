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
use crate::model::entity::task::Task;
use crate::model::tokio::TaskKind;
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
    for (site, mut jobs) in sites {
        jobs.sort_unstable_by(|one, other| other.cmp(one));
        let oldest = jobs.first().map_or(Duration::ZERO, |(age, _)| *age);
        let crowded = jobs.len() >= settings.get(&JOBS) && oldest >= settings.get(&SHORT);
        if crowded || oldest >= settings.get(&WAIT) {
            found.extend(symptom(evidence, settings, site, &jobs, oldest));
        }
    }
}

/// Sites of blocking jobs that have a thread, most first: they are what keeps the others waiting.
fn running(evidence: &Evidence<'_>) -> Vec<(SiteKey, usize)> {
    let has_thread =
        |task: &Task| task.stats.poll.is_running() && !task.is_worker_thread() && !task.is_block_in_place();
    let sites = evidence.sites().filter(|(_, site)| site.id.kind == TaskKind::Blocking);
    let counted = sites.map(|(key, site)| {
        let jobs = site.live.iter().filter(|(_, job)| evidence.task(*job).is_some_and(has_thread));
        (key, jobs.count())
    });
    let mut counts: Vec<(SiteKey, usize)> = counted.filter(|(_, count)| *count > 0).collect();
    counts.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
    counts
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    key: SiteKey,
    jobs: &[(Duration, TaskKey)],
    oldest: Duration,
) -> Option<Symptom> {
    let (site, wait, critical) = (evidence.site(key)?, settings.get(&WAIT), settings.get(&CRITICAL));
    let keys: Vec<TaskKey> = jobs.iter().map(|(_, key)| *key).collect();
    let running = running(evidence);
    let threads = running.iter().map(|(_, count)| *count).sum();
    let culprits: Vec<SiteKey> = running.iter().map(|(site, _)| *site).collect();
    let symptom = Symptom::of_site(evidence, key, &keys, jobs.len())
        .severity(if oldest >= critical { Severity::Critical } else { Severity::Warning })
        .summary(format!(
            "{} of {} {} for a thread, the first for {} (warning from {}), while {} at work.",
            words::count(jobs.len(), "blocking job"),
            describe::site(site),
            words::agree(jobs.len(), "waits", "wait"),
            words::duration(oldest),
            words::limit(wait),
            if threads == 1 { "1 is".to_owned() } else { format!("{threads} are") },
        ))
        .because(Fact::count("jobs waiting for a thread", "jobs", jobs.len()).from(settings.get(&JOBS)))
        .because(Fact::time("wait of the first job", oldest).from(wait))
        .because(Fact::count("jobs at work", "jobs", threads))
        .involving(describe::related_sites(evidence, &culprits, Role::Culprit))
        .cause(Some("All threads of the blocking pool are taken by jobs that are still at work.".to_owned()))
        .advice(
            "Start fewer jobs at a time (acquire a semaphore before spawn_blocking), make them shorter, or raise max_blocking_threads. A job that \
             waits for another job of the same pool can stop the pool altogether. Tokio's file and DNS functions use this pool too.",
        )
        .since(Some(evidence.now().minus(oldest)));
    Some(symptom)
}
