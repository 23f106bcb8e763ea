//! What is wrong: detectors look at the evidence, the engine turns what they see into findings with an age.

pub mod assignment;
pub mod causes;
pub mod describe;
pub mod detector;
pub mod detectors;
pub mod doubt;
pub mod engine;
pub mod expectation;
pub mod finding;
pub mod fingerprint;
pub mod selector;
pub mod settings;
pub mod severity;
pub mod subject;
pub mod suppression;
pub mod symptom;
pub mod trace;
