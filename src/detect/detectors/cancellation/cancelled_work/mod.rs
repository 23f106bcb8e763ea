//! Cancelled work: tasks are dropped at an await, again and again, before they finish.

mod impatience;

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::cancellations::DroppedGroups;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::numbers::{number, ratio};
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::history::completions::LastWait;
use crate::model::time::Timestamp;
use crate::words;

static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(30), "observation window");
static ENDS: Setting<usize> = Setting::new("ends", 20, "minimum number of tasks of the site that ended in the window");
static CANCELLED: Setting<usize> =
    Setting::new("cancelled", 5, "minimum number of tasks that were certainly dropped before they finished");
static SHARE: Setting<Share> = Setting::new("share", Share(0.2), "minimum share of the ended tasks that were dropped");
static MANY: Setting<usize> =
    Setting::new("many", 20, "number of dropped tasks that is a warning, where at least half were dropped in groups");
static MANY_SHARE: Setting<Share> = Setting::new(
    "many-share",
    Share(0.4),
    "share of dropped tasks that is a warning, where at least half were dropped in groups",
);
static MOMENTS: Setting<usize> =
    Setting::new("moments", 3, "minimum number of moments, at least a second apart, at which groups were dropped");
static SPREAD: Setting<Share> = Setting::new(
    "spread",
    Share(0.3),
    "minimum share of the window over which the moments are spread at which groups were dropped",
);
static RATE: Setting<f64> =
    Setting::new("warn-rate", 0.0, "dropped tasks a second that are a warning however they were dropped; 0 for never");
static GIVEN_UP: Setting<Share> = Setting::new(
    "given-up",
    Share(0.25),
    "minimum share of tasks that look as if they were dropped while they waited, where other tasks are polled at once",
);
static AT_ONE_AGE: Setting<Share> =
    Setting::new("at-one-age", Share(0.6), "minimum share of dropped tasks that were dropped at about one age");
static BEFORE: Setting<Share> =
    Setting::new("before", Share(0.7), "minimum share of the other tasks that completed before that age");
static APART: Setting<Duration> = Setting::new(
    "apart",
    Duration::from_secs(8),
    "minimum time between the first and the last task dropped at that age, so that one event does not count",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "cancelled-work",
    family: Family::Cancellation,
    grade: Grade::Risk,
    title: "tasks are dropped before they finish",
    explain: include_str!("../../../../../docs/detectors/cancelled-work.md"),
    settings: &[
        &WINDOW,
        &ENDS,
        &CANCELLED,
        &SHARE,
        &MANY,
        &MANY_SHARE,
        &MOMENTS,
        &SPREAD,
        &RATE,
        &GIVEN_UP,
        &AT_ONE_AGE,
        &BEFORE,
        &APART,
    ],
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
        Cause::at_site("unanswered-requests"),
    ],
    look_alikes: &[LookAlike::DroppedByDesign],
    doubt: None,
    scan,
};

/// What was counted of a site in the window.
struct Counted {
    ended: usize,
    cancelled: usize,
    from: Timestamp,
}

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let from = evidence.now().minus(settings.get(&WINDOW));
    for (key, site) in evidence.sites().filter(|(_, site)| site.id.kind.is_spawned() && site.ended > 0) {
        let mut counted = Counted { ended: 0, cancelled: 0, from };
        for second in site.history.since(from) {
            counted.ended += second.ended as usize;
            counted.cancelled += second.cancelled as usize;
        }
        if counted.ended < settings.get(&ENDS) {
            continue;
        }
        let impatience = impatience::seen(evidence, settings, (key, site), from);
        let begins = impatience.as_ref().is_some_and(|it| it.strength >= 1.0);
        let enough = counted.cancelled >= settings.get(&CANCELLED);
        let dropped = enough && ratio(counted.cancelled, counted.ended) >= settings.get(&SHARE).0;
        let groups = evidence.dropped_groups(key, site, from, settings.get(&MANY));
        let in_groups = are_many(settings, &groups);
        if (dropped || in_groups) && !begins {
            let symptom = symptom(evidence, settings, (key, site), &counted, (&groups, in_groups));
            found.push(symptom.keeps_severity(impatience.is_some()));
        } else {
            found.extend(impatience);
        }
    }
}

/// Whether tasks are dropped in groups so often that nobody can have meant it.
fn are_many(settings: Scoped<'_>, groups: &DroppedGroups) -> bool {
    groups.dropped >= settings.get(&MANY)
        && ratio(groups.dropped, groups.ended) >= settings.get(&MANY_SHARE).0
        && groups.moments >= settings.get(&MOMENTS)
        && 2 * groups.members >= groups.dropped
        && groups.spread >= settings.get(&WINDOW).mul_f64(settings.get(&SPREAD).0)
        && !groups.look_endless
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
    (groups, in_groups): (&DroppedGroups, bool),
) -> Symptom {
    let window = settings.get(&WINDOW).min(evidence.now().since(evidence.clock().began()));
    let reported = site.completions.since(*from).filter(|it| it.cancelled).count();
    let (share, in_all) = (ratio(*cancelled, *ended), ratio(groups.dropped, groups.ended));
    let rate = number(*cancelled) / window.as_secs_f64().max(1.0);
    let often = settings.get(&RATE) > 0.0 && rate >= settings.get(&RATE);
    let wait = evidence.usual_last_wait(site, *from);
    let waited = wait.map(|(wait, times)| format!(" {times} of the last {reported} {}.", wait_text(evidence, wait)));
    let who = format!("{} that ended in the last {}", describe::tasks(site), words::duration(window));
    let look_dropped = in_groups && groups.dropped > reported;
    let dropped = if look_dropped {
        let (look, limit) = (words::percent(in_all), words::percent(settings.get(&MANY_SHARE).0));
        format!("{look} of {ended} {who} look dropped at an await before they finished (warning from {limit})")
    } else {
        let limit = words::percent(settings.get(&SHARE).0);
        format!("{cancelled} of {ended} {who} were dropped at an await before they finished (reported from {limit})")
    };
    let together = if in_groups {
        let moments = words::count(groups.moments, "moment");
        format!(", {} of them together with siblings none of which had finished, at {moments}", groups.members)
    } else {
        String::new()
    };
    let lock = wait.map(|(wait, _)| wait).filter(|wait| wait.kind.is_fair_queue()).map(|wait| wait.resource);
    let lock = lock.filter(|lock| evidence.resource(*lock).is_some());
    Symptom::of_site(evidence, key, &[], if look_dropped { groups.dropped } else { *cancelled })
        .unless((!in_groups && !often).then_some(LookAlike::DroppedByDesign))
        .summary(format!("{dropped}{together}.{}", waited.unwrap_or_default()))
        .because(Fact::count("tasks dropped before they finished", "tasks", *cancelled).from(settings.get(&CANCELLED)).over(window))
        .because(Fact::count("tasks that ended", "tasks", *ended).from(settings.get(&ENDS)).over(window))
        .because(Fact::share("share of tasks dropped before they finished", share).from(settings.get(&SHARE)).over(window))
        .because(Fact::share("share of tasks that were dropped or look so", in_all).from(settings.get(&MANY_SHARE)).over(window))
        .because(Fact::count("dropped together with siblings", "tasks", groups.members).from(settings.get(&MANY)).over(window))
        .because(Fact::count("moments at which groups were dropped", "moments", groups.moments).from(settings.get(&MOMENTS)).over(window))
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
