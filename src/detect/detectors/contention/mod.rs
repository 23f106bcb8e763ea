//! Tasks that wait for each other.

pub(super) mod contended_lock;
pub(super) mod held_across_await;
pub(super) mod reader_convoy;
