//! How far the feed's news of births lags behind the target's clock.

use std::time::Duration;

use crate::wire::Survey;

/// The first update that can tell: the first holds everything that lives, and the second may repeat it.
const FIRST_TELLING_UPDATE: u32 = 3;

/// With fewer news in an update, the age of the youngest says how little is born, not how late the news is.
const MIN_NEWS: usize = 60;

/// With fewer births, the youngest may be as old as the time between two updates without any lag.
const MIN_BIRTHS: usize = 10;

/// Measures, update by update, how long ago the newest birth was that a target has got round to report.
///
/// A target hands on at most 127 spawns, creations and poll ops a turn (tokio's coop budget), so that under load its births are reported
/// late while the stats of what is already known stay current. One meter serves one connection.
#[derive(Debug, Default)]
pub struct LagMeter {
    updates: u32,
    previous_now: Option<u64>,
    newest_birth: Option<u64>,
}

/// What one update brings that a target's event buffer held back: new entities, and poll ops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct News {
    /// New tasks, resources and async ops. They may have been announced before.
    pub births: usize,
    /// Poll ops.
    pub poll_ops: usize,
    /// Events the target had to throw away because its buffer was full.
    pub dropped: u64,
}

impl LagMeter {
    /// The lag in this update, or `None` if it does not bring enough to tell: no evidence of a lag, and none of its absence.
    pub fn observe(&mut self, survey: &Survey) -> Option<Duration> {
        self.updates = self.updates.saturating_add(1);
        let now = survey.now?;
        let since_last = self.previous_now.replace(now).map(|previous| now.saturating_sub(previous));
        let newest = survey.newest?;
        // Entities that are reported again are no news, however many they are.
        let is_news = self.newest_birth.is_none_or(|known| newest > known);
        self.newest_birth = self.newest_birth.max(Some(newest));

        let news = News::of(survey);
        if !is_news || self.updates < FIRST_TELLING_UPDATE || news.total() < MIN_NEWS {
            return None;
        }
        let lag = now.saturating_sub(newest);
        if news.births < MIN_BIRTHS && since_last.is_some_and(|interval| lag <= interval) {
            return None;
        }
        Some(Duration::from_nanos(lag))
    }
}

impl News {
    /// The part of a survey that is news.
    #[must_use]
    pub fn of(survey: &Survey) -> Self {
        Self { births: survey.introduced, poll_ops: survey.poll_ops, dropped: survey.dropped.total() }
    }

    /// Births and poll ops together.
    #[must_use]
    pub fn total(self) -> usize {
        self.births + self.poll_ops
    }
}

#[cfg(test)]
mod tests {
    use console_api::{Id, instrument, resources, tasks};
    use proptest::prelude::*;
    use prost_types::Timestamp;

    use super::*;
    use crate::wire::Message;

    fn at(millis: i64) -> Timestamp {
        let nanos = i32::try_from(millis.rem_euclid(1000) * 1_000_000).unwrap();
        Timestamp { seconds: millis.div_euclid(1000), nanos }
    }

    /// An update at `now` with tasks born at the given times, and poll ops; times in milliseconds.
    fn update(now: i64, born: impl IntoIterator<Item = i64>, poll_ops: usize) -> Survey {
        Survey::of(&Message::from(&decoded(now, born, poll_ops)))
    }

    fn decoded(now: i64, born: impl IntoIterator<Item = i64>, poll_ops: usize) -> instrument::Update {
        let mut task_update = tasks::TaskUpdate::default();
        for (n, born) in born.into_iter().enumerate() {
            let id = u64::try_from(now).unwrap() * 1000 + n as u64;
            task_update.new_tasks.push(tasks::Task { id: Some(Id { id }), ..Default::default() });
            task_update.stats_update.insert(id, tasks::Stats { created_at: Some(at(born)), ..Default::default() });
        }
        instrument::Update {
            now: Some(at(now)),
            task_update: Some(task_update),
            resource_update: Some(resources::ResourceUpdate {
                new_poll_ops: vec![resources::PollOp::default(); poll_ops],
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn warm() -> LagMeter {
        let mut meter = LagMeter::default();
        for now in [1_000, 2_000] {
            assert_eq!(meter.observe(&update(now, 0..100, 0)), None);
        }
        meter
    }

    #[test]
    fn the_lag_is_the_age_of_the_newest_birth() {
        assert_eq!(warm().observe(&update(10_000, 2_900..3_000, 0)), Some(Duration::from_millis(7_001)));
    }

    #[test]
    fn a_feed_that_keeps_up_has_a_lag_near_zero_which_is_not_none() {
        assert_eq!(warm().observe(&update(3_000, 2_900..3_000, 0)), Some(Duration::from_millis(1)));
    }

    #[test]
    fn the_first_two_updates_tell_nothing() {
        let mut meter = LagMeter::default();
        assert_eq!(meter.observe(&update(9_000, 0..500, 0)), None);
        assert_eq!(meter.observe(&update(10_000, 0..500, 0)), None);
        assert_eq!(meter.observe(&update(11_000, 600..1_000, 0)), Some(Duration::from_millis(10_001)));
    }

    #[test]
    fn a_quiet_target_does_not_lag() {
        let mut meter = warm();
        assert_eq!(meter.observe(&update(50_000, [10_000], 0)), None);
        assert_eq!(meter.observe(&update(51_000, [], 500)), None);
    }

    #[test]
    fn entities_announced_again_are_no_evidence() {
        assert_eq!(warm().observe(&update(40_000, 0..100, 400)), None);
    }

    #[test]
    fn poll_ops_count_but_a_few_births_within_the_interval_do_not_lag() {
        let mut meter = warm();
        assert_eq!(meter.observe(&update(3_000, [2_100], 200)), None);
        assert_eq!(meter.observe(&update(4_000, [2_500], 200)), Some(Duration::from_millis(1_500)));
    }

    #[test]
    fn a_birth_in_the_future_is_no_lag() {
        assert_eq!(warm().observe(&update(3_000, 3_000..3_100, 0)), Some(Duration::ZERO));
    }

    proptest! {
        #[test]
        fn no_timestamp_panics(times in prop::collection::vec((any::<i64>(), any::<i32>(), any::<i64>(), any::<i32>()), 1..6)) {
            let mut meter = warm();
            for (seconds, nanos, birth_seconds, birth_nanos) in times {
                let mut update = decoded(3_000, 2_000..2_100, 0);
                update.now = Some(Timestamp { seconds, nanos });
                for stats in update.task_update.iter_mut().flat_map(|it| it.stats_update.values_mut()) {
                    stats.created_at = Some(Timestamp { seconds: birth_seconds, nanos: birth_nanos });
                }
                let _ = meter.observe(&Survey::of(&Message::from(&update)));
            }
        }
    }
}
