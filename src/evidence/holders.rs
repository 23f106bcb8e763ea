//! Who holds a lock or a permit. console-subscriber never says so: it is inferred from who acquired it last. Our own subscriber does.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use super::view::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::entity::task::{Task, TaskState};
use crate::model::history::waits::Grant;
use crate::model::time::Timestamp;
use crate::model::tokio::{AcquireKind, ResourceKind, is_once_cell};
use crate::model::{OpKey, ResourceKey, TaskKey};

/// A writer that lacks fewer permits than this waits for readers, one that lacks more for a writer.
const MOST_READERS: u64 = 1_000;
/// A grant and the permits left after it are reported one after the other: disorder of this size is allowed.
pub(super) const SAME_REPORT: Duration = Duration::from_millis(10);

/// How sure an inferred relation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// It may be otherwise: what was acquired can be passed on, or has been taken in a way that is not reported.
    Possible,
    /// Nothing the feed reports speaks against it.
    Likely,
    /// The target says so, and the guard cannot have been passed on.
    Certain,
}

/// A task that holds a lock, as far as can be inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The task.
    pub task: TaskKey,
    /// When it acquired it.
    pub since: Timestamp,
    /// How sure that is.
    pub confidence: Confidence,
}

/// A lock that was granted to a future which its task no longer polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnclaimedGrant {
    /// The task.
    pub task: TaskKey,
    /// When it was granted.
    pub since: Timestamp,
}

/// Who holds a lock or semaphore.
#[derive(Debug, Clone, Default)]
pub struct Holders {
    /// Every task that may hold it, as far as can be inferred, the most plausible first: those who acquired it least often, for they cannot
    /// have released it often. Empty where nothing can be inferred.
    pub tasks: Vec<Holder>,
    /// How many of them do, where that is known.
    pub inside: Option<usize>,
    /// Whether each of them does. Otherwise some have released it already, and nobody says who.
    pub each: bool,
}

impl Holders {
    /// Those who most plausibly hold it.
    pub fn named(&self) -> &[Holder] {
        &self.tasks[..self.inside.unwrap_or(usize::MAX).min(self.tasks.len())]
    }

    /// The one who most plausibly holds it.
    pub fn first(&self) -> Option<Holder> {
        self.tasks.first().copied()
    }

    /// Whether they are all who may hold it, for sure: no guard that can be passed on, no history too long to be kept.
    pub fn are_sure(&self) -> bool {
        !self.tasks.is_empty() && self.tasks.iter().all(|holder| holder.confidence >= Confidence::Likely)
    }
}

impl Evidence<'_> {
    /// Who holds a lock or semaphore that is waited for.
    pub fn holders(&self, lock: ResourceKey) -> Rc<Holders> {
        self.holders.get(lock, || Rc::new(self.infer_holders(lock)))
    }

    fn infer_holders(&self, lock: ResourceKey) -> Holders {
        // A task that acquired it unseen, with `try_lock`, may wait for its end while the lock is reported as free.
        let Some(resource) = self.resource(lock).filter(|_| !self.is_free(lock)) else { return Holders::default() };
        if self.process().is_some() && !resource.holders.are_unclear {
            return self.reported_holders(resource);
        }
        let readers = self.readers_inside(lock);
        match resource.kind {
            ResourceKind::Mutex => {
                Holders { tasks: self.newest_grant(resource, |_| true), inside: Some(1), each: true }
            }
            ResourceKind::RwLock => match readers {
                Some(inside) => Holders {
                    tasks: self.possible_holders(resource, is_read),
                    inside: Some(inside),
                    each: self.possible_grants(resource, is_read).count() == inside,
                },
                None => {
                    Holders { tasks: self.newest_grant(resource, |kind| !is_read(kind)), inside: Some(1), each: true }
                }
            },
            ResourceKind::Semaphore => {
                Holders { tasks: self.possible_holders(resource, |_| true), inside: None, each: false }
            }
            _ => Holders::default(),
        }
    }

    /// The holders that the target itself reports, of which those count that live: what a task that is gone holds was passed on, and nobody
    /// says to whom.
    fn reported_holders(&self, resource: &Resource) -> Holders {
        let reported = &resource.holders;
        let are_all = !reported.are_more;
        let living = reported.oldest.iter().filter_map(|it| {
            let task =
                self.task_of_span(it.task?, it.since).filter(|task| self.task(*task).is_some_and(Task::is_alive))?;
            let confidence = if it.borrowed { Confidence::Certain } else { Confidence::Possible };
            Some(Holder { task, since: it.since, confidence })
        });
        let tasks: Vec<Holder> = living.collect();
        // Of a semaphore, `try_acquire` may hold permits that nobody reports.
        let inside = Some(tasks.len()).filter(|inside| are_all && *inside > 0);
        Holders { inside, each: tasks.len() == reported.oldest.len(), tasks }
    }

    /// Whether every task that may hold a lock or a permit, as far as was seen, is gone, waits here itself or did so in vain since.
    ///
    /// A borrowed permit cannot outlive its task, so what a task that is gone had is either back, and then the first in the queue has it, or
    /// was forgotten. An owned one may have been passed on to anybody.
    pub fn nobody_can_release(&self, lock: ResourceKey) -> bool {
        let Some(resource) = self.resource(lock) else { return false };
        let waits_here = |task: TaskKey| self.task_wait(task).is_for(lock);
        let is_gone = |task: TaskKey| !self.task(task).is_some_and(Task::is_alive);
        let cannot = |task: TaskKey| is_gone(task) || waits_here(task);
        // Who came again and gave up has released what it had before.
        let came_again = |task: TaskKey, from: Timestamp| {
            resource.given_up.iter().any(|given_up| given_up.task == task && given_up.since > from)
        };
        let grants = &resource.grants;
        let of_grant =
            |grant: &Grant| !grant.owned && grant.task.is_some_and(|task| cannot(task) || came_again(task, grant.at));
        let ended = if resource.kind == ResourceKind::Mutex {
            // One that asks again for what it holds is in a deadlock of its own.
            grants.last().is_some_and(|last| !last.owned && last.task.is_some_and(is_gone))
        } else {
            let oldest = grants.newest_first().last().map(|grant| grant.at).unwrap_or_default();
            let of_evicted = |task: TaskKey| cannot(task) || came_again(task, oldest);
            grants.newest_first().all(of_grant)
                && grants.evicted_holders().all(of_evicted)
                && !grants.may_have_evicted_unknown_holder()
        };
        // A future that was granted and lives holds its permits; who waits with an owned acquire is of the kind that passes them on.
        let mut live = resource.ops.iter().filter_map(|op| Some((*op, self.op(*op)?)));
        let none_held = live.all(|(key, op)| self.is_waiting(key) && !op.owned);
        ended && none_held && self.all_permits_are_out(resource) && !self.some_wait_twice(resource)
    }

    /// How many permits are held, if the target has introduced itself and reports every holder.
    fn reported_permits(&self, semaphore: &Resource) -> Option<u64> {
        let reported = &semaphore.holders;
        let are_all = self.process().is_some() && !reported.are_unclear && !reported.are_more;
        are_all.then(|| reported.oldest.iter().map(|it| it.permits).fold(0, u64::saturating_add))
    }

    /// Whether one of the live tasks that acquired it was seen to wait here twice at a time: what one of its futures waits for another may
    /// have, and release.
    fn some_wait_twice(&self, lock: &Resource) -> bool {
        let grants = || lock.grants.newest_first().filter_map(|grant| Some((grant.task?, grant.since, grant.at)));
        let acquired: BTreeSet<TaskKey> =
            grants().map(|(task, ..)| task).chain(lock.grants.evicted_holders()).collect();
        let given_up = lock.given_up.iter().map(|it| (it.task, it.since, it.at));
        let ops = lock.ops.iter().filter_map(|key| self.op(*key));
        let present = ops.filter_map(|op| Some((op.task?, self.waiting_since(op), self.now())));
        let mut waits: Vec<_> = grants().chain(given_up).chain(present).collect();
        waits.retain(|(task, ..)| acquired.contains(task) && self.task(*task).is_some_and(Task::is_alive));
        waits.sort_unstable();
        waits.windows(2).any(|pair| pair[0].0 == pair[1].0 && pair[1].1 < pair[0].2)
    }

    /// Whether no permit of a lock or semaphore is left, as far as its numbers can be relied on.
    pub fn all_permits_are_out(&self, lock: &Resource) -> bool {
        let free = self.free_permits(lock).or(lock.permits.now);
        free.is_none_or(|free| free == 0) && !lock.permits.drifted
    }

    /// Whether all permits of a semaphore are out, and on grants that are all known: as many permits as it has were taken since all of
    /// them were there last, so that none of them can have come back. Or the target reports who holds each of them.
    pub fn knows_all_permits(&self, semaphore: ResourceKey) -> bool {
        let Some(resource) = self.resource(semaphore).filter(|it| it.kind == ResourceKind::Semaphore) else {
            return false;
        };
        if capacity(resource).is_some_and(|capacity| capacity > 0 && self.reported_permits(resource) == Some(capacity))
        {
            return true;
        }
        let since = resource.free_at.unwrap_or_default().minus(SAME_REPORT);
        let lately = resource.grants.newest_first().take_while(|grant| grant.at > since);
        // A target may claim any number.
        let taken = lately.map(|grant| grant.permits).fold(0, u64::saturating_add);
        self.all_grants_are_known(resource) && capacity(resource) == Some(taken)
    }

    /// The oldest grant of a lock that nobody claims: it came after the last poll of the future that asked for it, whose task lives on and waits
    /// for other things.
    ///
    /// A lock that is handed over counts as a poll of the inner op only; one taken in a poll of its future ends the outer op's poll last. So
    /// a future that is kept after it was ready, its guard being in use, does not count.
    pub fn unclaimed_grant(&self, lock: ResourceKey) -> Option<UnclaimedGrant> {
        let ops = self.resource(lock)?.ops.iter();
        ops.filter_map(|op| self.unclaimed(*op)).min_by_key(|grant| grant.since)
    }

    fn unclaimed(&self, key: OpKey) -> Option<UnclaimedGrant> {
        let outer = self.op(key)?;
        let inner = self.op(outer.inner?)?;
        let granted = outer.is_alive() && inner.is_alive() && inner.stats.is_granted() == Some(true);
        let since = inner.stats.poll.started?;
        let after_last_poll = outer.stats.poll.ended.is_some_and(|ended| since >= ended);
        let task = self.task(outer.task?)?;
        let lives_on = task.state() == TaskState::Idle && task.stats.poll.started >= Some(since);
        let unclaimed = granted && after_last_poll && lives_on && outer.ready != Some(true);
        unclaimed.then_some(UnclaimedGrant { task: outer.task?, since })
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

    /// Grants, newest first: those of ops that are still alive, for they were granted and not released, then those of ops that have ended.
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

    /// Grants that may still be held: those since all of them were last seen to be released, by tasks that live.
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
        let mut places: BTreeMap<TaskKey, usize> = BTreeMap::new();
        let mut sure = self.all_grants_are_known(lock);
        for (task, since, owned) in self.possible_grants(lock, fits) {
            sure &= task.is_some() && !owned;
            let place = task.and_then(|task| places.get(&task)).and_then(|place| holders.get_mut(*place));
            if let Some((times, _)) = place {
                *times += 1;
            } else if let Some(holder) = self.holder(task, since, true) {
                places.insert(holder.task, holders.len());
                holders.push((1, holder));
            }
        }
        // Whoever acquired it too long ago to be kept may still hold it, unless all have released it since.
        let oldest = lock.grants.newest_first().last().map(|grant| grant.at);
        if lock.free_at.is_none_or(|free| oldest.is_some_and(|oldest| oldest > free)) {
            let evicted = lock.grants.evicted_holders().filter(|task| !places.contains_key(task));
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

/// How many permits a semaphore has, if that is known. A cell's has one, to initialize it.
fn capacity(semaphore: &Resource) -> Option<u64> {
    semaphore.permits.capacity.or(is_once_cell(&semaphore.location).then_some(1))
}

fn is_read(kind: AcquireKind) -> bool {
    kind == AcquireKind::Read
}
