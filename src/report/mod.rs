//! What is known of a target as plain rows and words. Every front end reads these; none computes what another would want to know too.
//!
//! A [`Snapshot`] answers for one target; rows are for lists, views for pages. Names and places in them come from the target: whoever
//! prints them makes them harmless first ([`sanitize`]).

pub mod attachment;
pub mod connection;
pub mod finding;
pub mod findings;
pub mod order;
pub mod resource;
pub mod resources;
pub mod sanitize;
pub mod site;
mod snapshot;
pub mod target;
pub mod task;
pub mod tasks;
pub mod verdict;
pub mod waits;

pub use self::findings::FindingKey;
pub use self::snapshot::Snapshot;
pub use crate::detect::severity::{Grade, Severity, State};
pub use crate::detect::subject::{Role, Subject, SubjectKind};
pub use crate::model::entity::task::TaskState;
pub use crate::model::{ResourceKey, SiteKey, TaskKey};

/// Something that has a page of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// A finding.
    Finding(FindingKey),
    /// A task.
    Task(TaskKey),
    /// A spawn site.
    Site(SiteKey),
    /// A resource.
    Resource(ResourceKey),
}

/// A text about something that has a page of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// What it says.
    pub text: String,
    /// What it is about.
    pub link: Link,
}

/// A name and the place that belongs to it in one line, as far as they are known: `transfer (src/bank.rs:41:9)`.
pub(crate) fn named_place(name: &str, location: &str) -> String {
    match (name, location) {
        (name, "") => name.to_owned(),
        ("", location) => location.to_owned(),
        (name, location) => format!("{name} ({location})"),
    }
}
