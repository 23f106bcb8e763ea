//! How much of the time the feed was complete, and how much the target did in it.

use std::time::Duration;

use crate::model::time::Timestamp;

/// For how much of the time the feed reported everything without delay.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Coverage {
    last: Option<Timestamp>,
    watched: Duration,
    late: Duration,
    is_late: bool,
}

impl Coverage {
    /// Everything up to a time has been reported, late or not.
    pub(super) fn note(&mut self, now: Timestamp, is_late: bool) {
        let step = self.last.map_or(Duration::ZERO, |last| now.since(last));
        self.watched += step;
        self.late += if is_late { step } else { Duration::ZERO };
        (self.last, self.is_late) = (Some(now), is_late);
    }

    /// Whether so much came in time that what was late does not matter: all but a while, such as the first one, which is over.
    pub(super) fn suffices(&self) -> bool {
        !self.is_late && 2 * self.late <= self.watched
    }
}

/// The polls of a target while it was judged, by its own clock: from the end of its warm-up on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct JudgedLoad {
    warmup: Duration,
    last: Option<Timestamp>,
    watched: Duration,
    /// Polls in all, up to the end of the warm-up,
    before: u64,
    /// and up to now.
    polls: u64,
}

/// A time that is too short to tell idle from busy.
const SHORT: Duration = Duration::from_secs(1);

impl JudgedLoad {
    /// Nothing so far, with a warm-up before it counts.
    pub(super) fn after(warmup: Duration) -> Self {
        Self { warmup, ..Self::default() }
    }

    /// So many polls have ended in all up to a time. Returns whether the warm-up is over with that.
    pub(super) fn note(&mut self, now: Timestamp, total: u64) -> bool {
        let was_warm = self.is_warm();
        self.watched += self.last.map_or(Duration::ZERO, |last| now.since(last));
        self.last = Some(now);
        self.polls = total;
        if !was_warm {
            self.before = total;
        }
        !was_warm && self.is_warm()
    }

    /// Whether the warm-up is over.
    pub(super) fn is_warm(&self) -> bool {
        self.watched >= self.warmup
    }

    /// The polls that were judged, and in what time they ended.
    pub(super) fn judged(&self) -> (u64, Duration) {
        (self.polls.saturating_sub(self.before), self.watched.saturating_sub(self.warmup))
    }
}

/// Whether there were fewer than so many polls a second in a time that is long enough to tell.
pub(super) fn is_idle(polls: u64, time: Duration, polls_a_second: f64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "a rate with a few digits")]
    let is_short_of_polls = (polls as f64) < polls_a_second * time.as_secs_f64();
    is_short_of_polls && time >= SHORT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_that_was_late_for_a_while_has_told_enough() {
        let mut coverage = Coverage::default();
        let mut second = 0;
        let mut watch = |coverage: &mut Coverage, seconds: u64, is_late: bool| {
            for _ in 0..seconds {
                second += 1;
                coverage.note(Timestamp::from_nanos(second * 1_000_000_000), is_late);
            }
        };
        watch(&mut coverage, 10, true);
        assert!(!coverage.suffices(), "it has only been late so far");
        watch(&mut coverage, 8, false);
        assert!(!coverage.suffices(), "it has been late for most of the time");
        watch(&mut coverage, 12, false);
        assert!(coverage.suffices());
        watch(&mut coverage, 1, true);
        assert!(!coverage.suffices(), "it is late at the end");
    }

    fn second(second: u64) -> Timestamp {
        Timestamp::from_nanos(second * 1_000_000_000)
    }

    #[test]
    fn what_was_done_within_the_warm_up_is_no_activity() {
        let mut load = JudgedLoad::after(Duration::from_secs(10));
        let ended: Vec<u64> = (100..=120).filter(|now| load.note(second(*now), 50 * (*now).min(110))).collect();
        assert_eq!(ended, [110], "once");
        assert_eq!(load.judged(), (0, Duration::from_secs(10)));
        load.note(second(121), 50 * 110 + 2);
        assert_eq!(load.judged(), (2, Duration::from_secs(11)));
    }

    #[test]
    fn a_moment_is_neither_idle_nor_busy() {
        let mut load = JudgedLoad::default();
        assert!(load.is_warm() && !load.note(second(5), 9));
        assert_eq!(load.judged(), (9, Duration::ZERO));
        let eleven = Duration::from_secs(11);
        assert!(!is_idle(0, eleven, 0.0) && !is_idle(2, eleven, 0.1) && is_idle(2, eleven, 0.2));
        assert!(!is_idle(0, Duration::from_millis(900), 9.0));
    }
}
