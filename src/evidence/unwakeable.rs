//! Tasks that nothing can wake, as far as the counters of wakers can be believed.

use std::time::Duration;

use super::view::Evidence;
use crate::model::TaskKey;
use crate::model::entity::task::Task;
use crate::model::tokio::TaskKind;

/// The counters of a task may miss clones of its waker if it was first polled this soon after the start of the process. In one feed all clones of
/// the first milliseconds were missing, and nothing else. The cause is not known.
const START: Duration = Duration::from_secs(1);
/// Such a task has to be idle for this long: its next wake would show that it has a waker.
const LONG: Duration = Duration::from_secs(5);
/// It has to be idle for this long if tasks of other sites have no waker either: lost clones explain that better than several faults at once.
const VERY_LONG: Duration = Duration::from_secs(60);

/// A task that nothing can wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WithoutWaker {
    /// How long it has been idle.
    pub idle: Duration,
    /// The least time for which it has to be idle to be believed; zero where its counters are right.
    pub least: Duration,
    /// The task.
    pub task: TaskKey,
}

impl Evidence<'_> {
    /// The async tasks that nothing can wake.
    pub fn tasks_without_waker(&self) -> impl Iterator<Item = WithoutWaker> {
        // The future of `block_on` is woken by its thread being unparked, which no counter shows.
        let unwakeable = || self.unwakeable().filter(|(_, task)| task.kind != TaskKind::BlockOn);
        let mut doubtful = unwakeable().filter(|(_, task)| self.may_miss_clones(task)).map(|(_, task)| task.site);
        let first = doubtful.next();
        let long = if doubtful.all(|site| Some(site) == first) { LONG } else { VERY_LONG };
        unwakeable().filter_map(move |(key, task)| {
            let idle = self.running_since(task.stats.idle_from());
            let least = if self.may_miss_clones(task) { long } else { Duration::ZERO };
            let refuted = || self.quality().clones_lost || self.task_wait(key).sleeps_until(self.now()).is_some();
            let is_believed = least.is_zero() || (idle >= least && !refuted());
            is_believed.then_some(WithoutWaker { idle, least, task: key })
        })
    }

    /// Whether clones of its waker may not have been counted. One that was counted in its only poll shows that none is missing.
    fn may_miss_clones(&self, task: &Task) -> bool {
        let is_complete = task.stats.poll.polls == 1 && task.stats.waker_clones > 0;
        !is_complete && task.stats.poll.first.is_none_or(|first| first.since(self.birth()) < START)
    }
}
