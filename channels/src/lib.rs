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
mod tap;
pub mod watch;

pub use probe::{Gauge, Probe};
pub use sampler::{interval, set_interval};
