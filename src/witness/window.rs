//! Recorded events in less time: entered later, or with fewer updates.

use crate::diagnosis::{Arrived, Status};
use crate::feed::FeedEvent;
use crate::feed::recording::Mirror;
use crate::wire::Message;

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
    let (mut open, mut count): (Option<(Arrived, Message)>, usize) = (None, 0);
    let close = |open: &mut Option<(Arrived, Message)>, thinned: &mut Vec<Arrived>| {
        let event = |message: Message| FeedEvent::Update(Box::new(message.into()));
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
            Some((_, before)) => before.followed_by(&update.message),
            None => update.message.clone(),
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
