//! Blocking in async code: one poll that does not end keeps its worker thread from everybody else.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::running_polls::RunningPoll;
use crate::model::tokio::TaskKind;
use crate::model::{SiteKey, TaskKey};
use crate::words;

static CRITICAL: Setting<Duration> =
    Setting::new("critical", Duration::from_secs(1), "minimum age of a running poll that is critical at first sight");
static START_UP: Setting<Duration> = Setting::new(
    "start-up",
    Duration::from_secs(5),
    "time after the start of the process in which a long poll is only information",
);

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
    look_alikes: &[
        LookAlike::StartingUp,
        LookAlike::SpanEnteredElsewhere,
        LookAlike::MorePollsThanThreads,
        LookAlike::HandedOver,
        LookAlike::ShortOfCpu,
        LookAlike::ThreadOfItsOwn,
    ],
    doubt: None,
    scan,
};

/// Tasks among which those are looked for that a finding names as its victims: the ones that have waited longest.
const VICTIMS: usize = 50;

/// What to do, unless the poll loops.
const REMEDY: &str = "Find what does not return in the code of this task: blocking IO, a lock of std or parking_lot, a blocking receive, a long \
    computation. Move it to tokio::task::spawn_blocking, or to a thread of its own if it never ends.";

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let running = evidence.polls_running_for(settings.get(&CRITICAL));
    if evidence.may_be_starved(&running) {
        return;
    }
    let of_all = evidence.running_polls_look_alike(&running, Duration::ZERO);
    let mut sites: BTreeMap<SiteKey, Vec<RunningPoll>> = BTreeMap::new();
    for poll in running {
        sites.entry(poll.site).or_default().push(poll);
    }
    for (site, polls) in sites {
        let early = evidence.running_polls_look_alike(&polls, settings.get(&START_UP));
        let look_alike = of_all
            .or(early)
            .or_else(|| hand_over(evidence, &polls, settings.get(&CRITICAL)))
            .or_else(|| evidence.may_wait_for_a_core(&polls).then_some(LookAlike::ShortOfCpu));
        found.extend(symptom(evidence, settings, site, &polls, look_alike));
    }
}

/// A `block_in_place` of which the report was lost, if no task waits for long.
fn hand_over(evidence: &Evidence<'_>, polls: &[RunningPoll], critical: Duration) -> Option<LookAlike> {
    let lost = |poll: &RunningPoll| evidence.quality().last_dropped >= Some(poll.since);
    let hurts = |poll: &RunningPoll| !evidence.woken_and_not_polled(poll.since, critical).is_empty();
    polls.iter().all(|poll| lost(poll) && !hurts(poll)).then_some(LookAlike::HandedOver)
}

/// A `block_on` that keeps nobody waiting, as its thread runs nothing else.
fn thread_of_its_own(evidence: &Evidence<'_>, worst: &RunningPoll, critical: Duration) -> Option<LookAlike> {
    let alone = worst.kind == TaskKind::BlockOn
        && evidence.has_workers()
        && evidence.woken_and_not_polled(worst.since, critical).is_empty();
    alone.then_some(LookAlike::ThreadOfItsOwn)
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    key: SiteKey,
    polls: &[RunningPoll],
    doubt: Option<LookAlike>,
) -> Option<Symptom> {
    let (site, critical) = (evidence.site(key)?, settings.get(&CRITICAL));
    let worst = *polls.first()?;
    let hurt = evidence.woken_and_not_polled(worst.since, Duration::from_millis(1));
    let victims: Vec<TaskKey> = hurt.tasks().take(VICTIMS).collect();
    let keys: Vec<TaskKey> = polls.iter().map(|poll| poll.task).collect();
    let severity = if worst.kind == TaskKind::BlockOn { Severity::Warning } else { Severity::Critical };
    let advice = if worst.kind == TaskKind::BlockOn {
        " Give block_on only what starts tasks and waits for them: spawn the rest."
    } else {
        ""
    };
    let looping = describe::looping(evidence, &worst);
    let remedy = if looping.is_some() { describe::END_LOOP } else { REMEDY };
    let symptom = Symptom::of_site(evidence, key, &keys, polls.len())
        .severity(severity)
        .grade((doubt.is_some() || hurt.is_empty()).then_some(Grade::Risk))
        .unless(doubt)
        .unless(thread_of_its_own(evidence, &worst, critical))
        .summary(summary(evidence, &worst, polls.len(), hurt.len(), critical, &looping.unwrap_or_default()))
        .because(Fact::time("age of the running poll", worst.age).from(critical))
        .because(Fact::count("polls that have run this long", "polls", polls.len()))
        .because(Fact::count("tasks woken and not polled", "tasks", hurt.len()))
        .because(Fact::time("longest wait of a woken task", hurt.longest()))
        .involving(describe::related_tasks(evidence, &victims, Role::Victim))
        .advice(format!("{remedy}{advice}{}", describe::library_hint(&site.id.location)))
        .stalls_since(worst.since)
        .since(Some(worst.since));
    Some(symptom)
}

fn summary(
    evidence: &Evidence<'_>,
    worst: &RunningPoll,
    polls: usize,
    hurt: usize,
    critical: Duration,
    looping: &str,
) -> String {
    let task = evidence.task(worst.task);
    let who = task.map(|task| describe::task(evidence, task)).unwrap_or_default();
    let name = task.and_then(|task| evidence.thread_of(task)).map_or_else(String::new, |name| format!(" ({name})"));
    let thread = match worst.kind {
        TaskKind::BlockOn => "the thread that called block_on",
        TaskKind::Local => "the thread of its LocalSet",
        TaskKind::Task | TaskKind::Blocking | TaskKind::Other => "its worker thread",
    };
    let siblings = match polls - 1 {
        0 => String::new(),
        more => format!(" {} {} the same.", words::count(more, "more task"), words::agree(more, "does", "do")),
    };
    let victims = match hurt {
        0 => String::new(),
        more => format!(
            " {} {} woken and not polled meanwhile.",
            words::count(more, "task"),
            words::agree(more, "was", "were")
        ),
    };
    format!(
        "{who} has been inside one poll for {} (critical from {}) and blocks {thread}{name}.{looping}{siblings}{victims}",
        words::duration(worst.age),
        words::limit(critical),
    )
}
