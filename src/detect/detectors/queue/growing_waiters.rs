//! A lock or semaphore for which more and more tasks wait.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::growth::{WaiterSeries, noise};
use crate::model::ResourceKey;
use crate::words;

static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(20), "observation window");
static FLOOR: Setting<f64> = Setting::new(
    "floor",
    10.0,
    "growth that counts as noise, plus five times the square root of the number of waiters",
);
static CERTAINTY: Setting<f64> =
    Setting::new("certainty", 3.0, "minimum Mann-Kendall statistic of the number of waiters, a normal deviate");
static WAIT_CERTAINTY: Setting<f64> =
    Setting::new("wait-certainty", 2.3, "minimum Mann-Kendall statistic of the longest wait, a normal deviate");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "growing-waiters",
    family: Family::Queue,
    grade: Grade::Trend,
    title: "more and more tasks wait for one lock",
    explain: include_str!("../../../../docs/detectors/growing-waiters.md"),
    settings: &[&WINDOW, &FLOOR, &CERTAINTY, &WAIT_CERTAINTY],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(2),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(24),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: true,
    explained_by: &[
        Cause::involved("deadlock"),
        Cause::involved("lost-waker"),
        Cause::involved("futurelock"),
        Cause::involved("permit-leak"),
        Cause::involved("held-across-await"),
        Cause::involved("reader-convoy"),
        Cause::involved("task-pileup"),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
    ],
    look_alikes: &[],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, _) in evidence.contested().filter(|(_, lock)| lock.dropped.is_none() && lock.kind.is_held()) {
        let Some(series) = evidence.waiter_series(key, settings.get(&WINDOW)) else { continue };
        let least = noise(settings.get(&FLOOR), series.waiting.last());
        let grows = series.waiting.rises(least, settings.get(&CERTAINTY))
            && series.oldest.certainty() >= settings.get(&WAIT_CERTAINTY);
        if grows {
            found.push(symptom(evidence, settings, key, &series));
        }
    }
}

fn symptom(evidence: &Evidence<'_>, settings: Scoped<'_>, key: ResourceKey, series: &WaiterSeries) -> Symptom {
    let (waiting, window) = (&series.waiting, settings.get(&WINDOW));
    let tasks = describe::waiting_tasks(evidence, key);
    let oldest = evidence.flow(key).oldest;
    let least = noise(settings.get(&FLOOR), waiting.last());
    Symptom::of_resource(evidence, key, tasks.len())
        .summary(format!(
            "The number of tasks that wait for the {} has grown from {:.0} to {:.0} in {}; the first has waited for {}.",
            describe::resource(evidence, key),
            waiting.first(),
            waiting.last(),
            words::limit(window),
            words::duration(oldest),
        ))
        .because(Fact::number("growth of the number of waiters", "tasks", waiting.growth()).from(least).over(window))
        .because(Fact::number("Mann-Kendall statistic", "deviates", waiting.certainty()).from(settings.get(&CERTAINTY)).over(window))
        .because(Fact::number("Mann-Kendall statistic of the longest wait", "deviates", series.oldest.certainty())
            .from(settings.get(&WAIT_CERTAINTY)).over(window))
        .because(Fact::time("longest current wait", oldest))
        .involving(describe::related_tasks(evidence, &tasks, Role::Waiter))
        .touching_sites(describe::sites_of(evidence, tasks))
        .cause(Some("More tasks ask for it than are served.".to_owned()))
        .advice(format!(
            "Let fewer come, or serve more: reject requests while the queue is long, put a timeout around the wait, hold the lock for less \
             time, or give the semaphore more permits if what it guards can bear it.{}",
            describe::place_hint(evidence, key),
        ))
}
