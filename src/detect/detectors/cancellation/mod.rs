//! Work, or a place in a queue, that is dropped.

pub(super) mod cancelled_work;
pub(super) mod lost_turn;
