//! What detectors report and what it becomes: symptoms, findings, transitions, and their parts.

use std::time::Duration;

use super::detectors::Detector;
use crate::model::time::Timestamp;
use crate::model::{ResourceKey, SiteKey, TaskKey};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something is wrong, or is about to be.
    Warning,
    /// The service does not do its work.
    Critical,
}

impl Severity {
    /// The word for it in output and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What kind of statement a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// Inferred from how numbers develop.
    Trend,
    /// Inferred from the state of things; there may be an innocent reason.
    Risk,
    /// Nothing else explains what the feed says.
    Proof,
}

impl Grade {
    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trend => "trend",
            Self::Risk => "risk",
            Self::Proof => "proof",
        }
    }
}

/// What a detector is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Work piles up.
    Queue,
    /// Something will not go on.
    Stuck,
    /// Tasks wait for each other.
    Contention,
    /// A poll keeps its thread.
    Blocking,
    /// Tasks are dropped, or drop their place, before they get what they wait for.
    Cancellation,
    /// A task never rests and gets nowhere.
    Spin,
    /// Tasks are large.
    Size,
    /// The feed itself is in no state to be judged by.
    Feed,
}

impl Family {
    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Stuck => "stuck",
            Self::Contention => "contention",
            Self::Blocking => "blocking",
            Self::Cancellation => "cancellation",
            Self::Spin => "spin",
            Self::Size => "size",
            Self::Feed => "feed",
        }
    }
}

/// Where a finding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Seen, not yet for long enough.
    Pending,
    /// Confirmed.
    Firing,
    /// Not seen any more.
    Resolved,
}

impl State {
    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

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
}

/// A number that speaks for a finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// What was measured, in words.
    pub metric: &'static str,
    /// The value.
    pub observed: f64,
    /// The value from which on it counts, if there is one.
    pub threshold: Option<f64>,
    /// The unit of both.
    pub unit: &'static str,
    /// The time over which it was measured, if it was not a moment.
    pub window: Option<Duration>,
}

impl Fact {
    /// A duration.
    pub fn time(metric: &'static str, observed: Duration, threshold: Option<Duration>) -> Self {
        let threshold = threshold.map(|limit| limit.as_secs_f64());
        Self { metric, observed: observed.as_secs_f64(), threshold, unit: "s", window: None }
    }

    /// A count of things.
    #[expect(clippy::cast_precision_loss, reason = "counts of things in one process stay far below 2^53")]
    pub fn count(metric: &'static str, unit: &'static str, observed: usize, threshold: Option<usize>) -> Self {
        Self { metric, observed: observed as f64, threshold: threshold.map(|limit| limit as f64), unit, window: None }
    }

    /// A number that is neither.
    pub fn number(metric: &'static str, unit: &'static str, observed: f64, threshold: Option<f64>) -> Self {
        Self { metric, observed, threshold, unit, window: None }
    }

    /// The same, measured over a window.
    #[must_use]
    pub fn over(mut self, window: Duration) -> Self {
        self.window = Some(window);
        self
    }
}

/// What a symptom touches, for telling which one explains which.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Locks and channels it is about.
    pub resources: Vec<ResourceKey>,
    /// Spawn sites it is about.
    pub sites: Vec<SiteKey>,
    /// Tasks it is about.
    pub tasks: Vec<TaskKey>,
    /// For what stalls others: since when it does.
    pub stalls_since: Option<Timestamp>,
    /// When what it complains of last made progress.
    pub last_progress: Option<Timestamp>,
}

/// Something that looks wrong in one scan.
#[derive(Debug, Clone)]
pub struct Symptom {
    /// How bad it is.
    pub severity: Severity,
    /// Its grade, where it is not the detector's usual one.
    pub grade: Option<Grade>,
    /// What it is about.
    pub subject: Subject,
    /// One sentence with the number, the threshold and the place.
    pub summary: String,
    /// The numbers behind it.
    pub evidence: Vec<Fact>,
    /// Who else is involved.
    pub related: Vec<Related>,
    /// What brings it about, as far as can be told.
    pub cause: Option<String>,
    /// What to do.
    pub recommendation: String,
    /// What makes it the same finding again: places and names, never ids.
    pub class: Vec<String>,
    /// What it touches.
    pub scope: Scope,
    /// Whether it is too weak to begin a finding, and only keeps one going that began when it was stronger.
    pub sustains_only: bool,
}

/// A finding that another one explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The detector that reported it.
    pub detector: &'static str,
    /// Its sentence.
    pub summary: String,
}

/// A symptom that was seen again and again.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The same over restarts of the target and of this tool.
    pub fingerprint: String,
    /// What found it.
    pub detector: &'static Detector,
    /// Where it stands.
    pub state: State,
    /// The newest sighting.
    pub symptom: Symptom,
    /// When it was first seen, by the target's clock.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// How many scans saw it.
    pub count: u64,
    /// The fingerprint of the finding that explains it, while there is one.
    pub hidden_by: Option<String>,
    /// What it explains.
    pub explains: Vec<Explained>,
    /// The worst severity that was announced.
    pub(super) announced: Option<Severity>,
}

impl Finding {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.symptom.severity
    }

    /// What kind of statement it is.
    pub fn grade(&self) -> Grade {
        self.symptom.grade.unwrap_or(self.detector.grade)
    }

    /// Whether it is confirmed and not explained by another.
    pub fn is_shown(&self) -> bool {
        self.state == State::Firing && self.hidden_by.is_none()
    }
}

/// A finding opened, changed or was resolved.
#[derive(Debug, Clone)]
pub struct Transition {
    /// When, by the target's clock.
    pub at: Timestamp,
    /// The finding as it is now.
    pub finding: Finding,
}
