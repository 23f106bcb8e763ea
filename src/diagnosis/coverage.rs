//! For how much of a run the feed reported everything without delay.

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
    /// Notes the time at which something arrived, and whether it was late.
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
}
