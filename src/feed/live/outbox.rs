//! The sending end of a live feed.

use std::future::pending;
use std::time::SystemTime;

use crate::feed::queue::Queue;
use crate::feed::{Arrived, FeedEvent};

/// Stamps what comes from a target with the time of its arrival.
pub(super) struct Outbox(Queue);

impl Outbox {
    pub(super) fn new(queue: Queue) -> Self {
        Self(queue)
    }

    /// Hands an event to the reader, with the present as the time of its arrival; waits while too much is unread.
    pub(super) async fn send(&mut self, event: FeedEvent) {
        if self.0.send(Arrived { at: SystemTime::now(), event }).await.is_err() {
            // Whoever runs the session ends it when the channel is closed.
            pending::<()>().await;
        }
    }
}
