//! What happened lately, in bounded rings: facts, no inference.

pub mod activity;
pub mod answers;
pub mod completions;
pub mod delays;
pub mod live_tasks;
mod ring;
pub mod seconds;
pub mod spent;
pub mod timeouts;
pub mod totals;
pub mod waited;
pub mod waits;

pub(crate) use self::ring::push_bounded;
