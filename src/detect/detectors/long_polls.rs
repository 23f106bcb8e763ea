//! Blocking in small portions: polls that end, but take long again and again.

use std::time::Duration;

use super::{Detector, Needs, Timing};
use crate::detect::finding::{Evidence, Family, Grade, Related, Role, Scope, Severity, Symptom};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::wording;
use crate::model::history::Second;
use crate::model::site::Site;
use crate::model::time::Timestamp;
use crate::model::{Model, SiteKey, TaskKey};

const MEAN: Setting =
    Setting::duration("mean", Duration::from_millis(10), "the polls of a site take this long on average");
const SINGLE: Setting =
    Setting::duration("single", Duration::from_millis(50), "or those of one task do, in three seconds out of thirty");
const POLLS: Setting = Setting::count("polls", 3, "so many polls must have ended in the window");
const WINDOW: Setting = Setting::duration("window", Duration::from_secs(15), "the polls of so long a time are judged");
const SHARE: Setting = Setting::number("share", 0.02, "they must keep this share of one core busy");

pub(super) static DETECTOR: Detector = Detector {
    id: "long-polls",
    family: Family::Blocking,
    grade: Grade::Risk,
    title: "polls take long again and again",
    explain: include_str!("../../../docs/detectors/long-polls.md"),
    settings: &[MEAN, SINGLE, POLLS, WINDOW, SHARE],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(15),
        window: Duration::from_secs(5),
    },
    needs: Needs::Counters,
    scan,
};

/// Sightings closer together than this are one piece of work, such as starting up.
const APART: Duration = Duration::from_millis(2_500);
/// So many seconds with a long poll of a single task are needed.
const SINGLE_SIGHTINGS: usize = 3;
/// So many timers and ops made in one poll are enough for their tracing to take long by itself.
const MANY_OPS: usize = 50;

/// Tasks that waited so long for a worker were hurt.
const HURT: Duration = Duration::from_millis(2);

/// What was measured of a site.
struct Measured {
    polls: u64,
    busy: Duration,
    mean: Duration,
    longest: Option<(Duration, TaskKey)>,
    window: Duration,
}

fn scan(model: &Model, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, site) in model.sites().filter(|(_, site)| site.id.kind.is_async()) {
        let window = settings.duration(&WINDOW);
        let by_site = measure(model, site, window);
        let seen = |second: &&Second| second.polls > 0 && mean(second) >= settings.duration(&MEAN);
        let site_is_slow = by_site.mean >= settings.duration(&MEAN)
            && by_site.polls >= u64::try_from(settings.count(&POLLS)).unwrap_or(u64::MAX)
            && are_apart(site.history.since(model.now().minus(window)).filter(seen), 2);
        let by_task = measure(model, site, 2 * window);
        let seen = |second: &&Second| second.longest.is_some_and(|(mean, _)| mean >= settings.duration(&SINGLE));
        let task_is_slow = are_apart(site.history.since(model.now().minus(2 * window)).filter(seen), SINGLE_SIGHTINGS);
        let measured = match (site_is_slow, task_is_slow) {
            (true, _) => by_site,
            (false, true) => by_task,
            (false, false) => continue,
        };
        if share(&measured) >= settings.number(&SHARE) {
            found.push(symptom(model, settings, key, site, &measured, site_is_slow));
        }
    }
}

fn measure(model: &Model, site: &Site, window: Duration) -> Measured {
    let from = model.now().minus(window);
    let (mut polls, mut busy, mut longest) = (0, Duration::ZERO, None);
    for second in site.history.since(from) {
        polls += second.polls;
        busy += second.busy;
        longest = longest.max(second.longest);
    }
    let mean = u32::try_from(polls).ok().and_then(|polls| busy.checked_div(polls)).unwrap_or_default();
    Measured { polls, busy, mean, longest, window }
}

fn mean(second: &Second) -> Duration {
    u32::try_from(second.polls).ok().and_then(|polls| second.busy.checked_div(polls)).unwrap_or_default()
}

fn share(measured: &Measured) -> f64 {
    measured.busy.as_secs_f64() / measured.window.as_secs_f64().max(0.001)
}

/// Whether there are so many sightings, and the first and the last lie so far apart that they are not one piece of work.
fn are_apart<'a>(seconds: impl Iterator<Item = &'a Second>, least: usize) -> bool {
    let times: Vec<Timestamp> = seconds.map(|second| second.to).collect();
    let span = times.last().zip(times.first()).map_or(Duration::ZERO, |(last, first)| last.since(*first));
    times.len() >= least && span >= APART
}

/// How long tasks of other sites waited for a worker meanwhile, and those that waited longest.
fn victims(model: &Model, culprit: SiteKey, window: Duration) -> (Option<Duration>, Vec<Related>) {
    let from = model.now().minus(window);
    let others = model.delays().since(from).filter(|delay| delay.site != culprit);
    let mut delays: Vec<(Duration, SiteKey)> = others.map(|delay| (delay.mean, delay.site)).collect();
    delays.sort_unstable();
    let p90 = delays.get(delays.len() * 9 / 10).map(|(delay, _)| *delay);
    let mut worst: Vec<SiteKey> = Vec::new();
    for (_, site) in delays.iter().rev().take_while(|(delay, _)| *delay >= HURT) {
        if worst.len() < 3 && !worst.contains(site) {
            worst.push(*site);
        }
    }
    let sites = worst.into_iter().filter_map(|site| model.site(site));
    (p90, sites.map(|site| wording::related_site(site, Role::Victim)).collect())
}

fn symptom(
    model: &Model,
    settings: Scoped<'_>,
    key: SiteKey,
    site: &Site,
    measured: &Measured,
    by_site: bool,
) -> Symptom {
    let worst = measured.longest.map(|(_, task)| task);
    let traced = worst.and_then(|task| model.task(task)).is_some_and(|task| model.made_in_last_poll(task) >= MANY_OPS);
    let (value, limit) = match measured.longest {
        Some((longest, _)) if !by_site => (longest, settings.duration(&SINGLE)),
        _ => (measured.mean, settings.duration(&MEAN)),
    };
    let what = if by_site { "on average" } else { "in one task" };
    let mut evidence = vec![
        Evidence::time("mean duration of polls", measured.mean, Some(settings.duration(&MEAN))).over(measured.window),
        Evidence::number("share of one core", "ratio", share(measured), Some(settings.number(&SHARE)))
            .over(measured.window),
    ];
    if let Some((longest, _)) = measured.longest {
        let metric = "longest mean of one task between two updates";
        evidence.push(Evidence::time(metric, longest, Some(settings.duration(&SINGLE))).over(measured.window));
    }
    if let Some(polls) = worst.and_then(|task| model.details(task)).and_then(|details| details.polls.as_ref()) {
        evidence.push(Evidence::time("99th percentile of the polls of one suspect", polls.quantile(0.99), None));
        evidence.push(Evidence::time("its longest poll", polls.longest(), None));
    }
    let (delay, related) = victims(model, key, measured.window);
    if let Some(delay) = delay {
        let metric = "90th percentile of the time that tasks of other sites waited to be polled";
        evidence.push(Evidence::time(metric, delay, None).over(measured.window));
    }
    Symptom {
        severity: if traced { Severity::Info } else { Severity::Warning },
        grade: None,
        subject: wording::site_subject(model, site, worst.as_slice(), site.live.len()),
        summary: format!(
            "Polls of {} take {} {what} (warning from {}) and occupy a worker thread for {} of the time: whatever else it has to do waits as long.",
            wording::site(site),
            wording::duration(value),
            wording::duration(limit),
            wording::percent(share(measured)),
        ),
        evidence,
        related,
        cause: traced.then(|| {
            "It makes so many timers or ops in one poll that tracing them may take most of the time.".to_owned()
        }),
        recommendation: format!(
            "Move the computation or the blocking call to tokio::task::spawn_blocking or a pool such as rayon's, or cut it into slices \
             with tokio::task::yield_now().await between them.{}",
            wording::library_hint(&site.id.location),
        ),
        class: Vec::new(),
        scope: Scope { sites: vec![key], tasks: worst.into_iter().collect(), ..Scope::default() },
        sustains_only: false,
    }
}
