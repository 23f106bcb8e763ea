//! A task that joins a queue again and again, and leaves it before its turn comes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::numbers::number;
use crate::model::entity::resource::Resource;
use crate::model::time::Timestamp;
use crate::model::{ResourceKey, TaskKey};
use crate::words;

static TIMES: Setting<usize> =
    Setting::new("times", 10, "minimum number of places in the queue that a task gave up in the window");
static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(10), "observation window");
static SHARE: Setting<Share> = Setting::new(
    "share",
    Share(0.1),
    "grants to a task, as a share of the places that the task gave up, below which the task starves",
);
static OTHERS: Setting<usize> =
    Setting::new("others", 3, "minimum number of the waits given up during which another task acquired the resource");
static SPREAD: Setting<Share> =
    Setting::new("spread", Share(0.5), "minimum share of the window over which the places were given up");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "lost-turn",
    family: Family::Cancellation,
    grade: Grade::Risk,
    title: "a task repeatedly gives up its place in a queue",
    explain: include_str!("../../../../docs/detectors/lost-turn.md"),
    settings: &[&TIMES, &WINDOW, &SHARE, &OTHERS, &SPREAD],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(2),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(10),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: true,
    explained_by: &[
        Cause::involved("deadlock"),
        Cause::involved("futurelock"),
        Cause::involved("permit-leak"),
        Cause::involved("held-across-await"),
        Cause::involved("abandoned-wait"),
        Cause::involved("reader-convoy"),
    ],
    look_alikes: &[],
    doubt: None,
    scan,
};

/// Turns of one task in a queue.
#[derive(Debug, Clone, Copy, Default)]
struct Turns {
    given_up: usize,
    granted: usize,
    /// Places given up since the one before which another task has acquired it.
    overtaken: usize,
    first: Option<Timestamp>,
    last: Timestamp,
}

impl Turns {
    fn spread(&self) -> Duration {
        self.last.since(self.first.unwrap_or(self.last))
    }
}

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (start, end) = evidence.judged(settings.get(&WINDOW));
    let spread = settings.get(&WINDOW).mul_f64(settings.get(&SPREAD).0);
    for (key, queue) in evidence.contested().filter(|(_, it)| it.kind.is_fair_queue() && !it.given_up.is_empty()) {
        for (task, turns) in turns(queue, start) {
            let starves = turns.given_up >= settings.get(&TIMES)
                && number(turns.granted) < settings.get(&SHARE).0 * number(turns.given_up);
            // Where no task acquires it, no turn is lost: it may be a signal that is not given yet. Where all is released at once, and seldom,
            // it is chance who waits just then.
            if starves && turns.overtaken >= settings.get(&OTHERS) && turns.spread() >= spread {
                found.extend(symptom(evidence, settings, (key, task), turns, end.since(start)));
            }
        }
    }
}

/// The turns of every task that gave up since a time. Counts begin where the grants that are kept do.
fn turns(queue: &Resource, start: Timestamp) -> BTreeMap<TaskKey, Turns> {
    let kept = queue.grants.newest_first().count();
    let all_kept = u64::try_from(kept).is_ok_and(|kept| kept == queue.grants.total());
    let oldest = queue.grants.newest_first().last().map(|grant| grant.at);
    let start = oldest.filter(|_| !all_kept).map_or(start, |oldest| oldest.max(start));
    let mut grants: Vec<(Timestamp, Option<TaskKey>)> =
        queue.grants.newest_first().take_while(|grant| grant.at >= start).map(|grant| (grant.at, grant.task)).collect();
    grants.sort_unstable_by_key(|(at, _)| *at);
    let mut turns: BTreeMap<TaskKey, Turns> = BTreeMap::new();
    for given_up in queue.given_up.iter().filter(|it| it.at >= start) {
        let turns = turns.entry(given_up.task).or_default();
        let before = turns.first.map_or(given_up.since, |_| turns.last);
        let from = grants.partition_point(|(at, _)| *at <= before);
        let mut meanwhile = grants[from..].iter().take_while(|(at, _)| *at <= given_up.at);
        turns.overtaken += usize::from(meanwhile.any(|(_, task)| *task != Some(given_up.task)));
        turns.given_up += 1;
        turns.first.get_or_insert(given_up.at);
        turns.last = given_up.at;
    }
    for task in grants.iter().filter_map(|(_, task)| *task) {
        turns.entry(task).and_modify(|turns| turns.granted += 1);
    }
    turns
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, starved): (ResourceKey, TaskKey),
    turns: Turns,
    window: Duration,
) -> Option<Symptom> {
    let task = evidence.task(starved).filter(|task| task.is_alive())?;
    let times = settings.get(&TIMES);
    let symptom = Symptom::of_site(evidence, task.site, &[starved], 1)
        .class([evidence.site_class(task.site), evidence.resource_class(key)])
        .summary(format!(
            "{} gave up its place in the queue for the {} {} times in the last {} (warning from {times}) and acquired it {}; during {} of \
             these waits another task acquired it.",
            describe::task(evidence, task),
            describe::resource(evidence, key),
            turns.given_up,
            words::duration(window),
            words::count(turns.granted, "time"),
            turns.overtaken,
        ))
        .because(Fact::count("places given up", "waits", turns.given_up).from(times).over(window))
        .because(Fact::count("grants to the task", "grants", turns.granted).over(window))
        .because(
            Fact::count("places given up while others acquired it", "waits", turns.overtaken)
                .from(settings.get(&OTHERS))
                .over(window),
        )
        .involving([describe::related_resource(evidence, key)])
        .cause(Some(
            "The wait is made anew in every turn of a select! loop, or has a timeout shorter than the queue: each time it goes to the end of \
             the queue."
                .to_owned(),
        ))
        .advice(format!(
            "Make the future once, pin it, and give select! a reference to it until it is ready (then drop it, or it keeps what it was granted). \
             For a channel use reserve() in the same way. Make a timeout longer than the usual wait.{}",
            describe::place_hint(evidence, key),
        ))
        .touching([key]);
    Some(symptom)
}
