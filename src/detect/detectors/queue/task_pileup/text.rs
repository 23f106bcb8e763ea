//! What is said of a pile-up: what its tasks wait for, what it looks like, and what to do about it.

use std::time::Duration;

use crate::detect::describe;
use crate::evidence::Evidence;
use crate::evidence::crowd::Crowd;
use crate::evidence::population::CommonWait;
use crate::evidence::spawners::Spawner;
use crate::model::ResourceKey;
use crate::model::entity::site::Site;
use crate::words;

/// What tasks may wait for that is not seen.
const UNSEEN: &str = "a socket, an unbounded channel, a Notify, a rate limiter, a lock of another crate";

/// What brings the pile-up about.
pub(super) fn cause(
    evidence: &Evidence<'_>,
    site: &Site,
    (wait, share): (&CommonWait, f64),
    window: Duration,
) -> String {
    let share = words::percent(share);
    match wait {
        CommonWait::Resource { key, distinct: 1, .. } => {
            format!("{share} of them wait for the {}: the tasks are its queue.", describe::resource(evidence, *key))
        }
        CommonWait::Resource { key, distinct, waiting } => {
            let (kind, place) = evidence
                .resource(*key)
                .map(|it| (describe::type_name(it), it.location.to_string()))
                .unwrap_or_default();
            let what = if 2 * distinct <= *waiting {
                format!("for one of {distinct} resources ({kind})")
            } else {
                format!("each for a {kind} of its own")
            };
            format!("{share} of them wait, {what} created at {place}.")
        }
        CommonWait::Loop => {
            format!("{share} of them sleep again and again: heartbeats or streams that nobody has ended.")
        }
        CommonWait::Tick => {
            format!(
                "{share} of them wait for the next tick of an interval: heartbeats or streams that nobody has ended."
            )
        }
        CommonWait::Unseen | CommonWait::Timer => {
            let reading = if evidence.nearly_all_stay(site, window) {
                reading(&evidence.crowd(site))
            } else {
                turnover(evidence, site, window)
            };
            format!("They wait for something that Tokio does not instrument: {UNSEEN}.{reading}")
        }
    }
}

/// How many of the tasks come and end: they are served, though too slowly.
fn turnover(evidence: &Evidence<'_>, site: &Site, window: Duration) -> String {
    let (born, ended) = site.history.turnover(evidence.now().minus(window));
    let window = words::limit(window);
    format!(" In the last {window} {} were spawned and {} ended.", words::number(born), words::number(ended))
}

/// Which of two things a crowd looks like: one that is forgotten, or clients that stay.
fn reading(crowd: &Crowd) -> String {
    let lively = crowd.old - crowd.still;
    if crowd.is_still() {
        " None of the old ones has been polled since the first seconds of its life or has ended: it looks like a leak."
            .to_owned()
    } else if lively > 0 {
        format!(
            " Of {} old ones {lively} {} polled later in life: it looks like clients that stay.",
            crowd.old,
            words::agree(lively, "was", "were")
        )
    } else {
        String::new()
    }
}

/// A sentence that says that the tasks no longer end, to be put behind what brings the pile-up about.
pub(super) fn stall(evidence: &Evidence<'_>, site: &Site) -> String {
    let time = site.last_end.map(|end| words::duration(evidence.running_since(end))).unwrap_or_default();
    format!(" Nearly all of them used to end, but none has for {time}, and more keep coming.")
}

/// Who spawns them, to be put behind what brings the pile-up about; empty where the target does not say.
pub(super) fn spawner(evidence: &Evidence<'_>, site: &Site) -> String {
    let name = match evidence.spawner(site) {
        Some(Spawner::Task(key)) => evidence.task(key).map(|task| describe::task(evidence, task)),
        Some(Spawner::Site(key)) => evidence.site(key).map(describe::tasks),
        None => None,
    };
    name.map_or_else(String::new, |name| format!(" {name} spawned them."))
}

pub(super) fn advice(evidence: &Evidence<'_>, wait: &CommonWait, resource: Option<ResourceKey>) -> String {
    let advice = match wait {
        CommonWait::Resource { distinct: 1, .. } => {
            "Acquire the permit or the lock before spawning, so that what arrives too fast waits where it comes from; or spawn a fixed number of \
             workers behind a bounded channel. Then look at why it is released so slowly."
        }
        CommonWait::Resource { .. } => {
            "Find out what should answer or release these, and put a timeout around the wait."
        }
        CommonWait::Tick | CommonWait::Loop => {
            "Look at what should end the loop of these tasks: a client that leaves, a shutdown signal, an owner that is dropped. Dropping a \
             JoinHandle does not end its task; a JoinSet or an abort does."
        }
        CommonWait::Unseen | CommonWait::Timer => {
            "Look at what these tasks await last: if it may never answer, give it a timeout; if it answers too slowly, it is the bottleneck. Bound \
             how many are spawned, for example with a semaphore acquired before the spawn. Dropping a JoinHandle does not end its task."
        }
    };
    advice.to_owned() + &resource.map_or_else(String::new, |lock| describe::place_hint(evidence, lock))
}
