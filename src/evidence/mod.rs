//! What the facts mean, decided once: who holds a lock, what a task waits for, whether something still moves.
//!
//! Pure functions of the [`model`](crate::model) and of what evidence saw at earlier updates ([`Memory`]). Detectors match on it and judge.

pub mod attachment;
pub mod barrier;
pub mod cancellations;
mod demand;
pub mod flow;
pub mod growth;
pub mod holders;
mod identity;
pub mod lock_order;
mod lock_role;
pub mod look_alike;
mod memory;
pub mod numbers;
pub mod pace;
mod permit_habits;
pub mod places;
pub mod poll_samples;
pub mod poll_time;
pub mod population;
pub mod running_polls;
mod schedule;
pub mod senders;
pub mod stuck;
pub mod succession;
pub mod task_wait;
mod users;
mod view;
pub mod wait_chain;
pub mod waiters;

pub use self::identity::{Identity, User};
pub use self::memory::Memory;
pub use self::view::Evidence;
