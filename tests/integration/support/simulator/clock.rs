//! What the messages of a simulated process say about time, where its clock is not what it should be.

use std::time::{Duration, SystemTime};

use super::scenario::Event;
use super::wire::{BEGIN, Nanos};

/// What is wrong with the clock of a target, and for how long a machine has been suspended.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// Since when, and until when.
    stopped: Option<(Nanos, Nanos)>,
    back: Nanos,
    ahead: Nanos,
    leap: Nanos,
    missing_until: Nanos,
    /// Time in which simulated time did not pass.
    suspended: Nanos,
}

impl Clock {
    /// Whatever an event does to it.
    pub(crate) fn disturb(&mut self, at: Nanos, event: &Event) {
        let nanos = |span: Option<super::program::Span>| span.map_or(0, |span| span.nanos());
        if event.clock_stops.is_some() {
            self.stopped = Some((at, at + nanos(event.clock_stops)));
        }
        if event.clock_missing.is_some() {
            self.missing_until = at + nanos(event.clock_missing);
        }
        self.back += nanos(event.clock_back);
        self.ahead += nanos(event.clock_ahead);
        self.leap = nanos(event.clock_leaps);
        self.suspended += nanos(event.suspend_both);
    }

    /// A part of the time for which a machine is suspended.
    pub(crate) fn suspend(&mut self, length: Nanos) {
        self.suspended += length;
    }

    /// What an update of a time says the time is.
    pub(crate) fn told(&mut self, at: Nanos) -> Option<prost_types::Timestamp> {
        let held = self.stopped.filter(|(_, until)| at < *until).map_or(at, |(since, _)| since);
        let ahead = self.ahead + std::mem::take(&mut self.leap);
        let told = SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN) + Duration::from_nanos(held + ahead);
        (at >= self.missing_until).then(|| (told - Duration::from_nanos(self.back)).into())
    }

    /// When something reaches us, by our clock.
    pub(crate) fn arrival(&self, at: Nanos) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(BEGIN) + Duration::from_nanos(at + self.suspended)
    }
}
