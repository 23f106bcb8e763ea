//! Blocking in async code.

pub(super) mod blocked_worker;
pub(super) mod long_polls;
pub(super) mod runtime_stalled;
pub(super) mod scheduling_delay;
