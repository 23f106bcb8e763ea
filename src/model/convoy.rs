//! A queue at a moment: who waits, who of them wants little, and whether one that wants much keeps those out.

use std::time::Duration;

use super::resource::{Crowd, ResourceKind};
use super::task::TaskState;
use super::{Model, OpKey, ResourceKey, SiteKey};

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
        if crowd.held_up > 0 {
            crowd.kept_by = self.keeper(key);
        }
        crowd
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
