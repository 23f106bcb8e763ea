//! Work that piles up.

pub(super) mod blocking_pool_backlog;
pub(super) mod full_channel;
pub(super) mod growing_queue;
pub(super) mod growing_waiters;
pub(super) mod lagging_receiver;
pub(super) mod task_pileup;
