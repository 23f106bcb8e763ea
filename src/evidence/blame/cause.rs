//! What a task's time can be spent on.

use crate::model::tokio::{AcquireKind, ResourceKind};

/// What a task spends its time on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Inside a poll, or, for a blocking job, on its thread.
    Running,
    /// Spawned or woken, and not polled yet.
    Scheduling,
    /// Waiting for a lock or a permit, which others hold.
    Lock,
    /// Waiting for room in a channel.
    FullChannel,
    /// A blocking job that waits for a thread of its pool.
    BlockingThread,
    /// Waiting for a timer, also one around something that the feed does not show.
    Timer,
    /// Waiting for a message, an answer or the others at a barrier: how a program rests when there is nothing to do.
    Message,
    /// Waiting for something that the feed does not show: a socket, an unbounded channel, a `Notify`, a join handle.
    Unknown,
}

impl Cause {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Self; 8] = [
        Self::Running,
        Self::Scheduling,
        Self::Lock,
        Self::FullChannel,
        Self::BlockingThread,
        Self::Timer,
        Self::Message,
        Self::Unknown,
    ];

    /// The word for it in machine-readable output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Scheduling => "scheduling",
            Self::Lock => "lock",
            Self::FullChannel => "full-channel",
            Self::BlockingThread => "blocking-thread",
            Self::Timer => "timer",
            Self::Message => "message",
            Self::Unknown => "unknown",
        }
    }

    /// The cause of a wait in an op of this kind for a resource of that kind.
    pub(super) fn of_wait(resource: ResourceKind, op: AcquireKind) -> Self {
        match resource {
            ResourceKind::Mutex | ResourceKind::RwLock | ResourceKind::Semaphore => Self::Lock,
            ResourceKind::Channel => Self::FullChannel,
            ResourceKind::Sleep | ResourceKind::Interval => Self::Timer,
            ResourceKind::Other if op == AcquireKind::Send => Self::FullChannel,
            ResourceKind::Other | ResourceKind::Oneshot | ResourceKind::Barrier | ResourceKind::Inner => Self::Message,
        }
    }

    /// Whether somebody else keeps the task from going on, so that this counts before whatever else it waits for at the same time.
    pub(super) fn is_blocked(self) -> bool {
        matches!(self, Self::Lock | Self::FullChannel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_message_is_not_blocked_by_a_full_channel() {
        for (resource, op, cause, is_blocked) in [
            (ResourceKind::Mutex, AcquireKind::Lock, Cause::Lock, true),
            (ResourceKind::Semaphore, AcquireKind::AcquireMany, Cause::Lock, true),
            (ResourceKind::Channel, AcquireKind::Send, Cause::FullChannel, true),
            (ResourceKind::Other, AcquireKind::Send, Cause::FullChannel, true),
            (ResourceKind::Other, AcquireKind::Receive, Cause::Message, false),
            (ResourceKind::Oneshot, AcquireKind::Other, Cause::Message, false),
            (ResourceKind::Barrier, AcquireKind::Other, Cause::Message, false),
            (ResourceKind::Interval, AcquireKind::Other, Cause::Timer, false),
        ] {
            let found = Cause::of_wait(resource, op);
            assert_eq!((found, found.is_blocked()), (cause, is_blocked), "{resource:?} {op:?}");
        }
    }
}
