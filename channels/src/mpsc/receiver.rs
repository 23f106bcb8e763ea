//! The receiving half of the bounded channel.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::sync::mpsc as plain;

use crate::mpsc::error::TryRecvError;
use crate::tap::{LastTap, Tap, Wait};

/// Receives values from the associated [`Sender`](super::Sender). See [`tokio::sync::mpsc::Receiver`].
pub struct Receiver<T> {
    inner: plain::Receiver<T>,
    tap: LastTap,
}

impl<T> Receiver<T> {
    pub(super) fn new(inner: plain::Receiver<T>, tap: Tap) -> Self {
        Self { inner, tap: LastTap(tap) }
    }

    /// Receives the next value; `None` if the channel is closed and empty. See [`tokio::sync::mpsc::Receiver::recv`].
    pub async fn recv(&mut self) -> Option<T> {
        let mut wait = Wait::default();
        // This is what tokio's method does, too.
        poll_fn(|cx| {
            let poll = self.inner.poll_recv(cx);
            self.tap.0.polled(&mut wait, poll.is_ready(), "Receiver::recv");
            self.pass(poll, "Receiver::recv")
        })
        .await
    }

    /// Receives up to `limit` values at once. See [`tokio::sync::mpsc::Receiver::recv_many`].
    pub async fn recv_many(&mut self, buffer: &mut Vec<T>, limit: usize) -> usize {
        let mut wait = Wait::default();
        poll_fn(|cx| {
            let poll = self.inner.poll_recv_many(cx, buffer, limit);
            self.tap.0.polled(&mut wait, poll.is_ready(), "Receiver::recv_many");
            self.pass_many(poll, "Receiver::recv_many")
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
        self.tap.0.received(1, || self.inner.len(), "Receiver::try_recv");
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
        self.tap.0.received(1, || self.inner.len(), "Receiver::blocking_recv");
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
        self.tap.0.received(number, || self.inner.len(), "Receiver::blocking_recv_many");
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

    /// How many values can be sent now.
    pub fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    /// How many values fit into the channel.
    pub fn max_capacity(&self) -> usize {
        self.inner.max_capacity()
    }

    /// Polls to receive the next value. See [`tokio::sync::mpsc::Receiver::poll_recv`].
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let poll = self.inner.poll_recv(cx);
        self.tap.0.polled_once(poll.is_ready(), "Receiver::poll_recv");
        self.pass(poll, "Receiver::poll_recv")
    }

    /// Polls to receive up to `limit` values at once. See [`tokio::sync::mpsc::Receiver::poll_recv_many`].
    pub fn poll_recv_many(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<T>, limit: usize) -> Poll<usize> {
        let poll = self.inner.poll_recv_many(cx, buffer, limit);
        self.tap.0.polled_once(poll.is_ready(), "Receiver::poll_recv_many");
        self.pass_many(poll, "Receiver::poll_recv_many")
    }

    /// The number of [`Sender`](super::Sender) handles.
    pub fn sender_strong_count(&self) -> usize {
        self.inner.sender_strong_count()
    }

    /// The number of [`WeakSender`](super::WeakSender) handles.
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

impl<T> Unpin for Receiver<T> {}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
