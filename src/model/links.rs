//! How things refer to each other, as far as the feed says: which lock an op wants, whose inner parts it has, what waits now.

use std::time::Duration;

use super::entity::async_op::{AsyncOp, OpStats};
use super::entity::resource::Resource;
use super::history::timeouts::TimeoutsByLine;
use super::keys::{OpKey, ResourceKey};
use super::location::Location;
use super::store::Model;
use super::time::Timestamp;
use super::tokio::{ResourceKind, attribute, is_made_by_tokio};

/// Most levels of resources or ops inside each other that are followed.
const NESTING: usize = 8;

/// Most timers made in one poll that are looked at: a target may make any number in no time.
const TIMERS: usize = 1_024;

/// A future that is ready is dropped in the same poll; one dropped later than this after its last poll was given up. Wide enough for a
/// thread that loses its core in between.
const DROPPED_AT_ONCE: Duration = Duration::from_millis(10);

/// How an ended wait turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// When it began.
    pub from: Timestamp,
    /// When it was over: that of a wait that was given up with its future.
    pub to: Timestamp,
    /// Whether the task acquired what it waited for.
    pub granted: bool,
}

impl Model {
    /// From when to when an ended op waited, and whether it acquired what it wanted; nothing if it was never polled.
    pub fn turn(&self, key: OpKey) -> Option<Turn> {
        let op = self.op(key)?;
        let (dropped, first) = (op.stats.dropped?, op.stats.poll.first?);
        let last_poll = op.stats.poll.ended.unwrap_or(dropped);
        let at_once = dropped.since(last_poll) <= DROPPED_AT_ONCE;
        let granted = match self.acquisition(key).is_granted() {
            Some(true) => at_once || op.ready == Some(true),
            Some(false) => op.ready == Some(true),
            None => op.ready.unwrap_or(at_once),
        };
        let to = if granted { last_poll.min(dropped) } else { dropped };
        Some(Turn { from: op.stats.created.min(first), to, granted })
    }

    /// The lock, semaphore or channel that a resource is (part of).
    pub fn lock(&self, mut resource: ResourceKey) -> Option<ResourceKey> {
        for _ in 0..NESTING {
            let it = self.resource(resource)?;
            match it.parent {
                Some(parent) if it.kind != ResourceKind::Channel => resource = parent,
                _ => return Some(resource),
            }
        }
        None
    }

    /// The lock, semaphore or channel that an op wants.
    pub fn lock_of(&self, op: OpKey) -> Option<ResourceKey> {
        self.lock(self.op(op)?.resource?)
    }

    /// The place of a resource, if it says anything to the user.
    pub fn own_place<'a>(&'a self, resource: &'a Resource) -> Option<&'a Location> {
        let queue = resource.parent.filter(|_| resource.kind == ResourceKind::Channel);
        let place = &queue.and_then(|queue| self.resource(queue)).unwrap_or(resource).location;
        (!place.is_unknown() && !is_made_by_tokio(place)).then_some(place)
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

    /// Whether all permits of a lock or semaphore are there, as far as is reported: taking one with `try_lock` and the like is not.
    pub fn is_free(&self, lock: ResourceKey) -> bool {
        let Some(resource) = self.resource(lock) else {
            return false;
        };
        let all = match resource.kind {
            ResourceKind::Mutex => Some(1),
            ResourceKind::RwLock => resource.number(attribute::MAX_READERS),
            ResourceKind::Semaphore => resource.permits.capacity,
            _ => None,
        };
        self.free_permits(resource).zip(all).is_some_and(|(free, all)| free >= all)
    }

    /// Permits of a lock or semaphore that are free, as its inner semaphore reported last.
    pub fn free_permits(&self, lock: &Resource) -> Option<u64> {
        self.resource(lock.inner?)?.permits.now
    }

    /// Timers that were made between two times, those inside an `Interval` left out; of very many the first.
    pub fn timers_made(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = (ResourceKey, &Resource)> {
        let made = self.sleeps.range((from, ResourceKey::default())..).take_while(move |(created, _)| *created <= to);
        made.take(TIMERS).filter_map(|(_, key)| Some((*key, self.resource(*key)?)))
    }

    /// When a timer runs out, as far as is known: it is set anew by every reset, which is not reported.
    pub fn due(&self, timer: &Resource) -> Option<Timestamp> {
        let duration = timer.number(attribute::DURATION)?;
        Some(timer.created.plus(Duration::from_millis(duration)))
    }

    /// How timers end, by the line that makes them.
    pub fn timeouts(&self) -> &TimeoutsByLine {
        &self.timeouts
    }

    /// Whether a `block_in_place` began between two times.
    pub fn handed_over(&self, from: Timestamp, to: Timestamp) -> bool {
        from <= to && self.handovers.range(from..=to).next().is_some()
    }
}
