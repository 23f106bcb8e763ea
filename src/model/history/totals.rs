//! Sums over everything that was seen of a target, whatever became of its processes.

use super::activity::ActivityLog;
use super::waited::WaitTotals;

/// Events that the target dropped because its buffer was full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Events about tasks.
    pub tasks: u64,
    /// Events about resources.
    pub resources: u64,
    /// Events about async ops.
    pub ops: u64,
}

impl Lost {
    /// Events of all kinds.
    pub fn all(&self) -> u64 {
        self.tasks + self.resources + self.ops
    }
}

/// Sums that never fall: they outlive what was counted, and go on when another process answers.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// What the tasks have done.
    pub activity: ActivityLog,
    /// How long they have waited.
    pub waits: WaitTotals,
    /// What the feed has lost.
    pub lost: Lost,
    /// Parts of messages of earlier processes that made no sense.
    pub(in crate::model) malformed_before: u64,
}

impl Totals {
    /// The sums with which another process begins, or another clock.
    #[must_use]
    pub(in crate::model) fn carried_over(self, malformed: u64) -> Self {
        Self {
            activity: self.activity.carried_over(),
            waits: self.waits.carried_over(),
            lost: self.lost,
            malformed_before: self.malformed_before + malformed,
        }
    }
}
