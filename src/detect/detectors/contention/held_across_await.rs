//! A lock that is kept over a long await while others queue for it.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::evidence::holders::{Confidence, Holder};
use crate::model::entity::resource::Resource;
use crate::model::entity::task::{Task, TaskState};
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

static WAIT: Setting<Duration> = Setting::new(
    "wait",
    Duration::from_secs(2),
    "somebody has waited, nobody has got in and the holder has been idle for so long",
);
static CRITICAL: Setting<Duration> = Setting::new("critical", Duration::from_secs(10), "for so long it is critical");

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
        Cause::involved("futurelock"),
        Cause::involved("reader-convoy"),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
    ],
    doubt: None,
    scan,
};

/// Who was polled within this time is at work,
const ACTIVE: Duration = Duration::from_secs(10);
/// if that was so long after it had got the lock.
const SETTLED: Duration = Duration::from_secs(1);

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let limit = settings.get(&WAIT);
    let locks = model.contested().filter(|(_, it)| matches!(it.kind, ResourceKind::Mutex | ResourceKind::RwLock));
    for (key, lock) in locks.filter(|(_, lock)| lock.dropped.is_none()) {
        let waits = model.waiters(key).map(|(_, op)| model.running_since(model.waiting_since(op)));
        let Some(oldest) = waits.max().filter(|oldest| *oldest >= limit) else { continue };
        let Some(holder) = idle_holder(model, key, limit) else { continue };
        if !is_idle_pool(model, key, &holder) {
            let found_one = symptom(model, settings, key, &holder, oldest);
            found.extend(found_one.map(|it| if is_leader(model, key, lock, &holder) { of_leader(it) } else { it }));
        }
    }
}

/// The holder of a lock, if it is known, has let nobody in for so long, and has only been waiting itself meanwhile.
fn idle_holder(model: &Evidence<'_>, key: ResourceKey, limit: Duration) -> Option<Holder> {
    let holders = model.holders(key);
    let holder = *holders.first()?;
    let lag = model.quality().lag.unwrap_or_default();
    let last = model.resource(key)?.grants.last().map_or(holder.since, |grant| grant.at.max(holder.since));
    let task = model.task(holder.task)?;
    let still = model.running_since(last) >= limit + lag;
    let idle = task.state() == TaskState::Idle;
    // One that waits for a lock itself is only a link of a chain, at whose end the culprit is.
    let locks = [ResourceKind::Mutex, ResourceKind::RwLock];
    let mut waits = model.waits(holder.task).filter_map(|(op, _)| model.resource(model.lock_of(op)?));
    let is_link = waits.any(|lock| locks.contains(&lock.kind));
    (still && idle && !is_link && holder.confidence >= Confidence::Likely).then_some(holder)
}

/// Whether holder and waiters are one crowd of idle workers around one receiver, of which the holder waits for something unseen. It does
/// no harm as long as no more of them come. Tasks that a library spawns, such as connections, are no such crowd.
fn is_idle_pool(model: &Evidence<'_>, key: ResourceKey, holder: &Holder) -> bool {
    let Some(task) = model.task(holder.task) else { return true };
    let own = waiter_sites(model, key).into_iter().eq([task.site])
        && model.site(task.site).is_some_and(|site| !site.id.location.is_library());
    let known_wait = awaited(model, holder.task, task).is_some();
    own && !known_wait && !model.more_wait(key)
}

/// Whether the first to get the lock has kept it ever since and is at work all the time, while no more come: standbys wait for a leader to
/// go like that. One that is stuck does not work, and a lock that has changed hands before is no office for life.
fn is_leader(model: &Evidence<'_>, key: ResourceKey, lock: &Resource, holder: &Holder) -> bool {
    let at_work = model.now().minus(ACTIVE).max(holder.since.plus(SETTLED));
    let works = model.task(holder.task).is_some_and(|task| task.stats.poll.started > Some(at_work));
    lock.grants.total() == 1 && works && !model.more_wait(key)
}

fn of_leader(symptom: Symptom) -> Symptom {
    let cause =
        "It was the first to get the lock and has been at work ever since, as a leader whose standbys wait for it."
            .to_owned();
    Symptom { severity: Severity::Info, cause: Some(cause), ..symptom }
}

fn waiter_sites(model: &Evidence<'_>, key: ResourceKey) -> BTreeSet<SiteKey> {
    model.waiters(key).filter_map(|(_, op)| Some(model.task(op.task?)?.site)).collect()
}

/// What the holder itself waits for, as far as that can be seen.
fn awaited(model: &Evidence<'_>, key: TaskKey, task: &Task) -> Option<String> {
    let resource = model.waits(key).find_map(|(op, _)| model.lock_of(op));
    let named = resource.map(|resource| describe::resource(model, resource));
    named.or_else(|| model.timer(task).map(|timer| format!("timer made at {}", timer.location)))
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    key: ResourceKey,
    holder: &Holder,
    oldest: Duration,
) -> Option<Symptom> {
    let (limit, critical) = (settings.get(&WAIT), settings.get(&CRITICAL));
    let task = model.task(holder.task)?;
    let waiting: Vec<TaskKey> = model.waiters(key).filter_map(|(_, op)| op.task).collect();
    let held = model.running_since(holder.since);
    let cause = awaited(model, holder.task, task).map_or_else(
        || "What the holder waits for meanwhile cannot be seen: a socket, a channel, a Notify.".to_owned(),
        |what| format!("The holder waits for the {what} meanwhile."),
    );
    let waiters = waiter_sites(model, key);
    let mut related: Vec<_> = describe::related_task(model, holder.task, Role::Holder).into_iter().collect();
    let sites = waiters.iter().filter_map(|site| model.site(*site)).take(4);
    related.extend(sites.map(|site| describe::related_site(site, Role::Waiter)));
    Some(Symptom {
        severity: if oldest.min(held) >= critical { Severity::Critical } else { Severity::Warning },
        grade: None,
        subject: describe::resource_subject(model, key, waiting.len()),
        summary: format!(
            "{} has held the {} for {} and is idle, while {} for up to {} (warning from {}).",
            describe::task(model, task),
            describe::resource(model, key),
            words::duration(held),
            if waiting.len() == 1 { "1 task waits".to_owned() } else { format!("{} tasks wait", waiting.len()) },
            words::duration(oldest),
            words::duration(limit),
        ),
        facts: vec![
            Fact::time("longest present wait", oldest).from(limit),
            Fact::time("time since anybody got in", held).from(limit),
            Fact::count("tasks waiting", "tasks", waiting.len()).from(1),
        ],
        related,
        look_alikes: Vec::new(),
        cause: Some(cause),
        recommendation: "Do not await anything slow while holding the guard: copy out what is needed, drop the guard, then await. Put a \
                         timeout around what may never answer, for the guard is kept as long as it lasts."
            .to_owned(),
        class: vec![describe::resource_location(model, key)],
        scope: Scope {
            resources: vec![key],
            sites: waiters.into_iter().chain([task.site]).collect(),
            tasks: waiting.into_iter().chain([holder.task]).collect(),
            last_progress: Some(holder.since),
            ..Scope::default()
        },
        strength: f64::INFINITY,
        since: None,
    })
}
