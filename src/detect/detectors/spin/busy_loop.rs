//! A task that never rests: it is polled again and again and gets nowhere.

use std::time::Duration;

use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::detect::{describe, polls};
use crate::evidence::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::history::seconds::Pace;
use crate::model::tokio::TaskKind;
use crate::words;

static POLLS: Setting<f64> = Setting::new("polls", 5_000.0, "so many polls of one task a second");
static SHARE: Setting<Share> = Setting::new(
    "share",
    Share(0.4),
    "for this share of the time the task is polled or about to be, so that it never rests",
);
static MEAN: Setting<Duration> =
    Setting::new("mean", Duration::from_micros(20), "polls of this length on average get no work done");
static SLICE: Setting<Duration> = Setting::new(
    "slice",
    Duration::from_micros(50),
    "up to this length they are worth knowing, as small slices of work",
);
static CLONES: Setting<f64> =
    Setting::new("clones", polls::CLONES, "or so many registrations for a wake-up a second, in polls that fill a core");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "busy-loop",
    family: Family::Spin,
    grade: Grade::Risk,
    title: "a task is polled without end and never rests",
    explain: include_str!("../../../../docs/detectors/busy-loop.md"),
    settings: &[&POLLS, &SHARE, &MEAN, &SLICE, &CLONES],
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
    doubt: None,
    scan,
};

/// So many seconds in a row must show it;
const SECONDS: usize = 3;
/// so many where the polls are long, for a consumer that works off a burst looks the same until it has done so.
const SECONDS_OF_TURNING: usize = 10;
/// A second of which less is known says nothing.
const KNOWN: Duration = Duration::from_millis(500);
/// Another task polled at this share of the pace may be what it exchanges messages with.
const IN_STEP: f64 = 0.5;

/// How a task spins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Spin {
    /// In polls that are short, and yet long enough for a little work.
    Slices,
    /// In very short polls, woken at once after each.
    Yielding,
    /// In long polls, each of many turns around something that is always ready.
    Turning,
}

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let spinning: Vec<_> = model
        .sites()
        // One whose introduction was lost in the flood that it causes is of no known kind.
        .filter(|(_, site)| site.id.kind != TaskKind::Blocking)
        .filter_map(|(key, site)| {
            let (pace, spin) = spin(model, settings, site)?;
            Some((key, site, pace, spin))
        })
        .collect();
    for (key, site, pace, spin) in &spinning {
        let rate = |pace: &Pace| polls::per_second(pace.polls, pace.time);
        let partner = spinning.iter().any(|(other, _, its, _)| other != key && rate(its) >= IN_STEP * rate(pace));
        found.extend(symptom(model, settings, (*key, site), pace, *spin, partner));
    }
}

/// What the busiest task of a site did in the last second, if it span in each of the last ones.
fn spin(model: &Evidence<'_>, settings: Scoped<'_>, site: &Site) -> Option<(Pace, Spin)> {
    let recent = model.now().minus(2 * model.clock().interval().max(Duration::from_secs(1)));
    let last: Vec<_> = site
        .history
        .all()
        .rev()
        .filter(|second| second.fastest.is_none_or(|it| it.time >= KNOWN))
        .take(SECONDS_OF_TURNING)
        .collect();
    let (newest, pace) = (last.first()?, last.first()?.fastest?);
    if newest.to < recent {
        return None;
    }
    let of_task = last.iter().map_while(|second| second.fastest.filter(|it| it.task == pace.task));
    let spins: Vec<Spin> = of_task.map_while(|pace| kind(settings, &pace)).collect();
    let mildest = spins.iter().take(SECONDS).min().copied()?;
    let needed = if mildest == Spin::Turning { SECONDS_OF_TURNING } else { SECONDS };
    (spins.len() >= needed).then_some((pace, mildest))
}

fn kind(settings: Scoped<'_>, pace: &Pace) -> Option<Spin> {
    let mean = u32::try_from(pace.polls).ok().and_then(|polls| pace.busy.checked_div(polls))?;
    let share = |time: Duration| time.as_secs_f64() / pace.time.as_secs_f64().max(1e-9);
    let fast = polls::per_second(pace.polls, pace.time) >= settings.get(&POLLS);
    let restless = share(pace.busy + pace.scheduled) >= settings.get(&SHARE).0;
    if polls::turns(pace, settings.get(&CLONES)) {
        Some(Spin::Turning)
    } else if fast && restless && mean < settings.get(&MEAN) {
        Some(Spin::Yielding)
    } else if fast && restless && mean < settings.get(&SLICE) {
        Some(Spin::Slices)
    } else {
        None
    }
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, site): (SiteKey, &Site),
    pace: &Pace,
    spin: Spin,
    partner: bool,
) -> Option<Symptom> {
    let task = model.task(pace.task)?;
    let (polls, clones) = (polls::per_second(pace.polls, pace.time), polls::per_second(pace.clones, pace.time));
    let share = (pace.busy + pace.scheduled).as_secs_f64() / pace.time.as_secs_f64().max(1e-9);
    let mean = pace.busy.div_f64(pace.time.as_secs_f64().max(1e-9) * polls.max(1.0));
    let what = match spin {
        Spin::Turning => format!(
            "registers for a wake-up {clones:.0} times a second (warning from {}) in polls that fill a core: it turns around something \
             that is always ready",
            settings.get(&CLONES),
        ),
        Spin::Yielding | Spin::Slices => format!(
            "is polled {polls:.0} times a second (warning from {}) for {} each and never rests",
            settings.get(&POLLS),
            words::duration(mean),
        ),
    };
    let innocent = partner || spin == Spin::Slices;
    Some(Symptom {
        severity: if innocent { Severity::Info } else { Severity::Warning },
        grade: None,
        subject: describe::site_subject(model, site, &[pace.task], 1),
        summary: format!("{} {what}.", describe::task(model, task)),
        facts: vec![
            Fact::number("polls of one task", "polls/s", polls).from(settings.get(&POLLS)).over(pace.time),
            Fact::share("polled or about to be", share).from(settings.get(&SHARE).0).over(pace.time),
            Fact::time("mean duration of a poll", mean).from(settings.get(&MEAN)).over(pace.time),
            Fact::number("registrations for a wake-up", "clones/s", clones).from(settings.get(&CLONES)).over(pace.time),
        ],
        related: Vec::new(),
        look_alikes: Vec::new(),
        cause: match spin {
            _ if partner => {
                Some("Another task is polled as often: they may be passing messages to and fro.".to_owned())
            }
            Spin::Slices => Some("It may be real work cut into very small slices.".to_owned()),
            Spin::Turning => Some(
                "A closed channel in a select! loop, or a stream that has ended, is ready at once in every turn."
                    .to_owned(),
            ),
            Spin::Yielding => {
                Some("It wakes itself: yield_now or wake_by_ref in a loop that waits for something else.".to_owned())
            }
        },
        recommendation: format!(
            "Let the loop await what it waits for instead of asking again and again. In a select! loop end the loop, or disable the branch, \
             when recv() returns None; in a hand-written future keep the waker and wake it only when there is something new.{}",
            describe::library_hint(&site.id.location),
        ),
        class: Vec::new(),
        scope: Scope { sites: vec![key], tasks: vec![pace.task], ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    })
}
