//! What has a page of its own, and texts that lead there.

use super::findings::FindingKey;
use crate::model::{ResourceKey, SiteKey, TaskKey};

/// Something that has a page of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// A finding.
    Finding(FindingKey),
    /// A task.
    Task(TaskKey),
    /// A spawn site.
    Site(SiteKey),
    /// The list of the tasks of a spawn site.
    TasksOf(SiteKey),
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
