//! A probable deadlock through a channel: whoever holds a lock waits to send, and the receiver may be waiting for the lock.

use std::time::Duration;

use super::{CRITICAL_CHANNEL, HOLD_CHANNEL, TIMES_CHANNEL};
use crate::detect::describe;
use crate::detect::settings::Scoped;
use crate::detect::severity::{Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::channel_cycle::ChannelCycle;
use crate::words;

/// Cycles of a lock and a channel that have lasted too long.
pub(super) fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>) -> Vec<Symptom> {
    let last = |cycle: &ChannelCycle| {
        let past = cycle.longest_before.mul_f64(settings.get(&TIMES_CHANNEL));
        let limit = settings.get(&HOLD_CHANNEL).max(past);
        (cycle.still_for >= limit).then_some(limit)
    };
    let cycles = evidence.channel_cycles().into_iter();
    cycles.filter_map(|cycle| symptom(evidence, settings, &cycle, last(&cycle)?)).collect()
}

fn symptom(evidence: &Evidence<'_>, settings: Scoped<'_>, cycle: &ChannelCycle, limit: Duration) -> Option<Symptom> {
    let holder = evidence.task(cycle.holder)?;
    let receiver = evidence.task(*cycle.receivers.first()?)?;
    let waiting = describe::waiting_tasks(evidence, cycle.lock);
    let is_critical = cycle.still_for >= settings.get(&CRITICAL_CHANNEL).max(limit);
    let involved = [cycle.holder].into_iter().chain(cycle.receivers.iter().copied());
    let sites = describe::sites_of(evidence, involved);
    let classes = [cycle.lock, cycle.channel].map(|key| evidence.resource_class(key));
    let symptom = Symptom::of_site(evidence, holder.site, &[cycle.holder], waiting.len() + 1)
        .severity(if is_critical { Severity::Critical } else { Severity::Warning })
        .grade(Some(Grade::Risk))
        .class([evidence.site_class(holder.site)].into_iter().chain(classes))
        .summary(format!(
            "Probable deadlock through a channel for {} (warning from {}): {} holds the {} and waits to send on the full {}; {} waits for that \
             lock, and may be the channel's receiver.",
            words::duration(cycle.still_for),
            words::limit(limit),
            describe::task(evidence, holder),
            describe::resource(evidence, cycle.lock),
            describe::resource(evidence, cycle.channel),
            describe::task(evidence, receiver),
        ))
        .because(Fact::time("time without progress of both", cycle.still_for).from(limit))
        .because(Fact::count("tasks that may be the receiver", "tasks", cycle.receivers.len()).from(1))
        .because(Fact::count("tasks waiting for the lock", "tasks", waiting.len()))
        .because(Fact::time("longest earlier wait that ended with a send", cycle.longest_before))
        .involving(describe::related_tasks(evidence, &[cycle.holder], Role::Holder))
        .involving(describe::related_tasks(evidence, &cycle.receivers, Role::Waiter))
        .involving([cycle.lock, cycle.channel].map(|key| describe::related_resource(evidence, key)))
        .cause(Some("The sender keeps the lock while it waits for room, and the receiver makes no room until it gets the lock.".to_owned()))
        .advice(
            "Drop the guard before the send: take what is to be sent out of the lock in a block of its own, and send after it. If the lock has to be \
             held, use try_send and handle a full channel. Restart the service to get it running again.",
        )
        .touching([cycle.lock, cycle.channel])
        .touching_sites(sites)
        .since(Some(evidence.now().minus(cycle.still_for)));
    let mut symptom = symptom;
    symptom.scope.tasks.extend(waiting);
    Some(symptom)
}
