//! What evidence saw at earlier updates: bounded rings of conclusions that can only be drawn at their moment.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::blame::{Blame, Ledger};
use super::identity::{User, best_user};
use super::lock_order::{LockOrders, Orders};
use super::poll_samples::PollSamples;
use super::schedule::Schedule;
use super::view::Evidence;
use super::waiters::WaiterHistory;
use crate::model::history::push_bounded;
use crate::model::time::Timestamp;
use crate::model::{Changes, Model, ResourceKey};

/// Updates without knowledge of waiters that are remembered.
const BLIND: usize = 256;
/// How often what is gone from the model is swept out.
const SWEEP: Duration = Duration::from_secs(60);

/// What evidence saw at earlier updates of one target.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    pub(super) waiters: FxHashMap<ResourceKey, WaiterHistory>,
    /// By whom resources are known that have no place of their own, and whether that is fixed.
    pub(super) users: FxHashMap<ResourceKey, (User, bool)>,
    /// Updates at which it was not known who waits, because births were reported late or events were lost.
    pub(super) blind: VecDeque<Timestamp>,
    pub(super) samples: PollSamples,
    /// Where the time of tasks went.
    pub(super) ledger: Ledger,
    /// The blame as of the last update, once somebody has asked: since the process was first seen, and of late.
    pub(super) blame: OnceLock<Arc<Blame>>,
    pub(super) recent_blame: OnceLock<Arc<Blame>>,
    schedule: Schedule,
    orders: Orders,
    next_sweep: Timestamp,
}

impl Memory {
    /// Looks at the model after an update that changed this much of it. Costs what changed, not what lives.
    pub fn observe(&mut self, model: &Model, changes: &Changes) {
        if changes.restarted {
            *self = Self::default();
        }
        self.fix_identities(model, changes);
        self.samples.take(model);
        self.take_snapshots(model, changes);
        let mut orders = std::mem::take(&mut self.orders);
        orders.observe(&Evidence::new(model, self), changes);
        self.orders = orders;
        self.note_blame(model, changes);
        if model.now() >= self.next_sweep {
            self.next_sweep = model.now().plus(SWEEP);
            self.waiters.retain(|key, _| model.resource(*key).is_some());
            self.users.retain(|key, _| model.resource(*key).is_some());
            self.schedule.sweep(|key| model.resource(key).is_some());
            self.samples.sweep(model);
            self.ledger.sweep(model);
        }
    }

    /// In which order tasks were seen to take locks, by spawn site.
    pub fn lock_orders(&self) -> &LockOrders {
        self.orders.seen()
    }

    /// The first update after a time at which it was not known who waits, if there was one.
    pub(super) fn blind_after(&self, time: Timestamp) -> Option<Timestamp> {
        self.blind.get(self.blind.partition_point(|at| *at <= time)).copied()
    }

    /// Writes down what blame is made of.
    fn note_blame(&mut self, model: &Model, changes: &Changes) {
        (self.blame, self.recent_blame) = (OnceLock::new(), OnceLock::new());
        let mut ledger = std::mem::take(&mut self.ledger);
        ledger.observe(&Evidence::new(model, self), changes);
        self.ledger = ledger;
        if self.ledger.is_mark_due(model) {
            let tally = Evidence::new(model, self).tally();
            self.ledger.mark(tally);
        }
    }

    /// Fixes by whom a resource is known that has no place of its own.
    fn fix_identities(&mut self, model: &Model, changes: &Changes) {
        for key in &changes.locks {
            let is_fixed = self.users.get(key).is_some_and(|(_, fixed)| *fixed);
            let nameless = model.resource(*key).filter(|it| !is_fixed && model.own_place(it).is_none());
            self.users.extend(nameless.and_then(|it| best_user(model, it)).map(|user| (*key, user)));
        }
    }

    /// Writes down who waits for each lock that has changed or is due; not while births are reported late, for then it is not known.
    fn take_snapshots(&mut self, model: &Model, changes: &Changes) {
        let now = model.now();
        for key in &changes.locks {
            self.schedule.changed(*key, now);
        }
        let (lossy, lagging) = (model.quality().is_lossy(now), model.quality().is_lagging());
        if lossy || lagging {
            push_bounded(&mut self.blind, now, BLIND);
        }
        for key in self.schedule.take_due(now) {
            let Some(lock) = model.resource(key).filter(|lock| lock.kind.is_held()) else {
                self.schedule.forget(key);
                continue;
            };
            let evidence = Evidence::new(model, self);
            let snapshot = evidence.waiter_snapshot(key);
            let rest = evidence.holder_rest(key).filter(|_| snapshot.holder_waits == Some(false));
            let untold = self.waiters.get(&key).and_then(WaiterHistory::untold);
            let is_told = untold.is_some_and(|(rest, at)| evidence.was_waiting(rest, at));
            self.schedule.looked_at(key, now, snapshot.waiting > 0);
            let history = self.waiters.entry(key).or_default();
            if is_told {
                history.told();
            }
            if lossy {
                history.clear();
            } else if !lagging {
                history.note((snapshot, rest), lock.grants.last().map(|grant| grant.at));
            }
        }
    }
}
