//! A runtime that stands still: tasks are woken and not polled while one poll runs on.

use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::polls::{self, LongPoll};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::{Role, Subject, SubjectKind};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::model::TaskKey;
use crate::model::time::Timestamp;
use crate::model::tokio::TaskKind;
use crate::words;

static CRITICAL: Setting<Duration> = Setting::new(
    "critical",
    Duration::from_secs(1),
    "a poll runs, and woken tasks wait (or no task is polled at all), for so long",
);
static BUSY: Setting<usize> =
    Setting::new("busy", 5, "so many polls of other tasks in the five seconds before show that it was not idle");
static START_UP: Setting<Duration> =
    Setting::new("start-up", Duration::from_secs(5), "polls of the target's first seconds may take this long");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "runtime-stalled",
    family: Family::Blocking,
    grade: Grade::Proof,
    title: "woken tasks are not polled while one poll runs on",
    explain: include_str!("../../../../docs/detectors/runtime-stalled.md"),
    settings: &[&CRITICAL, &BUSY, &START_UP],
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

/// How long before the stall other tasks must have been busy.
const BEFORE: Duration = Duration::from_secs(5);

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let critical = settings.get(&CRITICAL);
    let culprits = polls::running_for(model, critical);
    let Some(culprit) = culprits.first().filter(|_| !polls::may_be_starved(model, &culprits)) else { return };
    let early = polls::are_starting_up(model, &culprits, settings.get(&START_UP));
    let victims: Vec<TaskKey> = polls::waiting_since(model, culprit.since, critical)
        .into_iter()
        .filter(|victim| culprits.iter().all(|culprit| culprit.task != *victim))
        .collect();
    let still = model.running_since(model.last_poll().max(culprit.since));
    // The thread that called `block_on` is no worker, so that the others are only idle.
    let is_apart = |culprit: &LongPoll| model.task(culprit.task).is_some_and(|it| it.kind == TaskKind::BlockOn);
    let apart = polls::has_workers(model) && culprits.iter().all(is_apart);
    let stands = !apart && still >= critical && polls_before(model, culprit) >= settings.get(&BUSY);
    if !victims.is_empty() || stands {
        found.extend(symptom(model, &culprits, &victims, stands.then_some(still), (critical, early)));
    }
}

/// Polls of other tasks shortly before a poll began.
fn polls_before(model: &Evidence<'_>, culprit: &LongPoll) -> usize {
    let own = model.task(culprit.task).map(|task| task.site);
    let from = culprit.since.minus(BEFORE);
    let others = model.sites().filter(|(key, site)| Some(*key) != own && site.id.kind.is_async());
    let seconds = others.flat_map(|(_, site)| site.history.since(from)).filter(|second| second.from < culprit.since);
    seconds.map(|second| usize::try_from(second.polls).unwrap_or(usize::MAX)).fold(0, usize::saturating_add)
}

fn symptom(
    model: &Evidence<'_>,
    culprits: &[LongPoll],
    victims: &[TaskKey],
    still: Option<Duration>,
    (critical, early): (Duration, bool),
) -> Option<Symptom> {
    let worst = culprits.first()?;
    let task = model.task(worst.task)?;
    let site = model.site(task.site)?;
    let waited = |key: &TaskKey| model.task(*key).map(|task| model.running_since(polls::told_to_run(task)));
    let longest = victims.iter().filter_map(waited).max().unwrap_or_default();
    let what = match still {
        Some(still) => {
            format!("A runtime stands still: no task of the process has been polled for {}", words::duration(still))
        }
        None => format!(
            "A worker thread does not get to its other tasks: {} woken and not polled for up to {}",
            describe::tasks_were(victims.len()),
            words::duration(longest)
        ),
    };
    let culprit = |poll: &LongPoll| describe::related_task(model, poll.task, Role::Culprit);
    let hurt = |key: &TaskKey| describe::related_task(model, *key, Role::Victim);
    let mut related: Vec<_> =
        culprits.iter().take(4).filter_map(culprit).chain(victims.iter().take(4).filter_map(hurt)).collect();
    related.dedup();
    Some(Symptom {
        // A process that has just begun does not serve anybody yet.
        severity: if early { Severity::Info } else { Severity::Critical },
        grade: early.then_some(Grade::Risk),
        subject: Subject {
            kind: SubjectKind::Runtime,
            name: "runtime".to_owned(),
            location: site.id.location.to_string(),
            ids: describe::task_ids(model, victims),
            count: victims.len(),
        },
        summary: format!(
            "{what} (critical from {}), while {} has been inside one poll for {}.",
            words::duration(critical),
            describe::task(model, task),
            words::duration(worst.age),
        ),
        facts: vec![
            Fact::time("age of the running poll", worst.age).from(critical),
            Fact::count("tasks woken and not polled", "tasks", victims.len()).from(1),
            Fact::time("longest wait of a woken task", longest).from(critical),
            Fact::time("time without any poll", still.unwrap_or_default()).from(critical),
        ],
        related,
        look_alikes: Vec::new(),
        cause: Some(format!("The poll of {} blocks the thread that these tasks need.", describe::task(model, task))),
        recommendation: format!(
            "Make that poll return: move blocking calls and long computations to tokio::task::spawn_blocking. A current-thread runtime \
             has no other thread at all; a worker that blocks also keeps tasks in its own queue and may keep the IO and timer driver.{}",
            describe::library_hint(&site.id.location),
        ),
        class: Vec::new(),
        scope: Scope {
            sites: vec![task.site],
            tasks: victims.to_vec(),
            stalls_since: Some(earliest(culprits)),
            ..Scope::default()
        },
        strength: f64::INFINITY,
        since: None,
    })
}

fn earliest(culprits: &[LongPoll]) -> Timestamp {
    culprits.iter().map(|poll| poll.since).min().unwrap_or_default()
}
