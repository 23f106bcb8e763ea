//! The target's clock: its publish interval, and the times in which its process did not run.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::history::push_bounded;
use crate::model::time::Timestamp;

/// How many steps between updates the interval is learned from.
const STEPS: usize = 9;
/// How many of them must have been seen before a longer one counts as a gap.
const STEPS_TO_JUDGE: usize = 3;
/// How many gaps are remembered; older ones can no longer overlap anything that is judged.
const GAPS: usize = 64;

/// A time in which the target's process did not run (stopped, suspended, out of CPU quota).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When it must have begun, at the earliest.
    pub from: Timestamp,
    /// The first update after it.
    pub to: Timestamp,
}

impl Gap {
    /// How long it lasted.
    pub fn length(&self) -> Duration {
        self.to.since(self.from)
    }
}

/// Time as the updates of one target tell it.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    now: Timestamp,
    began: Timestamp,
    updates: u64,
    steps: VecDeque<Duration>,
    gaps: VecDeque<Gap>,
    interrupted: bool,
}

impl Clock {
    /// The target's time at its newest update.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The time of the first update.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// How many updates have been applied.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The usual time between two updates: the median of the last ones; one second until there are any.
    pub fn interval(&self) -> Duration {
        let mut steps: Vec<Duration> = self.steps.iter().copied().collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().unwrap_or(Duration::from_secs(1))
    }

    /// The remembered gaps, oldest first.
    pub fn gaps(&self) -> impl DoubleEndedIterator<Item = &Gap> {
        self.gaps.iter()
    }

    /// How long it is since `start`, not counting times in which the process did not run.
    pub fn running_since(&self, start: Timestamp) -> Duration {
        self.running_between(start, self.now)
    }

    /// How long the process ran between two times.
    pub fn running_between(&self, from: Timestamp, to: Timestamp) -> Duration {
        let stopped: Duration = self.gaps.iter().map(|gap| gap.to.min(to).since(gap.from.max(from))).sum();
        to.since(from).saturating_sub(stopped)
    }

    /// Says that the next step may be long for a reason of ours: a lost connection or a pause of the feed.
    pub(in crate::model) fn interrupt(&mut self) {
        self.interrupted = true;
    }

    /// Moves on to the time of an update.
    pub(in crate::model) fn advance(&mut self, now: Timestamp) {
        let step = now.since(self.now);
        // The first update after a subscription comes at once and the second at the next tick: neither step is an interval.
        if self.updates > 1 && !self.interrupted && !step.is_zero() {
            self.judge(now, step);
        }
        self.interrupted = false;
        if self.updates == 0 {
            self.began = now;
        }
        self.updates += 1;
        self.now = self.now.max(now);
    }

    fn judge(&mut self, now: Timestamp, step: Duration) {
        let interval = self.interval();
        let usual = interval + interval / 2 + Duration::from_millis(250);
        if self.steps.len() >= STEPS_TO_JUDGE && step > usual {
            push_bounded(&mut self.gaps, Gap { from: self.now.plus(interval), to: now }, GAPS);
        }
        push_bounded(&mut self.steps, step, STEPS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    fn clock(millis: impl IntoIterator<Item = u64>) -> Clock {
        let mut clock = Clock::default();
        for now in millis {
            clock.advance(at(now));
        }
        clock
    }

    #[test]
    fn a_stopped_process_is_a_gap_that_ages_do_not_count() {
        let clock = clock([10_000, 10_400, 11_400, 12_400, 13_400, 17_400]);
        assert_eq!(clock.gaps().copied().collect::<Vec<_>>(), [Gap { from: at(14_400), to: at(17_400) }]);
        assert_eq!(clock.running_since(at(13_000)), Duration::from_millis(1_400));
        assert_eq!(clock.running_since(at(15_000)), Duration::ZERO);
    }

    #[test]
    fn a_slow_publish_interval_is_no_gap() {
        assert_eq!(clock((0..8).map(|n| n * 10_000)).gaps().count(), 0);
    }

    #[test]
    fn a_lost_connection_is_no_gap() {
        let mut clock = clock([1_000, 2_000, 3_000, 4_000, 5_000, 6_000]);
        clock.interrupt();
        clock.advance(at(60_000));
        assert_eq!(clock.gaps().count(), 0);
    }

    #[test]
    fn time_never_runs_backwards() {
        assert_eq!(clock([5_000, 6_000, 4_000]).now(), at(6_000));
    }
}
