//! A stalled runtime: tasks are woken and not polled while one poll does not end.

use std::time::Duration;

use rustc_hash::FxHashSet;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::running_polls::RunningPoll;
use crate::model::TaskKey;
use crate::model::tokio::TaskKind;
use crate::words;

static CRITICAL: Setting<Duration> = Setting::new(
    "critical",
    Duration::from_secs(1),
    "minimum time for which a poll runs while woken tasks wait, or while no task is polled at all",
);
static BUSY: Setting<usize> = Setting::new(
    "busy",
    5,
    "minimum number of polls of other tasks shortly before the stall, which show that the runtime was not idle",
);
static BUSY_WINDOW: Setting<Duration> = Setting::new(
    "busy-window",
    Duration::from_secs(5),
    "time before the stall in which polls of other tasks are counted",
);
static START_UP: Setting<Duration> = Setting::new(
    "start-up",
    Duration::from_secs(5),
    "time after the start of the process in which a long poll is only information",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "runtime-stalled",
    family: Family::Blocking,
    grade: Grade::Proof,
    title: "woken tasks are not polled while one poll does not end",
    explain: include_str!("../../../../docs/detectors/runtime-stalled.md"),
    settings: &[&CRITICAL, &BUSY, &BUSY_WINDOW, &START_UP],
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
    look_alikes: &[LookAlike::StartingUp],
    doubt: None,
    scan,
};

/// What to do, unless the poll loops.
const REMEDY: &str = "Make that poll return: move blocking calls and long computations to tokio::task::spawn_blocking.";

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let critical = settings.get(&CRITICAL);
    let mut culprits = evidence.polls_running_for(critical);
    culprits.retain(|poll| !evidence.only_seems_to_run(poll.task));
    let Some(culprit) = culprits.first().filter(|_| !evidence.may_be_starved(&culprits)) else { return };
    let running: FxHashSet<TaskKey> = culprits.iter().map(|culprit| culprit.task).collect();
    let woken = evidence.woken_and_not_polled(culprit.since, critical);
    let victims: Vec<TaskKey> = woken.tasks().filter(|task| !running.contains(task)).collect();
    let still = evidence.running_since(evidence.last_poll().max(culprit.since));
    // The thread that called `block_on` is not a worker, so that the others are only idle.
    let apart = evidence.has_workers() && culprits.iter().all(|culprit| culprit.kind == TaskKind::BlockOn);
    let stands = !apart && still >= critical && polls_before(evidence, settings, culprit) >= settings.get(&BUSY);
    if !victims.is_empty() || stands {
        found.extend(symptom(evidence, settings, &culprits, &victims, stands.then_some(still)));
    }
}

/// Polls of other tasks shortly before a poll began.
fn polls_before(evidence: &Evidence<'_>, settings: Scoped<'_>, culprit: &RunningPoll) -> usize {
    let from = culprit.since.minus(settings.get(&BUSY_WINDOW));
    let others = evidence.sites().filter(|(key, site)| *key != culprit.site && site.id.kind.is_async());
    let seconds = others.flat_map(|(_, site)| site.history.since(from)).filter(|second| second.from < culprit.since);
    seconds.map(|second| usize::try_from(second.polls).unwrap_or(usize::MAX)).fold(0, usize::saturating_add)
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    culprits: &[RunningPoll],
    victims: &[TaskKey],
    still: Option<Duration>,
) -> Option<Symptom> {
    let (critical, worst) = (settings.get(&CRITICAL), culprits.first()?);
    let (task, site) = (evidence.task(worst.task)?, evidence.site(worst.site)?);
    let longest = evidence.longest_wait_for_poll(victims);
    let what = match still {
        Some(still) => format!("No task of the process has been polled for {}", words::duration(still)),
        None => format!(
            "{} {} woken and not polled for up to {}",
            words::count(victims.len(), "task"),
            words::agree(victims.len(), "was", "were"),
            words::duration(longest)
        ),
    };
    let who = describe::task(evidence, task);
    let culprit_tasks: Vec<TaskKey> = culprits.iter().map(|poll| poll.task).collect();
    let since = culprits.iter().map(|poll| poll.since).min()?;
    let is_early = evidence.running_polls_look_alike(culprits, settings.get(&START_UP));
    let early = is_early.filter(|look_alike| *look_alike == LookAlike::StartingUp);
    let subject = describe::runtime_subject(&site.id.location, describe::task_ids(evidence, victims), victims.len());
    let looping = describe::looping(evidence, worst);
    let remedy = if looping.is_some() { describe::END_LOOP } else { REMEDY };
    let symptom = Symptom::about(subject)
        .severity(Severity::Critical)
        .grade(early.map(|_| Grade::Risk))
        .unless(early)
        .class(["runtime".to_owned(), evidence.site_class(worst.site)])
        .summary(format!(
            "{what} (critical from {}), while {who} has been inside one poll for {}.{}",
            words::limit(critical),
            words::duration(worst.age),
            looping.unwrap_or_default(),
        ))
        .because(Fact::time("age of the running poll", worst.age).from(critical))
        .because(Fact::count("tasks woken and not polled", "tasks", victims.len()).from(1))
        .because(Fact::time("longest wait of a woken task", longest).from(critical))
        .because(Fact::time("time without any poll", still.unwrap_or_default()).from(critical))
        .involving(describe::related_tasks(evidence, &culprit_tasks, Role::Culprit))
        .involving(describe::related_tasks(evidence, victims, Role::Victim))
        .cause(Some(format!("The poll of {who} blocks the thread that these tasks need.")))
        .advice(format!(
            "{remedy} A current-thread runtime has no other thread; a blocked worker also keeps the tasks in its own queue, and perhaps the IO and \
             timer driver.{}",
            describe::library_hint(&site.id.location),
        ))
        .touching_sites([worst.site])
        .touching_tasks(evidence, victims.iter().copied())
        .stalls_since(since)
        .since(Some(since));
    Some(symptom)
}
