//! Recorded events in less time: entered later, or with fewer updates.

use console_api::RegisterMetadata;
use console_api::instrument::Update;

use super::filter::event;
use crate::diagnosis::{Arrived, Status};
use crate::feed::FeedEvent;
use crate::feed::recording::Mirror;

/// The events from one of them on, after the state that a client gets that attaches there.
pub(super) fn entered_at(events: &[Arrived], from: usize) -> Vec<Arrived> {
    let (before, after) = events.split_at(from.min(events.len()));
    let (mut mirror, mut last, mut paused) = (Mirror::default(), None, None);
    for arrived in before {
        match &arrived.event {
            FeedEvent::Update(update) => {
                mirror.apply(&update.message);
                last = Some(arrived.at);
            }
            FeedEvent::Status(Status::Live) => mirror.reconnect(),
            FeedEvent::Paused(_) => paused = Some(arrived.clone()),
            _ => {}
        }
    }
    mirror.expire();
    let state = last.map(|at| Arrived { at, event: FeedEvent::Update(Box::new(mirror.render().into())) });
    state.into_iter().chain(paused).chain(after.iter().cloned()).collect()
}

/// The events with only every so many updates, each of which says what those before it did.
pub(super) fn thinned(events: &[Arrived], every: usize) -> Vec<Arrived> {
    let mut thinned = Vec::new();
    let (mut open, mut count): (Option<(Arrived, Update)>, usize) = (None, 0);
    let close = |open: &mut Option<(Arrived, Update)>, thinned: &mut Vec<Arrived>| {
        thinned.extend(open.take().map(|(last, message)| Arrived { at: last.at, event: event(message) }));
    };
    for arrived in events {
        let FeedEvent::Update(update) = &arrived.event else {
            // Nothing is moved to before or after something else.
            close(&mut open, &mut thinned);
            thinned.push(arrived.clone());
            continue;
        };
        let message = match open.take() {
            Some((_, before)) => merged(before, &update.message.decoded()),
            None => update.message.decoded(),
        };
        open = Some((arrived.clone(), message));
        count += 1;
        if count.is_multiple_of(every) {
            close(&mut open, &mut thinned);
        }
    }
    close(&mut open, &mut thinned);
    thinned
}

/// Two updates as one.
fn merged(before: Update, after: &Update) -> Update {
    let Update { task_update, resource_update, async_op_update, new_metadata, .. } = before;
    let mut update = Update { now: after.now, task_update, resource_update, async_op_update, new_metadata };
    if let Some(part) = &after.task_update {
        let sum = update.task_update.get_or_insert_default();
        sum.new_tasks.extend(part.new_tasks.iter().cloned());
        sum.stats_update.extend(part.stats_update.iter().map(|(id, stats)| (*id, *stats)));
        sum.dropped_events = sum.dropped_events.saturating_add(part.dropped_events);
    }
    if let Some(part) = &after.resource_update {
        let sum = update.resource_update.get_or_insert_default();
        sum.new_resources.extend(part.new_resources.iter().cloned());
        sum.stats_update.extend(part.stats_update.iter().map(|(id, stats)| (*id, stats.clone())));
        sum.new_poll_ops.extend(part.new_poll_ops.iter().cloned());
        sum.dropped_events = sum.dropped_events.saturating_add(part.dropped_events);
    }
    if let Some(part) = &after.async_op_update {
        let sum = update.async_op_update.get_or_insert_default();
        sum.new_async_ops.extend(part.new_async_ops.iter().cloned());
        sum.stats_update.extend(part.stats_update.iter().map(|(id, stats)| (*id, stats.clone())));
        sum.dropped_events = sum.dropped_events.saturating_add(part.dropped_events);
    }
    if let Some(RegisterMetadata { metadata }) = &after.new_metadata {
        update.new_metadata.get_or_insert_default().metadata.extend(metadata.iter().cloned());
    }
    update
}
