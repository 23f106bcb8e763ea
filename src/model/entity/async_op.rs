//! An async op: one wait of one future for one resource.

use crate::model::entity::stats::PollStats;
use crate::model::history::waited::CountedWait;
use crate::model::keys::{OpKey, ResourceKey, TaskKey};
use crate::model::text::Text;
use crate::model::time::Timestamp;
use crate::model::tokio::AcquireKind;

/// The counters of an async op.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpStats {
    /// When its future was made.
    pub created: Timestamp,
    /// When its future was dropped: at once after it was ready, in ordinary code.
    pub dropped: Option<Timestamp>,
    /// Its polls. A hand-over of permits by another task counts as one too.
    pub poll: PollStats,
    /// The span id of the task that last polled it.
    pub task: Option<u64>,
    /// Permits it wants, where it wants any.
    pub requested: Option<u64>,
    /// Permits it has been given.
    pub obtained: Option<u64>,
    /// Whether its last poll was ready, where the target says so with its counters.
    pub is_ready: bool,
}

impl OpStats {
    /// Whether it has been given all the permits it asked for; `None` for an op that does not say.
    pub fn is_granted(&self) -> Option<bool> {
        Some(self.obtained? >= self.requested?)
    }
}

/// One wait of one future for one resource, such as a call of `Mutex::lock`.
#[derive(Debug, Clone)]
pub struct AsyncOp {
    /// The span id that the feed uses for it; reused after its death.
    pub id: u64,
    /// What made it, such as `Mutex::lock` or, for a send on a bounded channel, `Acquire::new`.
    pub source: Text,
    /// How it acquires what it waits for.
    pub kind: AcquireKind,
    /// Whether what it acquires can be sent to another task, so that the task that acquired it need not be the one that holds it.
    pub owned: bool,
    /// The resource it waits for; for the inner op of a lock, the lock's inner semaphore.
    pub resource: Option<ResourceKey>,
    /// The op that this one is part of.
    pub parent: Option<OpKey>,
    /// The op that is part of this one, for a lock its acquisition of permits.
    pub inner: Option<OpKey>,
    /// The task that last polled it.
    pub task: Option<TaskKey>,
    /// Its counters.
    pub stats: OpStats,
    /// What its last reported poll returned, if any was reported.
    pub ready: Option<bool>,
    /// Whether its wait is among those that are counted.
    pub(in crate::model) counting: Counting,
}

/// Whether the wait of an op is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::model) enum Counting {
    /// Not so far.
    #[default]
    Not,
    /// It grows.
    Waits(CountedWait),
    /// It is over.
    Over,
}

impl AsyncOp {
    /// Whether it is a `Sleep`, which is not a wait: it stays when the time is up, as long as the timer is kept. What is known of a timer is in
    /// its resource.
    pub fn is_sleep(&self) -> bool {
        self.kind == AcquireKind::Sleep
    }

    /// Whether its future exists.
    pub fn is_alive(&self) -> bool {
        self.stats.dropped.is_none()
    }
}
