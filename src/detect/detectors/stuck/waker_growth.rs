//! Wakers of one task pile up: they are put into a list that nobody clears.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::growth::Series;
use crate::evidence::numbers::number;
use crate::model::entity::site::Site;
use crate::model::time::Timestamp;
use crate::model::{SiteKey, TaskKey};
use crate::words;

static WAKERS: Setting<usize> = Setting::new("wakers", 1_000, "minimum number of wakers of one task");
static WARN: Setting<usize> = Setting::new("warn", 100_000, "number of wakers that is a warning");
static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(30), "observation window");
static KNOWN: Setting<Share> =
    Setting::new("known", Share(0.7), "minimum share of the window in which the number of wakers is known");
static READINGS: Setting<usize> = Setting::new("readings", 10, "minimum number of readings in the window");
static CERTAINTY: Setting<f64> =
    Setting::new("certainty", 3.0, "minimum Mann-Kendall statistic of the number of wakers, a normal deviate");
static GROWTH: Setting<Share> =
    Setting::new("growth", Share(0.2), "minimum growth in the window, as a share of the number of wakers");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "waker-growth",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "wakers of one task pile up",
    explain: include_str!("../../../../docs/detectors/waker-growth.md"),
    settings: &[&WAKERS, &WARN, &WINDOW, &KNOWN, &READINGS, &CERTAINTY, &GROWTH],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(3),
        keep_firing: Duration::from_secs(15),
        window: Duration::from_secs(25),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: false,
    explained_by: &[Cause::involved("busy-loop")],
    look_alikes: &[],
    doubt: None,
    scan,
};

/// A list that is cleared now and then falls below this share of what it held.
const CLEARED: f64 = 0.9;

/// How many wakers of one task existed, as far back as it has been the one with most.
struct Readings {
    task: TaskKey,
    series: Series,
    count: usize,
    from: Timestamp,
    to: Timestamp,
}

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, site) in evidence.sites().filter(|(_, site)| site.id.kind.is_async()) {
        let readings = readings(evidence, settings, site).filter(|readings| grows(settings, readings));
        found.extend(readings.and_then(|readings| symptom(evidence, settings, (key, site), &readings)));
    }
}

fn readings(evidence: &Evidence<'_>, settings: Scoped<'_>, site: &Site) -> Option<Readings> {
    let from = evidence.now().minus(settings.get(&WINDOW));
    let mut newest_first = site.history.since(from).rev().filter_map(|second| Some((second.to, second.wakers?)));
    let (to, (most, task)) = newest_first.next()?;
    let (mut values, mut from) = (vec![number(most)], to);
    for (at, (wakers, _)) in newest_first.take_while(|(_, (_, of))| *of == task) {
        values.push(number(wakers));
        from = at;
    }
    values.reverse();
    Some(Readings { task, count: values.len(), series: Series::new(values), from, to })
}

fn grows(settings: Scoped<'_>, readings: &Readings) -> bool {
    let (series, last) = (&readings.series, readings.series.last());
    let known = readings.count >= settings.get(&READINGS)
        && readings.to.since(readings.from) >= settings.get(&WINDOW).mul_f64(settings.get(&KNOWN).0);
    last >= number(settings.get(&WAKERS))
        && known
        && series.never_falls_below(CLEARED)
        && series.rises(settings.get(&GROWTH).0 * last, settings.get(&CERTAINTY))
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, site): (SiteKey, &Site),
    readings: &Readings,
) -> Option<Symptom> {
    let task = evidence.task(readings.task).filter(|task| task.is_alive())?;
    let window = readings.to.since(readings.from);
    let wakers = usize::try_from(task.stats.wakers()).unwrap_or(usize::MAX);
    let rate = (readings.series.last() - readings.series.first()) / window.as_secs_f64().max(1.0);
    let (limit, warn) = (settings.get(&WAKERS), settings.get(&WARN));
    let symptom = Symptom::of_site(evidence, key, &[readings.task], 1)
        .severity(if wakers >= warn { Severity::Warning } else { Severity::Info })
        .summary(format!(
            "{} of {} exist (reported from {limit}, warning from {warn}), {} more a second in the last {}.",
            words::count(wakers, "waker"),
            describe::task(evidence, task),
            words::decimal(rate),
            words::duration(window),
        ))
        .because(Fact::count("wakers of the task", "wakers", wakers).from(limit))
        .because(Fact::number("growth", "wakers/s", rate).over(window))
        .cause(Some("Something that the task polls keeps a clone of its waker at every poll and never drops the one before.".to_owned()))
        .advice(format!(
            "Look at hand-written futures that this task polls: clear a list of wakers when they are woken, and do not add a waker again for the \
             same waiter (compare with Waker::will_wake, or keep one place per waiter and free it when the waiter is dropped). \
             tokio::sync::Notify and futures' AtomicWaker do that.{}",
            describe::library_hint(&site.id.location),
        ));
    Some(symptom)
}
