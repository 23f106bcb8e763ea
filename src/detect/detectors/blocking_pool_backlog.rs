//! Blocking jobs that queue for a thread of their pool.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Detector, Needs, Timing};
use crate::detect::finding::{Fact, Family, Grade, Role, Scope, Severity, Symptom};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::wording;
use crate::evidence::Evidence;
use crate::model::entity::task::Task;
use crate::model::tokio::TaskKind;
use crate::model::{SiteKey, TaskKey};

const WAIT: Setting = Setting::duration("wait", Duration::from_secs(1), "a job has waited for a thread for so long");
const JOBS: Setting = Setting::count("jobs", 20, "or so many wait at a time");
const SHORT: Setting = Setting::duration("short", Duration::from_millis(250), "and the first of them for so long");
const CRITICAL: Setting = Setting::duration("critical", Duration::from_secs(10), "a wait of this length is critical");

pub(super) static DETECTOR: Detector = Detector {
    id: "blocking-pool-backlog",
    family: Family::Queue,
    grade: Grade::Proof,
    title: "blocking jobs wait for a thread",
    explain: include_str!("../../../docs/detectors/blocking-pool-backlog.md"),
    settings: &[WAIT, JOBS, SHORT, CRITICAL],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(2),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(4),
    },
    needs: Needs::Counters,
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
        let crowded = jobs.len() >= settings.count(&JOBS) && oldest >= settings.duration(&SHORT);
        if crowded || oldest >= settings.duration(&WAIT) {
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
    let (wait, critical) = (settings.duration(&WAIT), settings.duration(&CRITICAL));
    Some(Symptom {
        severity: if oldest >= critical { Severity::Critical } else { Severity::Warning },
        grade: None,
        subject: wording::site_subject(model, site, &keys, jobs.len()),
        summary: format!(
            "{} of {} {} for a thread, the first for {} (warning from {}), while {} at work.",
            wording::count(jobs.len(), "blocking job"),
            wording::site(site),
            if jobs.len() == 1 { "waits" } else { "wait" },
            wording::duration(oldest),
            wording::duration(wait),
            if threads == 1 { "1 is".to_owned() } else { format!("{threads} are") },
        ),
        evidence: vec![
            Fact::count("jobs waiting for a thread", "jobs", jobs.len(), Some(settings.count(&JOBS))),
            Fact::time("wait of the first of them", oldest, Some(wait)),
            Fact::count("jobs at work", "jobs", threads, None),
        ],
        related: culprits.map(|site| wording::related_site(site, Role::Culprit)).collect(),
        cause: Some("All threads of the blocking pool are taken by jobs that are still at work.".to_owned()),
        recommendation: "Let fewer jobs begin at a time (a semaphore taken before spawn_blocking), make them shorter, or raise \
                         max_blocking_threads. A job that waits for another job of the same pool can stop it altogether. File and DNS \
                         functions of Tokio use this pool too."
            .to_owned(),
        class: Vec::new(),
        scope: Scope { sites: vec![key], tasks: keys, ..Scope::default() },
        sustains_only: false,
    })
}
