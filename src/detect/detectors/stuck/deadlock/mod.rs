//! A deadlock: tasks that wait for locks which only tasks of the same group could release.

mod through_channel;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::stuck::{Certainty, StuckGroup};
use crate::model::TaskKey;
use crate::model::tokio::{ResourceKind, is_once_cell};
use crate::words;

static HOLD: Setting<Duration> =
    Setting::new("hold", Duration::from_secs(1), "minimum time without progress of a group of tasks");
static HOLD_ALONE: Setting<Duration> = Setting::new(
    "hold-alone",
    Duration::from_secs(3),
    "minimum time without progress before a self-deadlock is reported",
);
static HOLD_SEVERAL: Setting<Duration> = Setting::new(
    "hold-several",
    Duration::from_secs(3),
    "minimum time without progress of a group in which a task runs several futures at once",
);
static HOLD_PERMITS: Setting<Duration> = Setting::new(
    "hold-permits",
    Duration::from_secs(12),
    "minimum time without progress of tasks that hold all permits of a semaphore and wait for more",
);
static HOLD_DOUBTFUL: Setting<Duration> = Setting::new(
    "hold-doubtful",
    Duration::from_secs(30),
    "minimum time without progress where another future or task may hold the lock, or events were lost",
);
static HOLD_CHANNEL: Setting<Duration> = Setting::new(
    "hold-channel",
    Duration::from_secs(10),
    "minimum time without progress of a lock and a full channel that may close a cycle",
);
static TIMES_CHANNEL: Setting<f64> = Setting::new(
    "times-channel",
    1.5,
    "minimum time without progress of a lock and a full channel, as a multiple of the longest earlier wait that ended with a send",
);
static CRITICAL_CHANNEL: Setting<Duration> = Setting::new(
    "critical-channel",
    Duration::from_secs(30),
    "time without progress of a lock and a full channel that is critical",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "deadlock",
    family: Family::Stuck,
    grade: Grade::Proof,
    title: "tasks wait for each other and none can make progress",
    explain: include_str!("../../../../../docs/detectors/deadlock.md"),
    settings: &[
        &HOLD,
        &HOLD_ALONE,
        &HOLD_SEVERAL,
        &HOLD_PERMITS,
        &HOLD_DOUBTFUL,
        &HOLD_CHANNEL,
        &TIMES_CHANNEL,
        &CRITICAL_CHANNEL,
    ],
    timing: Timing {
        updates: 2,
        hold: Duration::ZERO,
        keep_firing: Duration::from_secs(5),
        window: Duration::from_secs(3),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: false,
    explained_by: &[Cause::involved("futurelock")],
    look_alikes: &[],
    doubt: None,
    scan,
};

/// Most steps of a cycle that are told.
const STEPS: usize = 4;

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for group in evidence.stuck_groups() {
        let hold = settings.get(match group.certainty {
            Certainty::Permits => &HOLD_PERMITS,
            Certainty::Doubtful => &HOLD_DOUBTFUL,
            Certainty::SeveralFutures => &HOLD_SEVERAL,
            Certainty::Certain if group.tasks.len() == 1 => &HOLD_ALONE,
            Certainty::Certain => &HOLD,
        });
        if group.still_for >= hold {
            found.extend(symptom(evidence, &group, hold));
        }
    }
    found.extend(through_channel::scan(evidence, settings));
}

fn symptom(evidence: &Evidence<'_>, group: &StuckGroup, hold: Duration) -> Option<Symptom> {
    let sites = describe::sites_of(evidence, group.tasks.iter().copied());
    let first = evidence.task(*group.tasks.first()?)?.site;
    let proof = matches!(group.certainty, Certainty::Certain | Certainty::SeveralFutures);
    let places = group.locks.iter().map(|lock| evidence.resource_class(*lock));
    let locks = group.locks.iter().map(|lock| describe::related_resource(evidence, *lock));
    let symptom = Symptom::of_site(evidence, first, &group.tasks, group.tasks.len() + group.victims.len())
        .severity(if proof { Severity::Critical } else { Severity::Warning })
        .grade((!proof).then_some(Grade::Risk))
        .class(sites.iter().map(|site| evidence.site_class(*site)).chain(places))
        .summary(summary(evidence, group))
        .because(Fact::time("time without progress", group.still_for).from(hold))
        .because(Fact::count("tasks in the cycle", "tasks", group.tasks.len()).from(1))
        .because(Fact::count("tasks waiting behind it", "tasks", group.victims.len()))
        .involving(describe::related_tasks(evidence, &group.tasks, Role::Holder))
        .involving(describe::related_tasks(evidence, &group.victims, Role::Victim))
        .involving(locks)
        .advice(advice(evidence, group))
        .touching(group.locks.iter().copied())
        .touching_sites(sites)
        .since(Some(evidence.now().minus(group.still_for)));
    let mut symptom = symptom;
    symptom.scope.tasks.extend(&group.victims);
    Some(symptom)
}

fn summary(evidence: &Evidence<'_>, group: &StuckGroup) -> String {
    let name = |key: &TaskKey| evidence.task(*key).map_or_else(String::new, |task| describe::task(evidence, task));
    let step = |key: &TaskKey| {
        let wait = group.waits.get(key).and_then(|waits| waits.first())?;
        let itself = wait.named().contains(key).then(|| "itself".to_owned());
        let others = wait.named().iter().filter(|holder| *holder != key).map(name);
        let mut holders: Vec<String> = itself.into_iter().chain(others).collect();
        if holders.len() > 2 {
            let more = holders.drain(2..).count();
            holders.push(format!("{more} more"));
        }
        let lock = describe::resource(evidence, wait.lock);
        Some(format!("{} waits for the {lock}, held by {}", name(key), holders.join(" and ")))
    };
    // One step for each lock: those who wait for the same one in a crowd say the same.
    let mut told = BTreeSet::new();
    let lock_of = |key: &TaskKey| group.waits.get(key).and_then(|waits| waits.first()).map(|wait| wait.lock);
    let steps = group.tasks.iter().filter(|key| lock_of(key).is_some_and(|lock| told.insert(lock)));
    let steps: Vec<String> = steps.take(STEPS).filter_map(step).collect();
    let behind = match group.victims.len() {
        0 => String::new(),
        count => format!(" {} {} behind.", words::count(count, "more task"), words::agree(count, "waits", "wait")),
    };
    let age = words::duration(group.still_for);
    let who = match group.tasks.len() {
        1 => format!("Self-deadlock: a task has been waiting for itself for {age}"),
        many => format!("Deadlock: {many} tasks have been waiting for each other for {age}"),
    };
    format!("{who}: {}.{behind} Only a timeout on one of these waits can break it.", steps.join("; "))
}

fn advice(evidence: &Evidence<'_>, group: &StuckGroup) -> String {
    let is = |lock: &_, kind| evidence.resource(*lock).is_some_and(|it| it.kind == kind);
    let of_permits = group.locks.iter().all(|lock| is(lock, ResourceKind::Semaphore));
    let has_rwlock = group.locks.iter().any(|lock| is(lock, ResourceKind::RwLock));
    let of_cell = group.locks.iter().any(|lock| evidence.resource(*lock).is_some_and(|it| is_once_cell(&it.location)));
    let advice = match group.locks.len() {
        1 if of_cell => describe::SPLIT_INITIALIZER,
        1 if of_permits => {
            "Whoever has a permit here waits for one more, and none is left. Acquire all permits that a task needs at once, with acquire_many, or \
             release the first before asking for the next. Restart the service to get it running again."
        }
        _ if of_permits => {
            "Acquire permits of these semaphores in one order everywhere, or release the first before asking for the next, also across an await. \
             Restart the service to get it running again."
        }
        1 if group.tasks.len() == 1 => {
            "The task asks for a lock that it holds already: Tokio's locks are not reentrant, and a read lock cannot be upgraded. Pass the guard \
             on instead of locking again, or drop it before the second call."
        }
        1 if has_rwlock => {
            "A queued writer keeps every later reader out, also one that holds a read guard already. Do not take a second read guard while \
             holding the first: pass the guard on, or drop it before."
        }
        _ => {
            "Take these locks in one order everywhere, or drop the first guard before taking the second, also across an await. Restart the \
             service to get it running again."
        }
    };
    let hint = group.locks.iter().map(|lock| describe::place_hint(evidence, *lock)).find(|hint| !hint.is_empty());
    advice.to_owned() + &hint.unwrap_or_default()
}
