//! Blocking in async code: one poll that goes on and on keeps its worker thread from everybody else.

use std::collections::BTreeMap;
use std::time::Duration;

use rustc_hash::FxHashSet;

use super::{Detector, Needs, Timing};
use crate::detect::finding::{Evidence, Family, Grade, Role, Scope, Severity, Symptom};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::wording;
use crate::model::task::{Task, TaskKind};
use crate::model::time::Timestamp;
use crate::model::{Model, SiteKey, TaskKey};

const CRITICAL: Setting =
    Setting::duration("critical", Duration::from_secs(1), "a running poll of this age is critical at first sight");
const START_UP: Setting =
    Setting::duration("start-up", Duration::from_secs(5), "polls of the target's first seconds may take this long");

pub(super) static DETECTOR: Detector = Detector {
    id: "blocked-worker",
    family: Family::Blocking,
    grade: Grade::Proof,
    title: "a poll blocks its worker thread",
    explain: include_str!("../../../docs/detectors/blocked-worker.md"),
    settings: &[CRITICAL, START_UP],
    timing: Timing {
        updates: 1,
        hold: Duration::ZERO,
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(2),
    },
    needs: Needs::Counters,
    scan,
};

/// So many wakes and clones of the waker of a task inside one poll mean that it is polled all the same: a library entered its span on a
/// thread of its own, which hides the real polls.
const STIRRED: u64 = 2;

fn scan(model: &Model, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (critical, start_up) = (settings.duration(&CRITICAL), settings.duration(&START_UP));
    let handed_over = polls_in_block_in_place(model);
    let mut sites: BTreeMap<SiteKey, Vec<(Duration, TaskKey)>> = BTreeMap::new();
    for (key, task) in model.running() {
        let age = task.stats.poll.started.map_or(Duration::ZERO, |started| model.running_since(started));
        let (wakes, clones) = task.stirred_while_running();
        let contradicted = wakes >= STIRRED && clones >= STIRRED;
        if age >= critical && !contradicted && !handed_over.contains(&key) {
            sites.entry(task.site).or_default().push((age, key));
        }
    }
    let crowded = more_than_threads(model, sites.values().map(Vec::len).sum());
    for (site, mut polls) in sites {
        polls.sort_unstable_by(|one, other| other.cmp(one));
        let early = polls.iter().all(|(age, key)| *age < start_up && began_at_start(model, *key, start_up));
        found.extend(symptom(model, site, &polls, critical, crowded || early));
    }
}

/// Running polls that handed their worker's other tasks to a new thread first: each `block_in_place` belongs to the poll that began
/// last before it.
fn polls_in_block_in_place(model: &Model) -> FxHashSet<TaskKey> {
    let mut sections: Vec<Timestamp> = model
        .worker_threads()
        .filter(|(_, task)| task.is_block_in_place())
        .map(|(_, task)| task.stats.created)
        .collect();
    sections.sort_unstable();
    let mut harmless = FxHashSet::default();
    for created in sections {
        let before =
            model.running().filter(|(key, task)| !harmless.contains(key) && task.stats.poll.started <= Some(created));
        if let Some((key, _)) = before.max_by_key(|(_, task)| task.stats.poll.started) {
            harmless.insert(key);
        }
    }
    harmless
}

/// Whether more polls go on than there are threads to run them, so that some of them only seem to.
fn more_than_threads(model: &Model, polls: usize) -> bool {
    let workers = model.worker_threads().filter(|(_, task)| task.is_worker_thread()).count();
    let others = model
        .sites()
        .filter(|(_, site)| site.id.kind == TaskKind::BlockOn)
        .map(|(_, site)| site.live.len())
        .sum::<usize>();
    workers > 0 && polls > workers + others + 1
}

/// Whether a poll began in the first seconds of the process, when it does not serve anybody yet.
fn began_at_start(model: &Model, key: TaskKey, start_up: Duration) -> bool {
    let birth = model.birth();
    model.task(key).and_then(|task| task.stats.poll.started).is_some_and(|started| started.since(birth) < start_up)
}

fn symptom(
    model: &Model,
    key: SiteKey,
    polls: &[(Duration, TaskKey)],
    critical: Duration,
    doubtful: bool,
) -> Option<Symptom> {
    let site = model.site(key)?;
    let (age, worst) = *polls.first()?;
    let task = model.task(worst)?;
    let severity = match task.kind {
        _ if doubtful => Severity::Info,
        TaskKind::BlockOn => Severity::Warning,
        _ => Severity::Critical,
    };
    let hurt = waiting_behind(model, task);
    let keys: Vec<TaskKey> = polls.iter().map(|(_, key)| *key).collect();
    let others =
        if polls.len() > 1 { format!(", and so have {} more of its kind", polls.len() - 1) } else { String::new() };
    let victims = if hurt.is_empty() {
        String::new()
    } else {
        format!("; {} woken meanwhile and not polled since", were(hurt.len()))
    };
    Some(Symptom {
        severity,
        grade: doubtful.then_some(Grade::Risk),
        subject: wording::site_subject(model, site, &keys, polls.len()),
        summary: format!(
            "{} has {}been inside one poll for {} (critical from {}){others}: it blocks its worker thread{victims}.",
            wording::task(model, task),
            if doubtful { "possibly " } else { "" },
            wording::duration(age),
            wording::duration(critical),
        ),
        evidence: vec![
            Evidence::time("age of the running poll", age, Some(critical)),
            Evidence::count("polls running too long", "polls", polls.len(), None),
            Evidence::count("tasks woken since and not polled", "tasks", hurt.len(), None),
        ],
        related: hurt.iter().take(3).filter_map(|key| wording::related_task(model, *key, Role::Victim)).collect(),
        cause: None,
        recommendation: format!(
            "Find what does not return in the code of this task: blocking IO, a lock of std or parking_lot, a blocking receive, a long \
             computation. Move it to tokio::task::spawn_blocking, or to a thread of its own if it never ends.{}",
            wording::library_hint(&site.id.location),
        ),
        class: Vec::new(),
        scope: Scope { sites: vec![key], tasks: keys, stalls_since: task.stats.poll.started, ..Scope::default() },
        sustains_only: false,
    })
}

/// Tasks that were woken after this one's poll began and have not been polled since.
fn waiting_behind(model: &Model, task: &Task) -> Vec<TaskKey> {
    let since = |other: &Task| other.stats.last_wake.unwrap_or(other.stats.created);
    let hurt = model.woken().filter(|(_, other)| {
        Some(since(other)) > task.stats.poll.started && !model.running_since(since(other)).is_zero()
    });
    hurt.map(|(key, _)| key).collect()
}

fn were(count: usize) -> String {
    if count == 1 { "1 task was".to_owned() } else { format!("{count} tasks were") }
}
