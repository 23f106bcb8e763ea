//! A lock or semaphore for which more and more tasks wait.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Detector, Needs, Timing};
use crate::detect::finding::{Fact, Family, Grade, Role, Scope, Severity, Symptom};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::wording;
use crate::evidence::Evidence;
use crate::evidence::growth::{self as trend, WaiterSeries};
use crate::model::{ResourceKey, SiteKey};

const WINDOW: Setting = Setting::duration("window", Duration::from_secs(20), "growth must last so long");
const FLOOR: Setting =
    Setting::number("floor", 10.0, "growth below this, plus five times the root of the number waiting, is noise");
const CERTAINTY: Setting =
    Setting::number("certainty", 3.0, "Mann-Kendall statistic (a normal deviate) from which on growth is no chance");

pub(super) static DETECTOR: Detector = Detector {
    id: "growing-waiters",
    family: Family::Queue,
    grade: Grade::Trend,
    title: "more and more tasks wait for one lock",
    explain: include_str!("../../../docs/detectors/growing-waiters.md"),
    settings: &[WINDOW, FLOOR, CERTAINTY],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(2),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(24),
    },
    needs: Needs::Everything,
    scan,
};

/// The longest wait must rise too, with this certainty: where it does not, more come and more get in.
const WAIT_RISES: f64 = 2.3;
fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, _) in model.contested().filter(|(_, lock)| lock.dropped.is_none()) {
        let window = settings.duration(&WINDOW);
        let Some(series) = model.waiter_series(key, window) else { continue };
        let last = series.waiting.last().copied().unwrap_or_default();
        let grows = trend::growth(&series.waiting) >= settings.number(&FLOOR) + 5.0 * last.sqrt()
            && trend::mann_kendall(&series.waiting) >= settings.number(&CERTAINTY)
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
        subject: wording::resource_subject(model, key, model.waiters(key).count()),
        summary: format!(
            "The number of tasks that wait for the {} has grown from {first:.0} to {last:.0} in {}, and the first of them has waited for {}: \
             more come than get in.",
            wording::resource(model, key),
            wording::duration(window),
            wording::duration(oldest),
        ),
        evidence: vec![
            Fact::number("tasks waiting", "tasks", last, None),
            Fact::number("growth", "tasks/s", (last - first) / window.as_secs_f64(), Some(0.0)).over(window),
            Fact::time("longest present wait", oldest, None),
            Fact::number("Mann-Kendall statistic", "deviates", certainty, Some(settings.number(&CERTAINTY)))
                .over(window),
        ],
        related: related.map(|site| wording::related_site(site, Role::Waiter)).collect(),
        cause: Some("What it guards is done more slowly than it is asked for.".to_owned()),
        recommendation: "Let fewer come, or more get in: turn requests away when the queue is long, put a timeout around the wait, hold the \
                         lock for less time, or give the semaphore more permits if what it guards can bear it."
            .to_owned(),
        class: vec![wording::resource_location(model, key)],
        scope: Scope {
            resources: vec![key],
            sites: sites.into_iter().collect(),
            last_progress: model.resource(key)?.grants.last().map(|grant| grant.at),
            ..Scope::default()
        },
        sustains_only: false,
    })
}
