//! What makes no progress any more.

pub(super) mod abandoned_wait;
pub(super) mod deadlock;
pub(super) mod futurelock;
pub(super) mod lock_order;
pub(super) mod lost_waker;
pub(super) mod never_completes;
pub(super) mod permit_leak;
pub(super) mod timed_out_tasks;
pub(super) mod unanswered_requests;
pub(super) mod undriven_runtime;
pub(super) mod vanished_singleton;
pub(super) mod waker_growth;
