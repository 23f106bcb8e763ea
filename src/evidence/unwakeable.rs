//! Tasks that nothing can wake, as far as the counters of wakers can be believed.

use std::time::Duration;

use super::view::Evidence;
use crate::model::TaskKey;
use crate::model::entity::task::Task;
use crate::model::tokio::TaskKind;

/// The first clones of wakers may not be counted, those of tasks that are polled within this time of the start of the process. It was seen in one
/// of some hundred runs under load, of all clones of a process's first milliseconds and of nothing else: as if `tracing` had lost them while another
/// thread made the place of this event in the code known.
const START: Duration = Duration::from_secs(1);
/// Such a task is believed to have no waker after it has been idle for this long, for its next wake would show that it has one;
const LONG: Duration = Duration::from_secs(5);
/// and for this long if tasks of other sites have none either, for several faults at once are less likely than one loss.
const VERY_LONG: Duration = Duration::from_secs(60);

impl Evidence<'_> {
    /// The async tasks that nothing can wake, and for how long they have been idle.
    pub fn tasks_without_waker(&self) -> impl Iterator<Item = (TaskKey, &Task, Duration)> {
        // The future of `block_on` is woken by its thread being unparked, which no counter shows.
        let unwakeable = || self.unwakeable().filter(|(_, task)| task.kind != TaskKind::BlockOn);
        let mut of_start = unwakeable().filter(|(_, task)| self.may_be_miscounted(task)).map(|(_, task)| task.site);
        let first = of_start.next();
        let least = if of_start.all(|site| Some(site) == first) { LONG } else { VERY_LONG };
        let idle = unwakeable().map(|(key, task)| (key, task, self.running_since(task.stats.idle_from())));
        idle.filter(move |(key, task, idle)| {
            let sleeps = || self.task_wait(*key).sleeps_until(self.now()).is_some();
            let is_believed = || *idle >= least && !self.quality().clones_lost && !sleeps();
            !self.may_be_miscounted(task) || is_believed()
        })
    }

    /// Whether clones of its wakers may not be counted. Where one of its first poll is, those after it are too.
    fn may_be_miscounted(&self, task: &Task) -> bool {
        let is_counted = task.stats.poll.polls == 1 && task.stats.waker_clones > 0;
        !is_counted && task.stats.poll.first.is_none_or(|first| first.since(self.birth()) < START)
    }
}
