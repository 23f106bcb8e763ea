//! Everything times out: the tasks of a site no longer get what they wait for, and end when their timeout fires.

mod lines;

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::timeouts::{EXACT, Sign, TimedOut};
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::words;

static ENDS: Setting<usize> = Setting::new("ends", 20, "minimum number of tasks that ended in the last half minute");
static AGE: Setting<Duration> =
    Setting::new("age", Duration::from_secs(1), "minimum age of tasks that a timer ends, which is a warning");
static AGE_ALWAYS: Setting<Duration> = Setting::new(
    "age-always",
    Duration::from_secs(5),
    "minimum age of tasks that a timer ends, where no task of the site ever ended earlier",
);
static SHARE: Setting<Share> = Setting::new("share", Share(0.9), "minimum share of tasks that ended at one age");
static EARLY: Setting<Share> =
    Setting::new("early", Share(0.05), "maximum share of tasks that ended before half of the common age");
static TIMERS: Setting<Share> = Setting::new(
    "timers",
    Share(0.5),
    "minimum share of live tasks with a timer that fires at the common age, or that wait for an answer, a lock or a permit",
);
static LIVE: Setting<usize> = Setting::new("live", 10, "minimum number of live tasks that is reported");
static GROWTH: Setting<f64> =
    Setting::new("growth", 2.0, "minimum number of live tasks that is a warning, as a multiple of the least before");

static LINE_SHARE: Setting<Share> = Setting::new(
    "line-share",
    Share(0.4),
    "minimum share of timeouts set at one line that fire, over three quarters of a minute",
);
static LINE_ENDS: Setting<usize> =
    Setting::new("line-ends", 30, "minimum number of timeouts set at one line that fire or are dropped in that time");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "timed-out-tasks",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "tasks keep running into their timeout",
    explain: include_str!("../../../../../docs/detectors/timed-out-tasks.md"),
    settings: &[&ENDS, &AGE, &AGE_ALWAYS, &SHARE, &EARLY, &TIMERS, &LIVE, &GROWTH, &LINE_SHARE, &LINE_ENDS],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(2),
        keep_firing: Duration::from_secs(15),
        window: Duration::from_secs(35),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: true,
    explained_by: &[
        Cause::involved("deadlock"),
        Cause::involved("futurelock"),
        Cause::involved("permit-leak"),
        Cause::involved("abandoned-wait").if_as_severe(),
        Cause::involved("held-across-await"),
        Cause::involved("unanswered-requests"),
        Cause::at_site("contended-lock"),
        Cause::involved("undriven-runtime"),
    ],
    look_alikes: &[LookAlike::FixedWait],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let sites =
        evidence.sites().filter(|(_, site)| site.id.kind.is_spawned() && site.live.len() >= settings.get(&LIVE));
    for (key, site) in sites {
        let (share, least) = (settings.get(&SHARE).0, settings.get(&AGE).min(settings.get(&AGE_ALWAYS)));
        let it = evidence.timed_out(site, settings.get(&ENDS), share, least);
        let timers = settings.get(&TIMERS).0;
        let Some((it, sign)) = it.and_then(|it| it.sign(timers, share).map(|sign| (it, sign))) else { continue };
        let by_timer = sign == Sign::Timer;
        let none_else = it.early <= settings.get(&EARLY).0 && it.age >= settings.get(&AGE);
        let changed = none_else && it.used_to_end_early && grew(settings, &it);
        // A client library sent a request: even a long poll is answered before its caller times out.
        let unanswered = none_else && by_timer && it.for_reply >= timers;
        // Long polls do not wait for locks or permits: a task that does not get one in time has failed.
        let without_lock = none_else && by_timer && it.for_lock >= timers;
        // A wait that is passed on from one to the next when it times out does not rest.
        let always = by_timer && it.age >= settings.get(&AGE_ALWAYS) && it.rested >= share;
        let is_bad = (changed || unanswered || without_lock) && !site.id.location.is_library();
        if is_bad || always || none_else {
            // The change leaves the history after some minutes, while the fault lasts.
            let strength = if is_bad || always { f64::INFINITY } else { 0.0 };
            let symptom = symptom(evidence, settings, (key, site), (&it, sign), is_bad);
            found.push(symptom.strength(strength).keeps_severity(none_else));
        }
    }
    lines::scan(evidence, settings, found);
}

/// Whether there are far more tasks alive than before.
#[expect(clippy::cast_precision_loss, reason = "counts of tasks of one process")]
fn grew(settings: Scoped<'_>, it: &TimedOut) -> bool {
    it.live as f64 >= settings.get(&GROWTH) * it.least_live as f64
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, site): (SiteKey, &Site),
    (it, sign): (&TimedOut, Sign),
    is_bad: bool,
) -> Symptom {
    let before = if it.used_to_end_early { " Earlier ones ended much sooner." } else { "" };
    let end = match sign {
        Sign::Timer => ", when a timer fired".to_owned(),
        Sign::Answer => ", while waiting for an answer".to_owned(),
        Sign::Exactness => format!(" to within {}", words::percent(EXACT)),
    };
    let awaited =
        it.tasks.first().map(|task| describe::awaited(evidence, *task, "The oldest one")).filter(|_| it.wait_is_seen);
    Symptom::of_site(evidence, key, &it.tasks, it.live)
        .unless((!is_bad).then_some(LookAlike::FixedWait))
        .summary(format!(
            "In the last half minute {} {} ended, {} of them at an age of {}{end} (warning from {}).{before} {} {} alive.",
            it.ended,
            describe::tasks(site),
            words::percent(it.at_that_age),
            words::duration(it.age),
            words::percent(settings.get(&SHARE).0),
            words::count(it.live, "task"),
            words::agree(it.live, "is", "are"),
        ))
        .because(Fact::share("share of ended tasks that ended at that age", it.at_that_age).from(settings.get(&SHARE)))
        .because(Fact::share("share of ended tasks that ended early", it.early).below(settings.get(&EARLY)))
        .because(Fact::time("that age", it.age).from(settings.get(&AGE)))
        .because(Fact::share("share of live tasks with a timer that fires then", it.with_timer).from(settings.get(&TIMERS)))
        .because(Fact::share("share of ended tasks within 0.5 % of that age", it.exactly).from(settings.get(&SHARE)))
        .because(Fact::share("share of live tasks that wait for an answer", it.for_answer).from(settings.get(&TIMERS)))
        .because(Fact::share("share of live tasks that wait for a lock or a permit", it.for_lock).from(settings.get(&TIMERS)))
        .because(Fact::count("tasks alive", "tasks", it.live).from(settings.get(&LIVE)))
        .because(Fact::count("least number of tasks alive before", "tasks", it.least_live))
        .because(Fact::number("tasks spawned", "tasks/s", evidence.births_per_second(site)))
        .cause(Some(awaited.unwrap_or_else(|| {
            "What they wait for never happens: a pool whose connections their siblings hold, a peer that does not answer, a lock of another crate."
                .to_owned()
        })))
        .advice(
            "Look at what these tasks await last before their timeout. If it is a pool, find out who keeps its connections: a task that needs a \
             second one while it holds the first blocks all that do the same. Count how often the timeout fires, and fail fast while it does.",
        )
        .since(site.live.iter().next().map(|(born, _)| *born))
}
