//! The way of events to their reader: bounded in events and in bytes.

use std::collections::VecDeque;

use prost::Message;
use tokio::sync::mpsc;

use super::{Arrived, FeedEvent};

/// Encoded bytes that may wait for the reader; a single larger event waits alone.
const MAX_WAITING_BYTES: usize = 32 * 1024 * 1024;

/// The reader is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

/// Holds whoever sends back while the reader does not keep up. The only sender of its channel.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Arrived>,
    /// Sizes of what has been sent and may not have been read yet, oldest first.
    waiting: VecDeque<usize>,
}

impl Queue {
    /// A queue of a given capacity in events, and its reader.
    pub(super) fn new(events: usize) -> (Self, mpsc::Receiver<Arrived>) {
        let (sender, receiver) = mpsc::channel(events);
        (Self { sender, waiting: VecDeque::new() }, receiver)
    }

    /// Hands an event to the reader; waits while too much is unread.
    pub(super) async fn send(&mut self, arrived: Arrived) -> Result<(), Closed> {
        let bytes = bytes(&arrived.event);
        let capacity = self.sender.max_capacity();
        let unread = capacity - self.sender.capacity();
        self.waiting.drain(..self.waiting.len().saturating_sub(unread));
        let places = capacity - self.companions(bytes).min(capacity - 1);
        let mut permits = self.sender.reserve_many(places).await.map_err(|_| Closed)?;
        if let Some(permit) = permits.next() {
            permit.send(arrived);
            self.waiting.push_back(bytes);
        }
        Ok(())
    }

    /// Resolves when the reader is gone.
    pub(super) fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let sender = self.sender.clone();
        async move { sender.closed().await }
    }

    /// How many of the newest unread events may stay unread beside one of a given size.
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

fn bytes(event: &FeedEvent) -> usize {
    match event {
        FeedEvent::Update(update) => update.wire_bytes(),
        FeedEvent::Details(details) => details.encoded_len(),
        FeedEvent::Status(_) | FeedEvent::Paused(_) | FeedEvent::Quiet(_) | FeedEvent::Ended(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use tokio::time::timeout;

    use super::*;
    use crate::feed::Update;

    /// An update with a field that nobody knows.
    fn update(wire_bytes: usize) -> FeedEvent {
        let mut bytes = Vec::new();
        let head = 2 + prost::encoding::encoded_len_varint(wire_bytes as u64);
        prost::encoding::bytes::encode(99, &vec![0_u8; wire_bytes.saturating_sub(head)], &mut bytes);
        FeedEvent::Update(Box::new(Update::decode(bytes.into()).unwrap()))
    }

    async fn is_held_back(queue: &mut Queue, event: FeedEvent) -> bool {
        let arrived = Arrived { at: SystemTime::UNIX_EPOCH, event };
        timeout(Duration::from_millis(20), queue.send(arrived)).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_holds_the_sender_back_at_the_channels_size() {
        let (mut queue, mut reader) = Queue::new(4);
        for _ in 0..4 {
            assert!(!is_held_back(&mut queue, update(10)).await);
        }
        assert!(is_held_back(&mut queue, update(10)).await);
        reader.recv().await.unwrap();
        assert!(!is_held_back(&mut queue, update(10)).await);
        assert!(queue.waiting.len() <= 5);
    }

    #[tokio::test(start_paused = true)]
    async fn large_updates_do_not_wait_in_numbers() {
        let (mut queue, mut reader) = Queue::new(64);
        let large = MAX_WAITING_BYTES / 2;
        assert!(!is_held_back(&mut queue, update(large)).await);
        assert!(!is_held_back(&mut queue, update(large)).await);
        assert!(is_held_back(&mut queue, update(large)).await);
        reader.recv().await.unwrap();
        assert!(!is_held_back(&mut queue, update(large)).await);
        assert!(is_held_back(&mut queue, update(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_update_above_the_limit_waits_alone() {
        let (mut queue, mut reader) = Queue::new(64);
        assert!(!is_held_back(&mut queue, update(1)).await);
        assert!(is_held_back(&mut queue, update(MAX_WAITING_BYTES * 2)).await);
        reader.recv().await.unwrap();
        assert!(!is_held_back(&mut queue, update(MAX_WAITING_BYTES * 2)).await);
        assert!(is_held_back(&mut queue, FeedEvent::Paused(true)).await);
    }
}
