//! How the tasks of a spawn site ended lately, one by one, and what those waited for that were dropped before they finished.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::entity::stats::TaskStats;
use crate::model::history::push_bounded;
use crate::model::keys::ResourceKey;
use crate::model::location::Location;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;

/// Ends that are kept, per site.
const ENDS: usize = 1_024;

/// How long ends are kept at most: for as long as the seconds of a site are.
const KEPT: Duration = Duration::from_secs(180);

/// What a task waited for when it was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWait {
    /// The lock, channel or timer; perhaps forgotten since.
    pub resource: ResourceKey,
    /// Its kind.
    pub kind: ResourceKind,
    /// Where it was made.
    pub location: Location,
}

/// The end of one task.
#[derive(Debug, Clone)]
pub struct Completion {
    /// When.
    pub at: Timestamp,
    /// How old it was.
    pub age: Duration,
    /// How often it had been polled, the drop included.
    pub polls: u64,
    /// How long it had rested when it was polled for the last time; zero where it was polled more than once since the update before.
    pub rested: Duration,
    /// The time that it spent between being woken and being polled. After a drop before its end it includes the whole last wait.
    pub scheduled: Duration,
    /// Whether it is certain that it was dropped before it finished.
    pub cancelled: bool,
    /// Whether it ended as one does that was woken, polled and ready: so soon after a wake that it was hardly dropped by chance.
    pub ready_after_wake: bool,
    /// What it waited for then, if it was dropped and an op or a timer of it tells.
    pub wait: Option<LastWait>,
}

/// The last ends at a site.
#[derive(Debug, Clone, Default)]
pub struct Completions {
    ring: VecDeque<Completion>,
}

impl Completions {
    /// The ends at `from` or later, in the order in which they were told.
    pub fn since(&self, from: Timestamp) -> impl Iterator<Item = &Completion> {
        self.ring.iter().filter(move |ended| ended.at >= from)
    }

    pub(in crate::model) fn note(&mut self, ended: Completion) {
        let from = ended.at.minus(KEPT);
        while self.ring.front().is_some_and(|first| first.at < from) {
            self.ring.pop_front();
        }
        push_bounded(&mut self.ring, ended, ENDS);
    }
}

/// So soon after its last wake a task that completed is polled, ready and dropped.
const AT_ONCE: Duration = Duration::from_millis(5);

impl Completion {
    /// The end of a task whose counters were these before and are those now, and that is not known to have been dropped before it finished.
    pub(in crate::model) fn by_itself(at: Timestamp, before: &TaskStats, stats: &TaskStats) -> Self {
        let dropped = stats.poll.started.unwrap_or(at);
        let ready_after_wake = stats.last_wake.is_some_and(|wake| dropped.since(wake) <= AT_ONCE);
        Self { cancelled: false, ready_after_wake, wait: None, ..Self::of(at, before, stats) }
    }

    /// The end of a task that is known to have been dropped before it finished, and what it waited for.
    pub(in crate::model) fn cancelled(
        at: Timestamp,
        before: &TaskStats,
        stats: &TaskStats,
        wait: Option<LastWait>,
    ) -> Self {
        Self { cancelled: true, ready_after_wake: false, wait, ..Self::of(at, before, stats) }
    }

    fn of(at: Timestamp, before: &TaskStats, stats: &TaskStats) -> Self {
        // The last poll, and the one that dropping the future counts as.
        let only_ended = stats.poll.polls.saturating_sub(before.poll.polls) <= 2;
        let rested = before.poll.ended.zip(stats.poll.started).filter(|_| only_ended);
        Self {
            at,
            age: at.since(stats.created),
            polls: stats.poll.polls,
            rested: rested.map_or(Duration::ZERO, |(from, to)| to.since(from)),
            scheduled: stats.scheduled,
            cancelled: false,
            ready_after_wake: false,
            wait: None,
        }
    }
}
