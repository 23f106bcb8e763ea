//! Keys of the model, and what an id of the feed stands for.

use slotmap::new_key_type;

new_key_type! {
    /// A task of the model; never reused, unlike the feed's ids.
    pub struct TaskKey;
    /// A spawn site of the model.
    pub struct SiteKey;
    /// A resource of the model; never reused.
    pub struct ResourceKey;
    /// An async op of the model; never reused.
    pub struct OpKey;
}

/// An id of the feed. The target keeps tasks, resources and async ops apart and lists what has ended for long, so that one number can stand
/// for a timer that is gone and for a task that lives, both in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::model) enum Id {
    Task(u64),
    Resource(u64),
    Op(u64),
}

/// What an id of the feed stands for at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) enum Entity {
    Task(TaskKey),
    Resource(ResourceKey),
    Op(OpKey),
}
