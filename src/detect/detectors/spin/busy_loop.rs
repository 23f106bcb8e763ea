//! A task that never rests: it is polled again and again and gets nothing done.

use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::pace;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::history::seconds::{Pace, Second};
use crate::model::tokio::TaskKind;
use crate::words;

static POLLS: Setting<f64> = Setting::new("polls", 5_000.0, "minimum polls a second of one task");
static SHARE: Setting<Share> =
    Setting::new("share", Share(0.4), "minimum share of the time in which the task is being polled or scheduled");
static MEAN: Setting<Duration> =
    Setting::new("mean", pace::NO_WORK, "mean poll duration below which no work gets done");
static SLICE: Setting<Duration> = Setting::new(
    "slice",
    Duration::from_micros(100),
    "mean poll duration below which polls may be small slices of work",
);
static CLONES: Setting<f64> =
    Setting::new("clones", pace::CLONES, "minimum wake-up registrations a second of a task whose polls fill a core");
static SECONDS: Setting<usize> =
    Setting::new("seconds", 3, "minimum consecutive seconds for which a task with short polls spins");
static SECONDS_IN_LONG_POLLS: Setting<usize> = Setting::new(
    "seconds-in-long-polls",
    10,
    "minimum consecutive seconds for which a task spins in long polls, or siblings by turns; a consumer that drains a burst also spins for a while",
);
static ALONE: Setting<Duration> = Setting::new(
    "alone",
    Duration::from_secs(10),
    "minimum time without idleness of a task in small slices none of whose siblings was ever as fast",
);
static STEADY: Setting<Duration> = Setting::new(
    "steady",
    Duration::from_secs(20),
    "minimum time without idleness of a task in small slices whose pace stays within a tenth while the load of the process varies",
);
static IN_STEP: Setting<Share> = Setting::new(
    "in-step",
    Share(0.5),
    "minimum poll rate of another spinning task, as a share of the first one, at which they may exchange messages",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "busy-loop",
    family: Family::Spin,
    grade: Grade::Risk,
    title: "a task is polled constantly and never idle",
    explain: include_str!("../../../../docs/detectors/busy-loop.md"),
    settings: &[&POLLS, &SHARE, &MEAN, &SLICE, &CLONES, &SECONDS, &SECONDS_IN_LONG_POLLS, &ALONE, &STEADY, &IN_STEP],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(2),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(12),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: true,
    explained_by: &[],
    look_alikes: &[LookAlike::PingPong, LookAlike::SlicedWork],
    doubt: None,
    scan,
};

/// If a task makes a lower share of its wakes itself, the runtime wakes it: after a `yield_now`, or when its budget is used up.
const BY_ITSELF: f64 = 0.1;

/// How a task spins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Spin {
    /// In polls that are short, and yet long enough for a little work.
    Slices,
    /// In very short polls, by turns with its siblings.
    ByTurns,
    /// In very short polls, woken at once after each.
    Yielding,
    /// In long polls, each of many turns around something that is always ready.
    InLongPolls,
}

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    // A task whose introduction was lost in the flood that it causes is of no known kind.
    let sites = evidence.sites().filter(|(_, site)| site.id.kind != TaskKind::Blocking);
    let spinning: Vec<(SiteKey, &Site, Pace, Spin)> = sites
        .filter_map(|(key, site)| {
            let (pace, spin) = spin(evidence, settings, site)?;
            Some((key, site, pace, spin))
        })
        .collect();
    for (key, site, pace, spin) in &spinning {
        let in_step = settings.get(&IN_STEP).0 * pace.polls_per_second();
        let has_partner = spinning.iter().any(|(other, _, its, _)| other != key && its.polls_per_second() >= in_step);
        found.extend(symptom(evidence, settings, (*key, site), pace, *spin, has_partner));
    }
}

/// What the busiest task of a site did in the last second, and how it spins, if it did so in each of the last seconds. Siblings may take turns.
fn spin(evidence: &Evidence<'_>, settings: Scoped<'_>, site: &Site) -> Option<(Pace, Spin)> {
    let recent = evidence.now().minus(2 * evidence.clock().interval().max(Duration::from_secs(1)));
    let is_known = |second: &&Second| second.fastest.is_none_or(|it| it.time >= pace::KNOWN);
    let latest = site.history.all().rev().filter(is_known).take(settings.get(&SECONDS_IN_LONG_POLLS));
    let latest: Vec<&Second> = latest.collect();
    let newest = latest.first().filter(|newest| newest.to >= recent)?;
    let pace = newest.fastest?;
    let of_task = latest.iter().map_while(|second| second.fastest.filter(|it| it.task == pace.task));
    let spins: Vec<Spin> = of_task.map_while(|pace| kind(settings, &pace)).collect();
    let seconds = settings.get(&SECONDS);
    let mildest = spins.iter().take(seconds).min().copied().filter(|_| spins.len() >= seconds);
    let (clones, no_work) = (settings.get(&CLONES), settings.get(&MEAN));
    let in_long_polls = latest.iter().take_while(|second| second.spins_in_long_polls(clones, no_work));
    // A timer proves a spin sooner: nothing polls an elapsed one again for work.
    let on_timer = in_long_polls.clone().take_while(|second| second.elapsed_timer.is_some()).count() >= seconds;
    let lasts = on_timer || in_long_polls.count() >= settings.get(&SECONDS_IN_LONG_POLLS);
    // Tasks that were never introduced share a site, but need not be siblings.
    let by_turns = site.id.kind.is_async()
        && latest.len() >= settings.get(&SECONDS_IN_LONG_POLLS)
        && evidence.spin_by_turns(site, &latest, settings.get(&POLLS), no_work);
    let in_short_ones = mildest.filter(|spin| *spin != Spin::InLongPolls).max(by_turns.then_some(Spin::ByTurns));
    in_short_ones.or(lasts.then_some(Spin::InLongPolls)).map(|spin| (pace, spin))
}

fn kind(settings: Scoped<'_>, pace: &Pace) -> Option<Spin> {
    let mean = pace.mean_poll()?;
    let fast = pace.polls_per_second() >= settings.get(&POLLS);
    let restless = pace.restless_share() >= settings.get(&SHARE).0;
    if pace.spins_in_long_polls(settings.get(&CLONES)) {
        Some(Spin::InLongPolls)
    } else if fast && restless && mean < settings.get(&MEAN) {
        Some(Spin::Yielding)
    } else if fast && restless && mean < settings.get(&SLICE) {
        Some(Spin::Slices)
    } else {
        None
    }
}

/// The share of one core that the tasks of a site take together.
fn share_of_site(site: &Site) -> f64 {
    let newest = site.history.all().next_back();
    newest.map_or(0.0, |it| it.busy.as_secs_f64() / it.to.since(it.from).as_secs_f64().max(1e-9))
}

/// What to do about a loop.
const REMEDY: &str = "Let the loop await what it waits for instead of asking again and again. In a select! loop, end the loop or disable the branch \
    when recv() returns None. In a hand-written future, keep the waker and wake it only when there is something new.";
/// What to do about a timer that it polls.
const RESET: &str = "Reset the timer when it has elapsed, disable its branch in the select! loop, or end the loop.";

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, site): (SiteKey, &Site),
    pace: &Pace,
    spin: Spin,
    has_partner: bool,
) -> Option<Symptom> {
    let task = evidence.task(pace.task)?;
    let (polls, clones) = (pace.polls_per_second(), pace.clones_per_second());
    let mean = pace.mean_poll().unwrap_or_default();
    let empty = spin == Spin::Slices
        && (evidence.spins_like_no_sibling(site, pace, settings.get(&POLLS), settings.get(&ALONE))
            || evidence.is_steady_under_load(key, site, pace, settings.get(&STEADY)));
    let what = match spin {
        Spin::InLongPolls => format!(
            "spins on something that is always ready: it registers for a wake-up {} times a second (warning from {}), {}",
            words::decimal(clones),
            words::decimal(settings.get(&CLONES)),
            if pace.spins_in_long_polls(settings.get(&CLONES)) {
                "in polls that fill a core"
            } else {
                "many times in each poll"
            },
        ),
        Spin::ByTurns => format!(
            "is polled {} times a second (warning from {}) for {} each, by turns with its siblings: together they take {} of a core",
            words::decimal(polls),
            words::decimal(settings.get(&POLLS)),
            words::duration(mean),
            words::percent(share_of_site(site)),
        ),
        Spin::Yielding | Spin::Slices => format!(
            "is polled {} times a second (warning from {}) for {} each and is never idle",
            words::decimal(polls),
            words::decimal(settings.get(&POLLS)),
            words::duration(mean),
        ),
    };
    let timer = site.history.all().next_back().and_then(|second| second.elapsed_timer);
    let timer = timer.map(|timer| describe::resource(evidence, timer));
    let polls_timer = timer.as_ref().map_or_else(String::new, |timer| {
        format!(" Every turn of its loop polls the {timer}, which has already elapsed.")
    });
    let cause = match spin {
        _ if timer.is_some() => {
            Some("A timer that has elapsed is ready at once in every turn of a select! loop, until it is reset.")
        }
        Spin::InLongPolls => Some(
            "A closed channel, a stream that has ended or a timer that has elapsed is ready at once in every turn of a select! loop.",
        ),
        Spin::Yielding | Spin::ByTurns if pace.self_wake_share() < BY_ITSELF => Some(
            "Each turn calls yield_now, or awaits something that is ready at once, such as changed() of a watch receiver that is cloned in each turn.",
        ),
        Spin::Yielding | Spin::ByTurns => {
            Some("It wakes itself: yield_now or wake_by_ref in a loop that waits for something else.")
        }
        Spin::Slices if empty => Some(
            "Each turn asks for something that answers at once and has nothing: a read of 0 bytes, an accept or a receive that fails.",
        ),
        Spin::Slices => None,
    };
    let restless = Fact::share("time being polled or scheduled", pace.restless_share()).over(pace.time);
    let siblings = Fact::share("share of one core that all tasks of the site take", share_of_site(site));
    let symptom = Symptom::of_site(evidence, key, &[pace.task], 1)
        .unless(has_partner.then_some(LookAlike::PingPong))
        .unless((spin == Spin::Slices && !empty).then_some(LookAlike::SlicedWork))
        .summary(format!("{} {what}.{}", describe::task(evidence, task), polls_timer))
        .because(Fact::number("polls of one task", "polls/s", polls).from(settings.get(&POLLS)).over(pace.time))
        .because(if spin == Spin::ByTurns { restless } else { restless.from(settings.get(&SHARE)) })
        .because(Fact::time("mean duration of a poll", mean).below(settings.get(&MEAN)).over(pace.time))
        .because(
            Fact::number("registrations for a wake-up", "clones/s", clones).from(settings.get(&CLONES)).over(pace.time),
        )
        .because(siblings)
        .cause(cause.filter(|_| !has_partner).map(str::to_owned))
        .advice(format!(
            "{}{}",
            if timer.is_some() { RESET } else { REMEDY },
            describe::library_hint(&site.id.location),
        ));
    Some(symptom)
}
