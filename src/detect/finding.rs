//! A finding: a symptom that was seen again and again, and what became of it.

use std::cmp::Reverse;

use super::detector::Detector;
use super::severity::{Family, Grade, Severity, State};
use super::symptom::Symptom;
use super::trace::Trace;
use crate::evidence::look_alike::LookAlike;
use crate::model::time::Timestamp;

/// A finding that another one explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Its fingerprint.
    pub fingerprint: String,
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
    /// How the number behind it developed.
    pub trace: Trace,
    /// Since when the problem has lasted, by the target's clock: often longer than it has been seen.
    pub since: Timestamp,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// How many scans saw it.
    pub count: u64,
    /// The fingerprint of the finding that explains it, while there is one.
    pub hidden_by: Option<String>,
    /// The findings that it explains.
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

    /// Harmless explanations that are not ruled out.
    pub fn look_alikes(&self) -> &[LookAlike] {
        &self.symptom.look_alikes
    }

    /// The order in which findings are read: severity, then grade, then what cannot recover by itself, then the oldest; the feed's own last.
    pub fn rank(&self) -> impl Ord + use<> {
        (self.urgency(), self.since, self.fingerprint.clone())
    }

    /// The same without age and identity, for findings of different targets, whose clocks cannot be compared.
    pub fn urgency(&self) -> impl Ord + use<> {
        let of_feed = self.detector.family == Family::Feed;
        (Reverse(self.severity()), of_feed, Reverse(self.grade()), self.detector.recovers)
    }

    /// One for tests, whose fingerprint shows the detector, the name and the place.
    #[cfg(test)]
    pub(in crate::detect) fn sample(detector: &'static Detector, name: &str, location: &str, state: State) -> Self {
        use super::subject::{Subject, SubjectKind};

        let (kind, name, location) = (SubjectKind::Site, name.to_owned(), location.to_owned());
        let fingerprint = format!("{}:{name}{location}", detector.id);
        Self {
            fingerprint,
            detector,
            state,
            symptom: Symptom::about(Subject { kind, name, location, ids: Vec::new(), count: 1, site: None }),
            trace: Trace::default(),
            since: Timestamp::default(),
            first_seen: Timestamp::default(),
            last_seen: Timestamp::default(),
            count: 3,
            hidden_by: None,
            explains: Vec::new(),
            announced: None,
        }
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
