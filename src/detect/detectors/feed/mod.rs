//! The feed itself.

pub(super) mod costly_retention;
pub(super) mod not_instrumented;
pub(super) mod partial_feed;
pub(super) mod process_paused;
pub(super) mod quiet_feed;
