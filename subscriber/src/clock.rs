//! Time as the feed needs it: monotonic, small, and convertible to the wall clock.

use std::num::NonZeroU64;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Nanoseconds since the clock was started. Never zero, so that an `Option` of it takes no more room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(NonZeroU64);

impl Moment {
    /// Nanoseconds from `earlier` to this moment; zero where the two threads' clocks disagree about their order.
    pub(crate) fn since(self, earlier: Self) -> u64 {
        self.0.get().saturating_sub(earlier.0.get())
    }
}

/// The clock of one subscriber.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    /// The wall clock at `start`, since the Unix epoch.
    wall: Duration,
}

impl Clock {
    /// Starts a clock. The wall clock is read once: a step of it does not tear the feed.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    /// The present moment.
    #[inline]
    pub(crate) fn now(&self) -> Moment {
        // A process does not run for the 584 years after which the nanoseconds would overflow.
        let nanoseconds = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Moment(NonZeroU64::new(nanoseconds).unwrap_or(NonZeroU64::MIN))
    }

    /// Time since the Unix epoch at `moment`.
    pub(crate) fn wall(&self, moment: Moment) -> Duration {
        self.wall + Duration::from_nanos(moment.0.get())
    }

    /// Time since the Unix epoch at which the clock was started.
    pub(crate) fn started(&self) -> Duration {
        self.wall
    }
}
