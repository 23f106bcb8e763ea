//! Tasks that were woken and are not polled although nothing blocks: the runtime that should poll them is not driven any more.

use std::collections::BTreeSet;
use std::time::Duration;

use super::view::Evidence;
use crate::model::TaskKey;
use crate::model::entity::task::{Task, TaskState};
use crate::model::time::Timestamp;

/// This many other tasks
const OTHERS: usize = 3;
/// must have been polled within this time, so that it is not the process that stands still,
const LATELY: Duration = Duration::from_millis(1_500);
/// and were woken at least this much later than those that were not.
const AFTER: Duration = Duration::from_secs(1);
/// Where half of the tasks that were woken in this time
const LOAD: Duration = Duration::from_secs(5);
/// waited this long for a poll, the runtime is overloaded.
const OVERLOADED: Duration = Duration::from_millis(500);
/// Two threads stamp a wake and the poll that it came from: disorder of this size is allowed.
const SAME_POLL: Duration = Duration::from_micros(100);
/// Parts of a time in each of which some were woken, if more and more are.
const PARTS: u32 = 4;
/// Tasks that are looked at, those that have waited longest.
const MOST: usize = 64;

/// Tasks that were woken and are not polled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undriven {
    /// Who they are; those that have waited longest come first.
    pub tasks: Vec<TaskKey>,
    /// How long the first of them has waited.
    pub longest: Duration,
    /// For how long more and more of them have been woken: from the first wake to the last, if some were in each part of that time.
    pub grows_for: Duration,
    /// Idle tasks that woke one of them in their last poll, and wait for what it should do.
    pub victims: Vec<TaskKey>,
}

impl Evidence<'_> {
    /// The tasks that were woken at least this long ago and are not polled, while others are and no poll runs that could keep them waiting.
    pub fn undriven(&self, least: Duration) -> Undriven {
        let mut wakes: Vec<(Timestamp, TaskKey)> = self
            .woken()
            .filter_map(|(key, task)| Some((task.stats.last_wake?, key)))
            .filter(|(wake, _)| self.running_since(*wake) >= least)
            .collect();
        wakes.sort_unstable();
        let (Some((first, _)), Some((last, _))) = (wakes.first(), wakes.last()) else { return Undriven::default() };
        let blamed = self.polls_running_for(least).iter().any(|poll| poll.since <= *last);
        let third = wakes.get(2).map_or(*last, |(wake, _)| *wake);
        if blamed || self.is_overloaded() || !self.others_overtake(third) {
            return Undriven::default();
        }
        let (longest, grows_for) = (self.running_since(*first), grown_for(&wakes));
        wakes.truncate(MOST);
        let victims = self.who_woke(&wakes);
        Undriven { tasks: wakes.into_iter().map(|(_, task)| task).collect(), longest, grows_for, victims }
    }

    fn is_overloaded(&self) -> bool {
        let mut delays: Vec<Duration> = self.delays().since(self.now().minus(LOAD)).map(|delay| delay.mean).collect();
        delays.sort_unstable();
        delays.get(delays.len() / 2).is_some_and(|median| *median >= OVERLOADED)
    }

    /// Whether other tasks that were woken well after this wake were polled for it, and lately: runtimes poll in turn, also where they are
    /// overloaded.
    fn others_overtake(&self, wake: Timestamp) -> bool {
        let from = self.now().minus(LATELY);
        let overtakes = |task: &Task| {
            let (woken, polled) = (task.stats.last_wake, task.stats.poll.started);
            woken >= Some(wake.plus(AFTER)) && polled >= woken && polled >= Some(from)
        };
        self.tasks().filter(|(_, task)| task.kind.is_async() && overtakes(task)).take(OTHERS).count() == OTHERS
    }

    /// The idle tasks that were in their last poll when one of these wakes came: it came from there.
    fn who_woke(&self, wakes: &[(Timestamp, TaskKey)]) -> Vec<TaskKey> {
        let times: BTreeSet<Timestamp> = wakes.iter().map(|(wake, _)| *wake).collect();
        let woke = |task: &Task| {
            let (Some(from), Some(to)) = (task.stats.poll.started, task.stats.poll.ended) else { return false };
            from <= to && times.range(from.minus(SAME_POLL)..=to.plus(SAME_POLL)).next().is_some()
        };
        let idle = self.tasks().filter(|(_, task)| task.kind.is_async() && task.state() == TaskState::Idle);
        idle.filter(|(_, task)| woke(task)).map(|(key, _)| key).collect()
    }
}

/// The time from the first of these wakes to the last, if some came in each part of it.
fn grown_for(wakes: &[(Timestamp, TaskKey)]) -> Duration {
    let (Some((first, _)), Some((last, _))) = (wakes.first(), wakes.last()) else { return Duration::ZERO };
    let time = last.since(*first);
    let came = |part: u32| {
        let from = first.plus(time * part / PARTS);
        let next = wakes.partition_point(|(wake, _)| *wake <= from);
        wakes.get(next).is_some_and(|(wake, _)| *wake <= first.plus(time * (part + 1) / PARTS))
    };
    if (0..PARTS).all(came) { time } else { Duration::ZERO }
}
