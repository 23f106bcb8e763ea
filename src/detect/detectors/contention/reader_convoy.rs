//! Quick users of a lock that wait behind one that wants all of it, which waits for a slow one inside.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::numbers::ratio;
use crate::evidence::waiters::WaiterSnapshot;
use crate::model::entity::resource::Resource;
use crate::model::history::waits::WaitWindow;
use crate::model::tokio::{AcquireKind, ResourceKind};
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(15), "observation window");
static LONG: Setting<Duration> = Setting::new("long", Duration::from_millis(50), "minimum length of a long wait");
static SHARE: Setting<Share> = Setting::new("share", Share(0.1), "minimum share of long waits");
static WAITS: Setting<usize> = Setting::new("waits", 10, "minimum number of waits that ended with a grant");
static WAITERS: Setting<f64> = Setting::new("waiters", 0.5, "minimum mean number of waiters");
static BEHIND: Setting<Share> =
    Setting::new("behind", Share(0.6), "minimum share of observations in which quick requests wait behind a large one");
static SIGHTINGS: Setting<usize> =
    Setting::new("sightings", 2, "minimum number of observations in which quick requests wait behind a large one");
static TURNOVER: Setting<Duration> = Setting::new(
    "turnover",
    Duration::from_secs(10),
    "time without a grant after which the lock is stuck, not contended",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "reader-convoy",
    family: Family::Contention,
    grade: Grade::Trend,
    title: "readers queue behind a writer that waits for a long read",
    explain: include_str!("../../../../docs/detectors/reader-convoy.md"),
    settings: &[&WINDOW, &LONG, &SHARE, &WAITS, &WAITERS, &BEHIND, &SIGHTINGS, &TURNOVER],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(2),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(6),
        leave: 0.7,
    },
    needs: Needs::Everything,
    recovers: true,
    explained_by: &[
        Cause::involved("deadlock"),
        Cause::involved("lost-waker"),
        Cause::involved("futurelock"),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
    ],
    look_alikes: &[],
    doubt: None,
    scan,
};

/// A shorter time than this says nothing: two updates.
const SHORTEST: Duration = Duration::from_secs(2);

/// The waits of those who want little, and how often one that wants much stood before them.
struct Convoy {
    kind: AcquireKind,
    waits: WaitWindow,
    window: Duration,
    behind_share: f64,
    strength: f64,
}

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (start, end) = evidence.judged(settings.get(&WINDOW));
    let kinds = [ResourceKind::RwLock, ResourceKind::Semaphore];
    for (key, lock) in evidence.contested().filter(|(_, it)| kinds.contains(&it.kind) && it.dropped.is_none()) {
        let start = start.max(lock.created);
        let window = end.since(start);
        let turning = lock.grants.last().is_some_and(|grant| end.since(grant.at) < settings.get(&TURNOVER));
        let Some(history) = evidence.waiter_history(key).filter(|_| turning && window >= SHORTEST) else { continue };
        let seen: Vec<&WaiterSnapshot> = history.since(start).filter(|it| it.small > 0).collect();
        let behind: Vec<&WaiterSnapshot> = seen.iter().filter(|it| it.blocked > 0).copied().collect();
        if behind.len() < settings.get(&SIGHTINGS) {
            continue;
        }
        let behind_share = ratio(behind.len(), seen.len());
        let convoys = small_kinds(lock).filter_map(|kind| {
            let waits = lock.waits.window(kind, start);
            let strength = strength(settings, &waits, window).min(behind_share / settings.get(&BEHIND).0);
            let enough = strength >= DETECTOR.timing.leave && waits.waits.len() >= settings.get(&WAITS);
            enough.then_some(Convoy { kind, waits, window, behind_share, strength })
        });
        if let Some(worst) = convoys.max_by(|one, other| one.strength.total_cmp(&other.strength)) {
            found.push(symptom(evidence, settings, key, &behind, &worst));
        }
    }
}

/// The kinds of acquisition of those who want little.
fn small_kinds(lock: &Resource) -> impl Iterator<Item = AcquireKind> {
    let is_small = |kind: &AcquireKind| lock.kind != ResourceKind::RwLock || *kind == AcquireKind::Read;
    lock.waits.kinds().filter(is_small)
}

/// By how much the waits exceed every threshold: the least of the ratios.
fn strength(settings: Scoped<'_>, waits: &WaitWindow, window: Duration) -> f64 {
    let share = waits.share_over(settings.get(&LONG)) / settings.get(&SHARE).0;
    share.min(waits.mean_waiters(window) / settings.get(&WAITERS))
}

/// The site that most sightings name as the one inside, if more than half of them do.
fn inside(behind: &[&WaiterSnapshot]) -> Option<SiteKey> {
    let mut votes: BTreeMap<SiteKey, usize> = BTreeMap::new();
    for site in behind.iter().filter_map(|it| it.blocked_behind) {
        *votes.entry(site).or_default() += 1;
    }
    let (site, votes) = votes.into_iter().max_by_key(|(_, votes)| *votes)?;
    (2 * votes > behind.len()).then_some(site)
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    key: ResourceKey,
    behind: &[&WaiterSnapshot],
    convoy: &Convoy,
) -> Symptom {
    let Convoy { waits, window, .. } = convoy;
    let long = settings.get(&LONG);
    let is_rwlock = evidence.resource(key).is_some_and(|lock| lock.kind == ResourceKind::RwLock);
    let (share, mean) = (waits.share_over(long), waits.mean_waiters(*window));
    let p50 = waits.quantile(0.5).unwrap_or_default();
    let inside = inside(behind);
    let waiting: Vec<TaskKey> = describe::waiting_tasks(evidence, key);
    let (head, held) =
        if is_rwlock { ("a writer", "a read guard") } else { ("a request for many permits", "a permit") };
    let cause = match inside.and_then(|site| evidence.site(site)) {
        Some(site) => format!("Most often {} keeps {held} for long.", describe::site(site)),
        None => format!("The feed does not say which task keeps {held} for long: several may."),
    };
    Symptom::of_resource(evidence, key, waiting.len())
        .summary(format!(
            "Tasks that want little of the {} wait behind {head} that waits for those inside. In the last {}, {} of {} waits ({}) exceeded {} \
             (threshold {}); median {}, {mean:.1} waiters on average.",
            describe::resource(evidence, key),
            words::duration(*window),
            words::percent(share),
            waits.granted,
            convoy.kind.as_str(),
            words::limit(long),
            words::percent(settings.get(&SHARE).0),
            words::duration(p50),
        ))
        .because(Fact::share("share of long waits", share).from(settings.get(&SHARE)).over(*window))
        .because(Fact::time("median wait", p50).over(*window))
        .because(Fact::number("mean number of waiters", "tasks", mean).from(settings.get(&WAITERS)).over(*window))
        .because(Fact::share("sightings behind a large request", convoy.behind_share).from(settings.get(&BEHIND)).over(*window))
        .involving(describe::related_sites(evidence, &inside, Role::Holder))
        .involving(describe::related_tasks(evidence, &waiting, Role::Waiter))
        .cause(Some(cause))
        .advice(format!("{}{}", if is_rwlock { OF_RWLOCK } else { OF_SEMAPHORE }, describe::place_hint(evidence, key)))
        .touching_sites(inside)
        .touching_sites(describe::sites_of(evidence, waiting))
        .strength(convoy.strength)
}

const OF_RWLOCK: &str = "Make the long read short: copy or clone what it needs (an Arc of the data) and drop the guard before it awaits or \
                         computes. Tokio's RwLock is fair, so one slow reader and one writer stop every other reader. Data that is mostly \
                         read can be published through a watch channel, whose readers never wait.";
const OF_SEMAPHORE: &str = "The queue is fair: a large acquire_many keeps the permits that are released until it has all of them, and stops \
                            every request behind it. Give large requests a semaphore of their own, acquire in smaller steps, or hold permits \
                            for less time.";
