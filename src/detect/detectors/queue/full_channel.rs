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
use crate::evidence::senders::SenderWaits;
use crate::model::entity::resource::Resource;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey};
use crate::words;

static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(15), "observation window");
static WAITERS: Setting<f64> = Setting::new("waiters", 2.0, "minimum mean number of waiting senders");
static WAIT: Setting<Duration> = Setting::new("wait", Duration::from_millis(100), "minimum median wait of a sender");
static ARRIVES: Setting<Duration> = Setting::new(
    "arrives",
    Duration::from_secs(2),
    "time without a new sender after which a burst counts as over; never less than the median wait",
);
static STANDSTILL: Setting<Duration> =
    Setting::new("standstill", Duration::from_secs(3), "minimum time without a successful send");
static TIMES: Setting<f64> = Setting::new(
    "times",
    5.0,
    "minimum time without a successful send, as a multiple of the usual time between two sends",
);
static PAST: Setting<f64> = Setting::new(
    "past",
    1.5,
    "minimum time without a successful send, as a multiple of the longest earlier wait that ended with a send",
);
static FORGOTTEN: Setting<Duration> = Setting::new(
    "forgotten",
    Duration::from_secs(30),
    "minimum time without a successful send where the tool attached late and knows of none",
);
static CRITICAL: Setting<Duration> =
    Setting::new("critical", Duration::from_secs(30), "time without a successful send that is critical");

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
    look_alikes: &[],
    doubt: None,
    scan,
};

/// A shorter time than this says nothing of how long senders usually wait: two updates.
const SHORTEST: Duration = Duration::from_secs(2);

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let channels = evidence.contested().filter(|(_, it)| it.kind == ResourceKind::Channel && it.dropped.is_none());
    for (key, channel) in channels {
        let (flow, waits) = (evidence.flow(key), evidence.sender_waits(key, settings.get(&WINDOW)));
        let limit = standstill(evidence, settings, channel, &flow, &waits);
        let stands = (flow.waiting > 0 && flow.stalled_for() >= limit).then_some(limit);
        let strength = if stands.is_some() { 1.0 } else { strength(settings, &flow, &waits) };
        if strength >= DETECTOR.timing.leave {
            found.push(symptom(evidence, settings, (key, channel), (&flow, &waits), stands).strength(strength));
        }
    }
}

/// After how long without a send that succeeds a channel stands still.
fn standstill(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    channel: &Resource,
    flow: &Flow,
    waits: &SenderWaits,
) -> Duration {
    let usual = waits.turnover.mul_f64(settings.get(&TIMES));
    let past = channel.waits.longest().mul_f64(settings.get(&PAST));
    let is_forgotten = flow.last_grant.is_none() && evidence.attachment().may_have_forgotten();
    settings.get(if is_forgotten { &FORGOTTEN } else { &STANDSTILL }).max(usual).max(past)
}

/// By how much the waits exceed every threshold: the least of the ratios. Too little to begin a finding when no sender has come for long, for
/// then it was a burst, and drains.
fn strength(settings: Scoped<'_>, flow: &Flow, waits: &SenderWaits) -> f64 {
    if waits.window < SHORTEST {
        return 0.0;
    }
    let comes = flow.waiting > 0 && flow.youngest <= settings.get(&ARRIVES).max(waits.median);
    let arrivals = if comes { f64::INFINITY } else { DETECTOR.timing.leave };
    let waiters = waits.mean_waiters / settings.get(&WAITERS);
    let wait = waits.median.as_secs_f64() / settings.get(&WAIT).as_secs_f64().max(f64::EPSILON);
    arrivals.min(waiters).min(wait)
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, channel): (ResourceKey, &Resource),
    (flow, waits): (&Flow, &SenderWaits),
    stands: Option<Duration>,
) -> Symptom {
    let queue = channel.parent.and_then(|queue| evidence.resource(queue));
    let senders: Vec<SiteKey> = evidence.senders(key).into_iter().collect();
    let receivers: Vec<SiteKey> =
        channel.parent.map(|queue| evidence.receivers(queue)).unwrap_or_default().into_iter().collect();
    let (stalled, window) = (flow.stalled_for(), waits.window);
    let capacity = queue.and_then(Resource::capacity).or(channel.permits.capacity);
    let consumer = match receivers.first().and_then(|site| evidence.site(*site)) {
        Some(site) => format!("Look at {}, which receives from this channel:", describe::site(site)),
        None => "Look at the task that receives from this channel (the feed does not say which):".to_owned(),
    };
    let critical = stands.is_some() && stalled >= settings.get(&CRITICAL);
    let mut symptom = Symptom::of_resource(evidence, key, flow.waiting)
        .severity(if critical { Severity::Critical } else { Severity::Warning })
        .summary(format!(
            "The {}{} is full: {}.",
            describe::resource(evidence, key),
            capacity.map_or_else(String::new, |capacity| format!(" (capacity {capacity})")),
            state(settings, flow, waits, stands),
        ))
        .because(Fact::count("senders waiting", "tasks", flow.waiting))
        .because(Fact::number("mean number of waiting senders", "tasks", waits.mean_waiters).from(settings.get(&WAITERS)).over(window))
        .because(Fact::time("median wait of a sender", waits.median).from(settings.get(&WAIT)).over(window))
        .because(Fact::time("time without a send that succeeded", stalled).from(stands.unwrap_or(settings.get(&STANDSTILL))))
        .involving(describe::related_sites(evidence, &senders, Role::Waiter))
        .involving(describe::related_sites(evidence, &receivers, Role::Receiver))
        .cause(Some(cause(evidence, key, stands.is_some())))
        .advice(format!(
            "{consumer} what does it await between two receives? Make it faster or run several, or let producers shed load with try_send or a \
             timeout. A larger channel only delays the same."
        ))
        .touching(channel.parent)
        .touching_sites(senders)
        .since(stands.map(|_| evidence.now().minus(stalled)));
    symptom.scope.tasks = describe::waiting_tasks(evidence, key);
    symptom
}

fn cause(evidence: &Evidence<'_>, key: ResourceKey, stands: bool) -> String {
    match evidence.waits_on_an_older_channel(key).and_then(|site| evidence.site(site)) {
        Some(site) => format!(
            "Its consumer receives too slowly or not at all; possibly it sends to another full channel itself, on which {} waits: begin there.",
            describe::site(site)
        ),
        None if stands => {
            "Its consumer has stopped receiving: it is stuck, busy with something else, or a sender itself. Or tasks keep the slots that they have \
             reserved (reserve, PollSender) while they await something else, and the consumer has nothing to receive."
                .to_owned()
        }
        None => "Its consumer receives more slowly than its producers send.".to_owned(),
    }
}

/// What is wrong with it, with the threshold.
fn state(settings: Scoped<'_>, flow: &Flow, waits: &SenderWaits, stands: Option<Duration>) -> String {
    let waiting = match flow.waiting {
        0 => String::new(),
        count => format!("{} {} now, and ", words::count(count, "sender"), words::agree(count, "waits", "wait")),
    };
    match stands {
        Some(limit) => format!(
            "{waiting}no send has succeeded for {} (warning from {})",
            words::duration(flow.stalled_for()),
            words::limit(limit),
        ),
        None => format!(
            "{waiting}in the last {} {:.1} senders waited on average (warning from {}), median wait {}",
            words::duration(waits.window),
            waits.mean_waiters,
            words::decimal(settings.get(&WAITERS)),
            words::duration(waits.median),
        ),
    }
}
