//! [`tokio::sync::watch`], with channels that can be seen.
//!
//! All names, methods and guarantees are those of tokio, whose documentation applies. [`channel_named`] is new, and gives the channel a
//! name to be seen by. A watch channel has no depth, since it keeps only the last value, and not to have looked at it is no backlog: what
//! is told is how many values were sent, how many receivers there are, and who waits for a change.

use std::fmt;
use std::panic::Location;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::watch as plain;
pub use tokio::sync::watch::{Ref, error};

use crate::queue::{Description, Name, Queue, Source};
use crate::tap::Tap;
use crate::watch::error::{RecvError, SendError};

/// Sends values to the associated [`Receiver`]s. See [`tokio::sync::watch::Sender`].
pub struct Sender<T> {
    inner: plain::Sender<T>,
    tap: Tap,
}

/// Receives the last value from the associated [`Sender`]. See [`tokio::sync::watch::Receiver`].
pub struct Receiver<T> {
    inner: plain::Receiver<T>,
    place: Place,
}

/// A receiver's way to its queue, by which it is counted.
struct Place(Tap);

/// Creates a channel that keeps the last value. See [`tokio::sync::watch::channel`].
#[track_caller]
pub fn channel<T>(init: T) -> (Sender<T>, Receiver<T>) {
    pair(init, None)
}

/// Creates a channel that keeps the last value, with a name to be seen by.
#[track_caller]
pub fn channel_named<T>(name: impl Into<Name>, init: T) -> (Sender<T>, Receiver<T>) {
    pair(init, Some(name.into()))
}

#[track_caller]
fn pair<T>(init: T, name: Option<Name>) -> (Sender<T>, Receiver<T>) {
    let tap = open::<T>(name);
    let (sender, receiver) = plain::channel(init);
    (Sender { inner: sender, tap: tap.clone() }, Receiver { inner: receiver, place: Place::new(tap) })
}

#[track_caller]
fn open<T>(name: Option<Name>) -> Tap {
    let description = Description {
        concrete_type: "watch::channel",
        kind: "channel",
        name,
        place: Location::caller(),
        message_size: Some(size_of::<T>()),
    };
    Tap::new(Queue::open(description, Source::Watch(AtomicUsize::new(0)), 0))
}

impl<T> Sender<T> {
    /// Creates the sending half, without a receiver.
    #[track_caller]
    pub fn new(init: T) -> Self {
        Self { inner: plain::Sender::new(init), tap: open::<T>(None) }
    }

    /// Sends a value, which replaces the one before.
    ///
    /// # Errors
    ///
    /// If there are no receivers; the value is in the error, and the one before is kept.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.inner.send(value)?;
        self.tap.sent("Sender::send");
        Ok(())
    }

    /// Changes the value in place, and tells all receivers.
    pub fn send_modify<F>(&self, modify: F)
    where
        F: FnOnce(&mut T),
    {
        self.inner.send_modify(modify);
        self.tap.sent("Sender::send_modify");
    }

    /// Changes the value in place, and tells all receivers if the closure says so. Returns what it said.
    pub fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        let modified = self.inner.send_if_modified(modify);
        if modified {
            self.tap.sent("Sender::send_if_modified");
        }
        modified
    }

    /// Sends a value, also if there are no receivers. Returns the one before.
    pub fn send_replace(&self, value: T) -> T {
        let before = self.inner.send_replace(value);
        self.tap.sent("Sender::send_replace");
        before
    }

    /// The last value.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.inner.borrow()
    }

    /// Whether there are no receivers.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Completes when there are no receivers.
    pub async fn closed(&self) {
        self.inner.closed().await;
    }

    /// A new receiver, which has seen the last value.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver { inner: self.inner.subscribe(), place: Place::new(self.tap.clone()) }
    }

    /// The number of receivers.
    pub fn receiver_count(&self) -> usize {
        self.inner.receiver_count()
    }

    /// The number of senders.
    pub fn sender_count(&self) -> usize {
        self.inner.sender_count()
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), tap: self.tap.clone() }
    }
}

impl<T: Default> Default for Sender<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T> Receiver<T> {
    /// The last value, which does not count as seen by that.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.inner.borrow()
    }

    /// The last value, which counts as seen from now on.
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        self.inner.borrow_and_update()
    }

    /// Whether there is a value that was not seen here.
    ///
    /// # Errors
    ///
    /// If all senders are gone.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        self.inner.has_changed()
    }

    /// Whether all senders are gone.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Makes the last value count as not seen.
    pub fn mark_changed(&mut self) {
        self.inner.mark_changed();
    }

    /// Makes the last value count as seen.
    pub fn mark_unchanged(&mut self) {
        self.inner.mark_unchanged();
    }

    /// Waits for a value that was not seen here, which counts as seen then. See [`tokio::sync::watch::Receiver::changed`].
    ///
    /// # Errors
    ///
    /// If all senders are gone.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        self.place.0.wait(self.inner.changed(), "Receiver::changed", || ()).await
    }

    /// Waits for a value that pleases the closure. See [`tokio::sync::watch::Receiver::wait_for`].
    ///
    /// # Errors
    ///
    /// If all senders are gone and the last value does not please.
    pub async fn wait_for(&mut self, f: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, RecvError> {
        self.place.0.wait(self.inner.wait_for(f), "Receiver::wait_for", || ()).await
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), place: Place::new(self.place.0.clone()) }
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Place {
    fn new(tap: Tap) -> Self {
        let place = Self(tap);
        if let Some(receivers) = place.receivers() {
            receivers.fetch_add(1, Relaxed);
        }
        place
    }

    fn receivers(&self) -> Option<&AtomicUsize> {
        match &self.0.queue()?.source {
            Source::Watch(receivers) => Some(receivers),
            _ => None,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(receivers) = self.receivers() {
            receivers.fetch_sub(1, Relaxed);
        }
    }
}
