//! The bounded channel.

use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::task::{Context, Poll};

use tokio::sync::mpsc as plain;

use crate::mpsc::error::{SendError, TryRecvError, TrySendError};
use crate::mpsc::{OwnedPermit, Permit, PermitIterator};
use crate::queue::{Description, Name, Queue, Source};
use crate::tap::{LastTap, Tap, Wait};

/// Sends values to the associated [`Receiver`]. See [`tokio::sync::mpsc::Sender`].
pub struct Sender<T> {
    pub(super) inner: plain::Sender<T>,
    pub(super) tap: Tap,
}

/// A sender that does not prevent the channel from being closed. See [`tokio::sync::mpsc::WeakSender`].
pub struct WeakSender<T> {
    inner: plain::WeakSender<T>,
    tap: Tap,
}

/// Receives values from the associated [`Sender`]. See [`tokio::sync::mpsc::Receiver`].
pub struct Receiver<T> {
    inner: plain::Receiver<T>,
    tap: LastTap,
}

/// Creates a bounded channel. See [`tokio::sync::mpsc::channel`].
///
/// # Panics
///
/// If `buffer` is 0 or more than a semaphore has permits.
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    open(buffer, None)
}

/// Creates a bounded channel with a name to be seen by.
///
/// # Panics
///
/// If `buffer` is 0 or more than a semaphore has permits.
#[track_caller]
pub fn channel_named<T>(name: impl Into<Name>, buffer: usize) -> (Sender<T>, Receiver<T>) {
    open(buffer, Some(name.into()))
}

#[track_caller]
fn open<T>(buffer: usize, name: Option<Name>) -> (Sender<T>, Receiver<T>) {
    let description = Description {
        concrete_type: "mpsc::channel",
        kind: "channel",
        name,
        place: Location::caller(),
        message_size: Some(size_of::<T>()),
    };
    let queue = Queue::open(description, Source::Counted, buffer);
    // The semaphore in the channel becomes a child of the resource that is entered. No closure: it would be the place of a panic.
    let span = queue.as_ref().and_then(|queue| queue.span());
    let entered = span.as_ref().map(tracing::Span::enter);
    let (sender, receiver) = plain::channel(buffer);
    drop(entered);
    let tap = Tap::new(queue);
    (Sender { inner: sender, tap: tap.clone() }, Receiver { inner: receiver, tap: LastTap(tap) })
}

impl<T> Sender<T> {
    /// Sends a value, waiting until there is capacity. See [`tokio::sync::mpsc::Sender::send`].
    ///
    /// # Errors
    ///
    /// If the receiver is closed or dropped; the value is in the error.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        // This is what tokio's method does, too. To wrap that one would put a future around a future.
        match self.inner.reserve().await {
            Ok(permit) => {
                permit.send(value);
                self.tap.sent("Sender::send");
                Ok(())
            }
            Err(_) => Err(SendError(value)),
        }
    }

    /// Completes when the receiver is closed or dropped.
    pub async fn closed(&self) {
        self.inner.closed().await;
    }

    /// Sends a value if there is capacity now.
    ///
    /// # Errors
    ///
    /// If there is none, or the receiver is closed or dropped; the value is in the error.
    pub fn try_send(&self, message: T) -> Result<(), TrySendError<T>> {
        self.inner.try_send(message)?;
        self.tap.sent("Sender::try_send");
        Ok(())
    }

    /// Sends a value, waiting for capacity no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// If there was none in that time, or the receiver is closed or dropped; the value is in the error.
    #[cfg(feature = "time")]
    pub async fn send_timeout(
        &self,
        value: T,
        timeout: std::time::Duration,
    ) -> Result<(), crate::mpsc::error::SendTimeoutError<T>> {
        self.inner.send_timeout(value, timeout).await?;
        self.tap.sent("Sender::send_timeout");
        Ok(())
    }

    /// Sends a value from outside of asynchronous code, blocking the thread until there is capacity.
    ///
    /// # Errors
    ///
    /// If the receiver is closed or dropped; the value is in the error.
    ///
    /// # Panics
    ///
    /// If called within an asynchronous execution context.
    #[track_caller]
    pub fn blocking_send(&self, value: T) -> Result<(), SendError<T>> {
        self.inner.blocking_send(value)?;
        self.tap.sent("Sender::blocking_send");
        Ok(())
    }

    /// Whether the receiver is closed or dropped.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Waits for capacity for one value.
    ///
    /// # Errors
    ///
    /// If the receiver is closed or dropped.
    pub async fn reserve(&self) -> Result<Permit<'_, T>, SendError<()>> {
        Ok(Permit { inner: self.inner.reserve().await?, tap: &self.tap })
    }

    /// Waits for capacity for `n` values.
    ///
    /// # Errors
    ///
    /// If the receiver is closed or dropped, or `n` is more than the maximum capacity.
    pub async fn reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, SendError<()>> {
        Ok(PermitIterator { inner: self.inner.reserve_many(n).await?, tap: &self.tap })
    }

    /// Waits for capacity for one value, and keeps the sender in the permit.
    ///
    /// # Errors
    ///
    /// If the receiver is closed or dropped.
    pub async fn reserve_owned(self) -> Result<OwnedPermit<T>, SendError<()>> {
        Ok(OwnedPermit { inner: self.inner.reserve_owned().await?, tap: self.tap })
    }

    /// Takes capacity for one value if there is some now.
    ///
    /// # Errors
    ///
    /// If there is none, or the receiver is closed or dropped.
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        Ok(Permit { inner: self.inner.try_reserve()?, tap: &self.tap })
    }

    /// Takes capacity for `n` values if there is enough now.
    ///
    /// # Errors
    ///
    /// If there is not, or the receiver is closed or dropped.
    pub fn try_reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, TrySendError<()>> {
        Ok(PermitIterator { inner: self.inner.try_reserve_many(n)?, tap: &self.tap })
    }

    /// Takes capacity for one value if there is some now, and keeps the sender in the permit.
    ///
    /// # Errors
    ///
    /// If there is none, or the receiver is closed or dropped; the sender is in the error.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        let Self { inner, tap } = self;
        match inner.try_reserve_owned() {
            Ok(inner) => Ok(OwnedPermit { inner, tap }),
            Err(TrySendError::Full(inner)) => Err(TrySendError::Full(Self { inner, tap })),
            Err(TrySendError::Closed(inner)) => Err(TrySendError::Closed(Self { inner, tap })),
        }
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// How many values can be sent now: the maximum capacity less the values in the channel and the permits that are out.
    pub fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    /// A sender that does not prevent the channel from being closed.
    #[must_use = "Downgrade creates a WeakSender without destroying the original non-weak sender."]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { inner: self.inner.downgrade(), tap: self.tap.clone() }
    }

    /// How many values fit into the channel.
    pub fn max_capacity(&self) -> usize {
        self.inner.max_capacity()
    }

    /// The number of [`Sender`] handles.
    pub fn strong_count(&self) -> usize {
        self.inner.strong_count()
    }

    /// The number of [`WeakSender`] handles.
    pub fn weak_count(&self) -> usize {
        self.inner.weak_count()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), tap: self.tap.clone() }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T> WeakSender<T> {
    /// A sender, if there is another one still.
    pub fn upgrade(&self) -> Option<Sender<T>> {
        Some(Sender { inner: self.inner.upgrade()?, tap: self.tap.clone() })
    }

    /// The number of [`Sender`] handles.
    pub fn strong_count(&self) -> usize {
        self.inner.strong_count()
    }

    /// The number of [`WeakSender`] handles.
    pub fn weak_count(&self) -> usize {
        self.inner.weak_count()
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), tap: self.tap.clone() }
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T> Receiver<T> {
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

    /// The number of [`Sender`] handles.
    pub fn sender_strong_count(&self) -> usize {
        self.inner.sender_strong_count()
    }

    /// The number of [`WeakSender`] handles.
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
