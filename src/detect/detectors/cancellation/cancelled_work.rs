//! Cancelled work: tasks are dropped at an await, again and again, before they finish.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::numbers::{number, ratio};
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::history::completions::{Completion, LastWait};
use crate::model::location::Location;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::words;

static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(30), "observation window");
static ENDS: Setting<usize> = Setting::new("ends", 20, "minimum number of tasks of the site that ended in the window");
static CANCELLED: Setting<usize> =
    Setting::new("cancelled", 5, "minimum number of them that were certainly dropped before they finished");
static SHARE: Setting<Share> = Setting::new("share", Share(0.2), "minimum share of them that were dropped");
static MANY: Setting<usize> = Setting::new(
    "many",
    20,
    "number of dropped tasks that is a warning, if at least half of them were dropped in groups",
);
static MANY_SHARE: Setting<Share> =
    Setting::new("many-share", Share(0.4), "share of dropped tasks that is a warning, under the same condition");
static MOMENTS: Setting<usize> =
    Setting::new("moments", 3, "minimum number of moments, at least a second apart, at which groups were dropped");
static SPREAD: Setting<Share> =
    Setting::new("spread", Share(0.3), "minimum share of the window over which those moments are spread");
static RATE: Setting<f64> =
    Setting::new("warn-rate", 0.0, "dropped tasks a second that are a warning however they were dropped; 0 for never");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "cancelled-work",
    family: Family::Cancellation,
    grade: Grade::Risk,
    title: "tasks are dropped before they finish",
    explain: include_str!("../../../../docs/detectors/cancelled-work.md"),
    settings: &[&WINDOW, &ENDS, &CANCELLED, &SHARE, &MANY, &MANY_SHARE, &MOMENTS, &SPREAD, &RATE],
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

/// Tasks that one owner drops die this soon after each other: two stamps of one thread.
const TOGETHER: Duration = Duration::from_millis(2);
/// One that completes this soon before them has won a race, and the others were dropped because of that.
const WON_BEFORE: Duration = Duration::from_millis(30);
/// Groups that die within this time of each other are one event, such as the end of a connection or of the process.
const MOMENT: Duration = Duration::from_secs(1);
/// Tasks of which fewer complete than this share of those that are dropped are made to be dropped,
const COMPLETE: f64 = 0.1;
/// unless all die at about the same age, the oldest at most at this multiple of the youngest's, as a timeout does it,
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

/// What was counted of a site in the window.
struct Counted {
    ended: usize,
    cancelled: usize,
    from: Timestamp,
}

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let from = evidence.now().minus(settings.get(&WINDOW));
    for (key, site) in evidence.sites().filter(|(_, site)| site.id.kind.is_spawned() && site.cancelled > 0) {
        let mut counted = Counted { ended: 0, cancelled: 0, from };
        for second in site.history.since(from) {
            counted.ended += second.ended as usize;
            counted.cancelled += second.cancelled as usize;
        }
        let enough = counted.ended >= settings.get(&ENDS) && counted.cancelled >= settings.get(&CANCELLED);
        if enough && ratio(counted.cancelled, counted.ended) >= settings.get(&SHARE).0 {
            found.push(symptom(evidence, settings, (key, site), &counted));
        }
    }
}

/// The groups in which tasks of a site were dropped.
fn groups(evidence: &Evidence<'_>, settings: Scoped<'_>, site: &Site, from: Timestamp) -> Groups {
    // A function that spawns for others makes several sites of one place: the winner of a race may be of another one.
    let of_place =
        evidence.sites().filter(|(_, other)| other.id.location == site.id.location && other.id.name == site.id.name);
    let ends = of_place.flat_map(|(_, it)| it.completions.since(from));
    let completed: Vec<Timestamp> = ends.filter(|it| !it.cancelled).map(|it| it.at).collect();
    // The waits of tickers end with those who wanted to be reminded.
    let is_work =
        |it: &&Completion| it.cancelled && it.wait.as_ref().is_none_or(|wait| wait.kind != ResourceKind::Interval);
    let mut dropped: Vec<&Completion> = site.completions.since(from).filter(is_work).collect();
    dropped.sort_by_key(|it| it.at);
    // One that ends after the first of them may have been woken by what that released, and been dropped as well.
    let won = |group: &[&Completion]| {
        let first = group[0].at;
        completed.iter().any(|at| *at < first && first.since(*at) <= WON_BEFORE)
    };
    let lost: Vec<&[&Completion]> = dropped
        .chunk_by(|one, next| next.at.since(one.at) <= TOGETHER)
        .filter(|group| group.len() > 1 && !won(group))
        .collect();
    let mut moments: Vec<Timestamp> = Vec::new();
    for group in &lost {
        if moments.last().is_none_or(|last| group[0].at.since(*last) >= MOMENT) {
            moments.push(group[0].at);
        }
    }
    let spread = moments.last().zip(moments.first()).map_or(Duration::ZERO, |(last, first)| last.since(*first));
    if spread < settings.get(&WINDOW).mul_f64(settings.get(&SPREAD).0) {
        return Groups::default();
    }
    let members: Vec<&Completion> = lost.concat();
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
    number(completed_alone(site, from)) < COMPLETE * number(dropped.len()) && (!uniform || loops)
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
fn usual_wait(site: &Site, from: Timestamp) -> Option<(&LastWait, usize)> {
    let mut waits: BTreeMap<(ResourceKind, &Location), (usize, &LastWait)> = BTreeMap::new();
    for wait in site.completions.since(from).filter_map(|it| it.wait.as_ref()) {
        let known = waits.entry((wait.kind, &wait.location)).or_insert((0, wait));
        *known = (known.0 + 1, wait);
    }
    waits.into_values().max_by_key(|(times, _)| *times).map(|(times, wait)| (wait, times))
}

fn wait_text(evidence: &Evidence<'_>, wait: &LastWait) -> String {
    match evidence.resource(wait.resource) {
        _ if wait.kind.is_timer() && wait.location.is_unknown() => "slept".to_owned(),
        _ if wait.kind.is_timer() => format!("slept at {}", wait.location),
        Some(_) => format!("waited for the {}", describe::resource(evidence, wait.resource)),
        None if wait.location.is_unknown() => format!("waited for a {}", wait.kind.as_str()),
        None => format!("waited for a {} created at {}", wait.kind.as_str(), wait.location),
    }
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, site): (SiteKey, &Site),
    Counted { ended, cancelled, from }: &Counted,
) -> Symptom {
    let window = settings.get(&WINDOW).min(evidence.now().since(evidence.clock().began()));
    let groups = groups(evidence, settings, site, *from);
    let reported = site.completions.since(*from).filter(|it| it.cancelled).count();
    let share = ratio(*cancelled, *ended);
    let in_groups = *cancelled >= settings.get(&MANY)
        && share >= settings.get(&MANY_SHARE).0
        && groups.moments >= settings.get(&MOMENTS)
        && 2 * groups.members >= reported
        && !groups.looks_endless;
    let rate = number(*cancelled) / window.as_secs_f64().max(1.0);
    let often = settings.get(&RATE) > 0.0 && rate >= settings.get(&RATE);
    let wait = usual_wait(site, *from);
    let waited = wait.map(|(wait, times)| format!(" {times} of the last {reported} {}.", wait_text(evidence, wait)));
    let together = if in_groups {
        format!(
            ", {} of them together with siblings none of which had finished, at {}",
            groups.members,
            words::count(groups.moments, "moment")
        )
    } else {
        String::new()
    };
    let lock = wait.map(|(wait, _)| wait).filter(|wait| wait.kind.is_fair_queue()).map(|wait| wait.resource);
    let lock = lock.filter(|lock| evidence.resource(*lock).is_some());
    Symptom::of_site(evidence, key, &[], *cancelled)
        .unless((!in_groups && !often).then_some(LookAlike::DroppedByDesign))
        .summary(format!(
            "{cancelled} of {ended} {} that ended in the last {} were dropped at an await before they finished (reported from {}){together}.{}",
            describe::tasks(site),
            words::duration(window),
            words::percent(settings.get(&SHARE).0),
            waited.unwrap_or_default(),
        ))
        .because(Fact::count("tasks dropped before they finished", "tasks", *cancelled).from(settings.get(&CANCELLED)).over(window))
        .because(Fact::count("tasks that ended", "tasks", *ended).from(settings.get(&ENDS)).over(window))
        .because(Fact::share("share of them", share).from(settings.get(&SHARE)).over(window))
        .because(Fact::count("dropped together with siblings", "tasks", groups.members).from(settings.get(&MANY)).over(window))
        .because(Fact::count("moments of that", "moments", groups.moments).from(settings.get(&MOMENTS)).over(window))
        .involving(lock.map(|lock| describe::related_resource(evidence, lock)))
        .cause(in_groups.then(|| {
            "Whoever owns them (a JoinSet, or a future that aborts what it spawned) is dropped or gives up while they work, again and again."
                .to_owned()
        }))
        .advice(if in_groups {
            "Find out who gives up: a timeout that is shorter than the work, a select! whose other branch wins, a client that disconnects, an \
             early return that drops a JoinSet. Await what was spawned (JoinSet::join_next) before the owner returns, or ask it to end with a \
             CancellationToken; and make sure that work in two steps is not left after the first."
        } else {
            "Nothing, where it is meant. Otherwise look for abort(), a JoinSet that is dropped, or a timeout around the owner; a dropped \
             JoinHandle alone does not end its task."
        })
        .touching(lock)
}
