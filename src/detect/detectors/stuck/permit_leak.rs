//! Permits of a semaphore that no task holds any more and none released.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::model::entity::resource::Resource;
use crate::model::history::waits::A_WAIT;
use crate::model::tokio::{ResourceKind, is_once_cell};
use crate::model::{ResourceKey, TaskKey};
use crate::words;

static STANDSTILL: Setting<Duration> = Setting::new(
    "standstill",
    Duration::from_secs(5),
    "minimum time for which somebody has waited and no task has acquired a permit",
);
static WARNING: Setting<Duration> = Setting::new(
    "warning",
    Duration::from_secs(15),
    "time without a grant that is a warning; connections lent to other tasks look like a leak for a while",
);
static CONSUMED: Setting<f64> = Setting::new(
    "consumed",
    6.0,
    "factor by which the standstill is longer where no permit was ever released and permits may be meant to be used up",
);
static PAST: Setting<f64> = Setting::new(
    "past",
    3.0,
    "minimum time without a grant, as a multiple of the longest wait that ended with a grant",
);
static SEVERAL: Setting<usize> =
    Setting::new("several", 3, "minimum number of tasks that waited and gave up, where no task waits for long");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "permit-leak",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "semaphore permits were never released",
    explain: include_str!("../../../../docs/detectors/permit-leak.md"),
    settings: &[&STANDSTILL, &WARNING, &CONSUMED, &PAST, &SEVERAL],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(5),
        window: Duration::from_secs(7),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: false,
    explained_by: &[Cause::involved("deadlock"), Cause::involved("futurelock")],
    look_alikes: &[LookAlike::LentElsewhere, LookAlike::Quota],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let kinds = [ResourceKind::Semaphore, ResourceKind::Mutex];
    for (key, lock) in evidence.contested().filter(|(_, it)| kinds.contains(&it.kind) && it.dropped.is_none()) {
        let Some(limit) = limit(evidence, settings, key, lock) else { continue };
        let flow = evidence.flow(key);
        let (Some(age), Some(at)) = (flow.unserved_for(), flow.last_grant) else { continue };
        if age < limit || !evidence.nobody_can_release(key) {
            continue;
        }
        // One that waits with a timeout again and again may wait for a signal, or be a task of many futures that has what others of them
        // want.
        if flow.oldest >= limit || evidence.gave_up_since(key, at).len() >= settings.get(&SEVERAL) {
            found.extend(symptom(evidence, settings, key, lock, age));
        }
    }
}

/// What to do about lost permits.
const REMEDY: &str = "Look for paths on which a permit is acquired and forget() is called without add_permits() to follow, also on errors. Keep the \
    guard in a variable that is dropped at the end of the work. A task that needs several permits must acquire them at once, with acquire_many.";

/// After how long a standstill permits are taken for lost; never where they come from elsewhere, as those of a signal or a rate limit do.
fn limit(evidence: &Evidence<'_>, settings: Scoped<'_>, key: ResourceKey, lock: &Resource) -> Option<Duration> {
    let replenished = evidence.waiter_history(key).is_some_and(|it| it.is_replenished_externally());
    if replenished || lock.permits.capacity == Some(0) {
        return None;
    }
    // Where a task has waited long before and acquired it at last, one may have to wait longer still.
    let standstill = settings.get(&STANDSTILL).max(lock.waits.longest().mul_f64(settings.get(&PAST)));
    Some(match lock.permits.capacity {
        _ if lock.kind == ResourceKind::Mutex => 2 * standstill,
        // Permits that were acquired more often than there are of them were released, and no longer are.
        Some(capacity) if lock.grants.total() > capacity => standstill,
        // Each of them was acquired once: that may be what they are for.
        Some(_) => standstill.mul_f64(settings.get(&CONSUMED)),
        None => standstill,
    })
}

/// What else a leak may be that is known by its age and by those who gave up.
fn look_alike(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    key: ResourceKey,
    semaphore: &Resource,
    age: Duration,
) -> Option<LookAlike> {
    let (warning, flow) = (settings.get(&WARNING), evidence.flow(key));
    if age < warning {
        return Some(LookAlike::LentElsewhere);
    }
    if semaphore.permits.capacity.is_some() || flow.oldest >= warning {
        return None;
    }
    // Where each waits for a moment only, a semaphore that was not seen new may be a signal for which some tasks look out again and again,
    // or, as long as nobody has waited for a permit and got it, a quota that will be filled again.
    let last = flow.last_grant.unwrap_or(semaphore.created);
    let may_be_refilled =
        semaphore.waits.longest() < A_WAIT && age < settings.get(&STANDSTILL).mul_f64(settings.get(&CONSUMED));
    let fails = evidence.most_waits_failed(semaphore, last, Duration::ZERO);
    (!fails || may_be_refilled).then_some(LookAlike::Quota)
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    key: ResourceKey,
    semaphore: &Resource,
    age: Duration,
) -> Option<Symptom> {
    let (flow, last) = (evidence.flow(key), semaphore.grants.last()?);
    let waiting: Vec<TaskKey> = describe::waiting_tasks(evidence, key);
    let gave_up = semaphore.given_up.iter().rev().take_while(|it| it.at >= last.at).map(|it| it.task);
    let concerned = describe::sites_of(evidence, waiting.iter().copied().chain(gave_up));
    let what = if semaphore.kind == ResourceKind::Mutex { "" } else { "a permit of " };
    let capacity = semaphore.permits.capacity.map_or_else(String::new, |capacity| format!(" with {capacity} permits"));
    // The permit of a cell is never forgotten: who has it is the initializer.
    let is_cell = is_once_cell(&semaphore.location);
    let cause = if is_cell {
        "The task that initializes the cell waits for the same cell: its initializer asks for it, directly or in what it calls."
    } else if flow.given_up > 0 {
        "Permits or a guard were forgotten (forget, mem::forget, a leaked value), or what was lent with them, such as a connection of a pool, is \
         kept somewhere and not released."
    } else {
        "Permits or a guard were forgotten (forget, mem::forget, a leaked value), or are held by the very tasks that wait for more; or whoever \
         adds them with add_permits has stopped."
    };
    let symptom = Symptom::of_resource(evidence, key, waiting.len())
        .unless(look_alike(evidence, settings, key, semaphore, age))
        .summary(format!(
            "No task has acquired {what}the {}{capacity} for {} (warning from {}), and none that acquired it before can release it. {}{}.",
            describe::resource(evidence, key),
            words::duration(age),
            words::limit(settings.get(&WARNING)),
            match waiting.len() {
                0 => "No task waits at this moment".to_owned(),
                _ => describe::tasks_that_wait(evidence, &waiting),
            },
            match flow.given_up {
                0 => String::new(),
                given_up => {
                    let given_up = usize::try_from(given_up).unwrap_or(usize::MAX);
                    let waits = words::count(given_up, "wait");
                    format!(", {waits} {} given up", words::agree(given_up, "was", "were"))
                }
            },
        ))
        .because(Fact::time("time without a grant while somebody waits", age).from(settings.get(&STANDSTILL)))
        .because(Fact::count("tasks waiting", "tasks", waiting.len()))
        .because(Fact::count("waits given up", "waits", usize::try_from(flow.given_up).unwrap_or(usize::MAX)))
        .involving(describe::related_sites(evidence, &last.site, Role::Culprit))
        .involving(describe::related_tasks(evidence, &waiting, Role::Waiter))
        .cause(Some(cause.to_owned()))
        .advice(if is_cell {
            describe::SPLIT_INITIALIZER.to_owned()
        } else {
            format!("{REMEDY}{}", describe::place_hint(evidence, key))
        })
        .touching_tasks(evidence, waiting)
        .touching_sites(concerned)
        .since(Some(evidence.now().minus(age)));
    Some(symptom)
}
