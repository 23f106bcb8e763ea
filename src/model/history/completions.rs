//! How the tasks of a spawn site ended lately, one by one, and what those waited for that were dropped before they finished.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::entity::task::TaskStats;
use crate::model::history::push_bounded;
use crate::model::keys::ResourceKey;
use crate::model::location::Location;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;

/// Ends that are kept, per site.
const ENDS: usize = 1_024;

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
    /// Whether it is certain that it was dropped before it finished.
    pub cancelled: bool,
    /// Whether it ended as one does that was woken, polled and ready: so soon after a wake that it was hardly dropped by chance.
    pub ready_after_wake: bool,
    /// What it waited for then, if it was dropped and an op or a timer of it tells.
    pub wait: Option<LastWait>,
}

/// The last ends at a site. Those that are not known to be cancellations are kept from the first cancellation on: there is nothing
/// to compare them with before.
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
        push_bounded(&mut self.ring, ended, ENDS);
    }
}

/// So soon after its last wake a task that completed is polled, ready and dropped.
const AT_ONCE: Duration = Duration::from_millis(5);

impl Completion {
    /// The end of a task that is not known to have been dropped before it finished.
    pub(in crate::model) fn by_itself(at: Timestamp, stats: &TaskStats) -> Self {
        let dropped = stats.poll.started.unwrap_or(at);
        let ready_after_wake = stats.last_wake.is_some_and(|wake| dropped.since(wake) <= AT_ONCE);
        let (age, polls) = (at.since(stats.created), stats.poll.polls);
        Self { at, age, polls, cancelled: false, ready_after_wake, wait: None }
    }
}
