//! In which order tasks take locks that they hold at the same time.
//!
//! The feed never says who holds a lock. But where no permit of a lock is left, nobody has it by a way that is not reported, since those ways
//! leave the reported number too high; so whoever was reported to get in last has it. Two locks of which that is true of one task at one
//! moment are held by it together, the one it got first as the outer one. Who else got in just then may be reported an update later,
//! so that each sighting is looked at again before it counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::relations::Confidence;
use super::resource::{Resource, ResourceKind};
use super::task::{Task, TaskKind};
use super::text::Text;
use super::time::Timestamp;
use super::{Model, OpKey, ResourceKey, SiteKey, TaskKey};

/// Orders that are kept.
const ORDERS: usize = 256;
/// Sightings that wait for their confirmation.
const SIGHTINGS: usize = 64;
/// What is reported of a moment was read within this time after it.
const MOMENT: Duration = Duration::from_millis(100);

/// What makes two locks the same in an order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockId {
    /// All locks made at this place.
    Place(Text),
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
    /// What they may have held around both, each time.
    gates: BTreeSet<ResourceKey>,
    turn: Timestamp,
}

impl LockOrder {
    /// Whether both orders were always seen inside one common lock, which keeps them from meeting.
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
struct Sighting {
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
    sightings: Vec<Sighting>,
}

impl Model {
    /// In which order tasks were seen to take locks, by spawn site.
    pub fn lock_orders(&self) -> &LockOrders {
        &self.orders.seen
    }

    /// Looks for tasks that hold a lock and hold or want another.
    pub(super) fn note_orders(&mut self) {
        let lag = self.quality.lag.unwrap_or_default();
        for sighting in std::mem::take(&mut self.orders.sightings) {
            if self.now().since(sighting.at) < MOMENT + lag {
                self.orders.sightings.push(sighting);
            } else if self.is_confirmed(&sighting) {
                self.note_order(&sighting);
            }
        }
        if self.quality.is_lossy(self.now()) || lag > self.clock.interval() {
            return;
        }
        let mut held: BTreeMap<TaskKey, Vec<Held>> = BTreeMap::new();
        for (task, lock) in self.active.keys().filter_map(|key| self.held_alone(*key)) {
            held.entry(task).or_default().push(lock);
        }
        let mut found = Vec::new();
        for (task, mut locks) in held {
            locks.sort_unstable_by_key(|held| held.since);
            found.extend(self.sightings_of(task, &locks));
        }
        let room = SIGHTINGS.saturating_sub(self.orders.sightings.len());
        self.orders.sightings.extend(found.into_iter().take(room));
    }

    /// The one task that has a lock to itself, if that is certain.
    fn held_alone(&self, key: ResourceKey) -> Option<(TaskKey, Held)> {
        let lock = self.resource(key).filter(|it| matches!(it.kind, ResourceKind::Mutex | ResourceKind::RwLock))?;
        let left = self.resource(lock.inner?)?.permits.now?;
        let newest = lock.grants.last()?;
        let exclusive = lock.kind == ResourceKind::Mutex || newest.source.contains("write");
        if left > 0 || !exclusive || newest.owned || lock.dropped.is_some() {
            return None;
        }
        let holders = self.holders(key);
        let [holder] = holders.as_slice() else { return None };
        let certain =
            holder.confidence >= Confidence::Likely && newest.task == Some(holder.task) && newest.at == holder.since;
        certain.then_some((holder.task, Held { lock: key, since: holder.since }))
    }

    fn sightings_of(&self, key: TaskKey, locks: &[Held]) -> Vec<Sighting> {
        let Some(task) = self.task(key).filter(|task| matches!(task.kind, TaskKind::Task | TaskKind::Local)) else {
            return Vec::new();
        };
        let wanted = self.waits(key).find_map(|(op, _)| self.wanted_alone(op));
        if self.does_several_things(task) {
            return Vec::new();
        }
        let mut sightings = Vec::new();
        for (place, outer) in locks.iter().enumerate() {
            let then = locks[place + 1..].iter().map(|inner| (inner.lock, Some(inner.since)));
            let wanted = wanted.filter(|(_, since)| *since > outer.since).map(|(lock, _)| (lock, None));
            let inner = then.chain(wanted).filter(|(lock, _)| *lock != outer.lock);
            sightings.extend(inner.map(|inner| Sighting { at: self.now(), task: key, outer: *outer, inner }));
        }
        sightings
    }

    /// The lock that an op wants for its task alone, and since when.
    fn wanted_alone(&self, op: OpKey) -> Option<(ResourceKey, Timestamp)> {
        let (lock, it) = (self.lock_of(op)?, self.op(op)?);
        let kind = self.resource(lock)?.kind;
        let alone = kind == ResourceKind::Mutex || (kind == ResourceKind::RwLock && it.source.contains("write"));
        alone.then(|| (lock, self.waiting_since(it)))
    }

    /// Whether a task may run several futures at once, of which one holds this lock and another that: it waits in several places, or has
    /// given away more wakers than its wait and a timeout around that need.
    fn does_several_things(&self, task: &Task) -> bool {
        let waits = task.ops.iter().filter(|op| self.is_waiting(**op)).count();
        let with_timeout = waits == 1 && self.timer(task).is_some();
        waits > 1 || task.stats.wakers() > 1 + u64::from(with_timeout)
    }

    /// Whether what is known by now still says that the task had the locks at the time.
    fn is_confirmed(&self, it: &Sighting) -> bool {
        let held = |lock: ResourceKey, since: Timestamp| {
            let until = it.at.plus(MOMENT);
            let newest =
                self.resource(lock).and_then(|lock| lock.grants.newest_first().find(|grant| grant.at <= until));
            newest.is_some_and(|grant| grant.task == Some(it.task) && grant.at == since)
        };
        let (inner, since) = it.inner;
        !self.quality.is_lossy(self.now())
            && held(it.outer.lock, it.outer.since)
            && since.is_none_or(|since| held(inner, since))
    }

    fn note_order(&mut self, it: &Sighting) {
        let (outer, inner) = (it.outer.lock, it.inner.0);
        let (Some(site), Some((first, then))) = (self.task(it.task).map(|task| task.site), self.lock_ids(outer, inner))
        else {
            return;
        };
        let gates = self.gates(it);
        let key = (first, then, site);
        let room = self.orders.seen.len() < ORDERS;
        match self.orders.seen.get_mut(&key) {
            Some(known) if known.turn == it.outer.since => {}
            Some(known) => {
                known.times += 1;
                (known.last, known.turn) = (it.at, it.outer.since);
                known.gates.retain(|gate| gates.contains(gate));
            }
            None if room => {
                let order = LockOrder { locks: (outer, inner), times: 1, last: it.at, gates, turn: it.outer.since };
                self.orders.seen.insert(key, order);
            }
            None => {}
        }
    }

    /// By what two locks are told apart: by their places, unless those are one, or say nothing.
    fn lock_ids(&self, one: ResourceKey, other: ResourceKey) -> Option<(LockId, LockId)> {
        let place = |key| {
            let place = &self.resource(key)?.location;
            let in_tokio = place.starts_with("tokio-") && place.contains("/src/sync/");
            Some(place.clone()).filter(|_| !place.is_empty() && !in_tokio)
        };
        Some(match (place(one), place(other)) {
            (Some(first), Some(second)) if first != second => (LockId::Place(first), LockId::Place(second)),
            _ => (LockId::One(one), LockId::One(other)),
        })
    }

    /// What a task got into before it took the outer lock, and may still have had: whatever keeps others out, or makes them wait.
    fn gates(&self, it: &Sighting) -> BTreeSet<ResourceKey> {
        let may_be_held = |lock: &Resource| {
            let mut own = lock.grants.newest_first().filter(|grant| grant.task == Some(it.task));
            let before = own.find(|grant| grant.at < it.outer.since);
            before.is_some_and(|grant| lock.free_at.is_none_or(|free| free < grant.at || free > it.at))
        };
        let others = self.contested().filter(|(key, _)| *key != it.outer.lock && *key != it.inner.0);
        others.filter(|(_, lock)| may_be_held(lock)).map(|(key, _)| key).collect()
    }
}
