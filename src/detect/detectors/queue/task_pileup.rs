//! Tasks that pile up: more of one spawn site begin than end, and they get older.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::growth::{LiveSeries, noise};
use crate::evidence::look_alike::LookAlike;
use crate::evidence::numbers::number;
use crate::evidence::population::CommonWait;
use crate::model::entity::site::Site;
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

static WINDOW: Setting<Duration> =
    Setting::new("window", Duration::from_secs(12), "observation window where the feed shows what the tasks wait for");
static WINDOW_UNSEEN: Setting<Duration> = Setting::new(
    "window-unseen",
    Duration::from_secs(50),
    "observation window where the feed does not show what the tasks wait for",
);
static WINDOW_CROWD: Setting<Duration> = Setting::new(
    "window-crowd",
    Duration::from_secs(150),
    "duration of growth that is a warning even where hardly any of the tasks has ended",
);
static FLOOR: Setting<f64> = Setting::new(
    "floor",
    10.0,
    "growth that counts as noise, plus five times the square root of the number of tasks that came and stayed or left",
);
static CERTAINTY: Setting<f64> =
    Setting::new("certainty", 3.0, "minimum Mann-Kendall statistic of the number of tasks, a normal deviate");
static AGE_CERTAINTY: Setting<f64> =
    Setting::new("age-certainty", 2.3, "minimum Mann-Kendall statistic of the tasks' median age, a normal deviate");
static AGE: Setting<Duration> = Setting::new("age", Duration::from_secs(1), "minimum median age of the tasks");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "task-pileup",
    family: Family::Queue,
    grade: Grade::Trend,
    title: "tasks of one spawn site pile up",
    explain: include_str!("../../../../docs/detectors/task-pileup.md"),
    settings: &[&WINDOW, &WINDOW_UNSEEN, &WINDOW_CROWD, &FLOOR, &CERTAINTY, &AGE_CERTAINTY, &AGE],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(15),
        window: Duration::from_secs(52),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: true,
    explained_by: &[
        Cause::involved("deadlock"),
        Cause::involved("futurelock"),
        Cause::involved("permit-leak"),
        Cause::involved("held-across-await"),
        Cause::at_site("blocking-pool-backlog"),
        Cause::involved("full-channel"),
        Cause::at_site("lost-waker"),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
    ],
    look_alikes: &[LookAlike::ConnectingCrowd],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, site) in evidence.sites().filter(|(_, site)| site.id.kind.is_spawned()) {
        // Looked at only when it has grown at all: the rest costs.
        let alive = number(site.live.len());
        if alive < settings.get(&FLOOR) || site.median_age(evidence.now()) < settings.get(&AGE) {
            continue;
        }
        let [short, long] = [&WINDOW, &WINDOW_UNSEEN].map(|window| pileup(evidence, settings, site, window));
        if short.is_none() && long.is_none() {
            continue;
        }
        let (wait, share) = evidence.common_wait(site);
        let series = match wait {
            CommonWait::Timer => None,
            // Where they do come to an end, it may be that they have more steps than others.
            CommonWait::Loop if !evidence.nearly_all_stay(site, settings.get(&WINDOW_UNSEEN)) => None,
            CommonWait::Resource { .. } if short.is_some() => short,
            CommonWait::Resource { .. } | CommonWait::Loop | CommonWait::Tick | CommonWait::Unseen => long,
        };
        if let Some(series) = series {
            found.push(symptom(evidence, settings, (key, site), &series, (&wait, share)));
        }
    }
}

/// How the tasks of a site developed in a window, if they piled up.
fn pileup(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    site: &Site,
    window: &Setting<Duration>,
) -> Option<LiveSeries> {
    let series = evidence.live_series(site, settings.get(window))?;
    let grows = series.live.rises(least_growth(settings, &series), settings.get(&CERTAINTY))
        && series.ages.certainty() >= settings.get(&AGE_CERTAINTY);
    grows.then_some(series)
}

/// Growth below this may be chance. Where tasks come and leave independently, those who came and stayed and those who were there and left are
/// two Poisson numbers, whose difference the growth is: it varies by the root of their sum. Those who stay all the time add nothing to that.
/// Where nearly all turn over, it varies by the root of the count itself.
fn least_growth(settings: Scoped<'_>, series: &LiveSeries) -> f64 {
    noise(settings.get(&FLOOR), series.exchanged.min(series.live.last()))
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, site): (SiteKey, &Site),
    series: &LiveSeries,
    (wait, share): (&CommonWait, f64),
) -> Symptom {
    let (live, window) = (&series.live, series.live.window());
    let is_crowd = !matches!(wait, CommonWait::Resource { .. })
        && evidence.nearly_all_stay(site, window)
        && pileup(evidence, settings, site, &WINDOW_CROWD).is_none();
    let resource = match wait {
        CommonWait::Resource { key, .. } => Some(*key),
        CommonWait::Unseen | CommonWait::Tick | CommonWait::Timer | CommonWait::Loop => None,
    };
    let age = site.median_age(evidence.now());
    let oldest: Vec<TaskKey> = site.live.iter().take(describe::MOST_IDS).map(|(_, task)| *task).collect();
    let progress = resource.and_then(|lock| evidence.resource(lock)?.grants.last()).map(|grant| grant.at);
    let cause = cause(evidence, wait, share);
    Symptom::of_site(evidence, key, &oldest, site.live.len())
        .unless(is_crowd.then_some(LookAlike::ConnectingCrowd))
        .summary(format!(
            "{} pile up: from {:.0} to {:.0} alive in {} ({} more a second), median age {}. {cause}",
            describe::tasks(site),
            live.first(),
            live.last(),
            words::limit(window),
            words::decimal(live.rate()),
            words::duration(age),
        ))
        .because(Fact::count("tasks alive", "tasks", site.live.len()))
        .because(Fact::number("growth", "tasks", live.growth()).from(least_growth(settings, series)).over(window))
        .because(
            Fact::number("Mann-Kendall statistic", "deviates", live.certainty())
                .from(settings.get(&CERTAINTY))
                .over(window),
        )
        .because(
            Fact::number("Mann-Kendall statistic of the median age", "deviates", series.ages.certainty())
                .from(settings.get(&AGE_CERTAINTY))
                .over(window),
        )
        .because(Fact::time("median age", age).from(settings.get(&AGE)))
        .involving(resource.map(|lock| describe::related_resource(evidence, lock)))
        .cause(Some(cause))
        .advice(advice(evidence, wait, resource) + &describe::library_hint(&site.id.location))
        .touching(resource)
        .last_progress(progress.max(site.last_end))
        .since(site.live.iter().next().map(|(born, _)| *born))
}

/// What brings the pile-up about.
fn cause(evidence: &Evidence<'_>, wait: &CommonWait, share: f64) -> String {
    let share = words::percent(share);
    match wait {
        CommonWait::Resource { key, distinct: 1, .. } => {
            format!("{share} of them wait for the {}: the tasks are its queue.", describe::resource(evidence, *key))
        }
        CommonWait::Resource { key, distinct, waiting } => {
            let (kind, place) = evidence
                .resource(*key)
                .map(|it| (describe::type_name(it), it.location.to_string()))
                .unwrap_or_default();
            let what = if 2 * distinct <= *waiting {
                format!("for one of {distinct} resources ({kind})")
            } else {
                format!("each for a {kind} of its own")
            };
            format!("{share} of them wait, {what} created at {place}.")
        }
        CommonWait::Loop => format!("{share} of them sleep again and again: heartbeats or streams that nobody has ended."),
        CommonWait::Tick => {
            format!("{share} of them wait for the next tick of an interval: heartbeats or streams that nobody has ended.")
        }
        CommonWait::Unseen | CommonWait::Timer => {
            "They wait for something that Tokio does not instrument: a socket, an unbounded channel, a Notify, a lock of another crate."
                .to_owned()
        }
    }
}

fn advice(evidence: &Evidence<'_>, wait: &CommonWait, resource: Option<ResourceKey>) -> String {
    let advice = match wait {
        CommonWait::Resource { distinct: 1, .. } => {
            "Acquire the permit or the lock before spawning, so that what arrives too fast waits where it comes from; or spawn a fixed number of \
             workers behind a bounded channel. Then look at why it is released so slowly."
        }
        CommonWait::Resource { .. } => {
            "Find out what should answer or release these, and put a timeout around the wait."
        }
        CommonWait::Tick | CommonWait::Loop => {
            "Look at what should end the loop of these tasks: a client that leaves, a shutdown signal, an owner that is dropped. Dropping a \
             JoinHandle does not end its task; a JoinSet or an abort does."
        }
        CommonWait::Unseen | CommonWait::Timer => {
            "Look at what these tasks await last and give it a timeout. Bound how many are spawned, for example with a semaphore acquired before \
             the spawn. Dropping a JoinHandle does not end its task."
        }
    };
    advice.to_owned() + &resource.map_or_else(String::new, |lock| describe::place_hint(evidence, lock))
}
