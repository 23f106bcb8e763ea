//! Callers that give up: tasks are dropped while they wait, all at about the same age, again and again.

use super::{APART, AT_ONE_AGE, BEFORE, GIVEN_UP, MANY, WINDOW};
use crate::detect::describe;
use crate::detect::settings::Scoped;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::cancellations::Impatience;
use crate::evidence::timeouts::used_to_end_early;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::time::Timestamp;
use crate::words;

/// Minimum number of tasks of the site that complete, unless they used to. Tasks of which none completes are dropped by design.
const COMPLETED: usize = 3;
/// Where more of them than this share lost a race against a task born with them, they are dropped by design.
const RACES: f64 = 0.5;

/// What is seen of callers that give up on the tasks of a site, if it is no design.
pub(super) fn seen(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    (key, site): (SiteKey, &Site),
    from: Timestamp,
) -> Option<Symptom> {
    let it = evidence.impatience(key, site, from, settings.get(&MANY), settings.get(&GIVEN_UP).0)?;
    let some_complete = it.ended - it.dropped >= COMPLETED && it.ended_before >= settings.get(&BEFORE).0;
    let used_to_complete = used_to_end_early(site, it.age);
    let timeout = it.at_that_age >= settings.get(&AT_ONE_AGE).0 && it.spread >= settings.get(&APART);
    // After some minutes in which nearly all are dropped, most ends that are known are drops.
    let strength = if some_complete || used_to_complete { f64::INFINITY } else { 0.0 };
    (timeout && it.lost_a_race < RACES).then(|| symptom(evidence, settings, (key, site), &it).strength(strength))
}

fn symptom(evidence: &Evidence<'_>, settings: Scoped<'_>, (key, site): (SiteKey, &Site), it: &Impatience) -> Symptom {
    let window = settings.get(&WINDOW).min(evidence.now().since(evidence.clock().began()));
    Symptom::of_site(evidence, key, &[], it.dropped)
        .summary(format!(
            "{} of {} {} that ended in the last {} were probably dropped at an await before they finished (warning from {}). {} of them were \
             about {} old, as a caller's timeout drops them.",
            it.dropped,
            it.ended,
            describe::tasks(site),
            words::limit(window),
            words::percent(settings.get(&GIVEN_UP).0),
            words::percent(it.at_that_age),
            words::duration(it.age),
        ))
        .because(Fact::count("tasks that look dropped", "tasks", it.dropped).from(settings.get(&MANY)).over(window))
        .because(Fact::count("tasks that ended", "tasks", it.ended).over(window))
        .because(Fact::share("share of them that look dropped", it.dropped_share()).from(settings.get(&GIVEN_UP)))
        .because(Fact::share("share of those at about the same age", it.at_that_age).from(settings.get(&AT_ONE_AGE)))
        .because(Fact::time("that age", it.age))
        .because(Fact::share("share of the others that completed earlier", it.ended_before).from(settings.get(&BEFORE)))
        .because(Fact::share("share of them that lost a race", it.lost_a_race).below(RACES))
        .cause(Some(
            "Whoever waits for them gives up first: a client that disconnects after its timeout, a timeout around the owner, a select! whose \
             other branch wins. Their work is left half done, and the client tries again."
                .to_owned(),
        ))
        .advice(
            "Find out why the work takes longer than its caller waits. Give it a shorter deadline than the caller has, and check that before each \
             step. Spawn what must be finished as a task of its own and await its JoinHandle: dropping that does not cancel the task.",
        )
}
