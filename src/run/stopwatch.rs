//! How long a target has been watched: for a running service by a clock that nobody can set, for a recording by its own.

use std::time::{Duration, Instant, SystemTime};

/// Which clock says how long a target has been watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Ours, which only goes forward: setting the time of the machine does not move the end of a run.
    Ours,
    /// That of the recorded events, which are long past and go by faster.
    Recorded,
}

/// How long a target has been watched.
#[derive(Debug)]
pub(super) struct Stopwatch {
    clock: Clock,
    begun: Instant,
    watched: Watched,
    /// Whether its time is up, or it has ended by itself.
    pub(super) is_over: bool,
    /// Whether no update can be expected any more.
    pub(super) is_hopeless: bool,
}

#[derive(Debug, Clone, Copy)]
enum Watched {
    /// No update arrived so far.
    Nothing,
    /// From the first update on.
    Since(Instant),
    /// From the first update to the latest event, and when that was taken in.
    Recorded { first: SystemTime, latest: SystemTime, taken: Instant },
}

impl Stopwatch {
    /// Starts before the first event.
    pub(super) fn start(clock: Clock) -> Self {
        Self { clock, begun: Instant::now(), watched: Watched::Nothing, is_over: false, is_hopeless: false }
    }

    /// Takes in that something arrived at this time, and whether that or something before it was an update.
    pub(super) fn take(&mut self, at: SystemTime, has_updates: bool) {
        if !has_updates {
            return;
        }
        let now = Instant::now();
        self.watched = match (self.watched, self.clock) {
            (Watched::Nothing, Clock::Ours) => Watched::Since(now),
            (Watched::Nothing, Clock::Recorded) => Watched::Recorded { first: at, latest: at, taken: now },
            (Watched::Recorded { first, .. }, _) => Watched::Recorded { first, latest: at, taken: now },
            (Watched::Since(first), _) => Watched::Since(first),
        };
    }

    /// Whether an update has arrived.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.watched, Watched::Nothing)
    }

    /// The time watched; as long as no update arrived, the time waited for the first.
    pub(super) fn watched(&self) -> Duration {
        match self.watched {
            Watched::Nothing => self.begun.elapsed(),
            Watched::Since(first) => first.elapsed(),
            Watched::Recorded { first, latest, taken } => {
                latest.duration_since(first).unwrap_or_default() + taken.elapsed()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn a_minute_ago() -> Instant {
        Instant::now().checked_sub(MINUTE).expect("the machine runs for longer")
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_recording_of_long_ago_is_not_over_before_its_end() {
        let mut stopwatch = Stopwatch::start(Clock::Recorded);
        let mut is_over_at = |seconds| {
            stopwatch.take(at(seconds), true);
            stopwatch.watched() >= MINUTE
        };
        assert!(!is_over_at(1_000), "its first update");
        assert!(!is_over_at(1_030), "half of the time");
        assert!(is_over_at(1_060), "all of it");
    }

    #[test]
    fn setting_the_clock_does_not_move_the_end() {
        for later in [0, 1_000_000_000_000] {
            let mut stopwatch = Stopwatch::start(Clock::Ours);
            stopwatch.take(at(1_000_000_000), true);
            stopwatch.take(at(later), true);
            assert!(stopwatch.watched() < MINUTE, "set to {later}");
            stopwatch.watched = Watched::Since(a_minute_ago());
            stopwatch.take(at(later), true);
            assert!(stopwatch.watched() >= MINUTE, "set to {later}");
        }
    }

    #[test]
    fn the_wait_for_the_first_update_is_timed_too() {
        let mut stopwatch = Stopwatch::start(Clock::Ours);
        stopwatch.begun = a_minute_ago();
        stopwatch.take(at(5), false);
        assert!(stopwatch.watched() >= MINUTE);
        stopwatch.take(at(6), true);
        assert!(stopwatch.watched() < MINUTE, "it counts from the first update on");
    }
}
