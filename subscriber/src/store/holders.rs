//! Who holds a lock or permits: what the stock feed leaves to inference.

use smallvec::SmallVec;

use crate::clock::{Clock, Moment};
use crate::encode::{self, canary};

/// The most holders that are kept. A semaphore whose permits are forgotten gathers any number of them.
const MOST: usize = 16;

/// The tasks that acquired and have not released, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    held: SmallVec<[Holder; 1]>,
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
        if self.held.len() == MOST {
            self.held.remove(0);
        }
        self.held.push(holder);
    }

    /// A task released. Its own come first; else it released for another, as a guard that was moved does, and the oldest goes.
    pub(crate) fn release(&mut self, task: Option<u64>, permits: u64) {
        // A new lock reports that it is free before anybody had it.
        if self.held.is_empty() {
            return;
        }
        self.released_by = task;
        let mut left = permits;
        while left > 0 {
            let Some(index) =
                self.held.iter().position(|holder| holder.task == task).or((!self.held.is_empty()).then_some(0))
            else {
                return;
            };
            let holder = &mut self.held[index];
            let returned = left.min(holder.permits);
            holder.permits -= returned;
            left -= returned;
            if holder.permits == 0 {
                self.held.remove(index);
            }
        }
    }

    /// Appends what is known as facts.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, clock: &Clock) {
        for holder in &self.held {
            encode::fact(out, canary::HOLDER, holder.task.unwrap_or(0));
            encode::fact(
                out,
                canary::HELD_SINCE,
                u64::try_from(clock.wall(holder.since).as_nanos()).unwrap_or(u64::MAX),
            );
            encode::fact(out, canary::HELD_PERMITS, holder.permits);
            encode::fact(out, canary::HELD_BORROWED, holder.borrowed.into());
        }
        if let Some(task) = self.released_by {
            encode::fact(out, canary::RELEASED_BY, task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acquired(tasks: &[(u64, u64)]) -> Holders {
        let mut holders = Holders::default();
        let since = Clock::start().now();
        for &(task, permits) in tasks {
            holders.acquire(Holder { task: Some(task), since, permits, borrowed: true });
        }
        holders
    }

    fn held(holders: &Holders) -> Vec<(u64, u64)> {
        holders.held.iter().map(|it| (it.task.unwrap_or(0), it.permits)).collect()
    }

    #[test]
    fn a_release_that_is_reported_after_the_next_acquisition_is_that_of_the_one_before() {
        // A lock is handed over before its release is reported.
        let mut holders = acquired(&[(1, 1), (2, 1)]);
        holders.release(Some(1), 1);
        assert_eq!(held(&holders), [(2, 1)]);
        assert_eq!(holders.released_by, Some(1));
    }

    #[test]
    fn a_guard_that_was_moved_is_released_by_another_task() {
        let mut holders = acquired(&[(1, 1)]);
        holders.release(Some(7), 1);
        assert_eq!(held(&holders), []);
        assert_eq!(holders.released_by, Some(7));
    }

    #[test]
    fn permits_come_back_one_by_one_and_many_at_once() {
        let mut holders = acquired(&[(1, 3), (2, 2)]);
        holders.release(Some(2), 1);
        assert_eq!(held(&holders), [(1, 3), (2, 1)]);
        holders.release(Some(2), 2);
        assert_eq!(held(&holders), [(1, 2)], "what it has not itself, it releases for the oldest");
        holders.release(Some(2), 100);
        assert_eq!(held(&holders), []);
    }

    #[test]
    fn a_new_lock_that_reports_to_be_free_was_released_by_nobody() {
        let mut holders = Holders::default();
        holders.release(Some(1), 1);
        assert_eq!(holders.released_by, None);
    }

    #[test]
    fn permits_that_are_forgotten_take_a_bounded_amount() {
        let tasks: Vec<(u64, u64)> = (1..=100).map(|task| (task, 1)).collect();
        let holders = acquired(&tasks);
        assert_eq!(holders.held.len(), MOST);
        assert_eq!(holders.held.last().and_then(|it| it.task), Some(100));
    }
}
