//! Waits for locks, semaphores and bounded channels, added up: each is counted from its beginning on, once, and for as long as it lasts.

use super::changes::Changes;
use crate::model::entity::async_op::Counting;
use crate::model::history::waited::{WaitPlace, WaitRow};
use crate::model::keys::{OpKey, ResourceKey};
use crate::model::location::Location;
use crate::model::store::Model;

impl Model {
    /// Brings the total waits up to date with the ops that have changed.
    pub(super) fn count_waits(&mut self, changes: &Changes, ended: &[OpKey]) {
        for key in changes.ops.iter().chain(ended) {
            // Permits are handed to the acquisition inside an op.
            let outer = self.ops.get(*key).and_then(|op| op.parent);
            self.count_wait(outer.unwrap_or(*key));
        }
    }

    fn count_wait(&mut self, key: OpKey) {
        let Some(op) = self.ops.get(key) else { return };
        let (counting, waits, is_over) = (op.counting, self.is_waiting(key), !op.is_alive());
        match counting {
            Counting::Not if waits => self.begin_wait(key),
            Counting::Not if is_over => self.add_wait(key),
            Counting::Waits(wait) if !waits => {
                let now = self.now();
                let until = match self.turn(key) {
                    Some(turn) => turn.to,
                    None => self.ops.get(key).and_then(|op| op.stats.poll.ended).unwrap_or(now),
                };
                self.totals.waits.end(wait, until.min(now), now);
                self.set_counting(key, Counting::Over);
            }
            Counting::Not | Counting::Waits(_) | Counting::Over => {}
        }
    }

    /// Counts a wait from now on. What of it was before we came is nobody's news.
    fn begin_wait(&mut self, key: OpKey) {
        let Some(lock) = self.counted_lock(key) else { return };
        let Some(op) = self.ops.get(key) else { return };
        let now = self.now();
        let since = self.waiting_since(op).max(self.clock.began()).min(now);
        let row = self.wait_row(lock, key);
        let wait = self.totals.waits.begin(row, since, now);
        self.set_counting(key, Counting::Waits(wait));
    }

    /// Counts a wait that was over when it was first seen.
    fn add_wait(&mut self, key: OpKey) {
        self.set_counting(key, Counting::Over);
        let (Some(lock), Some(turn)) = (self.counted_lock(key), self.turn(key)) else { return };
        let now = self.now();
        let wait = turn.to.min(now).since(turn.from.max(self.clock.began()));
        if !wait.is_zero() {
            let row = self.wait_row(lock, key);
            self.totals.waits.add(row, wait, now);
        }
    }

    /// The lock, semaphore or bounded channel that an op waits for. Other waits are how programs rest: for an answer, a message, a tick.
    fn counted_lock(&self, key: OpKey) -> Option<ResourceKey> {
        let lock = self.lock_of(key).filter(|_| self.ops.get(key).is_some_and(|op| !op.is_sleep()))?;
        self.resources.get(lock).is_some_and(|lock| lock.kind.is_fair_queue()).then_some(lock)
    }

    /// The row in which a wait of an op for a lock is counted.
    fn wait_row(&mut self, lock: ResourceKey, op: OpKey) -> Option<WaitRow> {
        let task = self.ops.get(op).and_then(|op| op.task).and_then(|task| self.tasks.get(task));
        let site = task.map(|task| task.site);
        let resource = self.resources.get(lock)?;
        if let Some((_, row)) = resource.wait_row.filter(|(of, row)| *of == site && self.totals.waits.has(*row)) {
            return Some(row);
        }
        let (kind, place) = (resource.kind, self.own_place(resource).cloned());
        let waiting =
            site.and_then(|site| self.sites.get(site)).map(|site| (site.id.name.clone(), site.id.location.clone()));
        let nothing = self.strings.intern("");
        let unknown = || Location::new(nothing.clone());
        let (name, spawned_at) = waiting.unwrap_or_else(|| (nothing.clone(), unknown()));
        let place = WaitPlace { kind, made_at: place.unwrap_or_else(unknown), name, spawned_at };
        let now = self.now();
        let row = self.totals.waits.row(place, now)?;
        if let Some(resource) = self.resources.get_mut(lock) {
            resource.wait_row = Some((site, row));
        }
        Some(row)
    }

    fn set_counting(&mut self, key: OpKey, counting: Counting) {
        if let Some(op) = self.ops.get_mut(key) {
            op.counting = counting;
        }
    }
}
