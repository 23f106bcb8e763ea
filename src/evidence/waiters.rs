//! Who waits for a lock at a moment, and how that develops: how many, who of them wants little, and whether one that wants much keeps those out.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::view::Evidence;
use crate::model::entity::task::TaskState;
use crate::model::history::push_bounded;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{OpKey, ResourceKey, SiteKey, TaskKey};

/// Snapshots that are kept, per lock.
const SNAPSHOTS: usize = 180;
/// Crowds are compared with those of this long ago,
const RECENT: Duration = Duration::from_secs(5);
/// and this many more are only a few.
const A_FEW: usize = 5;
/// Snapshots come a second apart, give or take: one that is this much too late still tells of its second.
const SLACK: Duration = Duration::from_millis(500);

/// If the feed lags by at least this, a task that acquired a lock only a little before the lag may have released it already.
const NOTICEABLE: Duration = Duration::from_millis(200);

/// Those who wait for a lock at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaiterSnapshot {
    /// The moment.
    pub at: Timestamp,
    /// How many they were.
    pub waiting: usize,
    /// How many had ever come to wait by then: they, and those who had acquired it or given up.
    pub came: u64,
    /// Since when the first of them waited.
    pub oldest_since: Option<Timestamp>,
    /// Whether who held it waited for something that is seen, such as a timer; nothing where that is not known.
    pub holder_waits: Option<bool>,
    /// For a semaphore, how many of those who hold its permits waited for something else that is seen, and one such thing.
    pub held_over: (usize, Option<ResourceKey>),
    /// Whether no task was known that could release it.
    pub sealed: bool,
    /// How many of them wanted little: less than the one at their head, or, where there is none, to read or any number of permits.
    pub small: usize,
    /// How many of those would have acquired it at once without the one at their head, which wants much and has got some of it already.
    pub blocked: usize,
    /// The spawn site of whoever most probably had what the one at the head lacked.
    pub blocked_behind: Option<SiteKey>,
}

/// The last poll of a holder, after which it rested although nothing was seen that it waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest {
    task: TaskKey,
    from: Timestamp,
    to: Timestamp,
}

impl Rest {
    /// Since when the holder has rested.
    pub(super) fn since(self) -> Timestamp {
        self.to
    }
}

/// How the waiters of one lock developed.
#[derive(Debug, Clone, Default)]
pub struct WaiterHistory {
    snapshots: VecDeque<WaiterSnapshot>,
    replenished_externally: bool,
    /// Of the holder in the last snapshot. A busy target tells what a task made in its last poll an update later than the poll itself.
    rest: Option<Rest>,
}

impl WaiterHistory {
    /// The snapshots that were taken at `from` or later, oldest first. Between two of them nothing changed.
    pub fn since(&self, from: Timestamp) -> impl DoubleEndedIterator<Item = &WaiterSnapshot> {
        self.snapshots.range(self.snapshots.partition_point(|it| it.at < from)..)
    }

    /// Who waited at a time, if that is still known.
    pub fn at(&self, time: Timestamp) -> Option<&WaiterSnapshot> {
        self.snapshots.get(self.snapshots.partition_point(|it| it.at <= time.plus(SLACK)).checked_sub(1)?)
    }

    /// Whether a task acquired it although none was known that could release it: then permits come from elsewhere, as those of a signal do.
    pub fn is_replenished_externally(&self) -> bool {
        self.replenished_externally
    }

    /// The holder in the last snapshot, if nothing was seen that it waited for then, and the time of that snapshot.
    pub(super) fn untold(&self) -> Option<(Rest, Timestamp)> {
        Some((self.rest?, self.snapshots.back()?.at))
    }

    /// The target has told meanwhile what that holder waited for.
    pub(super) fn told(&mut self) {
        self.snapshots.back_mut().into_iter().for_each(|last| last.holder_waits = Some(true));
    }

    /// Adds a snapshot, and after which poll its holder rests; `last_grant` is when a task last acquired the lock.
    pub(super) fn note(&mut self, (snapshot, rest): (WaiterSnapshot, Option<Rest>), last_grant: Option<Timestamp>) {
        self.rest = rest;
        let sealed = self.snapshots.back().filter(|last| last.sealed && last.waiting > 0).map(|last| last.at);
        self.replenished_externally |= sealed.is_some_and(|at| last_grant > Some(at));
        push_bounded(&mut self.snapshots, snapshot, SNAPSHOTS);
    }

    /// Events were lost: what was counted before cannot be compared with what comes.
    pub(super) fn clear(&mut self) {
        self.snapshots.clear();
        self.rest = None;
    }
}

/// One that waits for many permits and has got some, which nobody else gets meanwhile.
///
/// Only the head of the queue is given any: Tokio's queues are fair.
#[derive(Debug, Clone, Copy)]
struct PartialAcquire {
    op: OpKey,
    wanted: u64,
    obtained: u64,
}

impl Evidence<'_> {
    /// How the waiters of a lock developed, if it was ever contested while we watched.
    pub fn waiter_history(&self, key: ResourceKey) -> Option<&WaiterHistory> {
        self.memory.waiters.get(&key)
    }

    /// Those who wait for a lock or semaphore now.
    pub(super) fn waiter_snapshot(&self, key: ResourceKey) -> WaiterSnapshot {
        let mut snapshot = WaiterSnapshot {
            at: self.now(),
            waiting: 0,
            came: 0,
            oldest_since: None,
            holder_waits: self.holder_waits(key),
            held_over: self.held_over(key),
            sealed: self.nobody_can_release(key),
            small: 0,
            blocked: 0,
            blocked_behind: None,
        };
        let head = self.partial_acquire(key);
        let is_rwlock = self.resource(key).is_some_and(|lock| lock.kind == ResourceKind::RwLock);
        for (op, it) in self.waiters(key) {
            snapshot.waiting += 1;
            let since = self.waiting_since(it);
            snapshot.oldest_since = Some(snapshot.oldest_since.map_or(since, |oldest| oldest.min(since)));
            let Some(wanted) = self.acquisition(op).requested else { continue };
            let less = head.map_or(!is_rwlock || wanted == 1, |head| wanted < head.wanted && op != head.op);
            snapshot.small += usize::from(less);
            snapshot.blocked += usize::from(less && head.is_some_and(|head| wanted <= head.obtained));
        }
        let ended = self.resource(key).map_or(0, |lock| lock.waits.ended());
        snapshot.came = ended + u64::try_from(snapshot.waiting).unwrap_or_default();
        if snapshot.blocked > 0 {
            snapshot.blocked_behind = self.head_waits_for(key);
        }
        snapshot
    }

    /// Whether a third more wait for a lock than a few seconds ago, and not only a few more.
    pub fn crowd_has_grown(&self, key: ResourceKey) -> bool {
        let waiting = |at: Timestamp| self.waiter_history(key).and_then(|it| it.at(at)).map(|it| it.waiting);
        let last = waiting(self.now()).unwrap_or(0);
        let first = waiting(self.now().minus(RECENT)).unwrap_or(last);
        last > first + first / 3 + A_FEW
    }

    /// The tasks that gave up a wait for a lock which they began after a time, each once.
    pub fn gave_up_since(&self, key: ResourceKey, from: Timestamp) -> BTreeSet<TaskKey> {
        let given_up = self.resource(key).into_iter().flat_map(|lock| lock.given_up.iter().rev());
        given_up.take_while(|it| it.at >= from).filter(|it| it.since > from).map(|it| it.task).collect()
    }

    /// The waiting one that has some of the many permits it wants. A writer that a writer keeps out has next to none.
    fn partial_acquire(&self, key: ResourceKey) -> Option<PartialAcquire> {
        let partial = self.waiters(key).filter_map(|(op, _)| {
            let stats = self.acquisition(op);
            let (wanted, obtained) = (stats.requested?, stats.obtained?);
            (obtained > 0 && obtained < wanted).then_some(PartialAcquire { op, wanted, obtained })
        });
        let is_rwlock = self.resource(key)?.kind == ResourceKind::RwLock;
        partial.max_by_key(|it| it.obtained).filter(|_| !is_rwlock || self.readers_inside(key).is_some())
    }

    /// Whether who holds a lock waits for something that is seen; nothing where it is not known, or does not wait at all.
    pub(super) fn holder_waits(&self, lock: ResourceKey) -> Option<bool> {
        let holder = self.holders(lock).first()?;
        // The feed may not have reported the next grant yet.
        let lag = self.quality().lag.filter(|lag| *lag >= NOTICEABLE);
        if lag.is_some_and(|lag| self.running_since(holder.since) <= lag + lag / 4) {
            return None;
        }
        self.task(holder.task).filter(|task| task.state() == TaskState::Idle)?;
        Some(!self.task_wait(holder.task).is_unseen())
    }

    /// The poll after which who holds a lock rests.
    pub(super) fn holder_rest(&self, lock: ResourceKey) -> Option<Rest> {
        let holder = self.holders(lock).first()?;
        let poll = &self.task(holder.task)?.stats.poll;
        Some(Rest { task: holder.task, from: poll.started?, to: poll.ended? })
    }

    /// Whether a task is known by now to have waited at a time: for a timer or an op that it made in its last poll before.
    pub(super) fn was_waiting(&self, rest: Rest, at: Timestamp) -> bool {
        let lasted = |dropped: Option<Timestamp>| dropped.is_none_or(|dropped| dropped > at);
        let made = |created: Timestamp| created >= rest.from && created <= rest.to;
        let mut ops = self.task(rest.task).into_iter().flat_map(|task| &task.ops).filter_map(|op| self.op(*op));
        self.timers_made(rest.from, rest.to).any(|(_, timer)| lasted(timer.dropped))
            || ops.any(|op| made(op.stats.created) && lasted(op.stats.dropped))
    }

    /// The spawn site of whoever most probably has what the head of the queue lacks.
    fn head_waits_for(&self, key: ResourceKey) -> Option<SiteKey> {
        let waits_here = |task| self.waiters(key).any(|(_, op)| op.task == Some(task));
        let holder = self.holders(key).tasks.iter().copied().find(|holder| !waits_here(holder.task))?;
        Some(self.task(holder.task)?.site)
    }
}
