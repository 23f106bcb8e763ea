//! What a task waits for: an op that it polled in its last poll, a timer that it made then, or something that the feed does not show.

use std::time::Duration;

use super::view::Evidence;
use crate::model::entity::async_op::AsyncOp;
use crate::model::entity::resource::Resource;
use crate::model::entity::task::{Task, TaskState};
use crate::model::{OpKey, TaskKey};

/// Two threads stamp the start of a task's poll and of its op's poll: disorder of this size is allowed.
const SAME_POLL: Duration = Duration::from_micros(100);

impl Evidence<'_> {
    /// What an idle task waits for at present: ops that it polled in its last poll. An op that it holds but did not poll does not keep
    /// it from going on.
    pub fn waits(&self, task: TaskKey) -> impl Iterator<Item = (OpKey, &AsyncOp)> {
        let waiting = self.task(task).filter(|task| task.state() == TaskState::Idle);
        let last_poll = waiting.and_then(|task| task.stats.poll.started).unwrap_or_default();
        let ops = waiting.map(|task| task.ops.as_slice()).unwrap_or_default();
        ops.iter()
            .filter(|key| self.is_waiting(**key))
            .filter_map(|key| Some((*key, self.op(*key)?)))
            .filter(move |(_, op)| op.stats.poll.started.is_some_and(|started| started.plus(SAME_POLL) >= last_poll))
    }

    /// The timer that an idle task sleeps on, if it made it in its last poll: a timer does not say whose it is.
    pub fn timer(&self, task: &Task) -> Option<&Resource> {
        if task.state() != TaskState::Idle {
            return None;
        }
        let (from, to) = (task.stats.poll.started?, task.stats.poll.ended?);
        self.timers_made(from, to).map(|(_, timer)| timer).find(|timer| timer.dropped.is_none())
    }

    /// How many timers and ops a task made or polled in its last poll, all of which were traced.
    pub fn made_in_last_poll(&self, task: &Task) -> usize {
        let (Some(from), Some(to)) = (task.stats.poll.started, task.stats.poll.ended.max(task.stats.poll.started))
        else {
            return 0;
        };
        let made = |key: &&OpKey| self.op(**key).is_some_and(|op| (from..=to).contains(&op.stats.created));
        self.timers_made(from, to).count() + task.ops.iter().filter(made).count()
    }
}
