//! When a recorded target was silent, worked out from the times at which its updates had arrived.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::feed::{Arrived, FeedEvent, Status};

/// A target is called quiet after this long without an update, or after [`MISSED_INTERVALS`] of its publish intervals if that is longer.
const QUIET_AFTER: Duration = Duration::from_secs(5);

/// How many publish intervals a target may miss.
const MISSED_INTERVALS: u32 = 5;

/// While the interval is not known a target gets this much more time.
const UNKNOWN_FACTOR: u32 = 3;

/// A target may claim any interval; it is not waited for longer than this.
const LONGEST_PATIENCE: Duration = Duration::from_secs(86_400);

/// How often a silence is reported while it lasts.
const REPEAT: Duration = Duration::from_secs(1);

/// The most reports between two events: a longer silence is reported less often.
const MOST_REPORTS: u32 = 256;

/// Intervals that are remembered for their median.
const REMEMBERED: usize = 9;

/// The rule of a live feed, on recorded times.
#[derive(Debug, Default)]
pub(super) struct Silence {
    /// Since when nothing was heard, and when that is to be reported next; `None` while nothing is expected.
    waiting: Option<(SystemTime, SystemTime)>,
    updates: u32,
    last_now: Option<u64>,
    /// Between successive updates, by the target's clock.
    intervals: VecDeque<Duration>,
}

impl Silence {
    /// Takes what was heard.
    pub(super) fn observe(&mut self, arrived: &Arrived) {
        match &arrived.event {
            FeedEvent::Status(Status::Live) => {
                *self = Self::default();
                self.hear(arrived.at);
            }
            FeedEvent::Status(_) | FeedEvent::Paused(true) | FeedEvent::Ended(_) => self.waiting = None,
            FeedEvent::Paused(false) => self.hear(arrived.at),
            FeedEvent::Update(update) => {
                self.learn(update.message.now());
                self.hear(arrived.at);
            }
            FeedEvent::Details(_) | FeedEvent::Quiet(_) => {}
        }
    }

    /// The reports that were due up to a time, at most some 256.
    pub(super) fn reports(&mut self, until: SystemTime) -> Vec<Arrived> {
        let mut reports = Vec::new();
        let Some((since, due)) = &mut self.waiting else {
            return reports;
        };
        let Ok(rest) = until.duration_since(*due) else {
            return reports;
        };
        let step = REPEAT.max(rest / MOST_REPORTS);
        while *due <= until {
            let quiet = due.duration_since(*since).unwrap_or_default();
            reports.push(Arrived { at: *due, event: FeedEvent::Quiet(quiet) });
            let Some(next) = due.checked_add(step) else {
                break;
            };
            *due = next;
        }
        reports
    }

    fn hear(&mut self, at: SystemTime) {
        let patience = match self.interval() {
            Some(interval) => QUIET_AFTER.max(interval.saturating_mul(MISSED_INTERVALS)),
            None => QUIET_AFTER * UNKNOWN_FACTOR,
        };
        self.waiting = at.checked_add(patience.min(LONGEST_PATIENCE)).map(|due| (at, due));
    }

    fn learn(&mut self, now: Option<u64>) {
        let Some(now) = now else { return };
        self.updates = self.updates.saturating_add(1);
        let last = self.last_now.replace(now);
        // The first update came at the recorder's call, not at a tick of the target.
        if self.updates <= 2 {
            return;
        }
        if let Some(interval) = last.and_then(|last| now.checked_sub(last)) {
            if self.intervals.len() == REMEMBERED {
                self.intervals.pop_front();
            }
            self.intervals.push_back(Duration::from_nanos(interval));
        }
    }

    /// The usual time from one update to the next; `None` before the third update.
    fn interval(&self) -> Option<Duration> {
        let mut sorted: Vec<_> = self.intervals.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use console_api::instrument;

    use super::*;

    fn at(secs: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000 + secs)
    }

    fn update(secs: u64) -> Arrived {
        let update = instrument::Update { now: Some(at(secs).into()), ..Default::default() };
        Arrived { at: at(secs), event: FeedEvent::Update(Box::new(update.into())) }
    }

    fn quiets(silence: &mut Silence, until: u64) -> Vec<(u64, u64)> {
        let seconds = |it: SystemTime| it.duration_since(at(0)).map_or(0, |it| it.as_secs());
        silence
            .reports(at(until))
            .into_iter()
            .map(|report| match report.event {
                FeedEvent::Quiet(quiet) => (seconds(report.at), quiet.as_secs()),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_gap_is_reported_every_second_from_the_fifth_on() {
        let mut silence = Silence::default();
        for second in 0..4 {
            silence.observe(&update(second));
        }
        assert_eq!(quiets(&mut silence, 7), []);
        assert_eq!(quiets(&mut silence, 10), [(8, 5), (9, 6), (10, 7)]);
        assert_eq!(quiets(&mut silence, 11), [(11, 8)], "each is reported once");
        silence.observe(&update(11));
        assert_eq!(quiets(&mut silence, 15), []);
    }

    #[test]
    fn a_slow_publisher_is_given_five_intervals() {
        let mut silence = Silence::default();
        for second in [0, 10, 20, 30] {
            silence.observe(&update(second));
        }
        assert_eq!(quiets(&mut silence, 79), []);
        assert_eq!(quiets(&mut silence, 80), [(80, 50)]);
    }

    #[test]
    fn nothing_is_expected_of_a_paused_or_lost_target() {
        for event in [FeedEvent::Paused(true), FeedEvent::Status(Status::Dialing)] {
            let mut silence = Silence::default();
            silence.observe(&update(0));
            silence.observe(&Arrived { at: at(1), event });
            assert_eq!(quiets(&mut silence, 1_000), []);
        }
    }

    #[test]
    fn a_hostile_gap_gives_a_bounded_number_of_reports() {
        let mut silence = Silence::default();
        silence.observe(&update(0));
        let reports = quiets(&mut silence, 400 * 365 * 86_400);
        assert!((200..300).contains(&reports.len()), "{}", reports.len());
    }
}
