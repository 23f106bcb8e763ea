//! Who holds a lock or permits: what the stock feed leaves to inference.

use smallvec::SmallVec;

use crate::clock::{Clock, Moment};
use crate::encode::{self, canary};

/// The most holders that clients are sent.
const MOST_SENT: usize = 16;

/// The most holders that are kept; of more only the number of their permits is known. A semaphore whose permits are forgotten gathers any
/// number of them.
const MOST: usize = 256;

/// The tasks that acquired and have not released, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    held: SmallVec<[Holder; 1]>,
    /// Permits of further holders.
    more: u64,
    /// Permits that operations have obtained, and of which it is not known yet whether their tasks get them.
    in_transit: u64,
    /// Whether permits came back that nobody was seen to acquire: `try_acquire` is not reported, and `add_permits` looks like a release. Who
    /// holds the others cannot be told then.
    unclear: bool,
    /// The task that released last.
    released_by: Option<u64>,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder {
    /// `None` where no task was being polled: a thread of its own holds it.
    pub(crate) task: Option<u64>,
    pub(crate) since: Moment,
    pub(crate) permits: u64,
    /// Whether the guard is known to be borrowed from the lock, so that no other task can have it.
    pub(crate) borrowed: bool,
}

impl Holders {
    /// A task acquired.
    pub(crate) fn acquire(&mut self, holder: Holder) {
        self.in_transit = self.in_transit.saturating_sub(holder.permits);
        if self.unclear {
            return;
        }
        if self.held.len() < MOST {
            self.held.push(holder);
        } else {
            self.more = self.more.saturating_add(holder.permits);
        }
    }

    /// An operation obtained permits, of the semaphore or of a task that released them.
    pub(crate) fn obtained(&mut self, permits: u64) {
        self.in_transit = self.in_transit.saturating_add(permits);
    }

    /// A task left a lock.
    pub(crate) fn release(&mut self, task: Option<u64>) {
        // A new lock reports that it is free before anybody had it.
        if self.held.is_empty() && self.more == 0 {
            return;
        }
        self.released_by = task;
        if self.give_up(task, 1) > 0 && !self.held.is_empty() {
            // Of a lock that is never dropped a borrowed guard can be moved, too.
            self.held.remove(0);
        }
    }

    /// A task gave permits of a semaphore back, or straight to an operation that waits for them.
    pub(crate) fn give_back(&mut self, task: Option<u64>, permits: u64) {
        self.released_by = task;
        let left = self.give_up_own(task, permits);
        // An operation that is dropped gives back what it has obtained.
        let unused = left.min(self.in_transit);
        self.in_transit -= unused;
        if self.give_up(task, left - unused) > 0 {
            self.unclear = true;
            self.held = SmallVec::new();
            self.more = 0;
        }
    }

    /// Takes permits from a task or, if it released for another as a guard that was moved does, from whoever may have had them. Says how many
    /// permits nobody had.
    fn give_up(&mut self, task: Option<u64>, permits: u64) -> u64 {
        let left = self.give_up_own(task, permits);
        let of_more = left.min(self.more);
        self.more -= of_more;
        self.take(left - of_more, |holder| !holder.borrowed)
    }

    fn give_up_own(&mut self, task: Option<u64>, permits: u64) -> u64 {
        self.take(permits, |holder| holder.task == task)
    }

    /// Takes permits from these holders, the oldest first. Says how many there were too few.
    fn take(&mut self, permits: u64, from: impl Fn(&Holder) -> bool) -> u64 {
        let mut left = permits;
        while left > 0
            && let Some(index) = self.held.iter().position(&from)
        {
            let holder = &mut self.held[index];
            let returned = left.min(holder.permits);
            holder.permits -= returned;
            left -= returned;
            if holder.permits == 0 {
                self.held.remove(index);
            }
        }
        left
    }

    /// Appends what is known as facts.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, clock: &Clock) {
        for holder in self.held.iter().take(MOST_SENT) {
            encode::fact(out, canary::HOLDER, holder.task.unwrap_or(0));
            encode::fact(
                out,
                canary::HELD_SINCE,
                u64::try_from(clock.wall(holder.since).as_nanos()).unwrap_or(u64::MAX),
            );
            encode::fact(out, canary::HELD_PERMITS, holder.permits);
            encode::fact(out, canary::HELD_BORROWED, holder.borrowed.into());
        }
        let unsent = self.held.iter().skip(MOST_SENT).map(|holder| holder.permits);
        let more = unsent.fold(self.more, u64::saturating_add);
        if more > 0 {
            encode::fact(out, canary::HELD_BY_MORE, more);
        }
        if self.unclear {
            encode::fact(out, canary::HOLDERS_UNCLEAR, 1);
        }
        if let Some(task) = self.released_by {
            encode::fact(out, canary::RELEASED_BY, task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(task: u64, permits: u64, borrowed: bool) -> Holder {
        Holder { task: Some(task), since: Clock::start().now(), permits, borrowed }
    }

    fn acquired(tasks: &[(u64, u64)]) -> Holders {
        let mut holders = Holders::default();
        tasks.iter().for_each(|&(task, permits)| holders.acquire(holder(task, permits, true)));
        holders
    }

    fn held(holders: &Holders) -> Vec<(u64, u64)> {
        holders.held.iter().map(|it| (it.task.unwrap_or(0), it.permits)).collect()
    }

    #[test]
    fn a_release_that_is_reported_after_the_next_acquisition_is_that_of_the_one_before() {
        // A lock is handed over before its release is reported.
        let mut holders = acquired(&[(1, 1), (2, 1)]);
        holders.release(Some(1));
        assert_eq!(held(&holders), [(2, 1)]);
        assert_eq!(holders.released_by, Some(1));
    }

    #[test]
    fn a_guard_that_was_moved_is_released_by_another_task() {
        let mut holders = acquired(&[(1, 1)]);
        holders.release(Some(7));
        assert_eq!(held(&holders), []);
        assert_eq!(holders.released_by, Some(7));
        let mut readers = acquired(&[(1, 1)]);
        readers.acquire(holder(2, 1, false));
        readers.release(Some(7));
        assert_eq!(held(&readers), [(1, 1)], "the one that can be moved was");
    }

    #[test]
    fn permits_come_back_one_by_one_and_many_at_once() {
        let mut holders = acquired(&[(1, 3), (2, 2)]);
        holders.give_back(Some(2), 1);
        assert_eq!(held(&holders), [(1, 3), (2, 1)]);
        holders.give_back(Some(2), 1);
        assert_eq!(held(&holders), [(1, 3)]);
        holders.give_back(Some(1), 3);
        assert_eq!((held(&holders), holders.unclear), (vec![], false));
    }

    #[test]
    fn permits_that_nobody_was_seen_to_acquire_make_holders_unclear() {
        // Of `try_acquire`, or added.
        for holders in [acquired(&[]), acquired(&[(1, 3)])] {
            let mut holders = holders;
            holders.give_back(Some(2), 1);
            assert_eq!((held(&holders), holders.unclear), (vec![], true));
            holders.acquire(holder(3, 1, true));
            assert_eq!(held(&holders), [], "it says nothing any more");
        }
        let mut moved = acquired(&[(1, 1)]);
        moved.acquire(holder(2, 1, false));
        moved.give_back(Some(3), 1);
        assert_eq!((held(&moved), moved.unclear), (vec![(1, 1)], false), "an owned permit was moved");
    }

    #[test]
    fn an_operation_that_is_dropped_gives_back_what_no_task_had() {
        let mut holders = acquired(&[(1, 1), (2, 1)]);
        // Given to an operation that waits, whose task is cancelled then.
        holders.give_back(Some(2), 1);
        holders.obtained(1);
        holders.give_back(Some(3), 1);
        assert_eq!((held(&holders), holders.in_transit, holders.unclear), (vec![(1, 1)], 0, false));
        holders.obtained(1);
        holders.acquire(holder(4, 1, true));
        assert_eq!((held(&holders), holders.in_transit), (vec![(1, 1), (4, 1)], 0));
    }

    #[test]
    fn a_new_lock_that_reports_to_be_free_was_released_by_nobody() {
        let mut holders = Holders::default();
        holders.release(Some(1));
        assert_eq!((holders.released_by, holders.unclear), (None, false));
    }

    #[test]
    fn those_who_have_held_longest_are_kept_and_the_others_counted() {
        let tasks: Vec<(u64, u64)> = (1..=1_000).map(|task| (task, 1)).collect();
        let mut holders = acquired(&tasks);
        assert_eq!((holders.held.len(), holders.more), (MOST, 1_000 - MOST as u64));
        holders.give_back(Some(999), 1);
        assert_eq!((held(&holders).first(), holders.more), (Some(&(1, 1)), 999 - MOST as u64));
        (257..=1_000).for_each(|task| holders.give_back(Some(task), u64::from(task != 999)));
        assert_eq!((holders.held.len(), holders.more, holders.unclear), (MOST, 0, false));
    }
}
