//! The symptom of a queue at a lock or semaphore: sentences, facts and advice.

use std::time::Duration;

use super::{CRITICAL, DETECTOR, LONG, Queue, WAITS};
use crate::detect::describe;
use crate::detect::settings::Scoped;
use crate::detect::severity::Severity;
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::demand::Suffering;
use crate::evidence::numbers::number;
use crate::model::ResourceKey;
use crate::words;

const ADVICE: &str = "Hold the lock for less time: do not await while holding it, copy out what is needed and drop the guard first. If that is not \
                      enough, split the data over several locks, or give it to one task that others send requests to.";
const ADVICE_PERMITS: &str = "Hold each permit, or the connection it stands for, for less time: do not await anything else meanwhile, such as a call \
                              over the network. If what it guards can bear more at a time, add permits; if not, reject requests while the queue is long.";

/// The symptom of a queue.
pub(super) fn symptom(evidence: &Evidence<'_>, settings: Scoped<'_>, queue: &Queue<'_>) -> Option<Symptom> {
    // What grows without end is a pile-up, which is reported a little later.
    let grows = evidence.more_wait(queue.key) && evidence.crowd_has_grown(queue.key);
    let strength = if grows { queue.strength.min(DETECTOR.timing.leave) } else { queue.strength };
    if strength < DETECTOR.timing.leave || queue.seen < settings.get(&WAITS) {
        return None;
    }
    let (key, waits, window, limits) = (queue.key, queue.waits, queue.window, &queue.limits);
    let [p50, p90, longest] = [0.5, 0.9, 1.0].map(|share| waits.quantile(share).unwrap_or_default());
    let (share, mean) = (waits.share_over(settings.get(&LONG)), waits.mean_waiters(window));
    let turnover = number(waits.granted) / window.as_secs_f64().max(1.0);
    let held = evidence.between_grants(key, evidence.now().minus(window));
    let is_critical = queue.permits.is_none() && p50 >= settings.get(&CRITICAL);
    let holders = evidence.recent_holders(key);
    let waiting = describe::waiting_tasks(evidence, key);
    let advice = match queue.permits {
        Some(_) => ADVICE_PERMITS.to_owned() + &needed(evidence, key),
        None => ADVICE.to_owned(),
    };
    let symptom = Symptom::of_resource(evidence, key, waiting.len())
        .severity(if is_critical { Severity::Critical } else { Severity::Warning })
        .unless(queue.look_alike)
        .class([evidence.resource_class(key), queue.kind.as_str().to_owned()])
        .summary(summary(evidence, settings, queue, p50))
        .because(Fact::share("share of long waits", share).from(limits.share).over(window))
        .because(Fact::time("median wait", p50).from(limits.wait).over(window))
        .because(Fact::time("90th percentile of waits", p90).over(window))
        .because(Fact::time("longest wait", longest).over(window))
        .because(Fact::number("mean number of waiters", "tasks", mean).from(limits.waiters).over(window))
        .because(Fact::count("waits that count", "waits", queue.seen).from(settings.get(&WAITS)).over(window))
        .because(Fact::number("turnover", "grants/s", turnover).over(window))
        .because(Fact::time("median time from one grant to the next", held).over(window))
        .involving(describe::related_sites(evidence, &holders, Role::Holder))
        .involving(describe::related_tasks(evidence, &waiting, Role::Waiter))
        .cause(queue.suffering.map(|it| cause(evidence, queue, it)))
        .advice(advice + &describe::place_hint(evidence, key))
        .touching_sites(holders)
        .touching_sites(describe::sites_of(evidence, waiting))
        .strength(strength);
    Some(symptom)
}

/// How many permits would do for as many tasks as come, to be put behind advice; empty where that is not known.
fn needed(evidence: &Evidence<'_>, key: ResourceKey) -> String {
    evidence.sizing(key).map_or_else(String::new, |sizing| {
        let (needed, permits) = (words::number(sizing.needed), words::count(sizing.permits, "permit"));
        format!(" For as many tasks as come now, it would need {needed} instead of {permits} (Little's law).")
    })
}

/// Why those who wait for permits suffer from it.
fn cause(evidence: &Evidence<'_>, queue: &Queue<'_>, suffering: Suffering) -> String {
    match suffering {
        Suffering::GivenUp => {
            let gave_up = words::count(queue.waits.cancelled, "wait");
            format!("{gave_up} ended without a permit in that time: those tasks failed, or try again.")
        }
        Suffering::HeldOver(other) => format!(
            "Holders keep their permit while they wait for something else: the {}.",
            describe::resource(evidence, other)
        ),
        Suffering::Requests => "Requests come faster than permits are released.".to_owned(),
    }
}

fn summary(evidence: &Evidence<'_>, settings: Scoped<'_>, queue: &Queue<'_>, p50: Duration) -> String {
    let (waits, window, long) = (queue.waits, queue.window, settings.get(&LONG));
    let capacity = evidence.resource(queue.key).and_then(|lock| lock.permits.capacity);
    let permits = capacity.filter(|_| queue.permits.is_some());
    let over = waits.waits.len() - waits.waits.partition_point(|wait| *wait < long);
    let gave_up = match waits.cancelled {
        gave_up if gave_up > 0 && queue.permits.is_some() => format!("; {gave_up} gave up"),
        _ => String::new(),
    };
    format!(
        "Tasks queue for the {}{}. In the last {}, {over} of {} waits ({}) exceeded {} (threshold {}); median {}, {:.1} waiters on \
         average{gave_up}.",
        describe::resource(evidence, queue.key),
        permits.map_or_else(String::new, |permits| format!(" with {permits} permits")),
        words::duration(window),
        waits.waits.len(),
        queue.kind.as_str(),
        words::limit(long),
        words::percent(queue.limits.share.0),
        words::duration(p50),
        waits.mean_waiters(window),
    )
}
