//! The counters of a task and of its polls.

use std::num::NonZeroU16;
use std::time::Duration;

use crate::model::entity::thread::Thread;
use crate::model::time::Timestamp;

/// Counters and times of the polls of a task or an async op.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PollStats {
    /// Polls begun. Dropping a task's future counts as one more.
    pub polls: u64,
    /// Start of the first poll.
    pub first: Option<Timestamp>,
    /// Start of the last poll.
    pub started: Option<Timestamp>,
    /// End of the last poll that has ended.
    pub ended: Option<Timestamp>,
    /// Time spent in polls that have ended.
    pub busy: Duration,
}

impl PollStats {
    /// Whether a poll has begun and not ended.
    pub fn is_running(&self) -> bool {
        self.started > self.ended
    }
}

/// The counters of a task, cumulative since it was spawned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskStats {
    /// When it was spawned.
    pub created: Timestamp,
    /// When its span closed.
    pub dropped: Option<Timestamp>,
    /// How often it was woken.
    pub wakes: u64,
    /// How often it was woken from inside its own poll.
    pub self_wakes: u64,
    /// How often its waker was cloned.
    pub waker_clones: u64,
    /// How often a clone of its waker was dropped, or used up by a wake.
    pub waker_drops: u64,
    /// The last wake.
    pub last_wake: Option<Timestamp>,
    /// Its polls.
    pub poll: PollStats,
    /// Time between being woken and being polled. After cancellation it includes the whole last wait.
    pub scheduled: Duration,
    /// Whether its future was dropped before it was ready, where the target says so.
    pub was_cancelled: Option<bool>,
    /// The thread that polled it last, where the target says so.
    pub thread: Option<Thread>,
    /// The runtime that polls it, counted from 1, where the target says so.
    pub runtime: Option<NonZeroU16>,
}

impl TaskStats {
    /// How many wakers exist that could wake it; approximate, since the two counters are read one after the other.
    pub fn wakers(&self) -> u64 {
        self.waker_clones.saturating_sub(self.waker_drops)
    }

    /// Whether it was woken (or spawned) and has not been polled since.
    pub fn is_scheduled(&self) -> bool {
        !self.poll.is_running() && (self.poll.polls == 0 || self.last_wake > self.poll.started)
    }

    /// Whether something will poll it, or has a waker to have it polled. A task that has ended is never polled again, but its span may still be
    /// entered, by what it spawned with `in_current_span`.
    pub fn can_be_polled(&self) -> bool {
        self.wakers() > 0 || self.is_scheduled()
    }

    /// Polls that no wake explains, the first one aside.
    pub fn unexplained_polls(&self) -> u64 {
        self.poll.polls.saturating_sub(self.wakes + 1)
    }

    /// Polls that have ended, without the one that dropping the future counts as.
    pub fn completed_polls(&self) -> u64 {
        self.poll.polls.saturating_sub(u64::from(self.poll.is_running()) + u64::from(self.dropped.is_some()))
    }

    /// When it last began to wait: the end of its last poll, or its birth.
    pub fn idle_from(&self) -> Timestamp {
        self.poll.ended.unwrap_or(self.created)
    }

    /// Polled once, never woken, then dropped after a real wait: nothing but a cancellation looks like this.
    pub(super) fn was_dropped_at_first_await(&self) -> bool {
        self.wakes == 0 && self.poll.polls == 2 && self.scheduled > Duration::from_millis(1)
    }
}

/// Most times that a poll wakes its own task, when it yields or has used up its budget. In recordings of services that block their workers it is
/// once at most.
const OWN_WAKES: u64 = 2;

/// Whether polls with so many wakes from inside the task's span, and so many new wakers, are the work of a library's thread. While that has the
/// span entered, the real polls are not counted, but each of them leaves a new waker, and each result that the thread hands over wakes the task.
pub(in crate::model) fn are_of_library_thread(polls: u64, self_wakes: u64, clones: u64) -> bool {
    self_wakes > polls.saturating_mul(OWN_WAKES) && clones >= self_wakes
}
