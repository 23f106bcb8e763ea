//! One target of a comparison: its side, what is remembered of it, and whether it was taken away or died.

use std::time::{Duration, Instant, SystemTime};

use super::stopwatch::{Clock, Stopwatch};
use crate::compare::{Observer, Side};
use crate::diagnosis::{Diagnosis, Status};

/// How long a process may be gone before it is known that somebody asked it to end: the search for pods begins anew now and then.
const NOTICE: Duration = Duration::from_secs(5);

/// One target of a comparison.
pub(super) struct Seat {
    pub(super) side: Side,
    pub(super) observer: Observer,
    pub(super) stopwatch: Stopwatch,
    /// Since when there is no connection.
    gone: Option<Instant>,
}

impl Seat {
    /// One that is not connected yet.
    pub(super) fn new(side: Side, observer: Observer, clock: Clock) -> Self {
        Self { side, observer, stopwatch: Stopwatch::start(clock), gone: Some(Instant::now()) }
    }

    /// Takes in that something arrived.
    pub(super) fn take(&mut self, at: SystemTime, diagnosis: &Diagnosis) {
        self.stopwatch.take(at, diagnosis.updates() > 0);
        self.observer.observe(diagnosis);
        match diagnosis.status() {
            Status::Live => self.gone = None,
            _ => drop(self.gone.get_or_insert_with(Instant::now)),
        }
    }

    /// Takes in that it goes. One that worked until then was taken away by whoever runs it; any other has died.
    pub(super) fn note_departure(&mut self, has_failed: bool) {
        if has_failed {
            self.observer.fail();
        } else if self.gone.is_none_or(|since| since.elapsed() < NOTICE) {
            self.observer.take_away();
        }
    }
}
