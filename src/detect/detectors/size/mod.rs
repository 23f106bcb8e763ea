//! Large tasks.

pub(super) mod boxed_future;
pub(super) mod large_future;
