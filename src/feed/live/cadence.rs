//! How often a target publishes, and when its silence is worth a word.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Intervals that are remembered: enough for a median that a stopped process or a burst after it does not move.
const REMEMBERED: usize = 9;

/// How many publish intervals a live target may miss.
const MISSED_INTERVALS: u32 = 5;

/// While the interval is not known the target gets this much more time: it may be set to 10 s.
const UNKNOWN_FACTOR: u32 = 3;

/// How often a silence is reported while it lasts.
const REPEAT: Duration = Duration::from_secs(1);

/// Learns the publish interval of one connection from its updates.
#[derive(Debug, Default)]
pub(super) struct Cadence {
    updates: u32,
    last: Option<u64>,
    /// Nanoseconds between successive updates, by the target's clock.
    intervals: VecDeque<u64>,
}

impl Cadence {
    /// Takes the `now` of the next update, in nanoseconds.
    pub(super) fn observe(&mut self, now: Option<u64>) {
        let Some(now) = now else { return };
        self.updates = self.updates.saturating_add(1);
        let last = self.last.replace(now);
        // The first update came at our call, not at a tick of the target.
        if self.updates <= 2 {
            return;
        }
        if let Some(interval) = last.and_then(|last| now.checked_sub(last)) {
            if self.intervals.len() == REMEMBERED {
                self.intervals.pop_front();
            }
            self.intervals.push_back(interval);
        }
    }

    /// How many updates have come on this connection.
    pub(super) fn updates(&self) -> u32 {
        self.updates
    }

    /// The usual time from one update to the next; `None` before the third update.
    pub(super) fn interval(&self) -> Option<Duration> {
        let mut sorted: Vec<_> = self.intervals.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().map(Duration::from_nanos)
    }
}

/// The time since a live target was last heard, and when to speak of it.
#[derive(Debug)]
pub(super) struct Silence {
    since: Instant,
    due: Instant,
}

impl Silence {
    /// Begins to wait for an update.
    pub(super) fn begin(now: Instant, quiet_after: Duration, interval: Option<Duration>) -> Self {
        let patience = match interval {
            Some(interval) => quiet_after.max(interval.saturating_mul(MISSED_INTERVALS)),
            None => quiet_after.saturating_mul(UNKNOWN_FACTOR),
        };
        // A target may claim any interval; one that does not fit the clock is waited for as long as a day.
        let due = now.checked_add(patience.min(Duration::from_secs(86_400))).unwrap_or(now);
        Self { since: now, due }
    }

    /// When to call [`Silence::report`].
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// How long it has lasted.
    pub(super) fn length(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// How long it has lasted; the next report is due a while later.
    pub(super) fn report(&mut self, now: Instant) -> Duration {
        self.due = now + REPEAT;
        self.length(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(millis: &[u64]) -> Option<Duration> {
        let mut cadence = Cadence::default();
        for at in millis {
            cadence.observe(Some(at * 1_000_000));
        }
        cadence.interval()
    }

    #[test]
    fn the_interval_is_the_median_without_the_first_partial_one() {
        assert_eq!(learned(&[0, 200]), None);
        assert_eq!(learned(&[0, 200, 1_200]), Some(Duration::from_secs(1)));
        assert_eq!(learned(&[0, 200, 1_200, 2_200, 9_000, 9_001, 10_000, 11_000]), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_clock_that_goes_back_teaches_nothing() {
        assert_eq!(learned(&[0, 1_000, 500, 200]), None);
    }

    #[test]
    fn patience_is_five_seconds_or_five_intervals_and_more_while_the_interval_is_unknown() {
        let now = Instant::now();
        let wait = |interval| Silence::begin(now, Duration::from_secs(5), interval).due() - now;
        assert_eq!(wait(Some(Duration::from_millis(10))), Duration::from_secs(5));
        assert_eq!(wait(Some(Duration::from_secs(10))), Duration::from_secs(50));
        assert_eq!(wait(None), Duration::from_secs(15));
        assert_eq!(wait(Some(Duration::MAX)), Duration::from_secs(86_400));
    }

    #[test]
    fn a_silence_is_reported_once_a_second_with_its_length() {
        let now = Instant::now();
        let mut silence = Silence::begin(now, Duration::from_secs(5), Some(Duration::from_secs(1)));
        let first = silence.due();
        assert_eq!(silence.report(first), Duration::from_secs(5));
        assert_eq!(silence.due(), first + Duration::from_secs(1));
        assert_eq!(silence.report(silence.due()), Duration::from_secs(6));
    }
}
