//! How much of the time that a target was watched its own clock accounts for.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::model::history::push_bounded;
use crate::model::time::Timestamp;

/// How many steps between arrivals the usual one is learned from.
const STEPS: usize = 9;
/// A step longer than this, and than so many usual ones, is a silence, which is a doubt of its own, or a machine that was suspended.
const LONGEST_STEP: Duration = Duration::from_secs(5);
const USUAL_STEPS: u32 = 5;
/// Least steps and time from which anything is concluded.
const FEW_STEPS: u32 = 3;
const SHORT: Duration = Duration::from_secs(1);
/// A clock that advances by less than this part of the time does not run.
const STOPPED: u32 = 10;
/// One that advances by less than half of the time is too slow, once this much is missing: clocks are set back by some seconds.
const MISSING: Duration = Duration::from_secs(5);

/// The times between the updates of one target, by our clock and by its own.
///
/// Only differences count, and of ours only those between updates that came one after the other: where the two clocks stand does not
/// matter, nor does a time in which nothing was to be expected.
#[derive(Debug, Clone, Default)]
pub struct WatchTime {
    has_begun: bool,
    last: Option<(SystemTime, Timestamp)>,
    usual: VecDeque<Duration>,
    steps: u32,
    ours: Duration,
    theirs: Duration,
    /// By how much its clock has stayed behind half of ours lately; never below zero, so that no leap ahead makes up for it.
    behind: Duration,
    lost_since: Option<SystemTime>,
    lost: Duration,
}

impl WatchTime {
    /// An update has arrived, after which the target's time is `now`.
    pub fn note(&mut self, at: SystemTime, now: Timestamp) {
        if let Some(since) = self.lost_since.take() {
            self.lost += at.duration_since(since).unwrap_or_default();
        }
        self.has_begun = true;
        let Some((last_at, last_now)) = self.last.replace((at, now)) else { return };
        let ours = at.duration_since(last_at).unwrap_or_default();
        let usual = self.usual_step();
        let longest = LONGEST_STEP.max(usual.saturating_mul(USUAL_STEPS));
        push_bounded(&mut self.usual, ours, STEPS);
        if ours > longest {
            return;
        }
        // What was held up on its way comes in a burst. A leap of its clock is no time that was watched.
        let theirs = now.since(last_now).min(2 * ours.max(usual));
        self.steps = self.steps.saturating_add(1);
        self.ours += ours;
        self.theirs += theirs;
        self.behind = (self.behind + ours / 2).saturating_sub(theirs);
    }

    /// The next update does not follow on the last one: the connection was lost, the feed paused, or the target silent.
    pub fn interrupt(&mut self) {
        self.last = None;
    }

    /// The connection was lost.
    pub fn lose(&mut self, at: SystemTime) {
        self.interrupt();
        if self.has_begun {
            self.lost_since.get_or_insert(at);
        }
    }

    /// How far the target's clock got in the time that it was watched, by ours, where that is far too little.
    pub fn shortfall(&self) -> Option<(Duration, Duration)> {
        let is_short = self.steps > FEW_STEPS && self.ours >= SHORT;
        let is_stopped = self.theirs * STOPPED < self.ours;
        let is_slow = 2 * self.theirs < self.ours && self.ours.saturating_sub(self.theirs) >= MISSING;
        (self.is_behind() || (is_short && (is_stopped || is_slow))).then_some((self.theirs, self.ours))
    }

    /// Whether its clock has hardly advanced lately.
    pub fn is_behind(&self) -> bool {
        self.behind >= MISSING
    }

    /// Whether there was no connection for longer than there was one.
    pub fn is_mostly_lost(&self) -> bool {
        self.lost > self.ours
    }

    fn usual_step(&self) -> Duration {
        let mut steps: Vec<Duration> = self.usual.iter().copied().collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Updates with their distances in seconds, by our clock and by the target's.
    fn watched(steps: impl IntoIterator<Item = (f64, f64)>) -> WatchTime {
        let mut watch = WatchTime::default();
        let (mut at, mut now) = (SystemTime::UNIX_EPOCH, Timestamp::from_nanos(1_000_000_000_000));
        watch.note(at, now);
        for (ours, theirs) in steps {
            at += Duration::from_secs_f64(ours);
            now = now.plus(Duration::from_secs_f64(theirs));
            watch.note(at, now);
        }
        watch
    }

    fn is_short(steps: impl IntoIterator<Item = (f64, f64)>) -> bool {
        watched(steps).shortfall().is_some()
    }

    #[test]
    fn a_clock_that_stops_is_short_at_once_or_after_a_long_life() {
        let healthy = || (0..3_600).map(|_| (1.0, 1.0));
        assert!(is_short((0..5).map(|_| (1.0, 0.0))));
        assert!(is_short((0..5).map(|_| (10.0, 0.0))), "with a slow interval, too");
        assert!(is_short(healthy().chain((0..11).map(|_| (1.0, 0.0)))));
        assert!(!is_short(healthy().chain((0..11).map(|_| (1.0, 0.0))).chain(healthy())), "that is long over");
        assert!(
            is_short((0..60).map(|nth| if nth % 9 == 8 { (1.0, 3_000.0) } else { (1.0, 0.0) })),
            "leaps make up for nothing"
        );
    }

    #[test]
    fn what_happens_to_healthy_clocks_is_no_shortfall() {
        let healthy = |seconds| (0..seconds).map(|_| (1.0, 1.0));
        assert!(!is_short(healthy(86_400).map(|(ours, theirs)| (ours, theirs * 0.999))), "it drifts");
        assert!(!is_short(healthy(2).chain((0..4).map(|_| (1.0, 0.0))).chain(healthy(4))), "it is set back by seconds");
        assert!(!is_short(healthy(10).chain([(1_800.0, 1.0)]).chain(healthy(10))), "a machine is suspended");
        assert!(!is_short(healthy(10).chain([(4.0, 1.0), (0.0, 1.0), (0.0, 1.0), (0.0, 1.0)])), "updates are held up");
        assert!(!is_short((0..2).map(|_| (10.0, 10.0))), "a slow interval and a short watch");
        assert!(!is_short((0..3).map(|_| (0.01, 0.0))), "too little to conclude from");
    }

    #[test]
    fn a_connection_that_comes_and_goes_is_mostly_lost() {
        let mut watch = WatchTime::default();
        let mut at = SystemTime::UNIX_EPOCH;
        for _ in 0..10 {
            watch.note(at, Timestamp::default());
            watch.lose(at);
            at += Duration::from_secs(1);
        }
        assert!(watch.is_mostly_lost());
        let mut watch = watched((0..20).map(|_| (1.0, 1.0)));
        let lost = SystemTime::UNIX_EPOCH + Duration::from_secs(20);
        watch.lose(lost);
        watch.note(lost + Duration::from_secs(8), Timestamp::default());
        assert!(!watch.is_mostly_lost());
    }
}
