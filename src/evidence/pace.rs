//! How a task spends its time when it never rests: in very short polls, or in long ones of many turns around something that is always ready.

use std::time::Duration;

use super::numbers::number;
use crate::model::history::seconds::{Pace, Second};

/// A task whose polls end only when the budget of the scheduler is used up is polled or about to be for this share of the time,
pub(super) const FULL: f64 = 0.8;
/// is polled for this share of it, where other threads want its core too,
const BUSY: f64 = 0.4;
/// and registers for a wake-up this many times in each poll.
const TURNS: f64 = 10.0;
/// In less time than this between two registrations, not even a message is received. Then a lower share of the time is enough,
const NOTHING: Duration = Duration::from_micros(1);
/// this one, as a worker also looks for other work between two polls.
const MOST: f64 = 0.6;

/// A second of which less is known says nothing: half of it, as updates come a second apart, give or take.
pub const KNOWN: Duration = Duration::from_millis(500);
/// This many registrations for a wake-up a second are no ordinary waiting.
pub const CLONES: f64 = 5_000.0;
/// In less than this, no work gets done.
pub const NO_WORK: Duration = Duration::from_micros(20);

impl Pace {
    /// Polls a second.
    pub fn polls_per_second(&self) -> f64 {
        self.per_second(self.polls)
    }

    /// Registrations for a wake-up a second.
    pub fn clones_per_second(&self) -> f64 {
        self.per_second(self.clones)
    }

    /// The mean duration of a poll, if there were any.
    pub fn mean_poll(&self) -> Option<Duration> {
        u32::try_from(self.polls).ok().and_then(|polls| self.busy.checked_div(polls))
    }

    /// The share of the time for which the task was polled or about to be.
    pub fn restless_share(&self) -> f64 {
        self.share(self.busy + self.scheduled)
    }

    /// Whether it spins on something that is always ready: its polls are long because of that, and it registers for a wake-up at least this
    /// many times a second.
    pub fn spins_in_long_polls(&self, clones: f64) -> bool {
        let least = if self.has_turns_below(NOTHING) { MOST } else { FULL };
        self.registers_all_the_time(clones) && self.share(self.busy) >= BUSY && self.restless_share() >= least
    }

    /// Whether it registers for a wake-up at least this many times a second, and many times in each poll.
    pub(super) fn registers_all_the_time(&self, clones: f64) -> bool {
        self.clones_per_second() >= clones && self.clones_per_second() / self.polls_per_second().max(1.0) >= TURNS
    }

    /// Whether the time between two registrations is shorter than this on average.
    fn has_turns_below(&self, time: Duration) -> bool {
        self.busy.as_secs_f64() < time.as_secs_f64() * number(self.clones)
    }

    /// Wakes of itself a second.
    pub fn self_wakes_per_second(&self) -> f64 {
        self.per_second(self.self_wakes)
    }

    /// The share of its wakes that it made itself.
    pub fn self_wake_share(&self) -> f64 {
        number(self.self_wakes) / number(self.wakes.max(1))
    }

    /// The share of a core that its polls take.
    pub fn busy_share(&self) -> f64 {
        self.share(self.busy)
    }

    fn share(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.time.as_secs_f64().max(1e-9)
    }

    fn per_second(&self, count: u64) -> f64 {
        number(count) / self.time.as_secs_f64().max(1e-9)
    }
}

impl Second {
    /// Whether a task spins on something that is always ready. Alone it fills a core. Several of a site fill one together: a task that has used up
    /// its budget is woken only when its worker has polled the others. A timer that has elapsed is polled again for nothing, however little of a
    /// core the task gets. In the last two cases the turns have to be shorter than `no_work`.
    pub fn spins_in_long_polls(&self, clones: f64, no_work: Duration) -> bool {
        let fill_a_core = self.busy.as_secs_f64() >= FULL * self.to.since(self.from).as_secs_f64();
        let is_proven = self.elapsed_timer.is_some() || fill_a_core;
        self.fastest.is_some_and(|it| {
            it.spins_in_long_polls(clones)
                || (is_proven && it.registers_all_the_time(clones) && it.has_turns_below(no_work))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TaskKey;

    fn pace(polls: u64, busy: u64, scheduled: u64, clones: u64) -> Pace {
        let [time, busy, scheduled] = [1_000, busy, scheduled].map(Duration::from_millis);
        Pace { task: TaskKey::default(), time, polls, busy, scheduled, clones, wakes: 0, self_wakes: 0 }
    }

    #[test]
    fn a_spin_in_long_polls_fills_a_core_and_registers_all_the_time() {
        for (case, pace, spins) in [
            ("a closed channel in select!", pace(450, 950, 40, 16_000), true),
            ("a yield loop: a clone a poll", pace(45_000, 300, 600, 45_000), false),
            ("a busy worker that rests", pace(450, 500, 40, 16_000), false),
            ("the same in short turns", pace(450, 500, 40, 800_000), false),
            ("short turns while others want the core", pace(9_000, 550, 120, 800_000), true),
            ("a computation", pace(450, 950, 40, 450), false),
        ] {
            assert_eq!(pace.spins_in_long_polls(CLONES), spins, "{case}");
        }
        assert_eq!(pace(100, 500, 0, 0).mean_poll(), Some(Duration::from_millis(5)));
        assert_eq!(pace(0, 0, 0, 0).mean_poll(), None);
    }
}
