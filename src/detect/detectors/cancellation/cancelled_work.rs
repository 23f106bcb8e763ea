//! Cancelled work: tasks are dropped at an await, again and again, before they finish.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::history::completions::{Completion, LastWait};
use crate::model::location::Location;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::tokio::TaskKind;
use crate::words;

static WINDOW: Setting<Duration> =
    Setting::new("window", Duration::from_secs(30), "the ends of so long a time are judged");
static ENDS: Setting<usize> = Setting::new("ends", 20, "so many tasks of the site must have ended in it");
static CANCELLED: Setting<usize> = Setting::new("cancelled", 5, "so many of them must have been dropped for certain");
static SHARE: Setting<Share> = Setting::new("share", Share(0.2), "and this share of them");
static MANY: Setting<usize> =
    Setting::new("many", 20, "so many make a warning, if at least half of them were dropped in groups");
static MANY_SHARE: Setting<Share> = Setting::new(
    "many-share",
    Share(0.4),
    "and this share of all ends: how the others ended is not sure, so that a few of many say little",
);
static RATE: Setting<f64> =
    Setting::new("warn-rate", 0.0, "so many a second make a warning however they were dropped; 0 for never");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "cancelled-work",
    family: Family::Cancellation,
    grade: Grade::Risk,
    title: "tasks are dropped before they finish",
    explain: include_str!("../../../../docs/detectors/cancelled-work.md"),
    settings: &[&WINDOW, &ENDS, &CANCELLED, &SHARE, &MANY, &MANY_SHARE, &RATE],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(3),
        keep_firing: Duration::from_secs(15),
        window: Duration::from_secs(15),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: true,
    explained_by: &[
        Cause::involved("deadlock"),
        Cause::involved("futurelock"),
        Cause::involved("permit-leak"),
        Cause::involved("held-across-await"),
        Cause::involved("full-channel"),
    ],
    doubt: None,
    scan,
};

/// Tasks that one owner drops die this soon after each other.
const TOGETHER: Duration = Duration::from_millis(2);
/// One that completes this soon before them has won a race, and the others were dropped because of that.
const WON_BEFORE: Duration = Duration::from_millis(30);
/// Groups that die within this time of each other are one event, such as the end of a connection or of the process.
const MOMENT: Duration = Duration::from_secs(1);
/// So many moments are a habit,
const MOMENTS: usize = 3;
/// if they are spread over this share of the window.
const SPREAD: f64 = 0.3;
/// Tasks of which fewer complete than this share of those that are dropped are made to be dropped,
const COMPLETE: f64 = 0.1;
/// unless all die at about the same age, as a timeout does it,
const SAME_AGE: f64 = 1.5;
/// and were polled less often than a task that works in a loop.
const LOOPS: u64 = 8;

/// Those that were dropped in groups none of whose members had completed.
#[derive(Debug, Clone, Copy, Default)]
struct Groups {
    members: usize,
    moments: usize,
    looks_endless: bool,
}

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let from = model.now().minus(settings.get(&WINDOW));
    let ours = |site: &Site| matches!(site.id.kind, TaskKind::Task | TaskKind::Local) && site.cancelled > 0;
    for (key, site) in model.sites().filter(|(_, site)| ours(site)) {
        let (mut ended, mut cancelled) = (0, 0);
        for second in site.history.since(from) {
            ended += second.ended as usize;
            cancelled += second.cancelled as usize;
        }
        let share = as_number(cancelled) / as_number(ended.max(1));
        if ended >= settings.get(&ENDS) && cancelled >= settings.get(&CANCELLED) && share >= settings.get(&SHARE).0 {
            found.push(symptom(model, settings, (key, site), (ended, cancelled), from));
        }
    }
}

/// The groups in which tasks of a site were dropped.
fn groups(model: &Evidence<'_>, settings: Scoped<'_>, site: &Site, from: Timestamp) -> Groups {
    // A function that spawns for others makes several sites of one place: the winner of a race may be of another one.
    let of_place =
        model.sites().filter(|(_, other)| other.id.location == site.id.location && other.id.name == site.id.name);
    let completed: Vec<Timestamp> =
        of_place.flat_map(|(_, it)| it.completions.since(from)).filter(|it| !it.cancelled).map(|it| it.at).collect();
    // The waits of tickers end with those who wanted to be reminded.
    let is_work =
        |it: &&Completion| it.cancelled && it.wait.as_ref().is_none_or(|wait| wait.kind != ResourceKind::Interval);
    let mut dropped: Vec<&Completion> = site.completions.since(from).filter(is_work).collect();
    dropped.sort_by_key(|it| it.at);
    // One that ends after the first of them may have been woken by what that gave back, and been dropped as well.
    let won = |group: &[&Completion]| {
        let first = group[0].at;
        completed.iter().any(|at| *at < first && first.since(*at) <= WON_BEFORE)
    };
    let sick: Vec<&[&Completion]> = dropped
        .chunk_by(|one, next| next.at.since(one.at) <= TOGETHER)
        .filter(|group| group.len() > 1 && !won(group))
        .collect();
    let mut moments: Vec<Timestamp> = Vec::new();
    for group in &sick {
        if moments.last().is_none_or(|last| group[0].at.since(*last) >= MOMENT) {
            moments.push(group[0].at);
        }
    }
    let spread = moments.last().zip(moments.first()).map_or(Duration::ZERO, |(last, first)| last.since(*first));
    if spread < settings.get(&WINDOW).mul_f64(SPREAD) {
        return Groups::default();
    }
    let members: Vec<&Completion> = sick.concat();
    Groups { members: members.len(), moments: moments.len(), looks_endless: looks_endless(site, &members, from) }
}

/// Whether tasks that were dropped may have been made for no other end, such as those that forward events for as long as a connection
/// lasts.
fn looks_endless(site: &Site, dropped: &[&Completion], from: Timestamp) -> bool {
    let mut ages: Vec<Duration> = dropped.iter().map(|it| it.age).collect();
    ages.sort_unstable();
    let mut polls: Vec<u64> = dropped.iter().map(|it| it.polls).collect();
    polls.sort_unstable();
    let uniform = ages.last().zip(ages.first()).is_some_and(|(oldest, youngest)| *oldest <= youngest.mul_f64(SAME_AGE));
    let loops = polls.get(polls.len() / 2).is_some_and(|polls| *polls > LOOPS);
    as_number(completed_alone(site, from)) < COMPLETE * as_number(dropped.len()) && (!uniform || loops)
}

/// How many came to an end of their own, as far as can be told. Those that were woken by the same event, and dropped together before or after
/// they were polled for it, look as if they had, too.
fn completed_alone(site: &Site, from: Timestamp) -> usize {
    let mut ends: Vec<&Completion> = site.completions.since(from).collect();
    ends.sort_by_key(|it| it.at);
    let together = ends.chunk_by(|one, next| next.at.since(one.at) <= TOGETHER);
    together.filter(|group| group.len() == 1 && group[0].ready_after_wake).count()
}

/// What most of those that were dropped waited for, and how many did.
fn usual_wait(site: &Site, from: Timestamp) -> Option<(LastWait, usize)> {
    let mut waits: BTreeMap<(ResourceKind, &Location), (usize, &LastWait)> = BTreeMap::new();
    for wait in site.completions.since(from).filter_map(|it| it.wait.as_ref()) {
        let known = waits.entry((wait.kind, &wait.location)).or_insert((0, wait));
        *known = (known.0 + 1, wait);
    }
    waits.into_values().max_by_key(|(times, _)| *times).map(|(times, wait)| (wait.clone(), times))
}

fn wait_text(model: &Evidence<'_>, wait: &LastWait) -> String {
    match model.resource(wait.resource) {
        _ if wait.kind.is_timer() && wait.location.is_unknown() => "slept".to_owned(),
        _ if wait.kind.is_timer() => format!("slept at {}", wait.location),
        Some(_) => format!("waited for the {}", describe::resource(model, wait.resource)),
        None if wait.location.is_unknown() => format!("waited for a {}", wait.kind.as_str()),
        None => format!("waited for a {} made at {}", wait.kind.as_str(), wait.location),
    }
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, site): (SiteKey, &Site),
    (ended, cancelled): (usize, usize),
    from: Timestamp,
) -> Symptom {
    let window = settings.get(&WINDOW).min(model.now().since(model.clock().began()));
    let groups = groups(model, settings, site, from);
    let rate = as_number(cancelled) / window.as_secs_f64().max(1.0);
    let told = site.completions.since(from).filter(|it| it.cancelled).count();
    let in_groups = cancelled >= settings.get(&MANY)
        && as_number(cancelled) >= settings.get(&MANY_SHARE).0 * as_number(ended)
        && groups.moments >= MOMENTS
        && 2 * groups.members >= told
        && !groups.looks_endless;
    let often = settings.get(&RATE) > 0.0 && rate >= settings.get(&RATE);
    let wait = usual_wait(site, from);
    let waited = wait.as_ref().map(|(wait, times)| format!(" {times} of the last {told} {}.", wait_text(model, wait)));
    let together = if in_groups {
        format!(
            ", {} of them together with siblings none of which had finished, at {} moments",
            groups.members, groups.moments
        )
    } else {
        String::new()
    };
    let locks = wait.iter().filter(|(wait, _)| wait.kind.is_fair_queue() && model.resource(wait.resource).is_some());
    Symptom {
        severity: if in_groups || often { Severity::Warning } else { Severity::Info },
        grade: None,
        subject: describe::site_subject(model, site, &[], cancelled),
        summary: format!(
            "{cancelled} of the {ended} tasks that ended in the last {}, of {}, were dropped at an await before they finished (reported from \
             {}){together}.{}",
            words::duration(window),
            describe::site(site),
            words::percent(settings.get(&SHARE).0),
            waited.unwrap_or_default(),
        ),
        facts: vec![
            Fact::count("tasks dropped before they finished", "tasks", cancelled).from(settings.get(&CANCELLED)).over(window),
            Fact::count("tasks that ended", "tasks", ended).from(settings.get(&ENDS)).over(window),
            Fact::share("share of them", as_number(cancelled) / as_number(ended.max(1))).from(settings.get(&SHARE).0)
                .over(window),
            Fact::count("dropped together with siblings", "tasks", groups.members).from(settings.get(&MANY)).over(window),
            Fact::count("moments of that", "moments", groups.moments).from(MOMENTS).over(window),
        ],
        related: locks.clone().map(|(wait, _)| describe::related_resource(model, wait.resource)).collect(),
        look_alikes: Vec::new(),
        cause: in_groups.then(|| {
            "Whoever owns them (a JoinSet, or a future that aborts what it spawned) is dropped or gives up while they work, again and again."
                .to_owned()
        }),
        recommendation: if in_groups {
            "Find out who gives up: a timeout that is shorter than the work, a select! whose other branch wins, a client that goes away, an \
             early return that drops a JoinSet. Await what was spawned (JoinSet::join_next) before the owner returns, or ask it to end with a \
             CancellationToken; and make sure that what it does in two steps is not left after the first."
        } else {
            "Nothing has to be done where it is meant: hedged requests, races and helpers of a request end like this. Otherwise look for \
             abort(), a JoinSet that is dropped, or a timeout around the owner; a dropped JoinHandle alone does not end its task."
        }
        .to_owned(),
        class: Vec::new(),
        scope: Scope { resources: locks.map(|(wait, _)| wait.resource).collect(), sites: vec![key], ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of one window")]
fn as_number(count: usize) -> f64 {
    count as f64
}
