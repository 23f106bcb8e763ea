//! A task that joins a queue again and again, and leaves it before its turn comes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::time::Timestamp;
use crate::model::{ResourceKey, TaskKey};
use crate::words;

static TIMES: Setting<usize> = Setting::new("times", 10, "a task has given up its place so often");
static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(10), "within so long");
static SHARE: Setting<Share> = Setting::new("share", Share(0.1), "and has got in less often than this share of that");
static OTHERS: Setting<usize> = Setting::new("others", 3, "while others got in so often");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "lost-turn",
    family: Family::Cancellation,
    grade: Grade::Risk,
    title: "a task gives up its place in a queue again and again",
    explain: include_str!("../../../../docs/detectors/lost-turn.md"),
    settings: &[&TIMES, &WINDOW, &SHARE, &OTHERS],
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
    doubt: None,
    scan,
};

/// Turns that are all lost in less than this share of the window are a bad moment.
const SPREAD: f64 = 0.5;

/// Turns of one task in a queue.
#[derive(Debug, Clone, Copy, Default)]
struct Turns {
    given_up: usize,
    granted: usize,
    first: Option<Timestamp>,
    last: Timestamp,
}

impl Turns {
    fn spread(&self) -> Duration {
        self.last.since(self.first.unwrap_or(self.last))
    }
}

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (start, end) = model.judged(settings.get(&WINDOW));
    for (key, queue) in model.contested().filter(|(_, it)| it.kind.is_fair_queue() && !it.given_up.is_empty()) {
        let (turns, others) = turns(queue, start);
        for (task, turns) in turns {
            let starves = turns.given_up >= settings.get(&TIMES)
                && as_number(turns.granted) < settings.get(&SHARE).0 * as_number(turns.given_up);
            // Where nobody gets in, no turn is lost: it may be a signal that is not given yet.
            let passed_over = others - turns.granted >= settings.get(&OTHERS);
            let lasting = turns.spread() >= settings.get(&WINDOW).mul_f64(SPREAD);
            if starves && passed_over && lasting {
                found.extend(symptom(model, settings, (key, task), turns, others - turns.granted, end.since(start)));
            }
        }
    }
}

/// The turns of every task that gave up since a time, and how often anybody got in. Counts begin where the grants that are kept do.
fn turns(queue: &Resource, start: Timestamp) -> (BTreeMap<TaskKey, Turns>, usize) {
    let kept = queue.grants.newest_first().count();
    let all_kept = u64::try_from(kept).is_ok_and(|kept| kept == queue.grants.total());
    let oldest = queue.grants.newest_first().last().map(|grant| grant.at);
    let start = oldest.filter(|_| !all_kept).map_or(start, |oldest| oldest.max(start));
    let mut turns: BTreeMap<TaskKey, Turns> = BTreeMap::new();
    for given_up in queue.given_up.iter().filter(|it| it.at >= start) {
        let turns = turns.entry(given_up.task).or_default();
        turns.given_up += 1;
        turns.first.get_or_insert(given_up.at);
        turns.last = given_up.at;
    }
    let mut grants = 0;
    for grant in queue.grants.newest_first().take_while(|grant| grant.at >= start) {
        grants += 1;
        if let Some(turns) = grant.task.and_then(|task| turns.get_mut(&task)) {
            turns.granted += 1;
        }
    }
    (turns, grants)
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, starved): (ResourceKey, TaskKey),
    turns: Turns,
    others: usize,
    window: Duration,
) -> Option<Symptom> {
    let task = model.task(starved).filter(|task| task.is_alive())?;
    let site = model.site(task.site)?;
    Some(Symptom {
        severity: Severity::Warning,
        grade: None,
        subject: describe::site_subject(model, site, &[starved], 1),
        summary: format!(
            "{} has given up its place in the queue for the {} {} times in the last {} (warning from {}) and got in {} times, while others \
             got in {others} times.",
            describe::task(model, task),
            describe::resource(model, key),
            turns.given_up,
            words::duration(window),
            settings.get(&TIMES),
            turns.granted,
        ),
        facts: vec![
            Fact::count("places given up", "waits", turns.given_up).from(settings.get(&TIMES)).over(window),
            Fact::count("times it got in", "waits", turns.granted).over(window),
            Fact::count("times others got in", "waits", others).from(settings.get(&OTHERS)).over(window),
        ],
        related: vec![describe::related_resource(model, key)],
        look_alikes: Vec::new(),
        cause: Some(
            "The wait is made anew in every turn of a select! loop, or has a timeout shorter than the queue: each time it goes to the end \
             of the queue."
                .to_owned(),
        ),
        recommendation: "Make the future once, pin it, and give select! a reference to it until it is ready (and then drop it, or it keeps \
                         what it was granted). For a channel use reserve() in the same way. Make a timeout longer than the usual wait."
            .to_owned(),
        class: vec![format!("{} {}", site.id.name, site.id.location), describe::resource_location(model, key)],
        scope: Scope { resources: vec![key], sites: vec![task.site], tasks: vec![starved], ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bounded ring")]
fn as_number(count: usize) -> f64 {
    count as f64
}
