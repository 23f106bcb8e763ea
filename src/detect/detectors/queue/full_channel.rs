//! A bounded channel that keeps its senders waiting: its consumer is too slow, or has stopped.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::flow::Flow;
use crate::model::entity::resource::Resource;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(15), "observation window");
static WAITERS: Setting<f64> = Setting::new("waiters", 2.0, "minimum mean number of waiting senders");
static WAIT: Setting<Duration> = Setting::new("wait", Duration::from_millis(100), "minimum median wait of a sender");
static ARRIVES: Setting<Duration> = Setting::new(
    "arrives",
    Duration::from_secs(2),
    "time without a new sender after which a burst is over, or the median wait if that is longer",
);
static STANDSTILL: Setting<Duration> =
    Setting::new("standstill", Duration::from_secs(3), "minimum time without any send that succeeds");
static TIMES: Setting<f64> = Setting::new("times", 5.0, "the same as a multiple of the usual time between two sends");
static PAST: Setting<f64> = Setting::new(
    "past",
    1.5,
    "the same as a multiple of the longest wait that ended well: a consumer may pause now and then",
);
static FORGOTTEN: Setting<Duration> = Setting::new(
    "forgotten",
    Duration::from_secs(30),
    "the same where no send is known because the tool attached late",
);
static CRITICAL: Setting<Duration> =
    Setting::new("critical", Duration::from_secs(30), "time without any send that succeeds that is critical");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "full-channel",
    family: Family::Queue,
    grade: Grade::Proof,
    title: "a bounded channel keeps its senders waiting",
    explain: include_str!("../../../../docs/detectors/full-channel.md"),
    settings: &[&WINDOW, &WAITERS, &WAIT, &ARRIVES, &STANDSTILL, &TIMES, &PAST, &FORGOTTEN, &CRITICAL],
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

/// A shorter time than this says nothing of how long senders usually wait: two updates.
const SHORTEST: Duration = Duration::from_secs(2);

/// What was measured of a channel.
#[derive(Debug)]
struct Measured {
    flow: Flow,
    /// Senders that waited at a time on average.
    mean_waiters: f64,
    /// The median wait, of those that ended and those that do not.
    median: Duration,
    /// The usual time between two grants.
    usual: Duration,
    window: Duration,
}

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let channels = evidence.contested().filter(|(_, it)| it.kind == ResourceKind::Channel && it.dropped.is_none());
    for (key, channel) in channels {
        let measured = measure(evidence, settings.get(&WINDOW), key, channel);
        let stands = measured.flow.waiting > 0
            && measured.flow.stalled_for() >= standstill_limit(evidence, settings, channel, &measured);
        let strength = if stands { 1.0 } else { strength(settings, &measured) };
        if strength >= DETECTOR.timing.leave {
            found.extend(symptom(evidence, settings, key, channel, &measured, stands).map(|it| it.strength(strength)));
        }
    }
}

fn standstill_limit(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    channel: &Resource,
    measured: &Measured,
) -> Duration {
    let usual = measured.usual.mul_f64(settings.get(&TIMES));
    let past = channel.waits.longest().mul_f64(settings.get(&PAST));
    let is_forgotten = measured.flow.last_grant.is_none() && evidence.attachment().may_have_forgotten();
    let least = settings.get(if is_forgotten { &FORGOTTEN } else { &STANDSTILL });
    least.max(usual).max(past)
}

/// By how much the waits exceed every threshold: the least of the ratios. Too little to begin a finding when no sender has come for long, for
/// then it was a burst, and drains.
fn strength(settings: Scoped<'_>, measured: &Measured) -> f64 {
    if measured.window < SHORTEST {
        return 0.0;
    }
    let comes = measured.flow.waiting > 0 && measured.flow.youngest <= settings.get(&ARRIVES).max(measured.median);
    let arrivals = if comes { f64::INFINITY } else { DETECTOR.timing.leave };
    let waiters = measured.mean_waiters / settings.get(&WAITERS);
    let wait = measured.median.as_secs_f64() / settings.get(&WAIT).as_secs_f64().max(f64::EPSILON);
    arrivals.min(waiters).min(wait)
}

fn measure(evidence: &Evidence<'_>, window: Duration, key: ResourceKey, channel: &Resource) -> Measured {
    let (start, end) = evidence.judged(window);
    let start = start.max(channel.created);
    let window = end.since(start);
    let present = evidence.waiters(key).map(|(_, op)| evidence.running_since(evidence.waiting_since(op)));
    let mut waits: Vec<Duration> = present.collect();
    let mut waited: Duration = waits.iter().map(|wait| (*wait).min(window)).sum();
    for kind in channel.waits.kinds() {
        let ended = channel.waits.window(kind, start);
        waited += ended.waited;
        waits.extend(ended.waits);
    }
    waits.sort_unstable();
    let grants: Vec<Timestamp> = channel.grants.newest_first().map(|grant| grant.at).collect();
    let between = grants.first().zip(grants.last()).map_or(Duration::ZERO, |(last, first)| last.since(*first));
    let steps = u32::try_from(grants.len().saturating_sub(1).max(1)).unwrap_or(u32::MAX);
    Measured {
        flow: evidence.flow(key),
        mean_waiters: waited.as_secs_f64() / window.as_secs_f64().max(1.0),
        median: waits.get(waits.len() / 2).copied().unwrap_or_default(),
        usual: between / steps,
        window,
    }
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    key: ResourceKey,
    channel: &Resource,
    measured: &Measured,
    stands: bool,
) -> Option<Symptom> {
    let senders: Vec<SiteKey> = evidence.senders(key).into_iter().collect();
    let queue = channel.parent.and_then(|queue| evidence.resource(queue));
    let receivers: Vec<SiteKey> =
        channel.parent.map(|queue| evidence.receivers(queue)).unwrap_or_default().into_iter().collect();
    let receiver = receivers.first().and_then(|site| evidence.site(*site));
    let tasks: Vec<TaskKey> = describe::waiting_tasks(evidence, key);
    let stalled = measured.flow.stalled_for();
    let critical = stands && stalled >= settings.get(&CRITICAL);
    let capacity = queue.and_then(Resource::capacity).or(channel.permits.capacity);
    let size = capacity.map_or_else(String::new, |capacity| format!(" (capacity {capacity})"));
    let consumer = match receiver {
        Some(site) => format!("Look at {}, which receives from this channel:", describe::site(site)),
        None => "Look at the task that receives from this channel (the feed does not say which):".to_owned(),
    };
    let mut symptom = Symptom::of_resource(evidence, key, measured.flow.waiting)
        .severity(if critical { Severity::Critical } else { Severity::Warning })
        .summary(format!(
            "The {}{size} is full: {}.",
            describe::resource(evidence, key),
            state(settings, measured, stands),
        ))
        .because(Fact::count("senders waiting", "tasks", measured.flow.waiting))
        .because(Fact::number("mean number of waiting senders", "tasks", measured.mean_waiters)
            .from(settings.get(&WAITERS)).over(measured.window))
        .because(Fact::time("median wait of a sender", measured.median).from(settings.get(&WAIT)).over(measured.window))
        .because(Fact::time("time without a send that succeeded", stalled).from(settings.get(&STANDSTILL)))
        .involving(describe::related_sites(evidence, &senders, Role::Waiter))
        .involving(describe::related_sites(evidence, &receivers, Role::Receiver))
        .cause(Some(cause(evidence, key, stands)))
        .advice(format!(
            "{consumer} what does it await between two receives? Make it faster or run several, or let producers shed load with try_send or a \
             timeout. A larger channel only delays the same."
        ))
        .touching(channel.parent)
        .touching_sites(senders)
        .since(stands.then(|| evidence.now().minus(stalled)));
    symptom.scope.tasks = tasks;
    Some(symptom)
}

fn cause(evidence: &Evidence<'_>, key: ResourceKey, stands: bool) -> String {
    match older_full_channel(evidence, key) {
        Some(other) => format!(
            "Its consumer receives too slowly or not at all; possibly it sends to another full channel itself, on which {other} waits: begin \
             there."
        ),
        None if stands => {
            "Its consumer has stopped receiving: it is stuck, busy with something else, or a sender itself.".to_owned()
        }
        None => "Its consumer receives more slowly than its producers send.".to_owned(),
    }
}

/// What is wrong with it, with the threshold.
fn state(settings: Scoped<'_>, measured: &Measured, stands: bool) -> String {
    let waiting = match measured.flow.waiting {
        0 => String::new(),
        count => format!("{} {} now, and ", words::count(count, "sender"), words::agree(count, "waits", "wait")),
    };
    if stands {
        format!(
            "{waiting}no send has succeeded for {} (warning from {})",
            words::duration(measured.flow.stalled_for()),
            words::limit(settings.get(&STANDSTILL)),
        )
    } else {
        format!(
            "{waiting}in the last {} {:.1} senders waited on average (warning from {}), median wait {}",
            words::duration(measured.window),
            measured.mean_waiters,
            words::decimal(settings.get(&WAITERS)),
            words::duration(measured.median),
        )
    }
}

/// Who waits for room in another channel, and has for longer: a task may stand between the two.
fn older_full_channel(evidence: &Evidence<'_>, key: ResourceKey) -> Option<String> {
    let longest = |channel| {
        let waits = evidence
            .waiters(channel)
            .filter_map(|(_, op)| Some((evidence.waiting_since(op), evidence.task(op.task?)?.site)));
        waits.min()
    };
    let (since, own) = longest(key)?;
    let channels = evidence.contested().filter(|(_, it)| it.kind == ResourceKind::Channel && it.dropped.is_none());
    let others = channels.filter(|(other, _)| *other != key).filter_map(|(other, _)| longest(other));
    let (_, site) = others.min().filter(|(other, site)| *other < since && *site != own)?;
    evidence.site(site).map(describe::site)
}
