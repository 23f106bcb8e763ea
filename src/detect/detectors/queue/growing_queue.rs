//! A queue that gets longer and longer: a resource that reports its depth, or a bounded channel that fills up.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::growth::{Series, noise};
use crate::evidence::look_alike::LookAlike;
use crate::evidence::numbers::number;
use crate::model::entity::resource::Resource;
use crate::model::time::Timestamp;
use crate::model::tokio::{ResourceKind, attribute};
use crate::model::{ResourceKey, SiteKey};
use crate::words;

static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(15), "observation window");
static WINDOW_DRAINED: Setting<Duration> = Setting::new(
    "window-drained",
    Duration::from_secs(8),
    "observation window for a queue that reports that entries are taken out all the time",
);
static WINDOW_SLOW: Setting<Duration> =
    Setting::new("window-slow", Duration::from_secs(60), "observation window for a slow leak");
static CERTAINTY: Setting<f64> =
    Setting::new("certainty", 3.0, "minimum Mann-Kendall statistic of the depth, a normal deviate");
static FLOOR: Setting<f64> =
    Setting::new("floor", 10.0, "growth that counts as noise, plus five times the square root of the depth");
static PEAK: Setting<f64> = Setting::new(
    "peak",
    1.5,
    "minimum depth of a queue that is emptied at times, as a multiple of its highest earlier peak",
);
static EMPTIED: Setting<Share> =
    Setting::new("emptied", Share(0.3), "share of a peak below which the queue counts as emptied");
static SOON: Setting<Duration> = Setting::new(
    "soon",
    Duration::from_secs(300),
    "time until full below which growth for one window is a warning, instead of two",
);
static CRITICAL: Setting<Duration> =
    Setting::new("critical", Duration::from_secs(60), "time until full that is critical");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "growing-queue",
    family: Family::Queue,
    grade: Grade::Trend,
    title: "a queue grows without end",
    explain: include_str!("../../../../docs/detectors/growing-queue.md"),
    settings: &[&WINDOW, &WINDOW_DRAINED, &WINDOW_SLOW, &CERTAINTY, &FLOOR, &PEAK, &EMPTIED, &SOON, &CRITICAL],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(2),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(17),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: true,
    explained_by: &[
        Cause::involved("full-channel"),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
        Cause::involved("lagging-receiver"),
    ],
    look_alikes: &[LookAlike::Batches],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let is_deep = |queue: &Resource| number(queue.depth().unwrap_or_default()) >= settings.get(&FLOOR);
    // A semaphore that is part of a queue only repeats what that reports.
    let queues = evidence.queues().filter(|(_, queue)| queue.kind != ResourceKind::Channel || queue.parent.is_none());
    for (key, queue) in queues.filter(|(_, queue)| is_deep(queue)) {
        let (quick, usual) = (settings.get(&WINDOW_DRAINED), settings.get(&WINDOW));
        // What is drained in batches grows for a while, too, but nothing is taken out meanwhile.
        let is_drained = queue.rises_all_along(evidence.now(), quick, |depth| depth.received);
        if is_broadcast(queue) && !is_drained {
            // It fills up behind a receiver that is only kept to hold it open, and no sender ever waits for that one.
            continue;
        }
        let windows = [is_drained.then_some(quick), Some(usual), Some(settings.get(&WINDOW_SLOW))];
        let mut series = windows.into_iter().flatten().filter_map(|window| evidence.depth_series(queue, window));
        if let Some(depths) = series.find(|depths| grows(settings, queue, depths)) {
            found.push(symptom(evidence, settings, (key, queue), &depths, is_drained));
        }
    }
}

fn grows(settings: Scoped<'_>, queue: &Resource, depths: &Series) -> bool {
    depths.growth() >= noise(settings.get(&FLOOR), depths.last())
        && depths.still_grows()
        && depths.certainty() >= settings.get(&CERTAINTY)
        && depths.last() >= settings.get(&PEAK) * earlier_peak(queue, settings.get(&EMPTIED).0)
}

/// Whether each of its receivers gets everything.
fn is_broadcast(queue: &Resource) -> bool {
    queue.depths.back().is_some_and(|depth| depth.lag.is_some())
}

/// Since when a queue has been growing: when at most a tenth of what is in it now was, as far back as is known.
fn growing_since(queue: &Resource) -> Option<Timestamp> {
    last_below(queue, number(queue.depths.back()?.depth) / 10.0)
}

/// When a queue last held at most so many entries; the first time at which its depth is known if it never did.
fn last_below(queue: &Resource, entries: f64) -> Option<Timestamp> {
    let shallow = queue.depths.iter().rev().find(|depth| number(depth.depth) <= entries);
    shallow.or(queue.depths.front()).map(|depth| depth.at)
}

/// The highest depth from which the queue has fallen again, by most of it: it is emptied at times, and rises in between.
fn earlier_peak(queue: &Resource, emptied: f64) -> f64 {
    let (mut peak, mut rise) = (0.0_f64, 0.0_f64);
    for depth in queue.depths.iter().map(|depth| number(depth.depth)) {
        rise = rise.max(depth);
        if depth <= emptied * rise {
            (peak, rise) = (peak.max(rise), depth);
        }
    }
    peak
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, queue): (ResourceKey, &Resource),
    depths: &Series,
    is_drained: bool,
) -> Symptom {
    let (window, rate, critical) = (depths.window(), depths.rate(), settings.get(&CRITICAL));
    let left = queue.capacity().map(|capacity| (number(capacity) - depths.last()).max(0.0) / rate);
    let until_full = left.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let is_soon_full = until_full.is_some_and(|time| time < settings.get(&SOON));
    // A consumer that takes nothing out may only pause, for example until a peer answers again.
    let pause = if is_soon_full { settings.get(&WINDOW) } else { 2 * settings.get(&WINDOW) };
    let fills_for = last_below(queue, settings.get(&FLOOR)).map_or(Duration::ZERO, |at| evidence.running_since(at));
    let may_pause = !is_drained && fills_for < pause;
    let severity = if until_full.is_some_and(|time| time < critical) { Severity::Critical } else { Severity::Warning };
    let (senders, receivers) = (evidence.senders(key), evidence.receivers(key));
    let memory = queue.number(attribute::MESSAGE_SIZE).map(|bytes| number(bytes) * rate);
    let mut symptom = Symptom::of_resource(evidence, key, 1)
        .severity(severity)
        .unless(may_pause.then_some(LookAlike::Batches))
        .summary(format!(
            "The {} has grown from {:.0} to {:.0} entries in {} ({} a second).{}{}",
            describe::resource(evidence, key),
            depths.first(),
            depths.last(),
            words::limit(window),
            words::decimal(rate),
            full(queue, until_full),
            memory.map_or_else(String::new, memory_growth),
        ))
        .because(Fact::number("depth", "entries", depths.last()))
        .because(Fact::number("growth", "entries", depths.growth()).from(noise(settings.get(&FLOOR), depths.last())).over(window))
        .because(Fact::number("Mann-Kendall statistic", "deviates", depths.certainty()).from(settings.get(&CERTAINTY)).over(window))
        .involving(describe::related_sites(evidence, &senders, Role::Sender))
        .involving(describe::related_sites(evidence, &receivers, Role::Receiver))
        .cause(Some("More is put in than is taken out.".to_owned()))
        .advice(
            "Speed up the consumer, run several, or slow the producers down: a bound alone turns growth into waiting. Look at what the consumer \
             awaits between two receives.",
        )
        .touching_sites(senders.union(&receivers).copied().collect::<Vec<SiteKey>>())
        .because(Fact::time("time since it was nearly empty, at least", fills_for).from(pause))
        .since(growing_since(queue));
    if let Some(time) = until_full {
        symptom = symptom.because(Fact::time("time until full", time).below(critical));
    }
    if let Some(growth) = memory {
        symptom = symptom.because(Fact::number("memory growth, heap data not counted", "bytes/s", growth).over(window));
    }
    symptom
}

fn full(queue: &Resource, until_full: Option<Duration>) -> String {
    match (until_full, queue.capacity()) {
        (Some(Duration::ZERO), Some(capacity)) => format!(" All {capacity} places are taken."),
        (Some(time), Some(capacity)) => {
            let then = if is_broadcast(queue) { ", and then messages are lost" } else { "" };
            format!(" At this rate all {capacity} places are taken in {}{then}.", words::duration(time))
        }
        _ => String::new(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive number of bytes, for a sentence"
)]
fn memory_growth(rate: f64) -> String {
    format!(" Queued messages grow by {}/s, heap data not counted.", words::bytes(rate.max(0.0) as usize))
}
