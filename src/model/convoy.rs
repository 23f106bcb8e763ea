//! A queue at a moment: who waits, who of them wants little, and whether one that wants much keeps those out.

use std::collections::BTreeSet;
use std::time::Duration;

use super::resource::{Crowd, ResourceKind};
use super::task::TaskState;
use super::time::Timestamp;
use super::{Model, OpKey, ResourceKey, SiteKey, TaskKey};

/// Shorter times than this in which nobody waits do not end a time in which somebody always did: who gives up tries again, or another comes.
pub(super) const PAUSE: Duration = Duration::from_secs(2);

/// Waits for a lock or semaphore that have led to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InVain {
    /// For how long somebody has waited all the time and nobody got in.
    pub lasts: Duration,
    /// How many gave up meanwhile.
    pub given_up: u64,
}

/// One that waits for many permits and has been given some, which nobody else gets meanwhile.
///
/// Only the head of the queue is given any: Tokio's queues are fair.
#[derive(Debug, Clone, Copy)]
struct Hoard {
    op: OpKey,
    wanted: u64,
    obtained: u64,
}

impl Model {
    /// Those who wait for a lock or semaphore now.
    pub(super) fn crowd(&self, key: ResourceKey) -> Crowd {
        let now = self.now();
        let mut crowd = Crowd {
            at: now,
            waiting: 0,
            came: 0,
            oldest: Duration::ZERO,
            holder_waits: self.holder_waits(key),
            closed: self.nobody_can_release(key),
            small: 0,
            held_up: 0,
            kept_by: None,
        };
        let hoard = self.hoard(key);
        let is_rwlock = self.resource(key).is_some_and(|lock| lock.kind == ResourceKind::RwLock);
        for (op, it) in self.waiters(key) {
            crowd.waiting += 1;
            crowd.oldest = crowd.oldest.max(self.running_since(self.waiting_since(it)));
            let Some(wanted) = self.acquisition(op).requested else { continue };
            let less = hoard.map_or(!is_rwlock || wanted == 1, |hoard| wanted < hoard.wanted && op != hoard.op);
            crowd.small += usize::from(less);
            crowd.held_up += usize::from(less && hoard.is_some_and(|hoard| wanted <= hoard.obtained));
        }
        let ended = self.resource(key).map_or(0, |lock| lock.waits.ended());
        crowd.came = ended + u64::try_from(crowd.waiting).unwrap_or_default();
        if crowd.held_up > 0 {
            crowd.kept_by = self.keeper(key);
        }
        crowd
    }

    /// How long the first of those has waited who wait for a lock now.
    pub fn longest_present_wait(&self, key: ResourceKey) -> Option<Duration> {
        self.waiters(key).map(|(_, op)| self.running_since(self.waiting_since(op))).max()
    }

    /// For how long somebody has waited for a lock without anybody getting in, no matter whether the same one all the time: many put a
    /// timeout around the wait, and then nobody waits for long. Nothing where nobody waits.
    pub fn waits_in_vain(&self, key: ResourceKey) -> Option<InVain> {
        let lock = self.resource(key)?;
        let oldest = self.waiters(key).map(|(_, op)| self.waiting_since(op)).min();
        let last = lock.grants.last().map_or(lock.created, |grant| grant.at);
        let until = oldest.unwrap_or(self.now().minus(self.quality().lag.unwrap_or_default()));
        match lock.futile.filter(|futile| futile.until > last && until <= futile.until.plus(PAUSE)) {
            Some(futile) => {
                let since = oldest.map_or(futile.since, |oldest| oldest.min(futile.since)).max(last);
                Some(InVain { lasts: self.running_since(since), given_up: futile.waits })
            }
            None => Some(InVain { lasts: self.running_since(oldest?), given_up: 0 }),
        }
    }

    /// The tasks that gave up a wait for a lock which they began after a time, each once.
    pub fn gave_up_since(&self, key: ResourceKey, from: Timestamp) -> BTreeSet<TaskKey> {
        let given_up = self.resource(key).into_iter().flat_map(|lock| lock.given_up.iter().rev());
        given_up.take_while(|it| it.at >= from).filter(|it| it.since > from).map(|it| it.task).collect()
    }

    /// The waiting one that has some of the many permits it wants. A writer that a writer keeps out has next to none.
    fn hoard(&self, key: ResourceKey) -> Option<Hoard> {
        let hoards = self.waiters(key).filter_map(|(op, _)| {
            let stats = self.acquisition(op);
            let (wanted, obtained) = (stats.requested?, stats.obtained?);
            (obtained > 0 && obtained < wanted).then_some(Hoard { op, wanted, obtained })
        });
        let is_rwlock = self.resource(key)?.kind == ResourceKind::RwLock;
        hoards.max_by_key(|hoard| hoard.obtained).filter(|_| !is_rwlock || self.readers_inside(key).is_some())
    }

    /// Whether who holds a lock waits for something that is seen; nothing where it is not known, or does not wait at all.
    fn holder_waits(&self, lock: ResourceKey) -> Option<bool> {
        let holder = self.holders(lock).into_iter().next()?;
        let task = self.task(holder.task).filter(|task| task.state() == TaskState::Idle)?;
        Some(self.timer(task).is_some() || self.waits(holder.task).next().is_some())
    }

    /// The spawn site of whoever most probably has what the head of the queue lacks.
    fn keeper(&self, key: ResourceKey) -> Option<SiteKey> {
        let waits_here = |task| self.waiters(key).any(|(_, op)| op.task == Some(task));
        let keeper = self.holders(key).into_iter().find(|holder| !waits_here(holder.task))?;
        Some(self.task(keeper.task)?.site)
    }
}
