//! Wakers of one task pile up: they are put into a list that nobody clears.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::evidence::growth as trend;
use crate::model::entity::site::Site;
use crate::model::entity::task::Task;
use crate::model::time::Timestamp;
use crate::model::{SiteKey, TaskKey};
use crate::words;

static WAKERS: Setting<usize> = Setting::new("wakers", 1_000, "so many wakers of one task exist");
static WARN: Setting<usize> = Setting::new("warn", 100_000, "so many are a warning");
static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(30), "they grow over so long a time");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "waker-growth",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "wakers of one task pile up",
    explain: include_str!("../../../../docs/detectors/waker-growth.md"),
    settings: &[&WAKERS, &WARN, &WINDOW],
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
    doubt: None,
    scan,
};

/// A rise of this strength is no chance.
const CERTAIN: f64 = 3.0;
/// So many seconds of it must have been seen, over this share of the window.
const READINGS: usize = 10;
const KNOWN: f64 = 0.7;
/// A list that is cleared now and then falls below this share of what it held.
const CLEARED: f64 = 0.9;
/// They must have grown by this share within the window: what hardly grows has a bound.
const GROWTH: f64 = 0.2;

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, site) in model.sites().filter(|(_, site)| site.id.kind.is_async()) {
        let Some((task, readings)) = readings(model, settings, site) else { continue };
        let alive = model.task(task).filter(|task| task.is_alive());
        if let Some(alive) = alive.filter(|_| grows(settings, &readings)) {
            found.extend(symptom(model, settings, (key, site), (task, alive), &readings));
        }
    }
}

/// When the task with most wakers had how many, oldest first; as far back as it has been the one with most.
fn readings(model: &Evidence<'_>, settings: Scoped<'_>, site: &Site) -> Option<(TaskKey, Vec<(Timestamp, f64)>)> {
    let from = model.now().minus(settings.get(&WINDOW));
    let mut newest_first = site.history.since(from).rev().filter_map(|second| Some((second.to, second.wakers?)));
    let (at, (most, task)) = newest_first.next()?;
    let of_task = newest_first.map_while(|(at, (wakers, of))| (of == task).then_some((at, as_number(wakers))));
    let mut readings: Vec<_> = std::iter::once((at, as_number(most))).chain(of_task).collect();
    readings.reverse();
    Some((task, readings))
}

fn grows(settings: Scoped<'_>, readings: &[(Timestamp, f64)]) -> bool {
    let values: Vec<f64> = readings.iter().map(|(_, wakers)| *wakers).collect();
    let (Some(first), Some(last)) = (readings.first(), readings.last()) else {
        return false;
    };
    #[expect(clippy::cast_precision_loss, reason = "a threshold far below 2^53")]
    let many = last.1 >= settings.get(&WAKERS) as f64;
    let known = values.len() >= READINGS && last.0.since(first.0) >= settings.get(&WINDOW).mul_f64(KNOWN);
    let never_cleared = values.windows(2).all(|pair| pair[1] >= CLEARED * pair[0]);
    many && known
        && never_cleared
        && trend::growth(&values) >= GROWTH * last.1
        && trend::mann_kendall(&values) >= CERTAIN
        && trend::still_grows(&values)
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, site): (SiteKey, &Site),
    (task, alive): (TaskKey, &Task),
    readings: &[(Timestamp, f64)],
) -> Option<Symptom> {
    let (first, last) = (readings.first()?, readings.last()?);
    let window = last.0.since(first.0);
    let wakers = usize::try_from(alive.stats.wakers()).unwrap_or(usize::MAX);
    let pace = (last.1 - first.1) / window.as_secs_f64().max(1.0);
    let (limit, warn) = (settings.get(&WAKERS), settings.get(&WARN));
    Some(Symptom {
        severity: if wakers >= warn { Severity::Warning } else { Severity::Info },
        grade: None,
        subject: describe::site_subject(model, site, &[task], 1),
        summary: format!(
            "{wakers} wakers of {} exist (reported from {limit}, warning from {warn}), and in the last {} they have become {pace:.0} more each \
             second.",
            describe::task(model, alive),
            words::duration(window),
        ),
        facts: vec![
            Fact::count("wakers of the task", "wakers", wakers).from(limit),
            Fact::number("growth", "wakers/s", pace).over(window),
        ],
        related: Vec::new(),
        look_alikes: Vec::new(),
        cause: Some(
            "Something that the task polls keeps a clone of its waker at every poll and does not let go of the one before.".to_owned(),
        ),
        recommendation: format!(
            "Look at hand-written futures that this task polls: a list of wakers has to be cleared when they are woken, and a waker must not \
             be added again for the same waiter (compare with Waker::will_wake, or keep one place per waiter and free it when the waiter is \
             dropped). tokio::sync::Notify and futures' AtomicWaker do that.{}",
            describe::library_hint(&site.id.location),
        ),
        class: Vec::new(),
        scope: Scope { sites: vec![key], tasks: vec![task], ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    })
}

#[expect(clippy::cast_precision_loss, reason = "wakers of one process stay far below 2^53")]
fn as_number(count: u64) -> f64 {
    count as f64
}
