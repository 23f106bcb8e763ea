//! What a finding is about, and who else has a part in it.

use crate::model::SiteKey;

/// What kind of thing a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectKind {
    /// The tasks of a spawn site.
    Site,
    /// A lock, channel or other resource.
    Resource,
    /// A runtime of the target.
    Runtime,
    /// The feed.
    Feed,
}

impl SubjectKind {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Site, Self::Resource, Self::Runtime, Self::Feed];

    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Resource => "resource",
            Self::Runtime => "runtime",
            Self::Feed => "feed",
        }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What kind of thing.
    pub kind: SubjectKind,
    /// Its name: a task's, or a resource's type. From the target, so hostile until escaped.
    pub name: String,
    /// Its place in the target's source. Hostile until escaped.
    pub location: String,
    /// Its worst members: `task.id` of tasks, the feed's id of resources.
    pub ids: Vec<u64>,
    /// How many members are affected.
    pub count: usize,
    /// The spawn site, if it is one that the model knows.
    pub site: Option<SiteKey>,
}

/// The part that something else plays in a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Waits for the subject.
    Waiter,
    /// Holds the subject, or what it waits for.
    Holder,
    /// Suffers from the subject.
    Victim,
    /// Is what makes the subject suffer.
    Culprit,
    /// What it waits for.
    Resource,
    /// Puts something into the queue.
    Sender,
    /// Takes something out of the queue.
    Receiver,
}

impl Role {
    /// Every one of them.
    pub const ALL: [Self; 7] =
        [Self::Waiter, Self::Holder, Self::Victim, Self::Culprit, Self::Resource, Self::Sender, Self::Receiver];

    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiter => "waiter",
            Self::Holder => "holder",
            Self::Victim => "victim",
            Self::Culprit => "culprit",
            Self::Resource => "resource",
            Self::Sender => "sender",
            Self::Receiver => "receiver",
        }
    }
}

/// Something else that has a part in a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// What kind of thing.
    pub kind: SubjectKind,
    /// Its name. Hostile until escaped.
    pub name: String,
    /// Its place. Hostile until escaped.
    pub location: String,
    /// Its part.
    pub role: Role,
    /// The spawn site, if it is one.
    pub site: Option<SiteKey>,
}

impl Related {
    /// Whether a reader could not tell it from another: tasks of one place that differ in kind or size have sites of their own.
    pub fn reads_like(&self, other: &Self) -> bool {
        (self.kind, &self.name, &self.location, self.role) == (other.kind, &other.name, &other.location, other.role)
    }
}
