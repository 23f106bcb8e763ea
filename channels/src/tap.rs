//! What a channel's handles hold of its queue: nothing, and then everything here does nothing, if nobody wants to hear of it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use crate::emit::Operation;
use crate::queue::Queue;

/// So many messages pass between two looks at the depth from the receiver's side. A power of two.
const LOOK_EVERY: usize = 32;

/// A handle's way to its queue.
#[derive(Clone)]
pub(crate) struct Tap(Option<Arc<Queue>>);

impl Tap {
    pub(crate) fn new(queue: Option<Arc<Queue>>) -> Self {
        Self(queue)
    }

    pub(crate) fn queue(&self) -> Option<&Arc<Queue>> {
        self.0.as_ref()
    }

    /// Messages were put in.
    #[inline]
    pub(crate) fn sent(&self, source: &'static str) {
        if let Some(queue) = &self.0 {
            if queue.sending.add(1) {
                queue.show_done(&queue.sending, source, "send");
            }
        }
    }

    /// The only receiver took messages out; `left` tells how many are still in.
    #[inline]
    pub(crate) fn received(&self, number: usize, left: impl FnOnce() -> usize, source: &'static str) {
        let Some(queue) = &self.0 else { return };
        if number == 0 {
            return;
        }
        let count = queue.receiving.add_alone(number);
        // Between two receives a queue only grows: it is deepest right before one.
        if count % LOOK_EVERY < number {
            queue.note_depth(queue.inside(left().saturating_add(number)));
        }
        if queue.receiving.is_asked() {
            queue.show_done(&queue.receiving, source, "recv");
        }
    }

    /// A receive was polled: it is over, or waits, and may be shown as long as that lasts.
    #[inline]
    pub(crate) fn polled(&self, wait: &mut Wait, ready: bool, source: &'static str) {
        if let Some(queue) = &self.0 {
            if ready {
                if let Some(operation) = wait.0.take() {
                    operation.is_done();
                }
            } else if let Some(operation) = &wait.0 {
                operation.waits();
            } else if queue.receiving.is_asked_for_waits() {
                wait.0 = queue.show_wait(&queue.receiving, source, "recv");
            }
        }
    }

    /// A receive was polled of which nobody will say when it is given up: it is shown for a moment.
    #[inline]
    pub(crate) fn polled_once(&self, ready: bool, source: &'static str) {
        self.polled(&mut Wait::default(), ready, source);
    }

    /// Runs a wait for messages, and shows it as long as it lasts. The closure is called when there are none.
    pub(crate) async fn wait<F: Future>(&self, future: F, source: &'static str, nothing: impl Fn()) -> F::Output {
        let mut future = pin!(future);
        let mut wait = Wait::default();
        std::future::poll_fn(|cx| {
            let poll: Poll<F::Output> = future.as_mut().poll(cx);
            if poll.is_pending() {
                nothing();
            }
            self.polled(&mut wait, poll.is_ready(), source);
            poll
        })
        .await
    }
}

/// A wait in which somebody is, and how it is shown, if it is. It is over when this is dropped.
#[derive(Default)]
pub(crate) struct Wait(Option<Box<Operation>>);

/// The only receiver's way to its queue. The queue is over when it is dropped: what is in it is dropped then, and nothing can be put in.
pub(crate) struct LastTap(pub(crate) Tap);

impl Drop for LastTap {
    fn drop(&mut self) {
        if let Some(queue) = self.0.queue() {
            queue.end();
        }
    }
}
