//! A queue that gets longer and longer: a resource that tells its depth, or a bounded channel that fills up.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::queues::{self, as_number};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::evidence::growth as trend;
use crate::model::ResourceKey;
use crate::model::entity::resource::Resource;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::words;

static WINDOW: Setting<Duration> =
    Setting::new("window", Duration::from_secs(15), "the depth must have grown for so long");
static WINDOW_AT_WORK: Setting<Duration> = Setting::new(
    "window-at-work",
    Duration::from_secs(8),
    "and only for so long where the queue tells that it is being worked off meanwhile",
);
static WINDOW_SLOW: Setting<Duration> =
    Setting::new("window-slow", Duration::from_secs(60), "a slow leak must have grown for so long");
static CERTAINTY: Setting<f64> =
    Setting::new("certainty", 3.0, "Mann-Kendall statistic (a normal deviate) from which on growth is no chance");
static FLOOR: Setting<f64> =
    Setting::new("floor", 10.0, "growth below this, plus five times the root of the depth, is noise");
static CRITICAL: Setting<Duration> =
    Setting::new("critical", Duration::from_secs(60), "a queue that is full within this time is critical");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "growing-queue",
    family: Family::Queue,
    grade: Grade::Trend,
    title: "a queue grows without end",
    explain: include_str!("../../../../docs/detectors/growing-queue.md"),
    settings: &[&WINDOW, &WINDOW_AT_WORK, &WINDOW_SLOW, &CERTAINTY, &FLOOR, &CRITICAL],
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
    doubt: None,
    scan,
};

/// A queue that is emptied at times grows only when it is deeper than its highest peak, times this.
const PEAK: f64 = 1.5;
/// It is emptied when no more than this share of a peak is left.
const EMPTIED: f64 = 0.3;
/// A queue that is not full within this time is no warning before it has grown for twice the window.
const SOON: Duration = Duration::from_secs(300);

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let deep = |queue: &Resource| as_number(queue.depth().unwrap_or_default()) >= settings.get(&FLOOR);
    // A semaphore that is part of a queue only repeats what that tells.
    let queues = model.queues().filter(|(_, queue)| queue.kind != ResourceKind::Channel || queue.parent.is_none());
    for (key, queue) in queues.filter(|(_, queue)| deep(queue)) {
        let (quick, usual) = (settings.get(&WINDOW_AT_WORK), settings.get(&WINDOW));
        // What is worked off in batches grows for a while, too, but nothing is taken out meanwhile.
        let at_work = queues::rises_all_along(model, quick, queue, |depth| depth.received);
        if is_broadcast(queue) && !at_work {
            // It fills up behind a receiver that is only kept to hold it open, and no sender ever waits for that one.
            continue;
        }
        let windows = [at_work.then_some(quick), Some(usual), Some(settings.get(&WINDOW_SLOW))];
        let mut series = windows.into_iter().flatten().filter_map(|window| series(model, window, queue));
        if let Some(depths) = series.find(|depths| grows(settings, queue, depths)) {
            let long = self::series(model, 2 * usual, queue);
            let lasts = depths.len() > usize::try_from(2 * usual.as_secs()).unwrap_or(usize::MAX)
                || long.is_some_and(|long| still_grows_much(settings, &long));
            found.extend(symptom(model, settings, key, queue, &depths, at_work || lasts));
        }
    }
}

fn grows(settings: Scoped<'_>, queue: &Resource, depths: &[f64]) -> bool {
    still_grows_much(settings, depths)
        && trend::mann_kendall(depths) >= settings.get(&CERTAINTY)
        && depths.last().is_some_and(|last| *last >= PEAK * earlier_peak(queue))
}

fn still_grows_much(settings: Scoped<'_>, depths: &[f64]) -> bool {
    let noise = settings.get(&FLOOR) + 5.0 * depths.last().copied().unwrap_or_default().sqrt();
    trend::growth(depths) >= noise && trend::still_grows(depths)
}

/// Whether each of its receivers gets everything.
fn is_broadcast(queue: &Resource) -> bool {
    queue.depths.back().is_some_and(|depth| depth.lag.is_some())
}

/// Since when a queue has been growing: when at most a tenth of what is in it now was, as far back as is known.
fn growing_since(queue: &Resource) -> Option<Timestamp> {
    let now = queue.depths.back()?.depth;
    let shallow = queue.depths.iter().rev().find(|depth| depth.depth <= now / 10);
    shallow.or(queue.depths.front()).map(|depth| depth.at)
}

/// The depth at each second of the window, if it is known for all of it. Between two reports it did not change.
fn series(model: &Evidence<'_>, window: Duration, queue: &Resource) -> Option<Vec<f64>> {
    let seconds = window.as_secs().max(4);
    let start = model.now().minus(Duration::from_secs(seconds));
    if queue.depths.front()?.at > start {
        return None;
    }
    let at = |second| {
        let time = start.plus(Duration::from_secs(second));
        queue.depth_at(time).map(|depth| as_number(depth.depth))
    };
    (0..=seconds).map(at).collect()
}

/// The highest depth from which the queue has fallen again, by most of it: it is emptied at times, and rises in between.
fn earlier_peak(queue: &Resource) -> f64 {
    let (mut peak, mut rise) = (0.0_f64, 0.0_f64);
    for depth in &queue.depths {
        let depth = as_number(depth.depth);
        rise = rise.max(depth);
        if depth <= EMPTIED * rise {
            (peak, rise) = (peak.max(rise), depth);
        }
    }
    peak
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    key: ResourceKey,
    queue: &Resource,
    depths: &[f64],
    lasts: bool,
) -> Option<Symptom> {
    let (first, last) = (*depths.first()?, *depths.last()?);
    let window = Duration::from_secs(u64::try_from(depths.len() - 1).ok()?);
    let rate = (last - first) / window.as_secs_f64();
    let left = queue.capacity().map(|capacity| (as_number(capacity) - last).max(0.0) / rate);
    let until_full = left.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let critical = settings.get(&CRITICAL);
    let full = match (until_full, queue.capacity()) {
        (Some(Duration::ZERO), Some(capacity)) => format!(" All {capacity} places are taken."),
        (Some(time), Some(capacity)) => {
            let then = if is_broadcast(queue) { ", and then messages get lost" } else { "" };
            format!(" At this rate all {capacity} places are taken in {}{then}.", words::duration(time))
        }
        _ => String::new(),
    };
    let (related, sites) = queues::users(model, key);
    let mut subject = describe::resource_subject(model, key, 1);
    if queue.kind == ResourceKind::Channel && subject.location.is_empty() {
        subject.location = related.first().map(|site| site.location.clone()).unwrap_or_default();
    }
    let mut evidence = vec![
        Fact::number("depth", "entries", last),
        Fact::number("growth", "entries/s", rate).from(0.0).over(window),
        Fact::number("Mann-Kendall statistic", "deviates", trend::mann_kendall(depths))
            .from(settings.get(&CERTAINTY))
            .over(window),
    ];
    if let Some(time) = until_full {
        evidence.push(Fact::time("time until full", time).from(critical));
    }
    if let Some(since) = growing_since(queue) {
        evidence.push(Fact::time("time since it was nearly empty, at least", model.now().since(since)));
    }
    let memory = queue.number("message_size").map_or_else(String::new, |bytes| {
        let growth = as_number(bytes) * rate;
        evidence.push(Fact::number("memory growth without what messages point to", "bytes/s", growth).over(window));
        format!(" Its messages take {growth:.0} bytes more every second, and what they point to.")
    });
    Some(Symptom {
        severity: match until_full {
            Some(time) if time < critical => Severity::Critical,
            Some(time) if time < SOON => Severity::Warning,
            _ if lasts => Severity::Warning,
            // What is worked off in batches rises for a while, too.
            _ => Severity::Info,
        },
        grade: None,
        class: vec![describe::type_name(queue), subject.location.clone()],
        subject,
        summary: format!(
            "The {} has grown from {first:.0} to {last:.0} entries in {} ({rate:.1} a second), and still grows.{full}{memory}",
            describe::resource(model, key),
            words::duration(window),
        ),
        facts: evidence,
        related,
        look_alikes: Vec::new(),
        cause: Some("More is put in than is taken out.".to_owned()),
        recommendation: "Speed up the consumer, run several, or slow the producers down: a bound alone turns growth into waiting. Look at what \
                         the consumer awaits between two receives."
            .to_owned(),
        scope: Scope { resources: vec![key], sites, last_progress: queue.grants.last().map(|it| it.at), ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    })
}
