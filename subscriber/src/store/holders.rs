//! Who holds a lock or permits: what the stock feed leaves to inference.

use smallvec::SmallVec;

use crate::clock::{Clock, Moment};
use crate::encode::{self, canary};

/// The most holders that are told apart. A semaphore that is never released, because its permits are forgotten, has no end of them.
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
