//! The sending end of a feed: bounded in events and in bytes.

use std::collections::VecDeque;
use std::future::pending;
use std::time::SystemTime;

use tokio::sync::mpsc;

use crate::feed::{Arrived, FeedEvent};

/// Encoded bytes of the updates that may wait for the reader; a single larger one waits alone.
const MAX_WAITING_BYTES: usize = 128 * 1024 * 1024;

/// Holds the feed back while its reader does not keep up. The only sender of its channel.
pub(super) struct Outbox {
    sender: mpsc::Sender<Arrived>,
    /// Sizes of what has been sent and may not have been read yet, oldest first.
    waiting: VecDeque<usize>,
}

impl Outbox {
    pub(super) fn new(sender: mpsc::Sender<Arrived>) -> Self {
        Self { sender, waiting: VecDeque::new() }
    }

    /// Hands an event to the reader, with the present as the time of its arrival; waits while too much is unread.
    pub(super) async fn send(&mut self, event: FeedEvent) {
        let arrived = Arrived { at: SystemTime::now(), event };
        let bytes = match &arrived.event {
            FeedEvent::Update(update) => update.wire_bytes,
            _ => 0,
        };
        let capacity = self.sender.max_capacity();
        let unread = capacity - self.sender.capacity();
        self.waiting.drain(..self.waiting.len().saturating_sub(unread));
        let places = capacity - self.companions(bytes).min(capacity - 1);
        match self.sender.reserve_many(places).await {
            Ok(mut permits) => {
                if let Some(permit) = permits.next() {
                    permit.send(arrived);
                    self.waiting.push_back(bytes);
                }
            }
            // Whoever runs the session ends it when the channel is closed.
            Err(_) => pending().await,
        }
    }

    /// How many of the newest unread events may stay unread beside one of so many bytes.
    fn companions(&self, bytes: usize) -> usize {
        let mut total = bytes;
        self.waiting
            .iter()
            .rev()
            .take_while(|size| {
                total = total.saturating_add(**size);
                total <= MAX_WAITING_BYTES
            })
            .count()
            .max(if total <= MAX_WAITING_BYTES { usize::MAX } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::feed::Update;

    fn update(wire_bytes: usize) -> FeedEvent {
        FeedEvent::Update(Box::new(Update { wire_bytes, ..Update::default() }))
    }

    async fn is_held_back(outbox: &mut Outbox, event: FeedEvent) -> bool {
        timeout(Duration::from_millis(20), outbox.send(event)).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_holds_the_sender_back_at_the_channels_size() {
        let (sender, mut reader) = mpsc::channel(4);
        let mut outbox = Outbox::new(sender);
        for _ in 0..4 {
            assert!(!is_held_back(&mut outbox, update(10)).await);
        }
        assert!(is_held_back(&mut outbox, update(10)).await);
        reader.recv().await.unwrap();
        assert!(!is_held_back(&mut outbox, update(10)).await);
        assert!(outbox.waiting.len() <= 5);
    }

    #[tokio::test(start_paused = true)]
    async fn large_updates_do_not_wait_in_numbers() {
        let (sender, mut reader) = mpsc::channel(64);
        let mut outbox = Outbox::new(sender);
        let large = MAX_WAITING_BYTES / 2;
        assert!(!is_held_back(&mut outbox, update(large)).await);
        assert!(!is_held_back(&mut outbox, update(large)).await);
        assert!(is_held_back(&mut outbox, update(large)).await);
        reader.recv().await.unwrap();
        assert!(!is_held_back(&mut outbox, update(large)).await);
        assert!(is_held_back(&mut outbox, update(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_update_above_the_limit_waits_alone() {
        let (sender, mut reader) = mpsc::channel(64);
        let mut outbox = Outbox::new(sender);
        assert!(!is_held_back(&mut outbox, update(1)).await);
        assert!(is_held_back(&mut outbox, update(MAX_WAITING_BYTES * 2)).await);
        reader.recv().await.unwrap();
        assert!(!is_held_back(&mut outbox, update(MAX_WAITING_BYTES * 2)).await);
        assert!(is_held_back(&mut outbox, FeedEvent::Paused(true)).await);
    }
}
