//! A lock that is held over a long await while others queue for it.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::holders::{Confidence, Holder};
use crate::evidence::look_alike::LookAlike;
use crate::model::entity::task::TaskState;
use crate::model::{ResourceKey, TaskKey};
use crate::words;

static WAIT: Setting<Duration> = Setting::new(
    "wait",
    Duration::from_secs(2),
    "minimum time for which a task has waited, none has acquired the lock and the holder has been idle",
);
static CRITICAL: Setting<Duration> = Setting::new(
    "critical",
    Duration::from_secs(10),
    "time for which a task has waited and the lock has been held that is critical",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "held-across-await",
    family: Family::Contention,
    grade: Grade::Risk,
    title: "a lock is held over a long await while others wait",
    explain: include_str!("../../../../docs/detectors/held-across-await.md"),
    settings: &[&WAIT, &CRITICAL],
    timing: Timing {
        updates: 2,
        hold: Duration::from_millis(500),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(4),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: true,
    explained_by: &[
        Cause::involved("deadlock"),
        Cause::involved("lost-waker"),
        Cause::involved("futurelock"),
        Cause::involved("reader-convoy"),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
    ],
    look_alikes: &[LookAlike::Leader],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let limit = settings.get(&WAIT);
    let locks = evidence.contested().filter(|(_, lock)| lock.kind.is_lock() && lock.dropped.is_none());
    for (key, _) in locks.filter(|(key, _)| evidence.flow(*key).oldest >= limit) {
        // One that waits for a lock itself is only a link of a chain, at whose end the culprit is.
        let Some(holder) = idle_holder(evidence, key, limit) else { continue };
        if !evidence.is_idle_pool(key) {
            found.extend(symptom(evidence, settings, key, holder));
        }
    }
}

/// The holder of a lock, if it is known, has let no other acquire it for this long, and has only been waiting itself meanwhile.
fn idle_holder(evidence: &Evidence<'_>, key: ResourceKey, limit: Duration) -> Option<Holder> {
    let holder = evidence.holders(key).first().filter(|holder| holder.confidence >= Confidence::Likely)?;
    let last = evidence.flow(key).last_grant.map_or(holder.since, |grant| grant.max(holder.since));
    let lag = evidence.quality().lag.unwrap_or_default();
    let idle = evidence.task(holder.task)?.state() == TaskState::Idle;
    let is_lock = |key: ResourceKey| evidence.resource(key).is_some_and(|lock| lock.kind.is_lock());
    let waits_for_lock = evidence.task_wait(holder.task).awaited.iter().any(|it| is_lock(it.resource));
    (idle && !waits_for_lock && evidence.running_since(last) >= limit + lag).then_some(holder)
}

fn symptom(evidence: &Evidence<'_>, settings: Scoped<'_>, key: ResourceKey, holder: Holder) -> Option<Symptom> {
    let (limit, critical) = (settings.get(&WAIT), settings.get(&CRITICAL));
    let (task, oldest) = (evidence.task(holder.task)?, evidence.flow(key).oldest);
    let waiting: Vec<TaskKey> = describe::waiting_tasks(evidence, key);
    let held = evidence.running_since(holder.since);
    let is_leader = evidence.is_leader(key, holder);
    let symptom = Symptom::of_resource(evidence, key, waiting.len())
        .severity(if oldest.min(held) >= critical { Severity::Critical } else { Severity::Warning })
        .unless(is_leader.then_some(LookAlike::Leader))
        .summary(format!(
            "{} has held the {} for {} and is idle, while {} for up to {} (warning from {}).",
            describe::task(evidence, task),
            describe::resource(evidence, key),
            words::duration(held),
            describe::tasks_that_wait(evidence, &waiting),
            words::duration(oldest),
            words::limit(limit),
        ))
        .because(Fact::time("longest current wait", oldest).from(limit))
        .because(Fact::time("time since the lock was acquired", held).from(limit))
        .because(Fact::count("tasks waiting", "tasks", waiting.len()).from(1))
        .involving(describe::related_tasks(evidence, &[holder.task], Role::Holder))
        .involving(describe::related_tasks(evidence, &waiting, Role::Waiter))
        .cause(Some(describe::awaited(evidence, holder.task, "Meanwhile the holder")))
        .advice(format!(
            "Do not await anything slow while holding the guard: copy out what is needed, drop the guard, then await. Put a timeout around what \
             may never answer, for the guard is kept as long as it lasts.{}",
            describe::place_hint(evidence, key),
        ))
        .touching_tasks(evidence, waiting.into_iter().chain([holder.task]))
        .last_progress(Some(holder.since))
        .since(Some(evidence.now().minus(oldest.min(held))));
    Some(symptom)
}
