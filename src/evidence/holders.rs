//! Who holds a lock or a permit. The feed never says so: it is inferred from who acquired it last.

use std::collections::BTreeSet;
use std::time::Duration;

use super::view::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::entity::task::Task;
use crate::model::history::waits::Grant;
use crate::model::time::Timestamp;
use crate::model::tokio::{AcquireKind, ResourceKind};
use crate::model::{OpKey, ResourceKey, TaskKey};

/// A writer that lacks fewer permits than this waits for readers, one that lacks more for a writer.
const MOST_READERS: u64 = 1_000;
/// A grant and the permits left after it are reported one after the other: disorder of this size is allowed.
const SAME_REPORT: Duration = Duration::from_millis(10);

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

impl Evidence<'_> {
    /// Who holds a lock or semaphore that is waited for. Empty where nothing can be inferred; never stated by the feed.
    ///
    /// Several readers of an `RwLock`, or holders of a semaphore, may be more than hold it in fact: nobody says who of them let go (see
    /// [`knows_each_holder`](Self::knows_each_holder)). Those who got in least often come first, for they cannot have let go often.
    pub fn holders(&self, lock: ResourceKey) -> Vec<Holder> {
        let Some(resource) = self.resource(lock) else {
            return Vec::new();
        };
        match resource.kind {
            // Somebody who got in unseen, with `try_lock`, may wait for its end with the lock reported as free.
            _ if self.is_free(lock) => Vec::new(),
            ResourceKind::Mutex => self.newest_grant(resource, |_| true),
            ResourceKind::RwLock if self.readers_inside(lock).is_some() => self.possible_holders(resource, is_read),
            ResourceKind::RwLock => self.newest_grant(resource, |kind| !is_read(kind)),
            ResourceKind::Semaphore => self.possible_holders(resource, |_| true),
            _ => Vec::new(),
        }
    }

    /// How many of the holders of a lock hold it in fact, where that is known. The first ones are the most plausible.
    pub fn count_inside(&self, lock: ResourceKey) -> Option<usize> {
        let resource = self.resource(lock)?;
        match resource.kind {
            ResourceKind::Mutex => Some(1),
            ResourceKind::RwLock => Some(self.readers_inside(lock).unwrap_or(1)),
            _ => None,
        }
    }

    /// Whether each of the holders of a lock holds it for sure, and not just some of them.
    pub fn knows_each_holder(&self, lock: ResourceKey) -> bool {
        let (Some(resource), Some(inside)) = (self.resource(lock), self.count_inside(lock)) else {
            return false;
        };
        self.readers_inside(lock).is_none() || self.possible_grants(resource, is_read).count() == inside
    }

    /// Whether every task that may hold a lock or a permit, as far as was seen, is gone, waits here itself or did so in vain since.
    ///
    /// A borrowed permit cannot outlive its task, so what a task that is gone had is either back, and then the first in the queue has it, or
    /// was forgotten. An owned one may have been passed on to anybody.
    pub fn nobody_can_release(&self, lock: ResourceKey) -> bool {
        let Some(resource) = self.resource(lock) else { return false };
        let waits_here = |task: TaskKey| self.waits(task).any(|(op, _)| self.lock_of(op) == Some(lock));
        let is_gone = |task: TaskKey| !self.task(task).is_some_and(Task::is_alive);
        let cannot = |task: TaskKey| is_gone(task) || waits_here(task);
        // Who came again and gave up has let go of what it had got before.
        let came_again = |task: TaskKey, from: Timestamp| {
            resource.given_up.iter().any(|given_up| given_up.task == task && given_up.since > from)
        };
        let grants = &resource.grants;
        let of_grant =
            |grant: &Grant| !grant.owned && grant.task.is_some_and(|task| cannot(task) || came_again(task, grant.at));
        let ended = match resource.kind {
            // One that asks again for what it holds is in a deadlock of its own.
            ResourceKind::Mutex => grants.last().is_some_and(|last| !last.owned && last.task.is_some_and(is_gone)),
            _ => {
                let oldest = grants.newest_first().last().map(|grant| grant.at).unwrap_or_default();
                let of_evicted = |task: TaskKey| cannot(task) || came_again(task, oldest);
                grants.newest_first().all(of_grant)
                    && grants.evicted_holders().all(of_evicted)
                    && !grants.may_have_evicted_unknown_holder()
            }
        };
        // A future that was granted and lives holds its permits; who waits with an owned acquire is of the kind that passes them on.
        let mut live = resource.ops.iter().filter_map(|op| Some((*op, self.op(*op)?)));
        let none_held = live.all(|(key, op)| self.is_waiting(key) && !op.owned);
        let permits =
            resource.inner.and_then(|inner| self.resource(inner)).map_or(resource.permits, |inner| inner.permits);
        let none_left = permits.now.is_none_or(|permits| permits == 0) && !resource.permits.drifted;
        ended && none_held && none_left && !self.some_do_several_things(resource)
    }

    /// Whether one of the live tasks that got in was seen to wait here twice at a time: what one of its futures waits for another may have,
    /// and give back.
    fn some_do_several_things(&self, lock: &Resource) -> bool {
        let grants = || lock.grants.newest_first().filter_map(|grant| Some((grant.task?, grant.since, grant.at)));
        let got_in: BTreeSet<TaskKey> = grants().map(|(task, ..)| task).chain(lock.grants.evicted_holders()).collect();
        let given_up = lock.given_up.iter().map(|it| (it.task, it.since, it.at));
        let ops = lock.ops.iter().filter_map(|key| self.op(*key));
        let present = ops.filter_map(|op| Some((op.task?, self.waiting_since(op), self.now())));
        let mut waits: Vec<_> = grants().chain(given_up).chain(present).collect();
        waits.retain(|(task, ..)| got_in.contains(task) && self.task(*task).is_some_and(Task::is_alive));
        waits.sort_unstable();
        waits.windows(2).any(|pair| pair[0].0 == pair[1].0 && pair[1].1 < pair[0].2)
    }

    /// Whether all permits of a semaphore are out, and on grants that are all known: as many permits as it has were taken since all of
    /// them were there last, so that none of them can have come back.
    pub fn knows_all_permits(&self, semaphore: ResourceKey) -> bool {
        let Some(resource) = self.resource(semaphore).filter(|it| it.kind == ResourceKind::Semaphore) else {
            return false;
        };
        let since = resource.free_at.unwrap_or_default().minus(SAME_REPORT);
        let taken =
            resource.grants.newest_first().take_while(|grant| grant.at > since).map(|grant| grant.permits).sum();
        self.all_grants_are_known(resource) && resource.permits.capacity == Some(taken)
    }

    /// How many readers are inside an `RwLock` at whose head a writer waits for them.
    pub(super) fn readers_inside(&self, lock: ResourceKey) -> Option<usize> {
        let lacking = |op: OpKey| {
            let stats = self.acquisition(op);
            let (requested, obtained) = (stats.requested?, stats.obtained?);
            (obtained > 0 && requested > 1).then(|| requested - obtained)
        };
        let missing = self.waiters(lock).filter_map(|(key, _)| lacking(key)).min()?;
        (missing < MOST_READERS).then(|| usize::try_from(missing).unwrap_or(usize::MAX))
    }

    /// Grants, newest first: those of ops that are still alive, for they were granted and not let go, then those of ops that have ended.
    fn grants<'a>(
        &'a self,
        lock: &'a Resource,
        fits: fn(AcquireKind) -> bool,
    ) -> impl Iterator<Item = (Option<TaskKey>, Timestamp, bool)> + 'a {
        let alive = lock.ops.iter().filter_map(move |key| {
            let op = self.op(*key)?;
            let granted = op.is_alive() && fits(op.kind) && self.acquisition(*key).is_granted() == Some(true);
            granted.then_some((Some(op.task?), op.stats.poll.ended?, op.owned))
        });
        let ended = lock.grants.newest_first().filter(move |grant| fits(grant.kind));
        alive.chain(ended.map(|grant| (grant.task, grant.at, grant.owned)))
    }

    /// The task of the newest grant of what only one can hold.
    fn newest_grant(&self, lock: &Resource, fits: fn(AcquireKind) -> bool) -> Vec<Holder> {
        let newest = self.grants(lock, fits).next();
        newest.and_then(|(task, since, owned)| self.holder(task, since, !owned)).into_iter().collect()
    }

    /// Grants that may still be held: those since everybody was last seen to have let go, by tasks that live.
    fn possible_grants<'a>(
        &'a self,
        lock: &'a Resource,
        fits: fn(AcquireKind) -> bool,
    ) -> impl Iterator<Item = (Option<TaskKey>, Timestamp, bool)> + 'a {
        let free_at = lock.free_at.unwrap_or_default().minus(SAME_REPORT);
        let lives = |task: Option<TaskKey>| task.is_none_or(|task| self.task(task).is_some_and(Task::is_alive));
        self.grants(lock, fits).filter(move |(task, at, _)| *at > free_at && lives(*task))
    }

    /// The tasks that may be among those who hold what several can hold. All of them are, or none is known to.
    fn possible_holders(&self, lock: &Resource, fits: fn(AcquireKind) -> bool) -> Vec<Holder> {
        let mut holders: Vec<(usize, Holder)> = Vec::new();
        let mut sure = self.all_grants_are_known(lock);
        for (task, since, owned) in self.possible_grants(lock, fits) {
            sure &= task.is_some() && !owned;
            match holders.iter_mut().find(|(_, holder)| Some(holder.task) == task) {
                Some((times, _)) => *times += 1,
                None => holders.extend(self.holder(task, since, true).map(|holder| (1, holder))),
            }
        }
        // Whoever got in so long ago that it is no longer kept may be inside still, unless all have let go since.
        let oldest = lock.grants.newest_first().last().map(|grant| grant.at);
        if lock.free_at.is_none_or(|free| oldest.is_some_and(|oldest| oldest > free)) {
            let known: BTreeSet<TaskKey> = holders.iter().map(|(_, holder)| holder.task).collect();
            let evicted = lock.grants.evicted_holders().filter(|task| !known.contains(task));
            let evicted = evicted.filter_map(|task| self.holder(Some(task), lock.created, true));
            holders.extend(evicted.map(|holder| (usize::MAX, holder)));
        }
        holders.sort_by_key(|(times, holder)| (*times, std::cmp::Reverse(holder.since)));
        let confidence = if sure { Confidence::Likely } else { Confidence::Possible };
        holders.into_iter().map(|(_, holder)| Holder { confidence, ..holder }).collect()
    }

    /// Whether every grant that may still be held is known: none has fallen out of the ring, or was forgotten before we attached.
    fn all_grants_are_known(&self, lock: &Resource) -> bool {
        let from = lock.free_at.unwrap_or(lock.created);
        let oldest = lock.grants.newest_first().last().map(|grant| grant.at);
        let fell_out = lock.grants.newest_first().count() < usize::try_from(lock.grants.total()).unwrap_or(usize::MAX)
            && oldest.is_none_or(|oldest| oldest > from);
        !(fell_out && lock.grants.may_have_evicted_unknown_holder())
            && (lock.free_at.is_some() || self.knows_all_since(lock.created))
    }

    fn holder(&self, task: Option<TaskKey>, since: Timestamp, sure: bool) -> Option<Holder> {
        let task = task.filter(|task| self.task(*task).is_some_and(Task::is_alive))?;
        let confidence = if sure { Confidence::Likely } else { Confidence::Possible };
        Some(Holder { task, since, confidence })
    }
}

fn is_read(kind: AcquireKind) -> bool {
    kind == AcquireKind::Read
}
