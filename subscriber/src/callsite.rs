//! What a span or an event of the runtime is about, by the names that tokio gives it.

use tracing_core::Metadata;

/// What a callsite reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callsite {
    /// A span: a task, from its spawn to its drop.
    Task,
    /// A span: a resource, such as a lock.
    Resource,
    /// A span: an operation on a resource, such as one `lock().await`.
    AsyncOp,
    /// An event: a waker was cloned, dropped or used.
    Waker,
    /// An event: an operation was polled.
    PollOp,
    /// An event: an attribute of a resource changed.
    ResourceState,
    /// An event: an attribute of an operation changed.
    AsyncOpState,
    /// A span of the runtime that says nothing that others do not say: without it, a wait costs a third less.
    Redundant,
    /// Anything else.
    Other,
}

impl Callsite {
    /// Whether it is recorded.
    #[inline]
    pub(crate) fn is_recorded(self) -> bool {
        !matches!(self, Self::Redundant | Self::Other)
    }

    /// What `metadata` reports. Compares lengths first, so a callsite of somebody else costs next to nothing.
    #[inline]
    pub(crate) fn of(metadata: &Metadata<'_>) -> Self {
        if metadata.is_span() {
            match metadata.name() {
                "runtime.spawn" => Self::Task,
                "task" if metadata.target() == "tokio::task" => Self::Task,
                "runtime.resource" => Self::Resource,
                "runtime.resource.async_op" => Self::AsyncOp,
                "runtime.resource.async_op.poll" => Self::Redundant,
                _ => Self::Other,
            }
        } else {
            match metadata.target() {
                "tokio::task::waker" | "runtime::waker" => Self::Waker,
                "runtime::resource::poll_op" => Self::PollOp,
                "runtime::resource::state_update" => Self::ResourceState,
                "runtime::resource::async_op::state_update" => Self::AsyncOpState,
                _ => Self::Other,
            }
        }
    }
}

/// The number by which the feed refers to a callsite: where its metadata lies, which is unique and never changes.
#[inline]
pub(crate) fn number(metadata: &'static Metadata<'static>) -> u64 {
    std::ptr::from_ref(metadata).addr() as u64
}
