//! What has a page of its own, and texts that lead there.

use super::findings::FindingKey;
use super::snapshot::Snapshot;
use crate::detect::describe;
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

impl Snapshot<'_> {
    /// Whether anything is known still of something that has a page.
    pub fn knows(&self, link: &Link) -> bool {
        match link {
            Link::Finding(key) => self.find(key).is_some(),
            Link::Task(key) => self.evidence.task(*key).is_some(),
            Link::Site(key) | Link::TasksOf(key) => self.evidence.site(*key).is_some(),
            Link::Resource(key) => self.evidence.resource(*key).is_some(),
        }
    }

    /// The place in the target's source of something that has a page; empty if that is not known.
    pub fn place_of(&self, link: &Link) -> String {
        match link {
            Link::Finding(key) => self.finding_row(key).map(|row| row.location).unwrap_or_default(),
            Link::Task(key) => self.evidence.task(*key).map_or("", |task| self.spawn_location(task)).to_owned(),
            Link::Site(key) | Link::TasksOf(key) => {
                self.evidence.site(*key).map(|site| site.id.location.to_string()).unwrap_or_default()
            }
            Link::Resource(key) => describe::resource_location(&self.evidence, *key),
        }
    }

    /// A task, named, unless it has ended and was forgotten.
    pub(super) fn linked_task(&self, key: TaskKey) -> Option<Linked> {
        let text = describe::task(&self.evidence, self.evidence.task(key)?);
        Some(Linked { text, link: Link::Task(key) })
    }
}

/// A text about something that has a page of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// What it says.
    pub text: String,
    /// What it is about.
    pub link: Link,
}
