//! Tasks that pile up: more of one spawn site begin than end, and they get older.

mod text;

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
use crate::model::{SiteKey, TaskKey};
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
    Duration::from_secs(320),
    "duration of growth that is a warning even where hardly any of the tasks has ended, if none of the old ones is polled any more",
);
static WINDOW_LOOPS: Setting<Duration> = Setting::new(
    "window-loops",
    Duration::from_secs(150),
    "duration of growth that is a warning even where hardly any of the tasks has ended, if they all sleep again and again",
);
static WINDOW_STILL: Setting<Duration> = Setting::new(
    "window-still",
    Duration::from_secs(30),
    "observation window where none of the old tasks is polled any more, which is information",
);
static STILL: Setting<f64> = Setting::new("still", 15.0, "minimum growth in that window");
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
    explain: include_str!("../../../../../docs/detectors/task-pileup.md"),
    settings: &[
        &WINDOW,
        &WINDOW_UNSEEN,
        &WINDOW_CROWD,
        &WINDOW_LOOPS,
        &WINDOW_STILL,
        &STILL,
        &FLOOR,
        &CERTAINTY,
        &AGE_CERTAINTY,
        &AGE,
    ],
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
        Cause::involved("abandoned-wait").if_as_severe(),
        Cause::at_site("lost-waker"),
        Cause::at_site("never-completes").if_as_severe(),
        Cause::at_site("timed-out-tasks").if_as_severe(),
        Cause::involved("unanswered-requests").if_as_severe(),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
    ],
    look_alikes: &[LookAlike::ConnectingCrowd],
    doubt: None,
    scan,
};

/// So many old members tell whether a crowd is still heard of.
const OLD_ONES: usize = 10;

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, site) in evidence.sites().filter(|(_, site)| site.id.kind.is_spawned()) {
        // Looked at only when it has grown at all: the rest costs.
        let alive = number(site.live.len());
        if alive < settings.get(&FLOOR) || site.median_age(evidence.now()) < settings.get(&AGE) {
            continue;
        }
        let [short, long] = [&WINDOW, &WINDOW_UNSEEN].map(|window| settings.get(window));
        let in_window = |window| pileup(evidence, settings, site, window);
        // The more tasks come and go, the longer slow growth takes to exceed the noise.
        let (short, long) = (in_window(short).or_else(|| in_window(2 * short)), in_window(long));
        let still = long.is_none().then(|| still_crowd(evidence, settings, site)).flatten();
        if short.is_none() && long.is_none() && still.is_none() {
            continue;
        }
        let (wait, share) = evidence.common_wait(site);
        let early = long.is_none() && wait == CommonWait::Unseen;
        let series = match wait {
            CommonWait::Timer => None,
            // Where they do come to an end, it may be that they have more steps than others.
            CommonWait::Loop if !evidence.nearly_all_stay(site, settings.get(&WINDOW_UNSEEN)) => None,
            CommonWait::Resource { .. } if short.is_some() => short,
            CommonWait::Unseen => long.or(still),
            CommonWait::Resource { .. } | CommonWait::Loop | CommonWait::Tick => long,
        };
        if let Some(series) = series {
            found.push(symptom(evidence, settings, (key, site), &series, (&wait, share), early));
        }
    }
}

/// How the tasks of a site developed in a window, if they piled up.
fn pileup(evidence: &Evidence<'_>, settings: Scoped<'_>, site: &Site, window: Duration) -> Option<LiveSeries> {
    let series = evidence.live_series(site, window)?;
    let grows = series.live.rises(least_growth(settings, &series), settings.get(&CERTAINTY))
        && series.ages.certainty() >= settings.get(&AGE_CERTAINTY);
    grows.then_some(series)
}

/// How the tasks of a site developed if they are a crowd that grows and whose old members are not heard of any more.
fn still_crowd(evidence: &Evidence<'_>, settings: Scoped<'_>, site: &Site) -> Option<LiveSeries> {
    let series = evidence.live_series(site, settings.get(&WINDOW_STILL))?;
    let crowd = evidence.crowd(site);
    let grows = series.live.rises(settings.get(&STILL), settings.get(&CERTAINTY));
    (grows && crowd.old >= OLD_ONES && crowd.is_still()).then_some(series)
}

/// Whether a growing site may be one of clients that connect and stay: hardly any task ends, and the old ones are heard of, or have not been
/// silent for long enough.
fn is_crowd(evidence: &Evidence<'_>, settings: Scoped<'_>, site: &Site, wait: &CommonWait, window: Duration) -> bool {
    let grown = match wait {
        CommonWait::Resource { .. } => return false,
        CommonWait::Tick | CommonWait::Loop => pileup(evidence, settings, site, settings.get(&WINDOW_LOOPS)).is_some(),
        CommonWait::Unseen | CommonWait::Timer => {
            evidence.crowd(site).is_still() && evidence.has_grown_for(site, settings.get(&WINDOW_CROWD))
        }
    };
    !grown && evidence.nearly_all_stay(site, window)
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
    early: bool,
) -> Symptom {
    let (live, window) = (&series.live, series.live.window());
    let resource = match wait {
        CommonWait::Resource { key, .. } => Some(*key),
        CommonWait::Unseen | CommonWait::Tick | CommonWait::Timer | CommonWait::Loop => None,
    };
    let age = site.median_age(evidence.now());
    let oldest: Vec<TaskKey> = site.live.iter().take(describe::MOST_IDS).map(|(_, task)| *task).collect();
    let progress = resource.and_then(|lock| evidence.resource(lock)?.grants.last()).map(|grant| grant.at);
    let stalls = *wait == CommonWait::Unseen && evidence.stalls(site);
    let stall = if stalls { text::stall(evidence, site) } else { String::new() };
    let cause = text::cause(evidence, site, (wait, share), window) + &stall;
    // A timeout that ends them may not be due yet.
    let may_stay = early || (!stalls && is_crowd(evidence, settings, site, wait, window));
    Symptom::of_site(evidence, key, &oldest, site.live.len())
        .unless(may_stay.then_some(LookAlike::ConnectingCrowd))
        .summary(format!(
            "{} pile up: from {:.0} to {:.0} alive in {} ({} more a second), median age {}. {cause}{}",
            describe::tasks(site),
            live.first(),
            live.last(),
            words::limit(window),
            words::decimal(live.rate()),
            words::duration(age),
            text::spawner(evidence, site),
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
        .advice(text::advice(evidence, wait, resource) + &describe::library_hint(&site.id.location))
        .touching(resource)
        .last_progress(progress.max(site.last_end))
        .since(site.live.iter().next().map(|(born, _)| *born))
}
