//! Points in time on the target's own clock.

use std::fmt;
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

/// A point in time as the target stamped it, in nanoseconds since the Unix epoch.
///
/// Only differences between stamps of one target mean anything: its clock may disagree with ours by any amount.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// One more than the nanoseconds, so that a time that may be missing takes no more room: there are several in each task.
    more: NonZeroU64,
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::from_nanos(0)
    }
}

impl Timestamp {
    /// The time `nanos` nanoseconds after the Unix epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self { more: NonZeroU64::MIN.saturating_add(nanos) }
    }

    pub(in crate::model) const fn nanos(self) -> u64 {
        self.more.get() - 1
    }

    /// How long after `earlier` this is; zero if it is not after it, for stamps of different threads may be out of order.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos().saturating_sub(earlier.nanos()))
    }

    /// This time and `duration` later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self::from_nanos(self.nanos().saturating_add(nanos(duration)))
    }

    /// This time less `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self::from_nanos(self.nanos().saturating_sub(nanos(duration)))
    }

    /// The same point as a system time, for printing.
    pub fn system_time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.nanos())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.nanos() / 1_000_000_000, self.nanos() % 1_000_000_000)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_saturate() {
        let (early, late) = (Timestamp::from_nanos(5), Timestamp::from_nanos(9));
        assert_eq!(late.since(early), Duration::from_nanos(4));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(early.minus(Duration::from_secs(1)), Timestamp::from_nanos(0));
        assert_eq!(early.plus(Duration::MAX), Timestamp::from_nanos(u64::MAX));
        assert_eq!(size_of::<Option<Timestamp>>(), 8);
    }
}
