//! When to look at which lock again: soon where something changes, ever more rarely where nothing does.

use std::collections::BTreeSet;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::model::ResourceKey;
use crate::model::time::Timestamp;

/// A lock that changes is looked at once in this time: updates come a second apart, give or take.
const SOONEST: Duration = Duration::from_millis(900);
/// A lock for which tasks wait and that does not change is looked at after twice the time of the last look, up to this. Who holds it may end
/// meanwhile, which changes nothing of the lock itself.
const LATEST: Duration = Duration::from_secs(8);

/// The looks at one lock.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    last: Option<Timestamp>,
    due: Option<Timestamp>,
}

/// The looks at all locks.
#[derive(Debug, Clone, Default)]
pub(super) struct Schedule {
    looks: FxHashMap<ResourceKey, Look>,
    queue: BTreeSet<(Timestamp, ResourceKey)>,
}

impl Schedule {
    /// A lock has changed: it is due as soon as its last look is long enough ago.
    pub(super) fn changed(&mut self, key: ResourceKey, now: Timestamp) {
        let last = self.looks.get(&key).and_then(|look| look.last);
        self.plan(key, last.map_or(now, |last| last.plus(SOONEST).max(now)));
    }

    /// The locks that are due by now; each has to be [`looked_at`](Self::looked_at) or [`forget`](Self::forget)ten.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<ResourceKey> {
        let mut keys = Vec::new();
        while let Some((_, key)) = self.queue.first().copied().filter(|(due, _)| *due <= now) {
            self.queue.pop_first();
            self.looks.entry(key).or_default().due = None;
            keys.push(key);
        }
        keys
    }

    /// A lock was looked at. One without waiters is due again only when it changes.
    pub(super) fn looked_at(&mut self, key: ResourceKey, now: Timestamp, has_waiters: bool) {
        let look = self.looks.entry(key).or_default();
        let step = look.last.map_or(SOONEST, |last| (2 * now.since(last)).clamp(SOONEST, LATEST));
        look.last = Some(now);
        if has_waiters {
            self.plan(key, now.plus(step));
        }
    }

    /// A lock is gone.
    pub(super) fn forget(&mut self, key: ResourceKey) {
        if let Some(due) = self.looks.remove(&key).and_then(|look| look.due) {
            self.queue.remove(&(due, key));
        }
    }

    /// Locks are gone that nobody had to look at again.
    pub(super) fn sweep(&mut self, is_there: impl Fn(ResourceKey) -> bool) {
        self.looks.retain(|key, look| look.due.is_some() || is_there(*key));
    }

    fn plan(&mut self, key: ResourceKey, due: Timestamp) {
        let look = self.looks.entry(key).or_default();
        if look.due.is_some_and(|known| known <= due) {
            return;
        }
        if let Some(known) = look.due.replace(due) {
            self.queue.remove(&(known, key));
        }
        self.queue.insert((due, key));
    }
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    /// At which seconds a lock is looked at that changes at these, of twenty.
    fn looks(changes: &[u64], has_waiters: bool) -> Vec<u64> {
        let key = SlotMap::<ResourceKey, ()>::with_key().insert(());
        let mut schedule = Schedule::default();
        let mut looked = Vec::new();
        for second in 0..20 {
            let now = at(second * 1_000);
            if changes.contains(&second) {
                schedule.changed(key, now);
            }
            for key in schedule.take_due(now) {
                looked.push(second);
                schedule.looked_at(key, now, has_waiters);
            }
        }
        looked
    }

    #[test]
    fn what_changes_is_looked_at_soon_and_what_does_not_more_and_more_rarely() {
        assert_eq!(looks(&[0, 1, 2, 3], false), [0, 1, 2, 3]);
        assert_eq!(looks(&[0, 7], false), [0, 7]);
        assert_eq!(looks(&[0], true), [0, 1, 3, 7, 15]);
        assert_eq!(looks(&[0, 10], true), [0, 1, 3, 7, 10, 16]);
    }

    #[test]
    fn a_lock_that_is_gone_is_not_due() {
        let key = SlotMap::<ResourceKey, ()>::with_key().insert(());
        let mut schedule = Schedule::default();
        schedule.changed(key, at(1));
        schedule.forget(key);
        assert!(schedule.take_due(at(9_000)).is_empty());
    }
}
