//! Bounded history: what happened at a spawn site, second by second.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::entity::stats::are_of_library_thread;
use crate::model::history::push_bounded;
use crate::model::keys::{ResourceKey, TaskKey};
use crate::model::time::Timestamp;

/// Seconds of history that are kept.
const SECONDS: usize = 180;

/// What one task did, added up over the updates of about a second.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The task.
    pub task: TaskKey,
    /// Over how long.
    pub time: Duration,
    /// Polls that ended.
    pub polls: u64,
    /// Time spent in them.
    pub busy: Duration,
    /// Time between being woken and being polled.
    pub scheduled: Duration,
    /// Clones of its waker that were made.
    pub clones: u64,
    /// Wakes of it,
    pub wakes: u64,
    /// and those of them that it made itself, in a poll.
    pub self_wakes: u64,
}

impl Pace {
    /// What the task did in both times.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            task: self.task,
            time: self.time + other.time,
            polls: self.polls + other.polls,
            busy: self.busy + other.busy,
            scheduled: self.scheduled + other.scheduled,
            clones: self.clones + other.clones,
            wakes: self.wakes + other.wakes,
            self_wakes: self.self_wakes + other.self_wakes,
        }
    }

    /// How often it was polled or registered for a wake-up.
    pub(in crate::model) fn polls_and_clones(&self) -> u64 {
        self.polls + self.clones
    }

    /// Whether a library's thread, and not its runtime, was inside its span.
    pub(in crate::model) fn is_of_library_thread(&self) -> bool {
        are_of_library_thread(self.polls, self.self_wakes, self.clones)
    }

    /// Adds more of the same task, or gives way to another that did more of what is counted.
    pub(in crate::model) fn note(known: &mut Option<Self>, new: Self, count: fn(&Self) -> u64) {
        match known {
            Some(known) if known.task == new.task => *known = known.plus(&new),
            Some(known) if count(known) >= count(&new) => {}
            _ => *known = Some(new),
        }
    }
}

/// What happened in about a second (or in one update, where updates are rarer).
#[derive(Debug, Clone, Copy, Default)]
pub struct Second {
    /// When it began.
    pub from: Timestamp,
    /// The last update in it.
    pub to: Timestamp,
    /// Tasks alive at its end.
    pub live: usize,
    /// Median age of (a sample of) them.
    pub median_age: Duration,
    /// Tasks spawned.
    pub born: u32,
    /// Tasks ended.
    pub ended: u32,
    /// Tasks known to have been dropped before they finished.
    pub cancelled: u32,
    /// Polls that ended.
    pub polls: u64,
    /// Time spent in them.
    pub busy: Duration,
    /// The task whose polls were longest on average between two updates, and that average.
    pub longest: Option<(Duration, TaskKey)>,
    /// The task whose polls took most time between two updates, how much, and how many they were.
    pub busiest: Option<(Duration, u64, TaskKey)>,
    /// What the task did that was polled or registered itself for wake-ups most.
    pub fastest: Option<Pace>,
    /// What the task did that woke itself most, if one did.
    pub self_waker: Option<Pace>,
    /// The task of which most wakers existed, if that is many, and how many.
    pub wakers: Option<(u64, TaskKey)>,
    /// The timer that a task polled again and again, and that was ready each time.
    pub elapsed_timer: Option<ResourceKey>,
    /// Whether the feed lagged or lost events, so that counts of tasks are not to be compared.
    pub unreliable: bool,
}

/// A ring of seconds, newest last.
#[derive(Debug, Clone, Default)]
pub struct History {
    closed: VecDeque<Second>,
    current: Second,
}

impl History {
    /// The seconds that began at `from` or later, oldest first, the one still running included.
    pub fn since(&self, from: Timestamp) -> impl DoubleEndedIterator<Item = &Second> {
        self.all().filter(move |second| second.from >= from)
    }

    /// How many tasks were spawned and how many ended in the seconds that began at `from` or later.
    pub fn turnover(&self, from: Timestamp) -> (u64, u64) {
        self.since(from).fold((0, 0), |(born, ended), it| (born + u64::from(it.born), ended + u64::from(it.ended)))
    }

    /// All seconds that are kept, oldest first, the one still running included.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Second> {
        self.closed.iter().chain((self.current.to > Timestamp::default()).then_some(&self.current))
    }

    /// When something happened last; the beginning where nothing has.
    pub(in crate::model) fn last_change(&self) -> Timestamp {
        self.all().next_back().map_or(self.current.from, |second| second.to)
    }

    /// The second that is still running, for counting in it.
    pub(in crate::model) fn current(&mut self) -> &mut Second {
        &mut self.current
    }

    /// Whether the running second is over at `now`, so that it is worth measuring the tasks alive.
    pub(in crate::model) fn is_due(&self, now: Timestamp) -> bool {
        now.since(self.current.from) >= Duration::from_secs(1)
    }

    /// Closes the running second and begins the next.
    pub(in crate::model) fn close(&mut self, now: Timestamp) {
        self.current.to = now;
        push_bounded(&mut self.closed, self.current, SECONDS);
        self.current = Second { from: now, ..Second::default() };
    }
}
