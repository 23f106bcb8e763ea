//! Blocking in async code: one poll that goes on and on keeps its worker thread from everybody else.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::polls::{self, LongPoll};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::model::tokio::TaskKind;
use crate::model::{SiteKey, TaskKey};
use crate::words;

static CRITICAL: Setting<Duration> =
    Setting::new("critical", Duration::from_secs(1), "a running poll of this age is critical at first sight");
static START_UP: Setting<Duration> =
    Setting::new("start-up", Duration::from_secs(5), "polls of the target's first seconds may take this long");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "blocked-worker",
    family: Family::Blocking,
    grade: Grade::Proof,
    title: "a poll blocks its worker thread",
    explain: include_str!("../../../../docs/detectors/blocked-worker.md"),
    settings: &[&CRITICAL, &START_UP],
    timing: Timing {
        updates: 1,
        hold: Duration::ZERO,
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(2),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: true,
    explained_by: &[],
    doubt: None,
    scan,
};

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (critical, start_up) = (settings.get(&CRITICAL), settings.get(&START_UP));
    let mut sites: BTreeMap<SiteKey, Vec<LongPoll>> = BTreeMap::new();
    let running = polls::running_for(model, critical);
    if polls::may_be_starved(model, &running) {
        return;
    }
    for poll in running {
        if let Some(task) = model.task(poll.task) {
            sites.entry(task.site).or_default().push(poll);
        }
    }
    let crowded = more_than_threads(model, sites.values().map(Vec::len).sum());
    for (site, polls) in sites {
        // A process that has just begun does not serve anybody yet.
        let early = polls::are_starting_up(model, &polls, start_up);
        let doubtful = crowded || early || may_be_handed_over(model, &polls, critical);
        found.extend(symptom(model, site, &polls, critical, doubtful));
    }
}

/// Whether the news that the polls handed their thread's other tasks over (`block_in_place`) may have been lost, and no task waits for long.
fn may_be_handed_over(model: &Evidence<'_>, polls: &[LongPoll], critical: Duration) -> bool {
    let lost = |poll: &LongPoll| model.quality().last_dropped >= Some(poll.since);
    let hurts = |poll: &LongPoll| !polls::waiting_since(model, poll.since, critical).is_empty();
    polls.iter().all(|poll| lost(poll) && !hurts(poll))
}

/// Whether more polls go on than there are threads to run them, so that some of them only seem to.
fn more_than_threads(model: &Evidence<'_>, polls: usize) -> bool {
    let workers = model.worker_threads().filter(|(_, task)| task.is_worker_thread()).count();
    let others = model
        .sites()
        .filter(|(_, site)| site.id.kind == TaskKind::BlockOn)
        .map(|(_, site)| site.live.len())
        .sum::<usize>();
    workers > 0 && polls > workers + others + 1
}

fn symptom(
    model: &Evidence<'_>,
    key: SiteKey,
    polls: &[LongPoll],
    critical: Duration,
    doubtful: bool,
) -> Option<Symptom> {
    let site = model.site(key)?;
    let worst = *polls.first()?;
    let (age, task) = (worst.age, model.task(worst.task)?);
    let alone = task.kind == TaskKind::BlockOn
        && polls::has_workers(model)
        && polls::waiting_since(model, worst.since, critical).is_empty();
    let severity = match task.kind {
        _ if doubtful || alone => Severity::Info,
        TaskKind::BlockOn => Severity::Warning,
        _ => Severity::Critical,
    };
    let hurt = polls::waiting_since(model, worst.since, Duration::from_millis(1));
    let keys: Vec<TaskKey> = polls.iter().map(|poll| poll.task).collect();
    let others =
        if polls.len() > 1 { format!(", and so have {} more of its kind", polls.len() - 1) } else { String::new() };
    let victims = if hurt.is_empty() {
        String::new()
    } else {
        format!("; {} woken meanwhile and not polled since", describe::tasks_were(hurt.len()))
    };
    let longest =
        hurt.iter().filter_map(|key| model.task(*key)).map(|task| model.running_since(polls::told_to_run(task))).max();
    // The future of `block_on` runs on the thread that called it, which no worker's tasks need.
    let (thread, advice) = match task.kind {
        TaskKind::BlockOn if alone => ("the thread that called block_on, while the worker threads go on", ""),
        TaskKind::BlockOn => (
            "the thread that called block_on, and on a current-thread runtime all other tasks with it",
            " What is given to block_on should only start tasks and wait: spawn the rest.",
        ),
        TaskKind::Local => ("the thread of its LocalSet, and all tasks of that with it", ""),
        _ => ("its worker thread", ""),
    };
    Some(Symptom {
        severity,
        grade: doubtful.then_some(Grade::Risk),
        subject: describe::site_subject(model, site, &keys, polls.len()),
        summary: format!(
            "{} has {}been inside one poll for {} (critical from {}){others}: it blocks {thread}{victims}.",
            describe::task(model, task),
            if doubtful { "possibly " } else { "" },
            words::duration(age),
            words::duration(critical),
        ),
        facts: vec![
            Fact::time("age of the running poll", age).from(critical),
            Fact::count("polls running too long", "polls", polls.len()),
            Fact::count("tasks woken since and not polled", "tasks", hurt.len()),
            Fact::time("longest wait of one of them", longest.unwrap_or_default()),
        ],
        related: hurt.iter().take(3).filter_map(|key| describe::related_task(model, *key, Role::Victim)).collect(),
        look_alikes: Vec::new(),
        cause: None,
        recommendation: format!(
            "Find what does not return in the code of this task: blocking IO, a lock of std or parking_lot, a blocking receive, a long \
             computation. Move it to tokio::task::spawn_blocking, or to a thread of its own if it never ends.{advice}{}",
            describe::library_hint(&site.id.location),
        ),
        class: Vec::new(),
        scope: Scope { sites: vec![key], tasks: keys, stalls_since: Some(worst.since), ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    })
}
