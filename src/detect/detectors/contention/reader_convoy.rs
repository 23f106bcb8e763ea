//! Quick users of a lock that wait behind one that wants all of it, which waits for a slow one inside.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::{Related, Role};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::evidence::waiters::WaiterSnapshot;
use crate::model::entity::resource::Resource;
use crate::model::history::waits::WaitWindow;
use crate::model::tokio::{AcquireKind, ResourceKind};
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

static WINDOW: Setting<Duration> =
    Setting::new("window", Duration::from_secs(15), "the waits of so long a time are judged");
static LONG: Setting<Duration> = Setting::new("long", Duration::from_millis(50), "a wait of this length is long");
static SHARE: Setting<Share> = Setting::new("share", Share(0.1), "this share of the waits must be long");
static WAITS: Setting<usize> = Setting::new("waits", 10, "so many must have got in");
static WAITERS: Setting<f64> = Setting::new("waiters", 0.5, "so many must wait on average");
static BEHIND: Setting<Share> = Setting::new(
    "behind",
    Share(0.6),
    "in this share of the seconds in which somebody waits it must be behind one that wants much",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "reader-convoy",
    family: Family::Contention,
    grade: Grade::Trend,
    title: "readers queue behind a writer that waits for a long read",
    explain: include_str!("../../../../docs/detectors/reader-convoy.md"),
    settings: &[&WINDOW, &LONG, &SHARE, &WAITS, &WAITERS, &BEHIND],
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
        Cause::involved("futurelock"),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
    ],
    doubt: None,
    scan,
};

/// A shorter time than this says nothing.
const SHORTEST: Duration = Duration::from_secs(2);
/// What let nobody in for this long is stuck rather than contended.
const TURNOVER: Duration = Duration::from_secs(10);
/// Seconds in which somebody was seen to wait, at least.
const SIGHTINGS: usize = 2;
/// A finding stays while the numbers are this share of what began it.
const LEAVE: f64 = 0.7;

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (start, end) = model.judged(settings.get(&WINDOW));
    let locks = model.contested().filter(|(_, it)| matches!(it.kind, ResourceKind::RwLock | ResourceKind::Semaphore));
    for (key, lock) in locks.filter(|(_, lock)| lock.dropped.is_none()) {
        let start = start.max(lock.created);
        let turning = lock.grants.last().is_some_and(|grant| end.since(grant.at) < TURNOVER);
        let seen: Vec<&WaiterSnapshot> =
            model.waiter_history(key).into_iter().flat_map(|it| it.since(start)).filter(|it| it.small > 0).collect();
        let behind: Vec<&WaiterSnapshot> = seen.iter().filter(|crowd| crowd.blocked > 0).copied().collect();
        if !turning || end.since(start) < SHORTEST || behind.len() < SIGHTINGS {
            continue;
        }
        let window = end.since(start);
        let behind_share = ratio(behind.len(), seen.len());
        let ways = ways(lock).filter_map(|source| {
            let waits = lock.waits.window(source, start);
            let strength = strength(settings, &waits, window).min(behind_share / settings.get(&BEHIND).0);
            let enough = strength >= LEAVE && waits.waits.len() >= settings.get(&WAITS);
            enough.then_some(Convoy { source, waits, window, behind_share, strength })
        });
        if let Some(worst) = ways.max_by(|one, other| one.strength.total_cmp(&other.strength)) {
            found.push(symptom(model, settings, key, &behind, &worst));
        }
    }
}

/// Those who want little at a time, all of them ways into one lock.
fn ways(lock: &Resource) -> impl Iterator<Item = AcquireKind> {
    let is_small = |kind: &AcquireKind| lock.kind != ResourceKind::RwLock || *kind == AcquireKind::Read;
    lock.waits.kinds().filter(is_small)
}

/// The waits of those who want little, and how often one that wants much stood before them.
struct Convoy {
    source: AcquireKind,
    waits: WaitWindow,
    window: Duration,
    behind_share: f64,
    strength: f64,
}

/// By how much the waits exceed every threshold: the least of the ratios.
fn strength(settings: Scoped<'_>, waits: &WaitWindow, window: Duration) -> f64 {
    let share = waits.share_over(settings.get(&LONG)) / settings.get(&SHARE).0;
    share.min(mean_waiters(waits, window) / settings.get(&WAITERS))
}

/// How many waited at a time on average: the sum of the waits over the time in which they ended (Little's law).
fn mean_waiters(waits: &WaitWindow, window: Duration) -> f64 {
    waits.waited.as_secs_f64() / window.as_secs_f64().max(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bounded ring")]
fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The site that most sightings name as the one inside, if more than half of them do.
fn keeper(behind: &[&WaiterSnapshot]) -> Option<SiteKey> {
    let mut votes: BTreeMap<SiteKey, usize> = BTreeMap::new();
    for site in behind.iter().filter_map(|crowd| crowd.blocked_behind) {
        *votes.entry(site).or_default() += 1;
    }
    votes
        .into_iter()
        .max_by_key(|(_, votes)| *votes)
        .filter(|(_, votes)| 2 * votes > behind.len())
        .map(|(site, _)| site)
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    key: ResourceKey,
    behind: &[&WaiterSnapshot],
    convoy: &Convoy,
) -> Symptom {
    let Convoy { source, waits, window, behind_share, .. } = convoy;
    let long = settings.get(&LONG);
    let is_rwlock = model.resource(key).is_some_and(|lock| lock.kind == ResourceKind::RwLock);
    let (share, mean) = (waits.share_over(long), mean_waiters(waits, *window));
    let p50 = waits.quantile(0.5).unwrap_or_default();
    let keeper = keeper(behind).and_then(|site| Some((site, model.site(site)?)));
    let waiting: Vec<TaskKey> = model.waiters(key).filter_map(|(_, op)| op.task).collect();
    let mut related: Vec<Related> =
        keeper.map(|(_, site)| describe::related_site(site, Role::Holder)).into_iter().collect();
    related.extend(waiting.iter().filter_map(|task| describe::related_task(model, *task, Role::Waiter)));
    related.dedup();
    related.truncate(5);
    let (head, inside) =
        if is_rwlock { ("a writer", "a read") } else { ("one that asks for many permits", "a permit") };
    let cause = keeper.map_or_else(
        || format!("Who keeps {inside} for so long cannot be told for sure: several may have."),
        |(_, site)| format!("Most often it is {} that keeps {inside} for long.", describe::site(site)),
    );
    Symptom {
        severity: Severity::Warning,
        grade: None,
        subject: describe::resource_subject(model, key, waiting.len()),
        summary: format!(
            "Tasks that want little of the {} wait behind {head}, which itself waits for those inside: {} of {} waits ({}) took {} or \
             more in the last {} (warning from {}), half of them {} or more, with {mean:.1} waiting at a time.",
            describe::resource(model, key),
            words::percent(share),
            waits.granted,
            source.as_str(),
            words::duration(long),
            words::duration(*window),
            words::percent(settings.get(&SHARE).0),
            words::duration(p50),
        ),
        facts: vec![
            Fact::share("share of long waits", share).from(settings.get(&SHARE).0).over(*window),
            Fact::time("median wait", p50).from(long).over(*window),
            Fact::number("mean number of waiters", "tasks", mean).from(settings.get(&WAITERS)).over(*window),
            Fact::share("share of sightings behind a large request", *behind_share)
                .from(settings.get(&BEHIND).0)
                .over(*window),
        ],
        related,
        look_alikes: Vec::new(),
        cause: Some(cause),
        recommendation: if is_rwlock { OF_RWLOCK } else { OF_SEMAPHORE }.to_owned(),
        class: vec![describe::resource_location(model, key)],
        scope: Scope {
            resources: vec![key],
            sites: keeper
                .map(|(site, _)| site)
                .into_iter()
                .chain(waiting.iter().filter_map(|task| Some(model.task(*task)?.site)))
                .collect(),
            tasks: Vec::new(),
            stalls_since: None,
            last_progress: model.resource(key).and_then(|lock| lock.grants.last()).map(|grant| grant.at),
        },
        strength: convoy.strength,
        since: None,
    }
}

const OF_RWLOCK: &str = "Make the long read short: copy or clone what it needs (an Arc of the data) and drop the guard before it awaits or \
                         computes. Tokio's RwLock is fair, so one slow reader and one writer stop every other reader. Data that is mostly \
                         read can be published through a watch channel, which readers never wait for.";
const OF_SEMAPHORE: &str = "The queue is fair: a large acquire_many keeps the permits that come back until it has all of them, and stops \
                            everybody behind it. Give large requests a semaphore of their own, take the permits in smaller steps, or hold \
                            permits for less time.";
