//! Contention: those who want a lock wait long for it, many at a time, although it does move.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::{Related, Role};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::detect::{demand, describe};
use crate::evidence::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::history::waits::WaitWindow;
use crate::model::time::Timestamp;
use crate::model::tokio::{AcquireKind, ResourceKind};
use crate::model::{ResourceKey, SiteKey};
use crate::words;

static WINDOW: Setting<Duration> =
    Setting::new("window", Duration::from_secs(15), "the waits of so long a time are judged");
static LONG: Setting<Duration> = Setting::new("long", Duration::from_millis(50), "a wait of this length is long");
static SHARE: Setting<Share> = Setting::new("share", Share(0.3), "this share of the waits must be long");
static WAITS: Setting<usize> = Setting::new("waits", 10, "so many must have got in");
static WAITERS: Setting<f64> = Setting::new("waiters", 0.5, "so many must wait on average");
static CRITICAL: Setting<Duration> =
    Setting::new("critical", Duration::from_secs(1), "a median wait of this length is critical");
static PERMIT_WAIT: Setting<Duration> =
    Setting::new("permit-wait", Duration::from_millis(250), "the median wait for one of several permits is as long");
static PERMIT_SHARE: Setting<Share> =
    Setting::new("permit-share", Share(0.95), "this share of the waits for one of them must be long");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "contended-lock",
    family: Family::Contention,
    grade: Grade::Trend,
    title: "tasks queue for one lock",
    explain: include_str!("../../../../docs/detectors/contended-lock.md"),
    settings: &[&WINDOW, &LONG, &SHARE, &WAITS, &WAITERS, &CRITICAL, &PERMIT_WAIT, &PERMIT_SHARE],
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

/// What is said of a queue that is probably meant to be.
const IDLE_POOL: &str = "It looks like idle workers taking turns at one receiver, which is harmless.";
const LIMITER: &str =
    "It may be meant to be so: the semaphore limits how many work at a time, and nobody has failed for it so far.";
/// A shorter time than this says nothing.
const SHORTEST: Duration = Duration::from_secs(2);
/// A lock that let nobody in for this long is stuck rather than contended.
const TURNOVER: Duration = Duration::from_secs(3);
/// Crowds are compared with those of so many seconds ago.
const RECENT: Duration = Duration::from_secs(5);
/// A finding stays while the numbers are this share of what began it.
const LEAVE: f64 = 0.7;
/// So many of the last known holders are looked at.
const HOLDERS: Duration = Duration::from_secs(20);

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, lock) in model.contested() {
        match lock.kind {
            ResourceKind::Semaphore if lock.permits.capacity != Some(1) => {
                scan_semaphore(model, settings, key, lock, found);
            }
            ResourceKind::Mutex | ResourceKind::RwLock | ResourceKind::Semaphore => {
                scan_lock(model, settings, key, lock, found);
            }
            _ => {}
        }
    }
}

fn scan_lock(model: &Evidence<'_>, settings: Scoped<'_>, key: ResourceKey, lock: &Resource, found: &mut Vec<Symptom>) {
    let (start, end) = model.judged(settings.get(&WINDOW));
    let start = start.max(lock.created);
    let turning = lock.grants.last().is_some_and(|grant| end.since(grant.at) < TURNOVER);
    if !turning || end.since(start) < SHORTEST {
        return;
    }
    let grows = model.more_wait(key) && crowd_has_grown(model, key);
    for source in lock.waits.kinds() {
        let waits = lock.waits.window(source, start);
        if let Some(strength) = strength(settings, &waits, end.since(start)) {
            let meant = is_idle_pool(model, key, lock, start).then_some(IDLE_POOL);
            // What grows without end is a pile-up, which is told a little later.
            let strength = if grows { strength.min(LEAVE) } else { strength };
            let window = end.since(start);
            let queue = Queue { source, waits: &waits, window, strength, meant, permits: None };
            found.push(symptom(model, settings, key, &queue));
        }
    }
}

/// Too few permits: hardly anybody gets one at once, and as many wait as there are permits, or more, so that twice as many would be used.
fn scan_semaphore(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    key: ResourceKey,
    lock: &Resource,
    found: &mut Vec<Symptom>,
) {
    let length = settings.get(&WINDOW);
    let (start, end) = model.judged(length);
    let turning = lock.grants.last().is_some_and(|grant| end.since(grant.at) < TURNOVER);
    if !turning || lock.created > start || end.since(start) < length {
        return;
    }
    let grows = model.more_wait(key) && crowd_has_grown(model, key);
    let Some(permits) = demand::permits(model, key, lock).filter(|_| demand::keeps_coming(model, key, start)) else {
        return;
    };
    for source in lock.waits.kinds() {
        let waits = lock.waits.window(source, start);
        if let Some(strength) = shortage(settings, &waits, length, permits) {
            let fails = demand::fails(model, lock, source, (start, end), settings.get(&LONG));
            let meant = (!fails).then_some(LIMITER);
            let strength = if grows { strength.min(LEAVE) } else { strength };
            let queue = Queue { source, waits: &waits, window: length, strength, meant, permits: Some(permits) };
            found.push(symptom(model, settings, key, &queue));
        }
    }
}

/// By how much the waits for one of several permits exceed every threshold: the least of the ratios, if it is worth a finding.
fn shortage(settings: Scoped<'_>, waits: &WaitWindow, window: Duration, permits: usize) -> Option<f64> {
    let median = waits.quantile(0.5)?;
    let all_wait = waits.share_over(settings.get(&LONG)) >= settings.get(&PERMIT_SHARE).0;
    let enough = waits.waits.len() >= settings.get(&WAITS);
    let ratios = [
        median.as_secs_f64() / settings.get(&PERMIT_WAIT).as_secs_f64().max(f64::EPSILON),
        mean_waiters(waits, window) / as_number(permits),
    ];
    let least = ratios.into_iter().fold(f64::INFINITY, f64::min);
    (enough && all_wait && least >= LEAVE).then_some(least)
}

/// Whether many more wait than a few seconds ago.
fn crowd_has_grown(model: &Evidence<'_>, key: ResourceKey) -> bool {
    let history = model.waiter_history(key);
    let waiting = |at: Timestamp| history.and_then(|it| it.at(at)).map(|it| it.waiting);
    let last = waiting(model.now()).unwrap_or(0);
    let first = waiting(model.now().minus(RECENT)).unwrap_or(last);
    10 * last > 13 * first + 50
}

/// By how much the waits exceed every threshold: the least of the ratios, if it is worth a finding.
#[expect(clippy::cast_precision_loss, reason = "counts of one window")]
fn strength(settings: Scoped<'_>, waits: &WaitWindow, window: Duration) -> Option<f64> {
    let enough = waits.waits.len() >= settings.get(&WAITS);
    let ratios = [
        waits.share_over(settings.get(&LONG)) / settings.get(&SHARE).0,
        mean_waiters(waits, window) / settings.get(&WAITERS),
        waits.granted as f64 / settings.get(&WAITS) as f64,
    ];
    let least = ratios.into_iter().fold(f64::INFINITY, f64::min);
    (enough && least >= LEAVE).then_some(least)
}

/// How many waited at a time on average: the sum of the waits over the time in which they ended (Little's law).
fn mean_waiters(waits: &WaitWindow, window: Duration) -> f64 {
    waits.waited.as_secs_f64() / window.as_secs_f64().max(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts of one window")]
fn mean_rate(waits: &WaitWindow, window: Duration) -> f64 {
    waits.granted as f64 / window.as_secs_f64().max(1.0)
}

/// The median time from one grant to the next: as long as there are waiters, that is how long one that got in keeps the lock.
fn between_grants(lock: &Resource, from: Timestamp) -> Duration {
    let at: Vec<Timestamp> =
        lock.grants.newest_first().take_while(|grant| grant.at >= from).map(|grant| grant.at).collect();
    let mut gaps: Vec<Duration> = at.windows(2).map(|pair| pair[0].since(pair[1])).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or_default()
}

/// Whether the queue is the usual crowd of idle workers around one receiver: all of one site of the user's, none spawned lately, and who
/// holds the lock mostly waits for nothing that is seen. A convoy behind a slow call that is not seen looks the same, so it is still told.
fn is_idle_pool(model: &Evidence<'_>, key: ResourceKey, lock: &Resource, start: Timestamp) -> bool {
    let recent = lock.grants.newest_first().take_while(|grant| grant.at >= start);
    let sites: BTreeSet<Option<SiteKey>> = recent.map(|grant| grant.site).collect();
    let (Some(Some(site)), 1) = (sites.first(), sites.len()) else {
        return false;
    };
    let lately = model.now().minus(TURNOVER);
    let Some(site) = model.site(*site) else { return false };
    // By their own time of birth: when we attach, all are news.
    let grows = site.live.iter().next_back().is_some_and(|(born, _)| *born >= lately);
    let fixed = !site.id.location.is_library() && !grows;
    let snapshots = model.waiter_history(key).into_iter().flat_map(|it| it.since(model.now().minus(HOLDERS)));
    let holders: Vec<bool> = snapshots.filter_map(|it| it.holder_waits).collect();
    let seen = holders.iter().filter(|waits| **waits).count();
    lock.kind == ResourceKind::Mutex && fixed && 3 * seen <= 2 * holders.len()
}

/// The queue at one way into a lock or semaphore, and what is thought of it.
struct Queue<'a> {
    source: AcquireKind,
    waits: &'a WaitWindow,
    window: Duration,
    /// By how much it exceeds the thresholds.
    strength: f64,
    /// Why it is probably meant to be, if it is.
    meant: Option<&'static str>,
    /// How many permits there are, or that number at most, where there are several.
    permits: Option<usize>,
}

impl Queue<'_> {
    fn severity(&self, settings: Scoped<'_>, median: Duration) -> Severity {
        match self.permits {
            _ if self.meant.is_some() => Severity::Info,
            None if median >= settings.get(&CRITICAL) => Severity::Critical,
            _ => Severity::Warning,
        }
    }

    /// The thresholds for the share of long waits, the median wait and the mean number of those who wait.
    fn limits(&self, settings: Scoped<'_>) -> (f64, Duration, f64) {
        match self.permits {
            Some(permits) => (settings.get(&PERMIT_SHARE).0, settings.get(&PERMIT_WAIT), as_number(permits)),
            None => (settings.get(&SHARE).0, settings.get(&LONG), settings.get(&WAITERS)),
        }
    }

    fn remedy(&self) -> &'static str {
        if self.permits.is_some() {
            "Keep each permit, or what is lent with it, for less time: do not await anything else meanwhile, such as a call over the \
             network. If what it guards can bear more at a time, make more permits; if not, turn requests away when the queue is long."
        } else {
            "Hold the lock for less time: do not await while holding it, copy out what is needed and drop the guard first. If that is not \
             enough, split the data over several locks, or give it to one task that others send requests to."
        }
    }
}

fn symptom(model: &Evidence<'_>, settings: Scoped<'_>, key: ResourceKey, queue: &Queue<'_>) -> Symptom {
    let (waits, window, long) = (queue.waits, queue.window, settings.get(&LONG));
    let [p50, p90, longest] = [0.5, 0.9, 1.0].map(|share| waits.quantile(share).unwrap_or_default());
    let (share, mean) = (waits.share_over(long), mean_waiters(waits, window));
    let (least_share, least_wait, least_waiters) = queue.limits(settings);
    let (related, sites) = parties(model, key);
    let turnover = mean_rate(waits, window);
    let hold = model.resource(key).map(|lock| between_grants(lock, model.now().minus(window))).unwrap_or_default();
    let last_progress = model.resource(key).and_then(|lock| lock.grants.last()).map(|grant| grant.at);
    let capacity = model.resource(key).and_then(|lock| lock.permits.capacity).filter(|_| queue.permits.is_some());
    Symptom {
        severity: queue.severity(settings, p50),
        grade: None,
        subject: describe::resource_subject(model, key, model.waiters(key).count()),
        summary: format!(
            "Tasks queue for the {}{}: {} of {} waits ({}) took {} or more in the last {} (warning from {}), half of them {} or more, \
             with {mean:.1} waiting at a time{}.",
            describe::resource(model, key),
            capacity.map_or_else(String::new, |capacity| format!(" with {capacity} permits")),
            words::percent(share),
            waits.granted,
            queue.source.as_str(),
            words::duration(long),
            words::duration(window),
            words::percent(least_share),
            words::duration(p50),
            match waits.cancelled {
                gave_up if gave_up > 0 && queue.permits.is_some() => format!("; {gave_up} more gave up"),
                _ => String::new(),
            },
        ),
        facts: vec![
            Fact::share("share of long waits", share).from(least_share).over(window),
            Fact::time("median wait", p50).from(least_wait).over(window),
            Fact::time("90th percentile of waits", p90).over(window),
            Fact::time("longest wait", longest).over(window),
            Fact::number("mean number of waiters", "tasks", mean).from(least_waiters).over(window),
            Fact::number("turnover", "grants/s", turnover).over(window),
            Fact::time("median time from one grant to the next", hold).over(window),
        ],
        related,
        look_alikes: Vec::new(),
        cause: queue.meant.map(str::to_owned),
        recommendation: queue.remedy().to_owned(),
        class: vec![describe::resource_location(model, key), queue.source.as_str().to_owned()],
        scope: Scope { resources: vec![key], sites, tasks: Vec::new(), stalls_since: None, last_progress },
        strength: queue.strength,
        since: None,
    }
}

/// Who holds the lock and who waits for it, by spawn site.
fn parties(model: &Evidence<'_>, key: ResourceKey) -> (Vec<Related>, Vec<SiteKey>) {
    let holders: BTreeSet<SiteKey> = model
        .resource(key)
        .map(|lock| lock.grants.newest_first().take(64).filter_map(|grant| grant.site).collect())
        .unwrap_or_default();
    let waiters: BTreeSet<SiteKey> =
        model.waiters(key).filter_map(|(_, op)| Some(model.task(op.task?)?.site)).collect();
    let name = |sites: &BTreeSet<SiteKey>, role| -> Vec<Related> {
        sites
            .iter()
            .filter_map(|site| model.site(*site))
            .take(4)
            .map(|site| describe::related_site(site, role))
            .collect()
    };
    let related = name(&holders, Role::Holder).into_iter().chain(name(&waiters, Role::Waiter)).collect();
    (related, holders.union(&waiters).copied().collect())
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 permits")]
fn as_number(count: usize) -> f64 {
    count as f64
}
