//! What the facts mean, decided once: who holds a lock, what a task waits for, whether something still moves.
//!
//! Pure functions of the [`model`](crate::model) and of what evidence saw at earlier updates ([`Memory`]). Detectors match on it and judge.

pub mod answers;
pub mod attachment;
pub mod barrier;
pub mod blame;
pub mod cancellations;
pub mod channel_cycle;
pub mod crowd;
pub mod delays;
pub mod demand;
pub mod flow;
pub mod growth;
mod hold_and_wait;
pub mod holders;
mod identity;
pub mod jobs;
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
mod promptness;
pub mod pulse;
pub mod running_polls;
mod runtime_parts;
mod schedule;
pub mod self_wakes;
pub mod senders;
pub mod sizing;
pub mod spawners;
mod spin;
pub mod stragglers;
pub mod stuck;
pub mod succession;
pub mod task_wait;
pub mod timeouts;
pub mod undriven;
pub mod unwakeable;
mod users;
mod view;
pub mod wait_chain;
pub mod waiters;

pub use self::identity::{Identity, User};
pub use self::memory::Memory;
pub use self::view::Evidence;
