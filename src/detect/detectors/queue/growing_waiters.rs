//! A lock or semaphore for which more and more tasks wait.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::evidence::growth::{self as trend, WaiterSeries};
use crate::model::{ResourceKey, SiteKey};
use crate::words;

static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(20), "growth must last so long");
static FLOOR: Setting<f64> =
    Setting::new("floor", 10.0, "growth below this, plus five times the root of the number waiting, is noise");
static CERTAINTY: Setting<f64> =
    Setting::new("certainty", 3.0, "Mann-Kendall statistic (a normal deviate) from which on growth is no chance");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "growing-waiters",
    family: Family::Queue,
    grade: Grade::Trend,
    title: "more and more tasks wait for one lock",
    explain: include_str!("../../../../docs/detectors/growing-waiters.md"),
    settings: &[&WINDOW, &FLOOR, &CERTAINTY],
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
        Cause::involved("futurelock"),
        Cause::involved("permit-leak"),
        Cause::involved("held-across-await"),
        Cause::involved("reader-convoy"),
        Cause::involved("task-pileup"),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
    ],
    doubt: None,
    scan,
};

/// The longest wait must rise too, with this certainty: where it does not, more come and more get in.
const WAIT_RISES: f64 = 2.3;
fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, _) in model.contested().filter(|(_, lock)| lock.dropped.is_none()) {
        let window = settings.get(&WINDOW);
        let Some(series) = model.waiter_series(key, window) else { continue };
        let last = series.waiting.last().copied().unwrap_or_default();
        let grows = trend::growth(&series.waiting) >= settings.get(&FLOOR) + 5.0 * last.sqrt()
            && trend::mann_kendall(&series.waiting) >= settings.get(&CERTAINTY)
            && trend::mann_kendall(&series.oldest) >= WAIT_RISES
            && trend::still_grows(&series.waiting);
        if grows {
            found.extend(symptom(model, settings, key, &series, window));
        }
    }
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    key: ResourceKey,
    series: &WaiterSeries,
    window: Duration,
) -> Option<Symptom> {
    let (first, last) = (*series.waiting.first()?, *series.waiting.last()?);
    let oldest = Duration::try_from_secs_f64(*series.oldest.last()?).ok()?;
    let sites: BTreeSet<SiteKey> = model.waiters(key).filter_map(|(_, op)| Some(model.task(op.task?)?.site)).collect();
    let related = sites.iter().filter_map(|site| model.site(*site)).take(4);
    let certainty = trend::mann_kendall(&series.waiting);
    Some(Symptom {
        severity: Severity::Warning,
        grade: None,
        subject: describe::resource_subject(model, key, model.waiters(key).count()),
        summary: format!(
            "The number of tasks that wait for the {} has grown from {first:.0} to {last:.0} in {}, and the first of them has waited for {}: \
             more come than get in.",
            describe::resource(model, key),
            words::duration(window),
            words::duration(oldest),
        ),
        facts: vec![
            Fact::number("tasks waiting", "tasks", last),
            Fact::number("growth", "tasks/s", (last - first) / window.as_secs_f64()).from(0.0).over(window),
            Fact::time("longest present wait", oldest),
            Fact::number("Mann-Kendall statistic", "deviates", certainty).from(settings.get(&CERTAINTY))
                .over(window),
        ],
        related: related.map(|site| describe::related_site(site, Role::Waiter)).collect(),
        look_alikes: Vec::new(),
        cause: Some("What it guards is done more slowly than it is asked for.".to_owned()),
        recommendation: "Let fewer come, or more get in: turn requests away when the queue is long, put a timeout around the wait, hold the \
                         lock for less time, or give the semaphore more permits if what it guards can bear it."
            .to_owned(),
        class: vec![describe::resource_location(model, key)],
        scope: Scope {
            resources: vec![key],
            sites: sites.into_iter().collect(),
            last_progress: model.resource(key)?.grants.last().map(|grant| grant.at),
            ..Scope::default()
        },
        strength: f64::INFINITY,
        since: None,
    })
}
