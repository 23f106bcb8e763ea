//! The unbounded channel.

use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::task::{Context, Poll};

use tokio::sync::mpsc as plain;

use crate::mpsc::error::{SendError, TryRecvError};
use crate::queue::{Description, Name, Queue, Source};
use crate::tap::{LastTap, Tap, Wait};

/// Sends values to the associated [`UnboundedReceiver`]. See [`tokio::sync::mpsc::UnboundedSender`].
pub struct UnboundedSender<T> {
    inner: plain::UnboundedSender<T>,
    tap: Tap,
}

/// A sender that does not prevent the channel from being closed. See [`tokio::sync::mpsc::WeakUnboundedSender`].
pub struct WeakUnboundedSender<T> {
    inner: plain::WeakUnboundedSender<T>,
    tap: Tap,
}

/// Receives values from the associated [`UnboundedSender`]. See [`tokio::sync::mpsc::UnboundedReceiver`].
pub struct UnboundedReceiver<T> {
    inner: plain::UnboundedReceiver<T>,
    tap: LastTap,
}

/// Creates an unbounded channel. See [`tokio::sync::mpsc::unbounded_channel`].
#[track_caller]
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    open(None)
}

/// Creates an unbounded channel with a name to be seen by.
#[track_caller]
pub fn unbounded_channel_named<T>(name: impl Into<Name>) -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    open(Some(name.into()))
}

#[track_caller]
fn open<T>(name: Option<Name>) -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let description = Description {
        concrete_type: "mpsc::unbounded_channel",
        kind: "channel",
        name,
        place: Location::caller(),
        message_size: Some(size_of::<T>()),
    };
    let tap = Tap::new(Queue::open(description, Source::Counted, 0));
    let (sender, receiver) = plain::unbounded_channel();
    (UnboundedSender { inner: sender, tap: tap.clone() }, UnboundedReceiver { inner: receiver, tap: LastTap(tap) })
}

impl<T> UnboundedSender<T> {
    /// Sends a value, which never waits. See [`tokio::sync::mpsc::UnboundedSender::send`].
    ///
    /// # Errors
    ///
    /// If the receiver is closed or dropped; the value is in the error.
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        self.inner.send(message)?;
        self.tap.sent("UnboundedSender::send");
        Ok(())
    }

    /// Completes when the receiver is closed or dropped.
    pub async fn closed(&self) {
        self.inner.closed().await;
    }

    /// Whether the receiver is closed or dropped.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// A sender that does not prevent the channel from being closed.
    #[must_use = "Downgrade creates a WeakSender without destroying the original non-weak sender."]
    pub fn downgrade(&self) -> WeakUnboundedSender<T> {
        WeakUnboundedSender { inner: self.inner.downgrade(), tap: self.tap.clone() }
    }

    /// The number of [`UnboundedSender`] handles.
    pub fn strong_count(&self) -> usize {
        self.inner.strong_count()
    }

    /// The number of [`WeakUnboundedSender`] handles.
    pub fn weak_count(&self) -> usize {
        self.inner.weak_count()
    }
}

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), tap: self.tap.clone() }
    }
}

impl<T> fmt::Debug for UnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T> WeakUnboundedSender<T> {
    /// A sender, if there is another one still.
    pub fn upgrade(&self) -> Option<UnboundedSender<T>> {
        Some(UnboundedSender { inner: self.inner.upgrade()?, tap: self.tap.clone() })
    }

    /// The number of [`UnboundedSender`] handles.
    pub fn strong_count(&self) -> usize {
        self.inner.strong_count()
    }

    /// The number of [`WeakUnboundedSender`] handles.
    pub fn weak_count(&self) -> usize {
        self.inner.weak_count()
    }
}

impl<T> Clone for WeakUnboundedSender<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), tap: self.tap.clone() }
    }
}

impl<T> fmt::Debug for WeakUnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T> UnboundedReceiver<T> {
    /// Receives the next value; `None` if the channel is closed and empty. See [`tokio::sync::mpsc::UnboundedReceiver::recv`].
    pub async fn recv(&mut self) -> Option<T> {
        let mut wait = Wait::default();
        // This is what tokio's method does, too.
        poll_fn(|cx| {
            let poll = self.inner.poll_recv(cx);
            self.tap.0.polled(&mut wait, poll.is_ready(), "UnboundedReceiver::recv");
            self.pass(poll, "UnboundedReceiver::recv")
        })
        .await
    }

    /// Receives up to `limit` values at once. See [`tokio::sync::mpsc::UnboundedReceiver::recv_many`].
    pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        let mut wait = Wait::default();
        poll_fn(|cx| {
            let poll = self.inner.poll_recv_many(cx, buffer, limit);
            self.tap.0.polled(&mut wait, poll.is_ready(), "UnboundedReceiver::recv_many");
            self.pass_many(poll, "UnboundedReceiver::recv_many")
        })
        .await
    }

    /// Receives the next value if there is one now.
    ///
    /// # Errors
    ///
    /// If there is none, and, as a different error, if there will be none any more.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let value = self.inner.try_recv()?;
        self.tap.0.received(1, || self.inner.len(), "UnboundedReceiver::try_recv");
        Ok(value)
    }

    /// Receives the next value from outside of asynchronous code, blocking the thread.
    ///
    /// # Panics
    ///
    /// If called within an asynchronous execution context.
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Option<T> {
        let value = self.inner.blocking_recv()?;
        self.tap.0.received(1, || self.inner.len(), "UnboundedReceiver::blocking_recv");
        Some(value)
    }

    /// Receives up to `limit` values at once from outside of asynchronous code, blocking the thread.
    ///
    /// # Panics
    ///
    /// If called within an asynchronous execution context.
    #[track_caller]
    pub fn blocking_recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        let number = self.inner.blocking_recv_many(buffer, limit);
        self.tap.0.received(number, || self.inner.len(), "UnboundedReceiver::blocking_recv_many");
        number
    }

    /// Lets nothing more be sent; what is in the channel can still be received.
    pub fn close(&mut self) {
        self.inner.close();
    }

    /// Whether the channel is closed: by [`close`](Self::close), or because all senders are gone.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Whether there are no values in the channel.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// The number of values in the channel.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Polls to receive the next value. See [`tokio::sync::mpsc::UnboundedReceiver::poll_recv`].
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let poll = self.inner.poll_recv(cx);
        self.tap.0.polled_once(poll.is_ready(), "UnboundedReceiver::poll_recv");
        self.pass(poll, "UnboundedReceiver::poll_recv")
    }

    /// Polls to receive up to `limit` values at once. See [`tokio::sync::mpsc::UnboundedReceiver::poll_recv_many`].
    pub fn poll_recv_many(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<T>, limit: usize) -> Poll<usize> {
        let poll = self.inner.poll_recv_many(cx, buffer, limit);
        self.tap.0.polled_once(poll.is_ready(), "UnboundedReceiver::poll_recv_many");
        self.pass_many(poll, "UnboundedReceiver::poll_recv_many")
    }

    /// The number of [`UnboundedSender`] handles.
    pub fn sender_strong_count(&self) -> usize {
        self.inner.sender_strong_count()
    }

    /// The number of [`WeakUnboundedSender`] handles.
    pub fn sender_weak_count(&self) -> usize {
        self.inner.sender_weak_count()
    }

    /// Counts what was received.
    #[inline]
    fn pass(&self, poll: Poll<Option<T>>, source: &'static str) -> Poll<Option<T>> {
        if matches!(poll, Poll::Ready(Some(_))) {
            self.tap.0.received(1, || self.inner.len(), source);
        }
        poll
    }

    #[inline]
    fn pass_many(&self, poll: Poll<usize>, source: &'static str) -> Poll<usize> {
        if let Poll::Ready(number) = poll {
            self.tap.0.received(number, || self.inner.len(), source);
        }
        poll
    }
}

impl<T> fmt::Debug for UnboundedReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
