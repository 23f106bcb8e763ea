//! What is wrong: detectors look at the model, the engine turns what they see into findings with an age.

mod demand;
pub mod detectors;
pub mod engine;
pub mod finding;
mod fingerprint;
mod inhibition;
mod polls;
mod queues;
pub mod settings;
pub mod wording;
