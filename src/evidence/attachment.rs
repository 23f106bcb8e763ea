//! When we attached, what the target had forgotten by then, and which waits nothing explains because of that.

use std::time::Duration;

use super::look_alike::LookAlike;
use super::places::{self, Part};
use super::view::Evidence;
use crate::model::ResourceKey;
use crate::model::entity::resource::Resource;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;

/// Attaching this soon after the start of the process is attaching at its start.
const AT_START: Duration = Duration::from_secs(2);

/// How late we attached, as far as the feed lets one infer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attachment {
    /// How long the process had been running by then, at least.
    pub after_start: Duration,
    /// For how long the target keeps what has ended, at least. What ended earlier, such as the acquisition of a lock, may be forgotten.
    pub remembers: Duration,
}

impl Attachment {
    /// Whether acquisitions may be forgotten that still matter.
    pub fn may_have_forgotten(&self) -> bool {
        self.after_start > self.remembers + AT_START
    }
}

/// A lock, semaphore or channel that nobody has acquired for long while somebody waits, and whose holder is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnexplainedStall {
    /// The lock, semaphore or channel.
    pub lock: ResourceKey,
    /// For how long it has been known that nobody acquired it while somebody waited.
    pub lasts: Duration,
    /// The harmless explanation that fits, if one does.
    pub look_alike: Option<LookAlike>,
}

impl Evidence<'_> {
    /// How late we attached.
    pub fn attachment(&self) -> Attachment {
        let began = self.clock().began();
        Attachment { after_start: began.since(self.birth()), remembers: began.since(self.remembers_from()) }
    }

    /// The time from which on every acquisition is known: those before may be forgotten.
    pub(super) fn knows_grants_since(&self) -> Timestamp {
        if self.attachment().may_have_forgotten() { self.remembers_from() } else { self.birth() }
    }

    /// The locks, semaphores and channels that somebody waits for, nobody acquires, and nobody is known to hold.
    pub fn unexplained_stalls(&self) -> impl Iterator<Item = UnexplainedStall> {
        self.contested().filter(|(_, lock)| lock.dropped.is_none()).filter_map(|(key, lock)| {
            let may_stall = lock.kind.is_held() || lock.kind == ResourceKind::Channel;
            let flow = self.flow(key);
            let unknown = lock.kind == ResourceKind::Channel || self.holders(key).tasks.is_empty();
            let stalls = may_stall && flow.waiting > 0 && flow.last_grant.is_none() && unknown;
            // Each of those who wait for a lock may give up before long.
            let lasts = if lock.kind.is_lock() { flow.unserved_for() } else { Some(flow.stalled_for()) };
            let lasts = lasts.filter(|_| stalls)?;
            let look_alike = self.stall_look_alike(key, self.now().minus(lasts));
            let stall = UnexplainedStall { lock: key, lasts, look_alike };
            // Where every acquisition is known, a gate that nobody has passed is a signal that nobody has given.
            let is_signal = stall.look_alike == Some(LookAlike::ClosedGate) && !self.attachment().may_have_forgotten();
            (!is_signal).then_some(stall)
        })
    }

    /// How many locks have not been acquired for at least this long although tasks wait, without a harmless explanation. If there are several, a
    /// task that waits for one may hold another.
    pub fn stalled_locks(&self, least: Duration) -> usize {
        let is_lock = |key| self.resource(key).is_some_and(|it| it.kind.is_lock());
        let stalls = self.unexplained_stalls().filter(|stall| stall.lasts >= least && stall.look_alike.is_none());
        stalls.filter(|stall| is_lock(stall.lock)).count()
    }

    /// Whether a wait is older than our observation, and nothing explains it: what it waits for may be dead.
    pub fn has_unexplained_old_wait(&self) -> bool {
        let began = self.clock().began();
        let is_old = |stall: &UnexplainedStall| self.waiters(stall.lock).any(|(_, op)| self.waiting_since(op) < began);
        self.unexplained_stalls().any(|stall| stall.look_alike.is_none() && is_old(&stall))
    }

    /// The harmless explanation of a stall without a known holder, which has lasted since a time.
    fn stall_look_alike(&self, key: ResourceKey, since: Timestamp) -> Option<LookAlike> {
        let lock = self.resource(key)?;
        if self.waiters(key).all(|(_, op)| op.owned) {
            return Some(LookAlike::AcceptorAtLimit);
        }
        let place = places::of_resource(lock.kind, &lock.location).map(|place| place.part);
        let was_open = lock.permits.capacity > Some(0) || !lock.given_up.is_empty() || place == Some(Part::Pool);
        if lock.kind == ResourceKind::Semaphore && !was_open {
            return Some(LookAlike::ClosedGate);
        }
        self.one_sibling_is_elsewhere(key, lock, since).then_some(LookAlike::IdlePool)
    }

    /// Whether those who wait for a lock that has stalled since a time are a fixed crew, and exactly one of their live siblings waits for no lock:
    /// the one whose turn it is at a receiver that all of them share. Those who want what is behind a lock keep coming.
    fn one_sibling_is_elsewhere(&self, key: ResourceKey, lock: &Resource, since: Timestamp) -> bool {
        let mut sites = self.waiters(key).filter_map(|(_, op)| Some(self.task(op.task?)?.site));
        let Some(first) = sites.next() else { return false };
        let Some(site) = self.site(first).filter(|_| self.is_fixed_crew(lock, first, since)) else { return false };
        let is_lock = |key: ResourceKey| self.resource(key).is_some_and(|it| it.kind.is_fair_queue());
        let waits_for_lock = |key| self.task_wait(key).awaited.iter().any(|it| is_lock(it.resource));
        let elsewhere = site.live.iter().filter(|(_, task)| !waits_for_lock(*task)).take(2).count();
        elsewhere == 1 && sites.all(|site| site == first)
    }
}
