//! Async ops: introduced, tied to their resource and their task, and changed.

use super::changes::Changes;
use crate::model::collections::KeySet;
use crate::model::entity::async_op::{AsyncOp, Counting, OpStats};
use crate::model::keys::{Entity, Id, OpKey, ResourceKey, TaskKey};
use crate::model::store::Model;
use crate::model::text::Text;
use crate::model::time::Timestamp;
use crate::model::tokio::{AcquireKind, is_owned};

/// An async op as it was introduced.
#[derive(Debug)]
pub(super) struct NewOp {
    pub(super) source: Text,
}

impl Model {
    pub(super) fn new_op(&mut self, id: u64, created: Option<Timestamp>, new: NewOp, changes: &mut Changes) {
        let known = self.ids.op(id).is_some() && (created.is_none() || self.created(Id::Op(id)) == created);
        if !known {
            self.retire(Id::Op(id), self.now(), changes);
            self.insert_op(id, created);
        }
        if let Some(op) = self.ids.op(id).and_then(|key| self.ops.get_mut(key)) {
            op.kind = AcquireKind::parse(&new.source);
            op.owned = is_owned(&new.source);
            op.source = new.source;
        }
    }

    fn insert_op(&mut self, id: u64, created: Option<Timestamp>) -> OpKey {
        let source = self.strings.intern("");
        let stats = OpStats { created: created.unwrap_or(self.now()), ..OpStats::default() };
        let key = self.ops.insert(AsyncOp {
            id,
            source,
            kind: AcquireKind::Other,
            owned: false,
            resource: None,
            parent: None,
            inner: None,
            task: None,
            stats,
            ready: None,
            counting: Counting::Not,
        });
        self.ids.set(id, Entity::Op(key));
        key
    }

    /// Ties an op to its resource and to the op that it is part of, both of which may have been introduced after it.
    pub(super) fn link_op(&mut self, id: u64, resource: Option<u64>, parent: Option<u64>, changes: &mut Changes) {
        let Some(key) = self.ids.op(id) else {
            return;
        };
        let Some(op) = self.ops.get(key).filter(|op| op.resource.is_none()) else {
            return;
        };
        let (created, sleeps, alive) = (op.stats.created, op.is_sleep(), op.is_alive());
        // What is younger than the op has only inherited the id: an op that ended long ago may have outlived what it waited for.
        let resource = resource.map(|id| self.resource_or_placeholder(id, changes)).filter(|resource| {
            self.resources.get(*resource).is_some_and(|resource| resource.placeholder || resource.created <= created)
        });
        let parent = parent.and_then(|id| self.ids.op(id)).filter(|parent| *parent != key);
        let parent = parent.filter(|parent| self.ops.get(*parent).is_some_and(|op| op.stats.created <= created));
        if let Some(op) = self.ops.get_mut(key) {
            op.resource = resource;
            op.parent = parent;
        }
        if let Some(outer) = parent.and_then(|parent| self.ops.get_mut(parent)) {
            outer.inner = Some(key);
        } else if let Some(lock) = resource.and_then(|resource| self.lock(resource)).filter(|_| !sleeps) {
            let mut inner = None;
            if let Some(lock) = self.resources.get_mut(lock) {
                if alive {
                    lock.ops.push(key);
                }
                lock.permits.used(created);
                inner = lock.inner;
            }
            if let Some(inner) = inner.and_then(|inner| self.resources.get_mut(inner)) {
                inner.permits.used(created);
            }
            self.doubt_capacity(lock, created);
            self.active.insert(lock, self.now());
        }
    }

    /// Takes back what the first report of a lock's permits was taken for, when an op turns out to be older than that report: it may have
    /// taken some before, and was only introduced late.
    fn doubt_capacity(&mut self, lock: ResourceKey, created: Timestamp) {
        let now = self.now();
        let inner = self.resources.get(lock).and_then(|lock| lock.inner);
        for key in [Some(lock), inner].into_iter().flatten() {
            if let Some(resource) = self.resources.get_mut(key)
                && created <= resource.first_seen
                && resource.first_seen < now
            {
                resource.permits.capacity = None;
            }
        }
    }

    pub(super) fn op_changed(&mut self, id: u64, stats: OpStats, changes: &mut Changes) {
        let is_known = |key: &OpKey| self.ops.get(*key).is_some_and(|it| it.stats.created == stats.created);
        let key = if let Some(key) = self.ids.op(id).filter(is_known) {
            key
        } else {
            self.retire(Id::Op(id), self.now(), changes);
            self.quality.never_introduced += 1;
            self.insert_op(id, Some(stats.created))
        };
        let task = stats.task.and_then(|id| self.task_at(id, stats.poll.started));
        let now = self.now();
        let Some(op) = self.ops.get_mut(key) else {
            return;
        };
        let (was_alive, waits, before) = (op.is_alive(), op.parent.is_none() && !op.is_sleep(), op.task);
        op.stats = stats;
        if self.process.is_some() {
            op.ready = Some(stats.is_ready);
        }
        op.task = task.or(op.task);
        let after = op.task;
        if waits && after != before {
            if was_alive {
                changes.moved_ops.push((key, before));
            } else {
                self.name_turn(key);
            }
        }
        if was_alive && stats.dropped.is_some() {
            changes.ended_ops.push(key);
        }
        if let Some(lock) = self.lock_of(key)
            && let Some(seen) = self.active.get_mut(&lock)
        {
            *seen = now;
            changes.locks.insert(lock);
            changes.ops.push(key);
        }
    }

    /// The task of this id, if it lived at that time: by now the id may stand for another. A thread that polls tasks awaits nothing itself. The
    /// ops of a task that the target did not report for want of room are attributed to it: console-subscriber does not enter such a task's span.
    fn task_at(&self, id: u64, at: Option<Timestamp>) -> Option<TaskKey> {
        let key = self.ids.task(id)?;
        let task = self.tasks.get(key)?;
        let polls_tasks = task.is_worker_thread() || task.is_block_in_place();
        (!polls_tasks && at.is_none_or(|at| task.stats.created <= at)).then_some(key)
    }

    /// Hands ops over to the tasks that poll them now. A list may be as long as the target likes, so each is walked once, whatever has left it.
    pub(super) fn hand_over_ops(&mut self, moved: &[(OpKey, Option<TaskKey>)]) {
        let left: KeySet<TaskKey> = moved.iter().filter_map(|(_, from)| *from).collect();
        for key in left {
            if let Some(task) = self.tasks.get_mut(key) {
                task.ops.retain(|op| self.ops.get(*op).is_some_and(|op| op.task == Some(key)));
            }
        }
        let mut seen = KeySet::default();
        for (key, from) in moved.iter().filter(|(key, _)| seen.insert(*key)) {
            let to = self.ops.get(*key).and_then(|op| op.task).filter(|to| Some(*to) != *from);
            if let Some(task) = to.and_then(|to| self.tasks.get_mut(to)) {
                task.ops.push(*key);
            }
        }
    }

    /// Takes ops that have ended off the lists of their locks and tasks, each of which is walked once.
    pub(super) fn unlist_ops(&mut self, ended: &[OpKey]) {
        let (mut locks, mut tasks) = (KeySet::default(), KeySet::default());
        for key in ended {
            if let Some(op) = self.ops.get(*key).filter(|op| op.parent.is_none()) {
                locks.extend(self.lock_of(*key));
                tasks.extend(op.task);
            }
        }
        let lives = |op: &OpKey| self.ops.get(*op).is_some_and(AsyncOp::is_alive);
        for lock in locks {
            if let Some(lock) = self.resources.get_mut(lock) {
                lock.ops.retain(|op| lives(op));
            }
        }
        for task in tasks {
            if let Some(task) = self.tasks.get_mut(task) {
                task.ops.retain(|op| lives(op));
            }
        }
    }

    pub(super) fn op_polled(&mut self, id: u64, ready: bool) {
        if let Some(op) = self.ids.op(id).and_then(|key| self.ops.get_mut(key)) {
            op.ready = Some(ready);
        }
    }
}
