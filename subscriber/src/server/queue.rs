//! What a client has not read yet, counted in bytes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::Stream;
use tonic::Status;

/// What gRPC adds to a message: one that is empty takes room, too.
const FRAME: usize = 5;

/// The end at which messages are put in. Whoever puts them in looks at [`Self::waiting`] first: that bounds it.
#[derive(Debug)]
pub(crate) struct Queue {
    messages: UnboundedSender<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// The end from which they are sent.
#[derive(Debug)]
pub(crate) struct Messages {
    messages: UnboundedReceiver<Bytes>,
    waiting: Arc<AtomicUsize>,
}

/// An empty queue.
pub(crate) fn queue() -> (Queue, Messages) {
    let (sender, receiver) = unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (Queue { messages: sender, waiting: Arc::clone(&waiting) }, Messages { messages: receiver, waiting })
}

impl Queue {
    /// Adds a message. Lost if the client has left, which [`Self::is_closed`] tells.
    pub(crate) fn push(&self, message: Bytes) {
        self.waiting.fetch_add(message.len() + FRAME, Ordering::Relaxed);
        let _left = self.messages.send(message);
    }

    /// How many bytes wait to be sent.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether the client has left.
    pub(crate) fn is_closed(&self) -> bool {
        self.messages.is_closed()
    }
}

impl Stream for Messages {
    type Item = Result<Bytes, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = std::task::ready!(self.messages.poll_recv(cx));
        if let Some(message) = &message {
            self.waiting.fetch_sub(message.len() + FRAME, Ordering::Relaxed);
        }
        Poll::Ready(message.map(Ok))
    }
}
