//! Contention: those who want a lock wait long for it, many at a time, although it does move.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::numbers::number;
use crate::model::entity::resource::Resource;
use crate::model::history::waits::WaitWindow;
use crate::model::time::Timestamp;
use crate::model::tokio::{AcquireKind, ResourceKind};
use crate::model::{ResourceKey, SiteKey};
use crate::words;

static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(15), "observation window");
static LONG: Setting<Duration> = Setting::new("long", Duration::from_millis(50), "minimum length of a long wait");
static SHARE: Setting<Share> = Setting::new("share", Share(0.3), "minimum share of long waits");
static WAITS: Setting<usize> = Setting::new("waits", 10, "minimum number of waits that ended with a grant");
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
    explain: include_str!("../../../../docs/detectors/contended-lock.md"),
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
    doubt: None,
    scan,
};

/// A shorter time than this says nothing: two updates.
const SHORTEST: Duration = Duration::from_secs(2);
/// Crowds are compared with those of this long ago: one that has grown by a third is a pile-up, which is reported a little later.
const RECENT: Duration = Duration::from_secs(5);

/// A queue at a lock or semaphore, by kind of acquisition, and what is thought of it.
struct Queue<'a> {
    key: ResourceKey,
    kind: AcquireKind,
    waits: &'a WaitWindow,
    window: Duration,
    strength: f64,
    look_alike: Option<LookAlike>,
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
            let queue = Queue { key, kind, waits: &waits, window, strength: 0.0, look_alike: None, permits: None };
            let judged = if is_pool {
                judge_semaphore(evidence, settings, queue, start)
            } else {
                judge_lock(evidence, settings, lock, queue)
            };
            found.extend(judged.map(|queue| symptom(evidence, settings, &queue)));
        }
    }
}

fn judge_lock<'a>(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    lock: &Resource,
    queue: Queue<'a>,
) -> Option<Queue<'a>> {
    let (waits, least) = (queue.waits, settings.get(&WAITS));
    let ratios = [
        waits.share_over(settings.get(&LONG)) / settings.get(&SHARE).0,
        waits.mean_waiters(queue.window) / settings.get(&WAITERS),
        number(waits.granted) / number(least),
    ];
    let is_pool = lock.kind == ResourceKind::Mutex && evidence.is_idle_pool(queue.key);
    let judged = Queue { look_alike: is_pool.then_some(LookAlike::IdlePool), ..queue };
    with_strength(evidence, settings, judged, ratios.into_iter().fold(f64::INFINITY, f64::min))
}

/// Too few permits: hardly any wait is short, and as many wait as there are permits, or more, so that twice as many would be used.
fn judge_semaphore<'a>(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    queue: Queue<'a>,
    start: Timestamp,
) -> Option<Queue<'a>> {
    let waits = queue.waits;
    let median = waits.quantile(0.5)?;
    if waits.share_over(settings.get(&LONG)) < settings.get(&PERMIT_SHARE).0 || !evidence.keeps_coming(queue.key, start)
    {
        return None;
    }
    let permits = evidence.count_permits(queue.key)?;
    let wait = median.as_secs_f64() / settings.get(&PERMIT_WAIT).as_secs_f64().max(f64::EPSILON);
    let least = wait.min(waits.mean_waiters(queue.window) / number(permits));
    let fails = evidence.waits_fail(queue.key, queue.kind, start, settings.get(&LONG));
    let judged = Queue { look_alike: (!fails).then_some(LookAlike::Limiter), permits: Some(permits), ..queue };
    with_strength(evidence, settings, judged, least)
}

/// The queue with its strength, if it is worth a finding. What grows without end is a pile-up, which is reported a little later.
fn with_strength<'a>(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    queue: Queue<'a>,
    strength: f64,
) -> Option<Queue<'a>> {
    let leave = DETECTOR.timing.leave;
    if strength < leave || queue.waits.waits.len() < settings.get(&WAITS) {
        return None;
    }
    let grows = evidence.more_wait(queue.key) && crowd_has_grown(evidence, queue.key);
    Some(Queue { strength: if grows { strength.min(leave) } else { strength }, ..queue })
}

/// Whether many more wait than a few seconds ago.
fn crowd_has_grown(evidence: &Evidence<'_>, key: ResourceKey) -> bool {
    let history = evidence.waiter_history(key);
    let waiting = |at: Timestamp| history.and_then(|it| it.at(at)).map(|it| it.waiting);
    let last = waiting(evidence.now()).unwrap_or(0);
    let first = waiting(evidence.now().minus(RECENT)).unwrap_or(last);
    10 * last > 13 * first + 50
}

/// The median time from one grant to the next: as long as there are waiters, that is how long a task holds the lock.
fn between_grants(lock: &Resource, from: Timestamp) -> Duration {
    let at: Vec<Timestamp> =
        lock.grants.newest_first().take_while(|grant| grant.at >= from).map(|grant| grant.at).collect();
    let mut gaps: Vec<Duration> = at.windows(2).map(|pair| pair[0].since(pair[1])).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or_default()
}

impl Queue<'_> {
    fn limits(&self, settings: Scoped<'_>) -> Limits {
        match self.permits {
            Some(permits) => Limits {
                share: settings.get(&PERMIT_SHARE),
                wait: settings.get(&PERMIT_WAIT),
                waiters: number(permits),
            },
            None => Limits { share: settings.get(&SHARE), wait: settings.get(&LONG), waiters: settings.get(&WAITERS) },
        }
    }

    fn advice(&self) -> &'static str {
        if self.permits.is_some() {
            "Keep each permit, or what is lent with it, for less time: do not await anything else meanwhile, such as a call over the network. If \
             what it guards can bear more at a time, add permits; if not, reject requests while the queue is long."
        } else {
            "Hold the lock for less time: do not await while holding it, copy out what is needed and drop the guard first. If that is not \
             enough, split the data over several locks, or give it to one task that others send requests to."
        }
    }
}

fn symptom(evidence: &Evidence<'_>, settings: Scoped<'_>, queue: &Queue<'_>) -> Symptom {
    let (key, waits, window, limits) = (queue.key, queue.waits, queue.window, queue.limits(settings));
    let [p50, p90, longest] = [0.5, 0.9, 1.0].map(|share| waits.quantile(share).unwrap_or_default());
    let (share, mean) = (waits.share_over(settings.get(&LONG)), waits.mean_waiters(window));
    let lock = evidence.resource(key);
    let held = lock.map(|lock| between_grants(lock, evidence.now().minus(window))).unwrap_or_default();
    let is_critical = queue.permits.is_none() && p50 >= settings.get(&CRITICAL);
    let holders: BTreeSet<SiteKey> =
        lock.into_iter().flat_map(|lock| lock.grants.newest_first().take(64)).filter_map(|grant| grant.site).collect();
    let waiting = describe::waiting_tasks(evidence, key);
    Symptom::of_resource(evidence, key, waiting.len())
        .severity(if is_critical { Severity::Critical } else { Severity::Warning })
        .unless(queue.look_alike)
        .class([evidence.resource_class(key), queue.kind.as_str().to_owned()])
        .summary(summary(evidence, settings, queue, &limits, p50))
        .because(Fact::share("share of long waits", share).from(limits.share).over(window))
        .because(Fact::time("median wait", p50).from(limits.wait).over(window))
        .because(Fact::time("90th percentile of waits", p90).over(window))
        .because(Fact::time("longest wait", longest).over(window))
        .because(Fact::number("mean number of waiters", "tasks", mean).from(limits.waiters).over(window))
        .because(
            Fact::number("turnover", "grants/s", number(waits.granted) / window.as_secs_f64().max(1.0)).over(window),
        )
        .because(Fact::time("median time from one grant to the next", held).over(window))
        .involving(describe::related_sites(evidence, &holders, Role::Holder))
        .involving(describe::related_tasks(evidence, &waiting, Role::Waiter))
        .advice(queue.advice().to_owned() + &describe::place_hint(evidence, key))
        .touching_sites(holders)
        .touching_sites(describe::sites_of(evidence, waiting))
        .strength(queue.strength)
}

fn summary(evidence: &Evidence<'_>, settings: Scoped<'_>, queue: &Queue<'_>, limits: &Limits, p50: Duration) -> String {
    let (waits, window, long) = (queue.waits, queue.window, settings.get(&LONG));
    let capacity = evidence.resource(queue.key).and_then(|lock| lock.permits.capacity);
    let permits = capacity.filter(|_| queue.permits.is_some());
    let over = waits.waits.len() - waits.waits.partition_point(|wait| *wait < long);
    let gave_up = match waits.cancelled {
        gave_up if gave_up > 0 && queue.permits.is_some() => format!("; {gave_up} gave up"),
        _ => String::new(),
    };
    format!(
        "Tasks queue for the {}{}. In the last {}, {over} of {} waits ({}) exceeded {} (threshold {}); median {}, {:.1} waiters on \
         average{gave_up}.",
        describe::resource(evidence, queue.key),
        permits.map_or_else(String::new, |permits| format!(" with {permits} permits")),
        words::duration(window),
        waits.waits.len(),
        queue.kind.as_str(),
        words::limit(long),
        words::percent(limits.share.0),
        words::duration(p50),
        waits.mean_waiters(window),
    )
}
