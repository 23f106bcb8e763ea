//! A bounded channel that keeps its senders waiting: its consumer is too slow, or has stopped.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::{Role, Subject, SubjectKind};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey};
use crate::words;

static WINDOW: Setting<Duration> =
    Setting::new("window", Duration::from_secs(15), "the waits of so long a time are judged");
static WAITERS: Setting<f64> = Setting::new("waiters", 2.0, "so many senders wait on average");
static WAIT: Setting<Duration> = Setting::new("wait", Duration::from_millis(100), "and half of them wait this long");
static STANDSTILL: Setting<Duration> =
    Setting::new("standstill", Duration::from_secs(3), "or nobody has got in for so long");
static TIMES: Setting<f64> = Setting::new("times", 5.0, "which is also so many times the usual time between two sends");
static CRITICAL: Setting<Duration> =
    Setting::new("critical", Duration::from_secs(30), "a standstill of this length is critical");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "full-channel",
    family: Family::Queue,
    grade: Grade::Proof,
    title: "a bounded channel keeps its senders waiting",
    explain: include_str!("../../../../docs/detectors/full-channel.md"),
    settings: &[&WINDOW, &WAITERS, &WAIT, &STANDSTILL, &TIMES, &CRITICAL],
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
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
    ],
    doubt: None,
    scan,
};

/// A shorter time than this says nothing of how long senders usually wait.
const SHORTEST: Duration = Duration::from_secs(2);
/// Where no sender has come for so long, nor for as long as half of them wait, none comes any more.
const ARRIVES: Duration = Duration::from_secs(2);
/// A consumer that pauses now and then has let nobody in for long before: a standstill is longer than this times the longest such wait.
const PAST: f64 = 1.5;
/// A finding stays while the numbers are this share of what began it.
const LEAVE: f64 = 0.7;

/// What was measured of a channel.
#[derive(Debug)]
struct Measured {
    /// Senders that wait now.
    waiting: usize,
    /// Senders that waited at a time on average.
    mean_waiters: f64,
    /// The median wait, of those that ended and those that go on.
    median: Duration,
    /// How long the longest present wait has lasted.
    oldest: Duration,
    /// Infinite while senders keep coming, too little to begin a finding when none has come for long: then it was a burst, and drains.
    arrivals: f64,
    /// How long nobody has got in.
    standstill: Duration,
    /// The usual time between two grants.
    usual: Duration,
    window: Duration,
}

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, channel) in model.contested().filter(|(_, it)| it.kind == ResourceKind::Channel && it.dropped.is_none()) {
        let measured = measure(model, settings.get(&WINDOW), key, channel);
        let usual = measured.usual.mul_f64(settings.get(&TIMES)).max(channel.waits.longest().mul_f64(PAST));
        let limit = settings.get(&STANDSTILL).max(usual);
        let stands = measured.waiting > 0 && measured.oldest >= limit && measured.standstill >= limit;
        let ratios = [
            measured.mean_waiters / settings.get(&WAITERS),
            measured.median.as_secs_f64() / settings.get(&WAIT).as_secs_f64().max(1e-9),
        ];
        let strength = if stands {
            1.0
        } else if measured.window < SHORTEST {
            0.0
        } else {
            ratios.into_iter().fold(measured.arrivals, f64::min)
        };
        if strength >= LEAVE {
            found.extend(symptom(model, settings, key, channel, &measured, (stands, strength)));
        }
    }
}

fn measure(model: &Evidence<'_>, window: Duration, key: ResourceKey, channel: &Resource) -> Measured {
    let (start, end) = model.judged(window);
    let start = start.max(channel.created);
    let window = end.since(start);
    let present: Vec<Duration> =
        model.waiters(key).map(|(_, op)| model.running_since(model.waiting_since(op))).collect();
    let mut waits = present.clone();
    let mut waited: Duration = present.iter().map(|wait| (*wait).min(window)).sum();
    for source in channel.waits.kinds() {
        let ended = channel.waits.window(source, start);
        waited += ended.waited;
        waits.extend(ended.waits);
    }
    waits.sort_unstable();
    let grants: Vec<Timestamp> = channel.grants.newest_first().map(|grant| grant.at).collect();
    let between = grants.first().zip(grants.last()).map_or(Duration::ZERO, |(last, first)| last.since(*first));
    let steps = u32::try_from(grants.len().saturating_sub(1).max(1)).unwrap_or(u32::MAX);
    let oldest = present.iter().max().copied().unwrap_or_default();
    let median = waits.get(waits.len() / 2).copied().unwrap_or_default();
    let youngest = present.iter().min().copied();
    let come = youngest.is_some_and(|youngest| youngest <= ARRIVES.max(median));
    Measured {
        waiting: present.len(),
        mean_waiters: waited.as_secs_f64() / window.as_secs_f64().max(1.0),
        median,
        arrivals: if come { f64::INFINITY } else { LEAVE },
        oldest,
        standstill: grants.first().map_or(oldest, |last| model.running_since(*last)),
        usual: between / steps,
        window,
    }
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    key: ResourceKey,
    channel: &Resource,
    measured: &Measured,
    (stands, strength): (bool, f64),
) -> Option<Symptom> {
    let senders = senders(model, key, channel);
    let first = model.site(*senders.first()?)?;
    let queue = channel.parent.and_then(|queue| model.resource(queue));
    let receivers = channel.parent.map(|queue| model.receivers(queue)).unwrap_or_default();
    let receiver = receivers.first().and_then(|site| model.site(*site));
    let places = senders.iter().filter_map(|site| model.site(*site));
    let class = places.clone().map(|site| format!("{} {}", site.id.name, site.id.location)).collect();
    let critical = stands && measured.standstill >= settings.get(&CRITICAL);
    let capacity = queue.and_then(Resource::capacity).or(channel.permits.capacity);
    let size = capacity.map_or_else(String::new, |capacity| format!(" of {capacity} places"));
    let tasks: Vec<_> = model.waiters(key).filter_map(|(_, op)| op.task).collect();
    let name = queue.map_or_else(String::new, describe::quoted_name);
    let made_at = queue.map_or_else(String::new, |queue| format!(" made at {}", queue.location));
    let consumer = match receiver {
        Some(site) => format!("Look at {}, which receives from this channel:", describe::site(site)),
        None => "Look at the task that receives from this channel (the feed does not tell which one it is):".to_owned(),
    };
    Some(Symptom {
        severity: if critical { Severity::Critical } else { Severity::Warning },
        grade: None,
        subject: Subject {
            kind: SubjectKind::Resource,
            name: "bounded channel".to_owned(),
            location: queue.map_or(&first.id.location, |queue| &queue.location).to_string(),
            ids: describe::task_ids(model, &tasks),
            count: measured.waiting,
        },
        summary: format!(
            "The bounded channel{name}{size}{made_at} that {} sends to is full: {}{}.",
            describe::site(first),
            waits(measured.waiting),
            state(settings, measured, stands),
        ),
        facts: vec![
            Fact::count("senders waiting", "tasks", measured.waiting),
            Fact::number("mean number of waiting senders", "tasks", measured.mean_waiters)
                .from(settings.get(&WAITERS))
                .over(measured.window),
            Fact::time("median wait of a sender", measured.median).from(settings.get(&WAIT)).over(measured.window),
            Fact::time("time since anybody got in", measured.standstill).from(settings.get(&STANDSTILL)),
        ],
        related: places
            .take(4)
            .map(|site| describe::related_site(site, Role::Waiter))
            .chain(receiver.map(|site| describe::related_site(site, Role::Receiver)))
            .collect(),
        look_alikes: Vec::new(),
        cause: Some(match other_full(model, key) {
            Some(other) => format!(
                "Its consumer receives too slowly or not at all; possibly because it sends to another full channel itself, on which {other} \
                 waits: begin there."
            ),
            None if stands => {
                "Its consumer does not receive any more: it is stuck, gone on to something else, or a sender itself."
                    .to_owned()
            }
            None => "Its consumer receives more slowly than its producers send.".to_owned(),
        }),
        recommendation: format!(
            "{consumer} what does it await between two receives? Make it faster or run several, or let producers shed load with try_send or \
             a timeout. A larger channel only delays the same."
        ),
        class,
        scope: Scope {
            resources: [Some(key), channel.parent].into_iter().flatten().collect(),
            sites: senders.into_iter().collect(),
            tasks,
            last_progress: channel.grants.last().map(|grant| grant.at),
            ..Scope::default()
        },
        strength,
        since: None,
    })
}

/// What is wrong with it, with the threshold.
fn state(settings: Scoped<'_>, measured: &Measured, stands: bool) -> String {
    if stands {
        format!(
            "nobody has got a place in it for {} (warning from {})",
            words::duration(measured.standstill),
            words::duration(settings.get(&STANDSTILL)),
        )
    } else {
        format!(
            "in the last {} {:.1} senders waited at a time (warning from {}) and half of them {} or more",
            words::duration(measured.window),
            measured.mean_waiters,
            settings.get(&WAITERS),
            words::duration(measured.median),
        )
    }
}

/// Who waits now; nothing where the news of those come too late to tell.
fn waits(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "1 sender waits now, and ".to_owned(),
        _ => format!("{count} senders wait now, and "),
    }
}

/// Who waits for room in another channel, and has for longer: a task may stand between the two.
fn other_full(model: &Evidence<'_>, key: ResourceKey) -> Option<String> {
    let longest = |channel| {
        let waits =
            model.waiters(channel).filter_map(|(_, op)| Some((model.waiting_since(op), model.task(op.task?)?.site)));
        waits.min()
    };
    let (since, own) = longest(key)?;
    let channels = model.contested().filter(|(_, it)| it.kind == ResourceKind::Channel && it.dropped.is_none());
    let others = channels.filter(|(other, _)| *other != key).filter_map(|(other, _)| longest(other));
    let (_, site) = others.min().filter(|(other, site)| *other < since && *site != own)?;
    model.site(site).map(describe::site)
}

/// The spawn sites that send on a channel: those that wait now, or, where none is seen to, those that got in lately.
fn senders(model: &Evidence<'_>, key: ResourceKey, channel: &Resource) -> BTreeSet<SiteKey> {
    let waiting: BTreeSet<SiteKey> =
        model.waiters(key).filter_map(|(_, op)| Some(model.task(op.task?)?.site)).collect();
    if !waiting.is_empty() {
        return waiting;
    }
    channel.grants.newest_first().take(64).filter_map(|grant| grant.site).collect()
}
