//! HTTP beside a run: metrics, health, the present findings, and the verdict so far for rollout controllers.
//!
//! Handlers know nothing but the answers of the one loop, which they ask over a bounded channel with a time limit. What comes from a
//! client is a path, a query and a few headers; bodies are not read.

mod desk;
mod gate;
mod host;
pub mod metrics;
mod reading;
mod routes;
mod server;

pub use self::desk::{Desk, Question, State};
pub use self::server::Server;
