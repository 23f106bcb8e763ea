//! What a task waits for: async ops that it polled in its last poll, a timer that it made then, or something that the feed does not show.

use std::rc::Rc;
use std::time::Duration;

use super::view::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::entity::task::{Task, TaskState};
use crate::model::time::Timestamp;
use crate::model::{OpKey, ResourceKey, TaskKey};

/// Two threads stamp the start of a task's poll and of its op's poll: disorder of this size is allowed.
const SAME_POLL: Duration = Duration::from_micros(100);
/// A timer that runs out within this time explains why a task rests; one further away does not.
const SOON: Duration = Duration::from_secs(300);
/// A timer may have run out this long ago and its task not have been woken: a runtime looks at its timers when one of its threads has time.
const OVERDUE: Duration = Duration::from_secs(2);

/// A wait for a resource, in an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awaited {
    /// The op.
    pub op: OpKey,
    /// The lock, channel, oneshot or barrier.
    pub resource: ResourceKey,
    /// Since when.
    pub since: Timestamp,
}

/// A timer that a task sleeps on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sleeping {
    /// The timer.
    pub timer: ResourceKey,
    /// When the task made it.
    pub from: Timestamp,
    /// When it runs out, if that is known.
    pub until: Option<Timestamp>,
}

/// What an idle task waits for; nothing of a task that is not idle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskWait {
    /// Resources other than timers. Several where the task runs several futures.
    pub awaited: Vec<Awaited>,
    /// The timer that it made in its last poll. A timer does not say whose it is.
    pub sleeping: Option<Sleeping>,
    /// Whether it waits for the next tick of an interval.
    pub ticking: bool,
    idle: bool,
}

impl TaskWait {
    /// Whether it waits for this.
    pub fn is_for(&self, resource: ResourceKey) -> bool {
        self.awaited.iter().any(|it| it.resource == resource)
    }

    /// The wait that has lasted longest.
    pub fn longest(&self) -> Option<Awaited> {
        self.awaited.iter().copied().min_by_key(|it| it.since)
    }

    /// Whether the task is idle, and waits for something that the feed does not show.
    pub fn is_unseen(&self) -> bool {
        self.idle && self.awaited.is_empty() && self.sleeping.is_none() && !self.ticking
    }

    /// Whether the task runs again by itself before long: a timer wakes it.
    pub fn ends_by_itself(&self, now: Timestamp) -> bool {
        self.ticking || self.sleeps_until(now).is_some()
    }

    /// When the timer that the task sleeps on runs out, if that is before long, or has run out just now.
    pub fn sleeps_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.sleeping?.until.filter(|until| until.plus(OVERDUE) > now && until.since(now) < SOON)
    }
}

impl Evidence<'_> {
    /// What a task waits for at present.
    pub fn task_wait(&self, key: TaskKey) -> Rc<TaskWait> {
        self.waits.get(key, || Rc::new(self.task(key).map(|task| self.find_wait(key, task)).unwrap_or_default()))
    }

    fn find_wait(&self, key: TaskKey, task: &Task) -> TaskWait {
        let only_seems_to_run = self.only_seems_to_run(key);
        if task.state() != TaskState::Idle && !only_seems_to_run {
            return TaskWait::default();
        }
        let mut wait = TaskWait { idle: true, sleeping: self.sleeping(task), ..TaskWait::default() };
        let last_poll = task.stats.poll.started.unwrap_or_default();
        // An op that it holds but did not poll does not keep it from making progress. Where polls are unexplained, the last one may
        // not have been the task's own.
        let any = only_seems_to_run || task.stats.unexplained_polls() > 0;
        let in_last_poll = |polled: Option<Timestamp>| any || polled.is_some_and(|at| at.plus(SAME_POLL) >= last_poll);
        for op in task.ops.iter().copied().filter(|op| self.is_waiting(*op)) {
            let Some(it) = self.op(op).filter(|it| in_last_poll(it.stats.poll.started)) else { continue };
            let Some(resource) = self.lock_of(op) else { continue };
            if self.resource(resource).is_some_and(|resource| resource.kind.is_timer()) {
                wait.ticking = true;
            } else {
                wait.awaited.push(Awaited { op, resource, since: self.waiting_since(it) });
            }
        }
        wait
    }

    /// Since when a task rests: it is idle, or inside a poll only by its counters. Nothing if it runs, or is about to.
    pub fn rests_since(&self, key: TaskKey) -> Option<Timestamp> {
        let task = self.task(key)?;
        if task.state() == TaskState::Idle {
            return Some(task.stats.idle_from());
        }
        task.stats.poll.started.filter(|_| self.only_seems_to_run(key))
    }

    /// Whether a task may run several futures at once (`join!`, `select!`, `FuturesUnordered`, a connection that also reads its socket): it waits
    /// in several places, or has given away more wakers than its wait and a timeout around that need. What one of them waits for, another may
    /// hold and release.
    pub fn runs_several_futures(&self, task: &Task) -> bool {
        let waits = task.ops.iter().filter(|op| self.is_waiting(**op)).count();
        let with_timeout = waits == 1 && self.sleeping(task).is_some();
        waits > 1 || task.stats.wakers() > 1 + u64::from(with_timeout)
    }

    fn sleeping(&self, task: &Task) -> Option<Sleeping> {
        if task.state() != TaskState::Idle {
            return None;
        }
        let (from, to) = (task.stats.poll.started?, task.stats.poll.ended?);
        let (timer, resource) = self.timers_made(from, to).find(|(_, timer)| timer.dropped.is_none())?;
        Some(Sleeping { timer, from: resource.created, until: self.due(resource) })
    }

    /// The timer that an idle task sleeps on, if it made it in its last poll.
    pub fn timer(&self, key: TaskKey) -> Option<&Resource> {
        self.resource(self.task_wait(key).sleeping?.timer)
    }

    /// Whether a task runs again by itself before long, or ran within this time.
    pub fn is_at_work(&self, key: TaskKey, within: Duration) -> bool {
        let Some(task) = self.task(key).filter(|task| task.is_alive()) else { return false };
        let wait = self.task_wait(key);
        task.state() != TaskState::Idle
            || self.running_since(task.stats.idle_from()) < within
            || wait.sleeping.is_some()
            || wait.ticking
    }

    /// How many timers and ops a task made in its last poll, all of which were traced.
    pub fn made_in_last_poll(&self, task: &Task) -> usize {
        let (Some(from), Some(to)) = (task.stats.poll.started, task.stats.poll.ended.max(task.stats.poll.started))
        else {
            return 0;
        };
        let made = |key: &&OpKey| self.op(**key).is_some_and(|op| (from..=to).contains(&op.stats.created));
        self.timers_made(from, to).count() + task.ops.iter().filter(made).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_lasts_until_the_task_has_had_time_to_wake_up() {
        let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let sleeping = Sleeping { timer: ResourceKey::default(), from: at(5), until: Some(at(30)) };
        let wait = TaskWait { idle: true, sleeping: Some(sleeping), ..TaskWait::default() };
        for (now, sleeps) in [(10, true), (29, true), (30, true), (31, true), (32, false), (60, false)] {
            assert_eq!(wait.sleeps_until(at(now)).is_some(), sleeps, "{now}");
        }
        let for_long = Sleeping { until: Some(at(1_000)), ..sleeping };
        assert_eq!(TaskWait { sleeping: Some(for_long), ..wait }.sleeps_until(at(10)), None);
    }
}
