//! What is known of a target as plain rows and words. Every front end reads these; none computes what another would want to know too.
//!
//! A [`Snapshot`] answers for one target; rows are for lists, views for pages. Names and places in them come from the target: whoever
//! prints them makes them harmless first ([`sanitize`]).

mod about;
pub mod attachment;
pub mod blame;
pub mod columns;
pub mod comparison;
mod comparison_method;
pub mod connection;
pub mod diagram;
pub mod feed;
pub mod filter;
pub mod finding;
pub mod findings;
pub mod link;
pub mod lock;
pub mod long_waits;
pub mod markdown;
pub mod meanwhile;
pub mod measurement;
pub mod ops;
pub mod order;
pub mod outcome;
mod place;
pub mod progress;
pub mod repository;
pub mod resource;
pub mod resources;
pub mod sanitize;
pub mod site;
pub mod sites;
pub mod sizing;
mod snapshot;
pub mod target;
pub mod task;
pub mod tasks;
pub mod terms;
pub mod timeline;
mod touched;
pub mod verdict;
pub mod vital_signs;
pub mod vitals;
pub mod waits;

pub use self::findings::FindingKey;
pub use self::link::{Link, Linked};
pub use self::snapshot::{Snapshot, Version};
pub use crate::detect::severity::{Family, Grade, Severity, State};
pub use crate::detect::subject::{Role, Subject, SubjectKind};
pub use crate::evidence::blame::Cause;
pub use crate::model::entity::task::TaskState;
pub use crate::model::{OpKey, ResourceKey, SiteKey, TaskKey};
