#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod broadcast;
mod budget;
mod counter;
mod emit;
mod interest;
pub mod mpsc;
mod probe;
mod queue;
mod roster;
mod sampler;
#[cfg(test)]
mod side_by_side;
mod tap;
pub mod watch;

pub use probe::{Gauge, Probe};
pub use sampler::{interval, set_interval};
