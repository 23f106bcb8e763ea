//! The target's clock: its publish interval, and the times in which its process did not run.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use crate::model::history::push_bounded;
use crate::model::time::Timestamp;

/// How many steps between updates the interval is learned from.
const STEPS: usize = 9;
/// How many of them must have been seen before a longer one counts as a gap.
const STEPS_TO_JUDGE: usize = 3;
/// Number of last steps that the irregularity is computed from, and the minimum.
const REGULARITY: usize = 20;
const REGULARITY_TO_JUDGE: usize = 8;
/// How many gaps are remembered; older ones can no longer overlap anything that is judged.
const GAPS: usize = 64;

/// A clock that is ahead by more than this, beyond the time that has passed, has leapt.
pub(in crate::model) const LEAP: Duration = Duration::from_secs(3_600);
/// Times in a row that do not fit, and how long they last, before they are believed: clocks are set back by seconds, and a single time may
/// be nonsense.
const STRAYS: u32 = 3;
const STRAY_FOR: Duration = Duration::from_secs(10);

/// What is made of the time of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) enum Belief {
    /// It is taken. One that is behind does not turn the clock back.
    Taken,
    /// It has leapt: the clock advances to this instead.
    Instead(Timestamp),
    /// It did not fit several times in a row: everything before it is void.
    Anew,
}

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
    /// Their median: it is asked for with every task.
    interval: Option<Duration>,
    /// The differences between the last steps and it.
    deviations: VecDeque<Duration>,
    gaps: VecDeque<Gap>,
    interrupted: bool,
    /// When the present update arrived, and when the last one did that was taken, by our clock.
    arrives: Option<SystemTime>,
    taken: Option<SystemTime>,
    /// Times in a row that did not fit, and since when.
    strays: u32,
    astray_since: Option<SystemTime>,
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
        self.interval.unwrap_or(Duration::from_secs(1))
    }

    /// How irregular the updates are: the 75th percentile of the difference between the last steps and the interval; `None` while there are
    /// too few. A thread of its own publishes them on a timer, so this is about how long a thread of the target waits for a core.
    pub fn irregularity(&self) -> Option<Duration> {
        (self.deviations.len() >= REGULARITY_TO_JUDGE).then(|| quantile(&self.deviations, 3, 4))
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

    /// Whether the next step says nothing about the target.
    pub(in crate::model) fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Says when the next update has arrived, by our clock. Of it only differences are used, and only to see whether a time is possible.
    pub(in crate::model) fn arrive(&mut self, at: SystemTime) {
        self.arrives = Some(at);
    }

    /// A clock of which nothing is known yet, at the arrival of the same update.
    pub(in crate::model) fn anew(&self) -> Self {
        Self { arrives: self.arrives, ..Self::default() }
    }

    /// Decides whether the time of an update can be right.
    pub(in crate::model) fn believe(&mut self, now: Timestamp) -> Belief {
        let passed =
            self.arrives.zip(self.taken).map(|(arrives, taken)| arrives.duration_since(taken).unwrap_or_default());
        let has_leapt = passed.is_some_and(|passed| now.since(self.now) > passed.saturating_add(LEAP));
        if self.updates == 0 || (now >= self.now && !has_leapt) {
            (self.strays, self.astray_since, self.taken) = (0, None, self.arrives);
            return Belief::Taken;
        }
        self.strays = self.strays.saturating_add(1);
        self.astray_since = self.astray_since.or(self.arrives);
        let astray = self.arrives.zip(self.astray_since).map(|(arrives, since)| arrives.duration_since(since));
        if self.strays >= STRAYS && astray.is_some_and(|astray| astray.is_ok_and(|astray| astray >= STRAY_FOR)) {
            return Belief::Anew;
        }
        if !has_leapt {
            return Belief::Taken;
        }
        self.taken = self.arrives;
        Belief::Instead(self.now.plus(passed.unwrap_or_default()))
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
        push_bounded(&mut self.deviations, step.abs_diff(interval), REGULARITY);
        self.interval = Some(quantile(&self.steps, 1, 2));
    }
}

/// The quantile `part / whole` of these.
fn quantile(times: &VecDeque<Duration>, part: usize, whole: usize) -> Duration {
    let mut times: Vec<Duration> = times.iter().copied().collect();
    times.sort_unstable();
    times.get(times.len() * part / whole).copied().unwrap_or_default()
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
    fn updates_are_irregular_where_every_other_one_is_late() {
        assert_eq!(clock((0..9).map(|n| n * 1_000)).irregularity(), None);
        assert_eq!(clock((0..20).map(|n| n * 1_000)).irregularity(), Some(Duration::ZERO));
        let one_is_late = clock((0..20).map(|n| n * 1_000 + u64::from(n == 9) * 90));
        assert_eq!(one_is_late.irregularity(), Some(Duration::ZERO));
        let many_are = clock((0..20).map(|n| n * 1_000 + n % 2 * 30));
        assert!(many_are.irregularity() >= Some(Duration::from_millis(30)), "{:?}", many_are.irregularity());
    }

    #[test]
    fn a_lost_connection_is_no_gap() {
        let mut clock = clock([1_000, 2_000, 3_000, 4_000, 5_000, 6_000]);
        clock.interrupt();
        clock.advance(at(60_000));
        assert_eq!(clock.gaps().count(), 0);
    }

    /// What is made of times that arrive a second apart.
    fn beliefs(seconds: &[u64]) -> Vec<Belief> {
        let mut clock = Clock::default();
        let mut arrival = SystemTime::UNIX_EPOCH;
        let mut beliefs = Vec::new();
        for now in seconds {
            arrival += Duration::from_secs(1);
            clock.arrive(arrival);
            let belief = clock.believe(at(now * 1_000));
            match belief {
                Belief::Taken => clock.advance(at(now * 1_000)),
                Belief::Instead(now) => clock.advance(now),
                Belief::Anew => {
                    clock = clock.anew();
                    assert_eq!(clock.believe(at(now * 1_000)), Belief::Taken);
                    clock.advance(at(now * 1_000));
                }
            }
            beliefs.push(belief);
        }
        beliefs
    }

    #[test]
    fn a_clock_that_is_set_back_by_seconds_is_waited_for() {
        let set_back: Vec<u64> = (100..110).chain(103..120).collect();
        assert!(beliefs(&set_back).iter().all(|belief| *belief == Belief::Taken));
    }

    #[test]
    fn a_clock_that_stays_behind_is_begun_anew_once() {
        let set_back: Vec<u64> = (10_000..10_010).chain(100..130).collect();
        let beliefs = beliefs(&set_back);
        let anew: Vec<usize> = (0..beliefs.len()).filter(|nth| beliefs[*nth] == Belief::Anew).collect();
        assert_eq!(anew, [20]);
    }

    #[test]
    fn one_leap_is_left_out_and_a_lasting_one_is_believed_in_the_end() {
        let century = 3_000_000_000;
        let times: Vec<u64> = (100..105).chain([century]).chain(106..120).collect();
        let beliefs_of_one = beliefs(&times);
        assert_eq!(beliefs_of_one[5], Belief::Instead(at(105_000)));
        assert!(beliefs_of_one.iter().enumerate().all(|(nth, belief)| nth == 5 || *belief == Belief::Taken));
        let times: Vec<u64> = (100..105).chain(century..century + 20).collect();
        assert_eq!(beliefs(&times).iter().filter(|belief| **belief == Belief::Anew).count(), 1);
    }

    #[test]
    fn time_never_runs_backwards() {
        assert_eq!(clock([5_000, 6_000, 4_000]).now(), at(6_000));
    }
}
