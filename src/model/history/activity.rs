//! What all tasks of a target have done together: sums that never fall, and what they were lately.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::history::push_bounded;
use crate::model::time::Timestamp;

/// Sums of earlier updates that are kept, at most one a second.
const MARKS: usize = 64;

/// What tasks have done, added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activity {
    /// Polls that ended.
    pub polls: u64,
    /// Time spent in them.
    pub busy: Duration,
    /// Wakes.
    pub wakes: u64,
    /// Time between a wake and the poll that followed.
    pub scheduled: Duration,
}

impl Activity {
    /// What was done in both times.
    #[must_use]
    pub fn plus(&self, more: &Self) -> Self {
        Self {
            polls: self.polls + more.polls,
            busy: self.busy + more.busy,
            wakes: self.wakes + more.wakes,
            scheduled: self.scheduled + more.scheduled,
        }
    }

    /// What was done since an earlier sum.
    #[must_use]
    pub fn without(&self, earlier: &Self) -> Self {
        Self {
            polls: self.polls.saturating_sub(earlier.polls),
            busy: self.busy.saturating_sub(earlier.busy),
            wakes: self.wakes.saturating_sub(earlier.wakes),
            scheduled: self.scheduled.saturating_sub(earlier.scheduled),
        }
    }
}

/// What all async tasks have done since the target was first seen, but those of console-subscriber: these work for whoever watches.
#[derive(Debug, Clone, Default)]
pub struct ActivityLog {
    total: Activity,
    marks: VecDeque<(Timestamp, Activity)>,
    latest: Timestamp,
}

impl ActivityLog {
    /// What they have done in all.
    pub fn total(&self) -> &Activity {
        &self.total
    }

    /// What they have done lately, and in what time: about this long, or as long as has been watched. Nothing before the second update.
    pub fn lately(&self, window: Duration) -> Option<(Activity, Duration)> {
        let from = self.latest.minus(window);
        let begun = self.marks.iter().rev().find(|(at, _)| *at <= from).or(self.marks.front());
        let (at, before) = begun.filter(|(at, _)| *at < self.latest)?;
        Some((self.total.without(before), self.latest.since(*at)))
    }

    /// Counts what a task has done.
    pub(in crate::model) fn note(&mut self, more: Activity) {
        self.total = self.total.plus(&more);
    }

    /// Says that an update has been read.
    pub(in crate::model) fn reach(&mut self, now: Timestamp) {
        self.latest = now;
        if self.marks.back().is_none_or(|(last, _)| now.since(*last) >= Duration::from_secs(1)) {
            push_bounded(&mut self.marks, (now, self.total), MARKS);
        }
    }

    /// The sums with which another process begins, or another clock.
    #[must_use]
    pub(in crate::model) fn carried_over(self) -> Self {
        Self { total: self.total, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    /// Updates at this distance, in each of which ten polls of 2 ms have ended.
    fn watched(updates: u64, millis: u64) -> ActivityLog {
        let mut log = ActivityLog::default();
        for update in 1..=updates {
            log.note(Activity { polls: 10, busy: Duration::from_millis(20), ..Activity::default() });
            log.reach(at(update * millis));
        }
        log
    }

    #[test]
    fn what_was_done_lately_is_told_with_its_time_at_any_interval() {
        let window = Duration::from_secs(10);
        for (updates, millis, polls, time) in [
            (1, 1_000, None, 0),
            (5, 1_000, Some(40), 4_000),
            (100, 1_000, Some(100), 10_000),
            (3, 30_000, Some(10), 30_000),
        ] {
            let lately = watched(updates, millis).lately(window);
            assert_eq!(lately.map(|(it, _)| it.polls), polls, "{updates} updates");
            assert_eq!(lately.map_or(Duration::ZERO, |(_, it)| it), Duration::from_millis(time), "{updates} updates");
        }
        let (dense, time) = watched(10_000, 10).lately(window).expect("it was watched for 100 s");
        assert!((window..window + Duration::from_secs(1)).contains(&time), "{time:?}");
        assert_eq!((u128::from(dense.polls), dense.busy), (time.as_millis(), 2 * time));
    }

    #[test]
    fn another_process_adds_to_the_sums_and_has_a_past_of_its_own() {
        let mut log = watched(100, 1_000).carried_over();
        assert_eq!((log.total().polls, log.lately(Duration::from_secs(10))), (1_000, None));
        log.reach(at(5));
        log.note(Activity { polls: 1, ..Activity::default() });
        log.reach(at(1_005));
        assert_eq!(log.total().polls, 1_001);
        assert_eq!(log.lately(Duration::from_secs(10)).map(|(it, _)| it.polls), Some(1));
    }
}
