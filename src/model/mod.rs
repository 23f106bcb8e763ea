//! What is known of one target: tasks, spawn sites, resources, async ops, and their history. Facts as the feed reported them; what they
//! mean is decided in [`evidence`](crate::evidence).
//!
//! Pure and synchronous: no IO, no clock of its own, nothing that can fail. What makes no sense is counted in
//! [`Quality`](health::quality::Quality).

mod collections;
pub mod entity;
pub mod health;
pub mod history;
mod ingest;
mod keys;
mod links;
pub mod location;
mod store;
pub mod text;
pub mod time;
pub mod tokio;

pub use self::ingest::Changes;
pub use self::keys::{OpKey, ResourceKey, SiteKey, TaskKey};
pub use self::links::Turn;
pub use self::store::{DEFAULT_RETENTION, Model};
