//! How things depend on each other: what a task waits for, who holds that, and what the holder in turn waits for.

use std::time::Duration;

use super::async_op::{AsyncOp, OpStats};
use super::resource::{Resource, ResourceKind};
use super::task::{Task, TaskState};
use super::time::Timestamp;
use super::{Model, OpKey, ResourceKey, TaskKey};

/// Most levels of resources or ops inside each other that are followed.
const NESTING: usize = 8;
/// Two threads stamp the start of a task's poll and of its op's poll: so much disorder is allowed.
const SAME_POLL: Duration = Duration::from_micros(100);
/// A writer that lacks fewer permits than this waits for readers, one that lacks more for a writer.
const MOST_READERS: u64 = 1_000;
/// Most steps of a wait chain that are followed.
const CHAIN: usize = 16;

/// How sure an inferred relation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// It may be otherwise: what was acquired can be passed on, or has been taken in a way that is not reported.
    Possible,
    /// Nothing the feed reports speaks against it.
    Likely,
}

/// A task that holds a lock, as far as can be inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The task.
    pub task: TaskKey,
    /// When it got in.
    pub since: Timestamp,
    /// How sure that is.
    pub confidence: Confidence,
}

/// One step of a wait chain: a task waits, in an op, for a resource that others hold.
#[derive(Debug, Clone)]
pub struct Step {
    /// Who waits.
    pub task: TaskKey,
    /// In which op.
    pub op: OpKey,
    /// For what.
    pub resource: ResourceKey,
    /// Who holds it, as far as can be inferred; the first one is followed.
    pub holders: Vec<Holder>,
}

impl Model {
    /// The lock, semaphore or channel that a resource is (part of).
    pub fn lock(&self, mut resource: ResourceKey) -> Option<ResourceKey> {
        for _ in 0..NESTING {
            match self.resource(resource)?.parent {
                Some(parent) => resource = parent,
                None => return Some(resource),
            }
        }
        None
    }

    /// The lock, semaphore or channel that an op wants.
    pub fn lock_of(&self, op: OpKey) -> Option<ResourceKey> {
        self.lock(self.op(op)?.resource?)
    }

    /// The counters of the acquisition of permits that an op consists of: its inner op's, or its own.
    pub fn acquisition(&self, op: OpKey) -> OpStats {
        let outer = self.op(op);
        let inner = outer.and_then(|outer| self.op(outer.inner?));
        inner.or(outer).map(|op| op.stats).unwrap_or_default()
    }

    /// Whether an op has been polled, is alive and has not got what it wants.
    pub fn is_waiting(&self, key: OpKey) -> bool {
        let Some(op) = self.op(key) else { return false };
        op.is_alive()
            && op.stats.poll.polls > 0
            && op.ready != Some(true)
            && self.acquisition(key).is_granted() != Some(true)
    }

    /// Ops that wait for a lock, semaphore or channel, in no order.
    pub fn waiters(&self, lock: ResourceKey) -> impl Iterator<Item = (OpKey, &AsyncOp)> {
        let ops = self.resource(lock).map(|lock| lock.ops.as_slice()).unwrap_or_default();
        ops.iter().filter(|key| self.is_waiting(**key)).filter_map(|key| Some((*key, self.op(*key)?)))
    }

    /// Since when an op has been waiting.
    pub fn waiting_since(&self, op: &AsyncOp) -> Timestamp {
        op.stats.poll.first.map_or(op.stats.created, |first| first.min(op.stats.created))
    }

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
        let born = self.sleeps.range((from, ResourceKey::default())..).take_while(|(created, _)| *created <= to);
        born.filter_map(|(_, key)| self.resource(*key)).find(|timer| timer.dropped.is_none())
    }

    /// How many timers and ops a task made or polled in its last poll, all of which were traced.
    pub fn made_in_last_poll(&self, task: &Task) -> usize {
        let (Some(from), Some(to)) = (task.stats.poll.started, task.stats.poll.ended.max(task.stats.poll.started))
        else {
            return 0;
        };
        let timers =
            self.sleeps.range((from, ResourceKey::default())..).take_while(|(created, _)| *created <= to).count();
        let made = |key: &&OpKey| self.op(**key).is_some_and(|op| (from..=to).contains(&op.stats.created));
        timers + task.ops.iter().filter(made).count()
    }

    /// When a timer runs out, as far as is known: it is set anew by every reset, which is not reported.
    pub fn due(&self, timer: &Resource) -> Option<Timestamp> {
        let duration = timer.number("duration")?;
        Some(timer.created.plus(Duration::from_millis(duration)))
    }

    /// Whether a timer was made so soon after a time that it belongs to what began then.
    pub fn sleep_born_within(&self, from: Timestamp, window: Duration) -> bool {
        let last = from.plus(window);
        self.sleeps.range((from, ResourceKey::default())..).next().is_some_and(|(created, _)| *created <= last)
    }

    /// Who holds a lock or semaphore that is waited for. Empty where nothing can be inferred; never stated by the feed.
    pub fn holders(&self, lock: ResourceKey) -> Vec<Holder> {
        let Some(resource) = self.resource(lock) else {
            return Vec::new();
        };
        match resource.kind {
            ResourceKind::Mutex => self.last_grants(resource, 1, |_| true),
            ResourceKind::RwLock => match self.readers_inside(lock) {
                Some(readers) => self.last_grants(resource, readers, |source| source.contains("read")),
                None => self.last_grants(resource, 1, |source| source.contains("write")),
            },
            ResourceKind::Semaphore => self.last_grants(resource, usize::MAX, |_| true),
            _ => Vec::new(),
        }
    }

    /// How many readers are inside an `RwLock` at whose head a writer waits for them.
    fn readers_inside(&self, lock: ResourceKey) -> Option<usize> {
        let lacking = |op: OpKey| {
            let stats = self.acquisition(op);
            let (requested, obtained) = (stats.requested?, stats.obtained?);
            (obtained > 0 && requested > 1).then(|| requested - obtained)
        };
        let missing = self.waiters(lock).filter_map(|(key, _)| lacking(key)).min()?;
        (missing < MOST_READERS).then(|| usize::try_from(missing).unwrap_or(usize::MAX))
    }

    /// The tasks of the newest grants of one kind: those of ops that are still alive come first, for they were granted and not let go.
    fn last_grants(&self, lock: &Resource, most: usize, fits: impl Fn(&str) -> bool) -> Vec<Holder> {
        let mut holders: Vec<Holder> = Vec::new();
        let alive = lock.ops.iter().filter_map(|key| {
            let op = self.op(*key)?;
            let granted = op.is_alive() && fits(&op.source) && self.acquisition(*key).is_granted() == Some(true);
            granted.then_some((op.task?, op.stats.poll.ended?, op.is_owned()))
        });
        let ended = lock.grants.newest_first().filter(|grant| fits(&grant.source)).map(|it| (it.task, it.at, it.owned));
        let all = alive.map(|(task, at, owned)| (Some(task), at, owned)).chain(ended);
        for (task, since, owned) in all.take(most) {
            let confidence = if owned { Confidence::Possible } else { Confidence::Likely };
            let holds = task.filter(|task| self.task(*task).is_some_and(Task::is_alive));
            if let Some(task) = holds
                && !holders.iter().any(|holder| holder.task == task)
            {
                holders.push(Holder { task, since, confidence });
            }
        }
        holders
    }

    /// Why a task does not go on: it waits for a resource, whose holder waits for another, and so on until a task that does not wait,
    /// or one that is in the chain already.
    pub fn wait_chain(&self, task: TaskKey) -> Vec<Step> {
        let mut chain: Vec<Step> = Vec::new();
        let mut next = Some(task);
        while let Some(task) = next.take()
            && chain.len() < CHAIN
            && !chain.iter().any(|step| step.task == task)
        {
            let wait = self.waits(task).find_map(|(op, _)| Some((op, self.lock_of(op)?)));
            let Some((op, resource)) = wait else { break };
            let holders = self.holders(resource);
            next = holders.first().map(|holder| holder.task);
            chain.push(Step { task, op, resource, holders });
        }
        chain
    }
}
