//! Blocking jobs that queue for a thread of their pool.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::model::entity::task::Task;
use crate::model::tokio::TaskKind;
use crate::model::{SiteKey, TaskKey};
use crate::words;

static WAIT: Setting<Duration> =
    Setting::new("wait", Duration::from_secs(1), "a job has waited for a thread for so long");
static JOBS: Setting<usize> = Setting::new("jobs", 20, "or so many wait at a time");
static SHORT: Setting<Duration> =
    Setting::new("short", Duration::from_millis(250), "and the first of them for so long");
static CRITICAL: Setting<Duration> =
    Setting::new("critical", Duration::from_secs(10), "a wait of this length is critical");

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
    doubt: None,
    scan,
};

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let mut sites: BTreeMap<SiteKey, Vec<(Duration, TaskKey)>> = BTreeMap::new();
    for (key, job) in model.queued_jobs() {
        sites.entry(job.site).or_default().push((model.running_since(job.stats.created), key));
    }
    for (site, mut jobs) in sites {
        jobs.sort_unstable_by(|one, other| other.cmp(one));
        let oldest = jobs.first().map_or(Duration::ZERO, |(age, _)| *age);
        let crowded = jobs.len() >= settings.get(&JOBS) && oldest >= settings.get(&SHORT);
        if crowded || oldest >= settings.get(&WAIT) {
            found.extend(symptom(model, settings, site, &jobs, oldest));
        }
    }
}

/// Blocking jobs that have a thread, by site, most first: they are what keeps the others waiting.
fn running(model: &Evidence<'_>) -> Vec<(SiteKey, usize)> {
    let has_thread =
        |task: &Task| task.stats.poll.is_running() && !task.is_worker_thread() && !task.is_block_in_place();
    let sites = model.sites().filter(|(_, site)| site.id.kind == TaskKind::Blocking);
    let mut counts: Vec<(SiteKey, usize)> = sites
        .map(|(key, site)| (key, site.live.iter().filter(|(_, job)| model.task(*job).is_some_and(has_thread)).count()))
        .filter(|(_, count)| *count > 0)
        .collect();
    counts.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
    counts
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    key: SiteKey,
    jobs: &[(Duration, TaskKey)],
    oldest: Duration,
) -> Option<Symptom> {
    let site = model.site(key)?;
    let keys: Vec<TaskKey> = jobs.iter().map(|(_, key)| *key).collect();
    let running = running(model);
    let threads = running.iter().map(|(_, count)| *count).sum();
    let culprits = running.iter().take(3).filter_map(|(site, _)| model.site(*site));
    let (wait, critical) = (settings.get(&WAIT), settings.get(&CRITICAL));
    Some(Symptom {
        severity: if oldest >= critical { Severity::Critical } else { Severity::Warning },
        grade: None,
        subject: describe::site_subject(model, site, &keys, jobs.len()),
        summary: format!(
            "{} of {} {} for a thread, the first for {} (warning from {}), while {} at work.",
            words::count(jobs.len(), "blocking job"),
            describe::site(site),
            if jobs.len() == 1 { "waits" } else { "wait" },
            words::duration(oldest),
            words::duration(wait),
            if threads == 1 { "1 is".to_owned() } else { format!("{threads} are") },
        ),
        facts: vec![
            Fact::count("jobs waiting for a thread", "jobs", jobs.len()).from(settings.get(&JOBS)),
            Fact::time("wait of the first of them", oldest).from(wait),
            Fact::count("jobs at work", "jobs", threads),
        ],
        related: culprits.map(|site| describe::related_site(site, Role::Culprit)).collect(),
        look_alikes: Vec::new(),
        cause: Some("All threads of the blocking pool are taken by jobs that are still at work.".to_owned()),
        recommendation: "Let fewer jobs begin at a time (a semaphore taken before spawn_blocking), make them shorter, or raise \
                         max_blocking_threads. A job that waits for another job of the same pool can stop it altogether. File and DNS \
                         functions of Tokio use this pool too."
            .to_owned(),
        class: Vec::new(),
        scope: Scope { sites: vec![key], tasks: keys, ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    })
}
