//! Places in a bounded channel that were taken before there is something to send.

use std::fmt;
use std::iter::FusedIterator;

use tokio::sync::mpsc as plain;

use crate::mpsc::Sender;
use crate::tap::Tap;

/// A place for one value. See [`tokio::sync::mpsc::Permit`].
pub struct Permit<'a, T> {
    pub(super) inner: plain::Permit<'a, T>,
    pub(super) tap: &'a Tap,
}

/// Places for several values. See [`tokio::sync::mpsc::PermitIterator`].
pub struct PermitIterator<'a, T> {
    pub(super) inner: plain::PermitIterator<'a, T>,
    pub(super) tap: &'a Tap,
}

/// A place for one value, with the sender. See [`tokio::sync::mpsc::OwnedPermit`].
pub struct OwnedPermit<T> {
    pub(super) inner: plain::OwnedPermit<T>,
    pub(super) tap: Tap,
}

impl<T> Permit<'_, T> {
    /// Sends a value, which never waits.
    pub fn send(self, value: T) {
        self.inner.send(value);
        self.tap.sent("Permit::send");
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<'a, T> Iterator for PermitIterator<'a, T> {
    type Item = Permit<'a, T>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(Permit { inner: self.inner.next()?, tap: self.tap })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<T> ExactSizeIterator for PermitIterator<'_, T> {}
impl<T> FusedIterator for PermitIterator<'_, T> {}

impl<T> fmt::Debug for PermitIterator<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T> OwnedPermit<T> {
    /// Sends a value, which never waits, and gives the sender back.
    pub fn send(self, value: T) -> Sender<T> {
        let inner = self.inner.send(value);
        self.tap.sent("OwnedPermit::send");
        Sender { inner, tap: self.tap }
    }

    /// Gives the place and the sender back.
    pub fn release(self) -> Sender<T> {
        Sender { inner: self.inner.release(), tap: self.tap }
    }

    /// Whether both are places in the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// Whether this is a place in the channel to which the sender sends.
    pub fn same_channel_as_sender(&self, sender: &Sender<T>) -> bool {
        self.inner.same_channel_as_sender(&sender.inner)
    }
}

impl<T> fmt::Debug for OwnedPermit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
