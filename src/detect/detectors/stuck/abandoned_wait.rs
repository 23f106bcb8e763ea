//! A wait that outlives everything usual: a barrier that is short of parties, permits whose holders rest, a lock whose holder is not known.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::attachment::UnexplainedStall;
use crate::evidence::barrier::Round;
use crate::evidence::holders::Holder;
use crate::evidence::look_alike::LookAlike;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, TaskKey};
use crate::words;

static WAIT: Setting<Duration> =
    Setting::new("wait", Duration::from_secs(30), "minimum time for which tasks have waited and nothing was granted");
static TIMES: Setting<f64> = Setting::new(
    "times",
    10.0,
    "minimum time for which tasks have waited, as a multiple of the longest time that is usual there",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "abandoned-wait",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "tasks wait for something that will probably never happen",
    explain: include_str!("../../../../docs/detectors/abandoned-wait.md"),
    settings: &[&WAIT, &TIMES],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(5),
        window: Duration::from_secs(32),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: false,
    explained_by: &[
        Cause::involved("deadlock"),
        Cause::involved("lost-waker"),
        Cause::involved("futurelock"),
        Cause::involved("permit-leak"),
        Cause::involved("held-across-await"),
        Cause::involved("full-channel"),
        Cause::involved("task-pileup").if_more_severe(),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
    ],
    look_alikes: &[
        LookAlike::LateParty,
        LookAlike::UnknownHabit,
        LookAlike::AcceptorAtLimit,
        LookAlike::ClosedGate,
        LookAlike::IdlePool,
    ],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, resource) in evidence.contested().filter(|(_, it)| it.dropped.is_none()) {
        found.extend(match resource.kind {
            ResourceKind::Barrier => barrier(evidence, settings, key),
            ResourceKind::Semaphore => semaphore(evidence, settings, key),
            _ => None,
        });
    }
    let stalls = evidence.unexplained_stalls().filter(|stall| stall.lasts >= settings.get(&WAIT));
    found.extend(stalls.map(|stall| unexplained(evidence, settings, stall)));
}

/// What the findings of this detector have in common: so many tasks wait for a resource.
fn waits_for(evidence: &Evidence<'_>, key: ResourceKey, lasts: Duration) -> Symptom {
    let waiting = describe::waiting_tasks(evidence, key);
    Symptom::of_resource(evidence, key, waiting.len())
        .because(Fact::count("tasks waiting", "tasks", waiting.len()).from(1))
        .involving(describe::related_tasks(evidence, &waiting, Role::Waiter))
        .touching_tasks(evidence, waiting)
        .since(Some(evidence.now().minus(lasts)))
}

fn barrier(evidence: &Evidence<'_>, settings: Scoped<'_>, key: ResourceKey) -> Option<Symptom> {
    let round = evidence.round(key)?;
    // One that has let everybody through before tells how long its parties may take.
    let usual = round.longest.filter(|_| round.completed > 0).map(|longest| longest.mul_f64(settings.get(&TIMES)));
    let limit = settings.get(&WAIT).max(usual.unwrap_or_default());
    (round.lasts >= limit).then(|| short_of_parties(evidence, key, round, limit))
}

fn short_of_parties(evidence: &Evidence<'_>, key: ResourceKey, round: Round, limit: Duration) -> Symptom {
    let [size, missing] = [round.size, round.missing()].map(|count| usize::try_from(count).unwrap_or(usize::MAX));
    let late = evidence.a_party_may_come(key, limit);
    let past = match round.longest {
        Some(longest) if round.completed > 0 => {
            format!("No wait of an earlier round lasted longer than {}.", words::duration(longest))
        }
        _ => "No round was completed before.".to_owned(),
    };
    let symptom = waits_for(evidence, key, round.lasts);
    let waiting = describe::tasks_that_wait(evidence, &describe::waiting_tasks(evidence, key));
    symptom
        .unless(late.then_some(LookAlike::LateParty))
        .summary(format!(
            "{waiting} for the {} for up to {} (warning from {}): {missing} of its {} {} missing. {past}",
            describe::resource(evidence, key),
            words::duration(round.lasts),
            words::limit(limit),
            words::count(size, "party"),
            words::agree(missing, "is", "are"),
        ))
        .because(Fact::time("longest current wait", round.lasts).from(limit))
        .because(Fact::count("parties missing", "parties", missing).from(1))
        .because(Fact::count("parties of the barrier", "parties", size))
        .cause((!late).then(|| "The missing parties ended early, were never spawned, or are stuck themselves.".to_owned()))
        .advice(
            "Compare the size of the barrier with the number of tasks that reach it, also when one of them fails or returns early. A party that \
             gave up waiting still counts as arrived. To wait until tasks have ended, use a JoinSet or a TaskTracker, which need no number.",
        )
}

/// A semaphore that let tasks in and has stopped, because those that hold its permits rest, for far longer than is usual.
fn semaphore(evidence: &Evidence<'_>, settings: Scoped<'_>, key: ResourceKey) -> Option<Symptom> {
    let (limit, flow) = (settings.get(&WAIT), evidence.flow(key));
    // Whoever waits with a timeout does not wait for long, but the next one does in its place.
    let lasts = flow.unserved_for().filter(|lasts| flow.last_grant.is_some() && *lasts >= limit)?;
    let holders = evidence.resting_holders(key, limit);
    let first = holders.first()?;
    let times = settings.get(&TIMES);
    let is_overdue = |holder: &Holder| {
        let usual = evidence.usual_turn(key, holder.task);
        usual.is_some_and(|usual| evidence.running_since(holder.since) >= usual.mul_f64(times))
    };
    let habit = (!holders.iter().all(is_overdue)).then_some(LookAlike::UnknownHabit);
    let tasks: Vec<TaskKey> = holders.iter().map(|holder| holder.task).collect();
    let who = describe::task(evidence, evidence.task(first.task)?);
    let symptom = waits_for(evidence, key, lasts);
    let waiting = describe::tasks_that_wait(evidence, &describe::waiting_tasks(evidence, key));
    let others = match tasks.len() - 1 {
        0 => String::new(),
        others => format!(", {} {}", words::agree(others, "as does", "as do"), words::count(others, "more task")),
    };
    Some(
        symptom
            .unless(habit)
            .summary(format!(
                "No task has acquired a permit of the {} for {} (warning from {}) and {waiting}. {who} is idle and may hold its permits{others}.",
                describe::resource(evidence, key),
                words::duration(lasts),
                words::limit(limit),
            ))
            .because(Fact::time("time without a grant while somebody waits", lasts).from(limit))
            .because(Fact::count("tasks that may hold permits", "tasks", tasks.len()))
            .involving(describe::related_tasks(evidence, &tasks, Role::Holder))
            .cause(Some(describe::awaited(evidence, first.task, &who)))
            .advice(
                "Put a timeout around what is awaited while a permit is held, so that a peer that went silent does not keep it. Drop the permit \
                 before any await that may not return.",
            )
            .touching_tasks(evidence, tasks),
    )
}

/// A lock, semaphore or channel that somebody waits for and nobody acquires, and nobody is known to hold.
fn unexplained(evidence: &Evidence<'_>, settings: Scoped<'_>, stall: UnexplainedStall) -> Symptom {
    let (key, attachment) = (stall.lock, evidence.attachment());
    let kind = evidence.resource(key).map(|lock| lock.kind);
    let (verb, unknown, unseen) = match kind {
        Some(ResourceKind::Channel) => ("sent on", "Why its receiver does not receive", ""),
        Some(ResourceKind::Semaphore) => ("acquired a permit of", "Who holds the permits", " (try_acquire)"),
        _ => ("acquired", "Who holds it", " (try_lock, blocking_lock)"),
    };
    let cause = match kind {
        Some(ResourceKind::Channel) => "The receiver is stuck, or kept and not polled.".to_owned(),
        _ if attachment.may_have_forgotten() => format!(
            "The target had forgotten who acquired it when this program attached, or it was acquired in a way that is not reported{unseen}."
        ),
        _ => format!("It was acquired in a way that is not reported{unseen}."),
    };
    let cycle = match evidence.stalled_locks(settings.get(&WAIT)) {
        locks @ 2.. if kind.is_some_and(ResourceKind::is_lock) => {
            format!(
                " {locks} locks are stalled like this: a task that waits for one of them may hold another, as in a deadlock."
            )
        }
        _ => String::new(),
    };
    let symptom = waits_for(evidence, key, stall.lasts);
    let waiting = describe::tasks_that_wait(evidence, &describe::waiting_tasks(evidence, key));
    symptom
        .unless(stall.look_alike)
        .summary(format!(
            "No task has {verb} the {} for at least {} (warning from {}) and {waiting}. {unknown} is not known.",
            describe::resource(evidence, key),
            words::duration(stall.lasts),
            words::limit(settings.get(&WAIT)),
        ))
        .because(Fact::time("time without a grant while somebody waits", stall.lasts).from(settings.get(&WAIT)))
        .cause(Some(cause + &cycle))
        .advice(format!(
            "Attach right after the service starts, or let it keep what has ended for longer (retention of console-subscriber), and the finding \
             names the holder. Until then, look at every place that uses this resource for an await that may not return.{}",
            describe::place_hint(evidence, key),
        ))
}
