//! What the facts mean, decided once: who holds a lock, what a task waits for, whether something still moves.
//!
//! Pure functions of the [`model`](crate::model) and of what evidence saw at earlier updates ([`Memory`]). Detectors match on it and judge.

pub mod growth;
pub mod holders;
pub mod lock_order;
pub mod look_alike;
mod memory;
pub mod poll_samples;
mod schedule;
pub mod task_wait;
mod users;
mod view;
pub mod wait_chain;
pub mod waiters;

pub use self::memory::Memory;
pub use self::view::Evidence;
