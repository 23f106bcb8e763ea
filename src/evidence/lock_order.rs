//! In which order tasks take locks that they hold at the same time.
//!
//! The feed never says who holds a lock. But where no permit of a lock is left, nobody has acquired it in a way that is not reported, since
//! those ways leave the reported number too high; so whoever was reported to acquire it last has it. Two locks of which that is true of one
//! task at one moment are held by it together, the one it acquired first as the outer one. Who else acquired one just then may be reported an
//! update later, so that each observation is looked at again before it counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::holders::{Confidence, SAME_REPORT};
use super::view::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::location::Location;
use crate::model::time::Timestamp;
use crate::model::tokio::{AcquireKind, ResourceKind, is_made_by_tokio};
use crate::model::{Changes, OpKey, ResourceKey, SiteKey, TaskKey};

/// Orders that are kept.
const ORDERS: usize = 256;
/// Observations that wait for their confirmation.
const OBSERVATIONS: usize = 64;
/// What is reported of a moment was read within this time after it.
const MOMENT: Duration = Duration::from_millis(100);

/// What makes two locks the same in an order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockId {
    /// All locks made at this place.
    Place(Location),
    /// This lock alone: others are made at the same place, or its place says nothing.
    One(ResourceKey),
}

/// One spawn site's tasks hold a lock while they take another.
#[derive(Debug, Clone)]
pub struct LockOrder {
    /// The lock that they hold, and the one that they take.
    pub locks: (ResourceKey, ResourceKey),
    /// How often that was seen, each time with another turn of the first lock.
    pub times: usize,
    /// When it was last seen.
    pub last: Timestamp,
    /// Gate locks: what they may have held around both, each time.
    gates: BTreeSet<ResourceKey>,
    turn: Timestamp,
}

impl LockOrder {
    /// Whether both orders were always seen inside one common lock, which keeps them from meeting: a gate lock.
    /// Source: Havelund, "Using Runtime Analysis to Guide Model Checking of Java Programs" (2000), the Goodlock algorithm.
    pub fn shares_a_gate_with(&self, other: &Self) -> bool {
        self.gates.intersection(&other.gates).next().is_some()
    }
}

/// The orders seen so far: the outer lock, the inner one, and whose tasks take them.
pub type LockOrders = BTreeMap<(LockId, LockId, SiteKey), LockOrder>;

/// A lock that a task holds alone.
#[derive(Debug, Clone, Copy)]
struct Held {
    lock: ResourceKey,
    since: Timestamp,
}

/// A task seen at a moment with a lock, and with or at another.
#[derive(Debug, Clone)]
struct Observation {
    at: Timestamp,
    task: TaskKey,
    outer: Held,
    /// The inner lock, and since when it is held; nothing if it is waited for.
    inner: (ResourceKey, Option<Timestamp>),
}

/// What is remembered of orders.
#[derive(Debug, Clone, Default)]
pub(super) struct Orders {
    seen: LockOrders,
    observations: Vec<Observation>,
    /// The locks that tasks hold alone, as of the last update that changed them.
    held: FxHashMap<ResourceKey, (TaskKey, Held)>,
    by_task: FxHashMap<TaskKey, BTreeSet<ResourceKey>>,
}

impl Orders {
    /// In which order tasks were seen to take locks, by spawn site.
    pub(super) fn seen(&self) -> &LockOrders {
        &self.seen
    }

    /// Looks, among what an update has changed, for tasks that hold a lock and hold or want another.
    pub(super) fn observe(&mut self, evidence: &Evidence<'_>, changes: &Changes) {
        let (now, lag) = (evidence.now(), evidence.quality().lag.unwrap_or_default());
        for it in std::mem::take(&mut self.observations) {
            if now.since(it.at) < MOMENT + lag {
                self.observations.push(it);
            } else if evidence.is_confirmed(&it) {
                self.note_order(evidence, &it);
            }
        }
        let mut concerned: BTreeSet<TaskKey> = BTreeSet::new();
        for lock in &changes.locks {
            concerned.extend(self.update_holder(*lock, evidence.held_alone(*lock)));
        }
        if evidence.quality().is_lossy(now) || lag > evidence.clock().interval() {
            return;
        }
        concerned.extend(changes.ops.iter().filter_map(|op| evidence.op(*op)?.task));
        for task in concerned {
            let Some(keys) = self.by_task.get(&task) else { continue };
            let mut locks: Vec<Held> = keys.iter().filter_map(|key| Some(self.held.get(key)?.1)).collect();
            locks.sort_unstable_by_key(|held| held.since);
            let room = OBSERVATIONS.saturating_sub(self.observations.len());
            self.observations.extend(evidence.observations_of(task, &locks).into_iter().take(room));
        }
    }

    /// Takes over who holds a lock alone, if anybody does, and returns whom.
    fn update_holder(&mut self, lock: ResourceKey, holder: Option<(TaskKey, Held)>) -> Option<TaskKey> {
        let before = match holder {
            Some(holder) => self.held.insert(lock, holder),
            None => self.held.remove(&lock),
        };
        if let Some((task, _)) = before
            && let Some(locks) = self.by_task.get_mut(&task)
        {
            locks.remove(&lock);
            if locks.is_empty() {
                self.by_task.remove(&task);
            }
        }
        let (task, _) = holder?;
        self.by_task.entry(task).or_default().insert(lock);
        Some(task)
    }

    fn note_order(&mut self, evidence: &Evidence<'_>, it: &Observation) {
        let (outer, inner) = (it.outer.lock, it.inner.0);
        let Some(site) = evidence.task(it.task).map(|task| task.site) else { return };
        let (first, then) = evidence.lock_ids(outer, inner);
        let gates = evidence.gates(it);
        let key = (first, then, site);
        let room = self.seen.len() < ORDERS;
        match self.seen.get_mut(&key) {
            Some(known) if known.turn == it.outer.since => {}
            Some(known) => {
                known.times += 1;
                (known.last, known.turn) = (it.at, it.outer.since);
                known.gates.retain(|gate| gates.contains(gate));
            }
            None if room => {
                let order = LockOrder { locks: (outer, inner), times: 1, last: it.at, gates, turn: it.outer.since };
                self.seen.insert(key, order);
            }
            None => {}
        }
    }
}

impl Evidence<'_> {
    /// The one task that has a lock to itself, if that is certain.
    fn held_alone(&self, key: ResourceKey) -> Option<(TaskKey, Held)> {
        let lock = self.resource(key).filter(|it| it.kind.is_lock())?;
        let newest = lock.grants.last()?;
        let exclusive = matches!(newest.kind, AcquireKind::Lock | AcquireKind::Write);
        if self.free_permits(lock)? > 0 || !exclusive || newest.owned || lock.dropped.is_some() {
            return None;
        }
        let holders = self.holders(key);
        let [holder] = holders.tasks.as_slice() else { return None };
        let apart = holder.since.since(newest.at).max(newest.at.since(holder.since));
        let is_newest = newest.task == Some(holder.task) && apart <= SAME_REPORT;
        let certain = holder.confidence >= Confidence::Likely && is_newest;
        certain.then_some((holder.task, Held { lock: key, since: newest.at }))
    }

    fn observations_of(&self, key: TaskKey, locks: &[Held]) -> Vec<Observation> {
        let Some(task) = self.task(key).filter(|task| task.kind.is_spawned()) else { return Vec::new() };
        if self.runs_several_futures(task) {
            return Vec::new();
        }
        let wanted = self.task_wait(key).awaited.iter().find_map(|it| self.wanted_alone(it.op));
        let mut observations = Vec::new();
        for (place, outer) in locks.iter().enumerate() {
            let then = locks[place + 1..].iter().map(|inner| (inner.lock, Some(inner.since)));
            let wanted = wanted.filter(|(_, since)| *since > outer.since).map(|(lock, _)| (lock, None));
            let inner = then.chain(wanted).filter(|(lock, _)| *lock != outer.lock);
            observations.extend(inner.map(|inner| Observation { at: self.now(), task: key, outer: *outer, inner }));
        }
        observations
    }

    /// The lock that an op wants for its task alone, and since when.
    fn wanted_alone(&self, op: OpKey) -> Option<(ResourceKey, Timestamp)> {
        let (lock, it) = (self.lock_of(op)?, self.op(op)?);
        let kind = self.resource(lock)?.kind;
        let alone = kind == ResourceKind::Mutex || (kind == ResourceKind::RwLock && it.kind == AcquireKind::Write);
        alone.then(|| (lock, self.waiting_since(it)))
    }

    /// Whether what is known by now still says that the task had the locks at the time.
    fn is_confirmed(&self, it: &Observation) -> bool {
        let held = |lock: ResourceKey, since: Timestamp| {
            let until = it.at.plus(MOMENT);
            let newest =
                self.resource(lock).and_then(|lock| lock.grants.newest_first().find(|grant| grant.at <= until));
            newest.is_some_and(|grant| grant.task == Some(it.task) && grant.at == since)
        };
        let (inner, since) = it.inner;
        !self.quality().is_lossy(self.now())
            && held(it.outer.lock, it.outer.since)
            && since.is_none_or(|since| held(inner, since))
    }

    /// By what two locks are told apart: by their places, unless those are one, or say nothing.
    fn lock_ids(&self, one: ResourceKey, other: ResourceKey) -> (LockId, LockId) {
        let place = |key| {
            let place = &self.resource(key)?.location;
            Some(place.clone()).filter(|_| !place.is_unknown() && !is_made_by_tokio(place))
        };
        match (place(one), place(other)) {
            (Some(first), Some(second)) if first != second => (LockId::Place(first), LockId::Place(second)),
            _ => (LockId::One(one), LockId::One(other)),
        }
    }

    /// What a task acquired before it took the outer lock, and may still have had: whatever keeps others out, or makes them wait.
    fn gates(&self, it: &Observation) -> BTreeSet<ResourceKey> {
        let may_be_held = |lock: &Resource| {
            let mut own = lock.grants.newest_first().filter(|grant| grant.task == Some(it.task));
            let before = own.find(|grant| grant.at < it.outer.since);
            before.is_some_and(|grant| lock.free_at.is_none_or(|free| free < grant.at || free > it.at))
        };
        let others = self.contested().filter(|(key, _)| *key != it.outer.lock && *key != it.inner.0);
        others.filter(|(_, lock)| may_be_held(lock)).map(|(key, _)| key).collect()
    }
}
