//! Contention: those who want a lock wait long for it, many at a time, although it does move.

mod symptom;

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade};
use crate::detect::symptom::Symptom;
use crate::evidence::Evidence;
use crate::evidence::demand::Suffering;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::numbers::number;
use crate::model::ResourceKey;
use crate::model::entity::resource::Resource;
use crate::model::history::waits::WaitWindow;
use crate::model::time::Timestamp;
use crate::model::tokio::{AcquireKind, ResourceKind};

static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(15), "observation window");
static LONG: Setting<Duration> = Setting::new("long", Duration::from_millis(50), "minimum length of a long wait");
static SHARE: Setting<Share> = Setting::new("share", Share(0.3), "minimum share of long waits");
static WAITS: Setting<usize> = Setting::new(
    "waits",
    10,
    "minimum number of waits; waits that have not ended count only in a long queue that more tasks keep joining",
);
static WAITERS: Setting<f64> = Setting::new("waiters", 0.5, "minimum mean number of waiters");
static TURNOVER: Setting<Duration> = Setting::new(
    "turnover",
    Duration::from_secs(3),
    "time without a grant after which the lock is stuck, not contended",
);
static CRITICAL: Setting<Duration> = Setting::new("critical", Duration::from_secs(1), "median wait that is critical");
static PERMIT_WAIT: Setting<Duration> =
    Setting::new("permit-wait", Duration::from_millis(250), "minimum median wait for one of several permits");
static PERMIT_SHARE: Setting<Share> =
    Setting::new("permit-share", Share(0.95), "minimum share of long waits for one of several permits");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "contended-lock",
    family: Family::Contention,
    grade: Grade::Trend,
    title: "tasks queue for one lock",
    explain: include_str!("../../../../../docs/detectors/contended-lock.md"),
    settings: &[&WINDOW, &LONG, &SHARE, &WAITS, &WAITERS, &TURNOVER, &CRITICAL, &PERMIT_WAIT, &PERMIT_SHARE],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(2),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(5),
        leave: 0.7,
    },
    needs: Needs::Everything,
    recovers: true,
    explained_by: &[
        Cause::involved("deadlock"),
        Cause::involved("lost-waker"),
        Cause::involved("futurelock"),
        Cause::involved("permit-leak"),
        Cause::involved("held-across-await"),
        Cause::involved("growing-waiters"),
        Cause::involved("reader-convoy"),
        Cause::involved("task-pileup"),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
        Cause::at_site("long-polls"),
    ],
    look_alikes: &[LookAlike::IdlePool, LookAlike::Limiter, LookAlike::FixedWorkers],
    doubt: None,
    scan,
};

/// A shorter time than this says nothing: two updates.
const SHORTEST: Duration = Duration::from_secs(2);

/// A queue at a lock or semaphore, by kind of acquisition, and what is thought of it.
struct Queue<'a> {
    key: ResourceKey,
    kind: AcquireKind,
    waits: &'a WaitWindow,
    window: Duration,
    limits: Limits,
    /// How many waits count.
    seen: usize,
    strength: f64,
    look_alike: Option<LookAlike>,
    /// Why a queue for permits is not meant to be, if anything shows it.
    suffering: Option<Suffering>,
    /// How many permits there are, or that number at most, where there are several.
    permits: Option<usize>,
}

/// The thresholds of a queue.
struct Limits {
    share: Share,
    wait: Duration,
    waiters: f64,
}

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (start, end) = evidence.judged(settings.get(&WINDOW));
    for (key, lock) in evidence.contested() {
        let turning = lock.grants.last().is_some_and(|grant| end.since(grant.at) < settings.get(&TURNOVER));
        if !turning || !lock.kind.is_held() {
            continue;
        }
        let is_pool = lock.kind == ResourceKind::Semaphore && lock.permits.capacity != Some(1);
        let start = if is_pool { start } else { start.max(lock.created) };
        let window = end.since(start);
        let whole = lock.created <= start && window >= settings.get(&WINDOW);
        if window < SHORTEST || (is_pool && !whole) {
            continue;
        }
        for kind in lock.waits.kinds() {
            let waits = lock.waits.window(kind, start);
            let judge = if is_pool { judge_semaphore } else { judge_lock };
            let queue = judge(evidence, settings, (key, lock), (kind, &waits), (start, window));
            found.extend(queue.and_then(|queue| symptom::symptom(evidence, settings, &queue)));
        }
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a semaphore, which is judged by a function of the same type, may have no queue"
)]
fn judge_lock<'a>(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, lock): (ResourceKey, &Resource),
    (kind, waits): (AcquireKind, &'a WaitWindow),
    (start, window): (Timestamp, Duration),
) -> Option<Queue<'a>> {
    let seen = evidence.waits_that_count(key, waits, settings.get(&WAITS), start);
    let limits = Limits { share: settings.get(&SHARE), wait: settings.get(&LONG), waiters: settings.get(&WAITERS) };
    let ratios = [
        waits.share_over(limits.wait) / limits.share.0,
        waits.mean_waiters(window) / limits.waiters,
        number(seen) / number(settings.get(&WAITS)),
    ];
    let is_pool = lock.kind == ResourceKind::Mutex && evidence.is_idle_pool(key);
    let look_alike = is_pool.then_some(LookAlike::IdlePool);
    let mut strength = ratios.into_iter().fold(f64::INFINITY, f64::min);
    // Costs a look at every grant, so it comes last.
    if strength >= DETECTOR.timing.leave {
        strength = strength.min(evidence.waiters_without_longest_hold(key, start) / limits.waiters);
    }
    Some(Queue { key, kind, waits, window, limits, seen, strength, look_alike, suffering: None, permits: None })
}

/// Too few permits: hardly any wait is short, and as many wait as there are permits, or more, so that twice as many would be used.
fn judge_semaphore<'a>(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, _): (ResourceKey, &Resource),
    (kind, waits): (AcquireKind, &'a WaitWindow),
    (start, window): (Timestamp, Duration),
) -> Option<Queue<'a>> {
    let share = settings.get(&PERMIT_SHARE);
    if waits.share_over(settings.get(&LONG)) < share.0 || !evidence.keeps_coming(key, start) {
        return None;
    }
    let permits = evidence.count_permits(key)?;
    let suffering = evidence.suffering(key, kind, start, settings.get(&LONG));
    // Those who give up wait as long as their timeout, however few permits there are.
    let wait = settings.get(if suffering == Some(Suffering::GivenUp) { &LONG } else { &PERMIT_WAIT });
    let limits = Limits { share, wait, waiters: number(permits) };
    let wait = waits.quantile(0.5)?.as_secs_f64() / limits.wait.as_secs_f64().max(f64::EPSILON);
    let strength = wait.min(waits.mean_waiters(window) / limits.waiters);
    let harmless = if evidence.is_pool(key) { LookAlike::FixedWorkers } else { LookAlike::Limiter };
    let look_alike = suffering.is_none().then_some(harmless);
    let seen = waits.waits.len();
    Some(Queue { key, kind, waits, window, limits, seen, strength, look_alike, suffering, permits: Some(permits) })
}
