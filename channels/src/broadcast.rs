//! [`tokio::sync::broadcast`], with channels that can be seen.
//!
//! All names, methods and guarantees are those of tokio, whose documentation applies. [`channel_named`] is new, and gives the channel a
//! name to be seen by.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::broadcast as plain;
pub use tokio::sync::broadcast::error;

use crate::broadcast::error::{RecvError, SendError, TryRecvError};
use crate::queue::{Broadcast, Description, Name, Queue, Seat, Source};
use crate::roster::Roster;
use crate::tap::Tap;

/// Sends values to all [`Receiver`]s. See [`tokio::sync::broadcast::Sender`].
pub struct Sender<T> {
    inner: plain::Sender<T>,
    tap: Tap,
}

/// A sender that does not prevent the channel from being closed. See [`tokio::sync::broadcast::WeakSender`].
pub struct WeakSender<T> {
    inner: plain::WeakSender<T>,
    tap: WeakTap,
}

/// Receives every value that is sent from now on. See [`tokio::sync::broadcast::Receiver`].
pub struct Receiver<T> {
    inner: plain::Receiver<T>,
    place: Place,
}

/// A receiver's way to its queue.
struct Place {
    tap: Tap,
    seat: Option<Arc<Seat>>,
}

/// A way to a queue that does not keep it: it is over with the last sender and receiver.
#[derive(Clone)]
struct WeakTap(Option<std::sync::Weak<Queue>>);

/// Creates a channel in which each receiver sees every value. See [`tokio::sync::broadcast::channel`].
///
/// # Panics
///
/// If `capacity` is 0 or more than `usize::MAX / 2`.
#[track_caller]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = plain::channel(capacity);
    let tap = open::<T>(capacity, None);
    (Sender { inner: sender, tap: tap.clone() }, Receiver { inner: receiver, place: Place::new(tap, 0) })
}

/// Creates a channel in which each receiver sees every value, with a name to be seen by.
///
/// # Panics
///
/// If `capacity` is 0 or more than `usize::MAX / 2`.
#[track_caller]
pub fn channel_named<T: Clone>(name: impl Into<Name>, capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = plain::channel(capacity);
    let tap = open::<T>(capacity, Some(name.into()));
    (Sender { inner: sender, tap: tap.clone() }, Receiver { inner: receiver, place: Place::new(tap, 0) })
}

#[track_caller]
fn open<T>(capacity: usize, name: Option<Name>) -> Tap {
    let description = Description {
        concrete_type: "broadcast::channel",
        kind: "channel",
        name,
        place: Location::caller(),
        message_size: Some(size_of::<T>()),
    };
    let source = Source::Broadcast(Broadcast { seats: Roster::new(), missed: AtomicUsize::new(0) });
    // Tokio's buffer has a power of two places.
    Tap::new(Queue::open(description, source, capacity.next_power_of_two()))
}

impl<T> Sender<T> {
    /// Creates the sending half, without a receiver.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0 or more than `usize::MAX / 2`.
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        let inner = plain::Sender::new(capacity);
        Self { inner, tap: open::<T>(capacity, None) }
    }

    /// Sends a value to all receivers. Returns how many there are.
    ///
    /// # Errors
    ///
    /// If there are none; the value is in the error.
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let receivers = self.inner.send(value)?;
        self.tap.sent("Sender::send");
        Ok(receivers)
    }

    /// A new receiver, of what is sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        let sent = self.tap.queue().map_or(0, |queue| queue.sending.count());
        Receiver { inner: self.inner.subscribe(), place: Place::new(self.tap.clone(), sent) }
    }

    /// A sender that does not prevent the channel from being closed.
    #[must_use = "Downgrade creates a WeakSender without destroying the original non-weak sender."]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { inner: self.inner.downgrade(), tap: WeakTap(self.tap.queue().map(Arc::downgrade)) }
    }

    /// The number of values that a receiver has not received yet.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether all receivers have received all values.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// The number of receivers.
    pub fn receiver_count(&self) -> usize {
        self.inner.receiver_count()
    }

    /// Whether both send to the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// Completes when there are no receivers.
    pub async fn closed(&self) {
        self.inner.closed().await;
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
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        // A sender lets go of the channel first, and then of the queue: while the channel has one, the queue is there.
        let tap = Tap::new(self.tap.0.as_ref().and_then(std::sync::Weak::upgrade));
        Some(Sender { inner: self.inner.upgrade()?, tap })
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
    /// The number of values that were sent and not received here, those included that are overwritten already.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether all values were received here.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// The number of [`Sender`] handles.
    pub fn sender_strong_count(&self) -> usize {
        self.inner.sender_strong_count()
    }

    /// The number of [`WeakSender`] handles.
    pub fn sender_weak_count(&self) -> usize {
        self.inner.sender_weak_count()
    }

    /// Whether all senders are gone.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }
}

impl<T: Clone> Receiver<T> {
    /// A new receiver, of what is sent from now on.
    #[must_use]
    pub fn resubscribe(&self) -> Self {
        let sent = self.place.tap.queue().map_or(0, |queue| queue.sending.count());
        Self { inner: self.inner.resubscribe(), place: Place::new(self.place.tap.clone(), sent) }
    }

    /// Receives the next value. See [`tokio::sync::broadcast::Receiver::recv`].
    ///
    /// # Errors
    ///
    /// If values were overwritten before they were received here, or all senders are gone and all values received.
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        let Self { inner, place } = self;
        let received = place.tap.wait(inner.recv(), "Receiver::recv", || place.is_up_to_date()).await;
        place.passed(&received, "Receiver::recv");
        received
    }

    /// Receives the next value if there is one now.
    ///
    /// # Errors
    ///
    /// If there is none, values were overwritten before they were received here, or all senders are gone and all values received.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let received = self.inner.try_recv();
        match &received {
            Ok(_) => self.place.received("Receiver::try_recv"),
            Err(TryRecvError::Lagged(missed)) => self.place.lagged(*missed),
            Err(TryRecvError::Empty) => self.place.is_up_to_date(),
            Err(TryRecvError::Closed) => {}
        }
        received
    }

    /// Receives the next value from outside of asynchronous code, blocking the thread.
    ///
    /// # Errors
    ///
    /// If values were overwritten before they were received here, or all senders are gone and all values received.
    ///
    /// # Panics
    ///
    /// If called within an asynchronous execution context.
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        let received = self.inner.blocking_recv();
        self.place.passed(&received, "Receiver::blocking_recv");
        received
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Place {
    /// One that has everything that was sent so far.
    fn new(tap: Tap, sent: usize) -> Self {
        let seat = tap.queue().and_then(|queue| match &queue.source {
            Source::Broadcast(broadcast) => {
                let seat = Arc::new(Seat(AtomicUsize::new(sent)));
                broadcast.seats.add(&seat);
                Some(seat)
            }
            _ => None,
        });
        Self { tap, seat }
    }

    fn passed<T>(&self, received: &Result<T, RecvError>, source: &'static str) {
        match received {
            Ok(_) => self.received(source),
            Err(RecvError::Lagged(missed)) => self.lagged(*missed),
            Err(RecvError::Closed) => {}
        }
    }

    fn received(&self, source: &'static str) {
        if let (Some(queue), Some(seat)) = (self.tap.queue(), &self.seat) {
            // Only this receiver writes there.
            seat.0.store(seat.0.load(Relaxed).wrapping_add(1), Relaxed);
            if queue.receiving.is_asked() {
                queue.show_done(&queue.receiving, source, "recv");
            }
        }
    }

    fn lagged(&self, missed: u64) {
        if let (Some(queue), Some(seat)) = (self.tap.queue(), &self.seat) {
            let missed = usize::try_from(missed).unwrap_or(usize::MAX);
            seat.0.store(seat.0.load(Relaxed).wrapping_add(missed), Relaxed);
            if let Source::Broadcast(broadcast) = &queue.source {
                broadcast.missed.fetch_add(missed, Relaxed);
            }
        }
    }

    /// There was nothing for it: it has everything. What is sent while somebody subscribes is counted at a time that is not known exactly,
    /// so the place of a new receiver may be wrong by that until here.
    fn is_up_to_date(&self) {
        if let (Some(queue), Some(seat)) = (self.tap.queue(), &self.seat) {
            seat.0.store(queue.sending.count(), Relaxed);
        }
    }
}
