//! The bounded channel, and its sending half.

use std::fmt;
use std::panic::Location;

use tokio::sync::mpsc as plain;

use crate::mpsc::error::{SendError, TrySendError};
use crate::mpsc::{OwnedPermit, Permit, PermitIterator, Receiver};
use crate::queue::{Description, Name, Queue, Source};
use crate::tap::Tap;

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
    (Sender { inner: sender, tap: tap.clone() }, Receiver::new(receiver, tap))
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
