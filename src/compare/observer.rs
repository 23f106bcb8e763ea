//! What is remembered of one target for a comparison: its structure, its series and its findings.

use std::collections::BTreeMap;
use std::time::Duration;

use super::item;
use super::series::Series;
use super::structure::Structure;
use crate::detect::detector::Detector;
use crate::detect::finding::Finding;
use crate::detect::severity::{Family, Grade, Severity};
use crate::diagnosis::{Diagnosis, Ended, Status};
use crate::model::location::Location;
use crate::model::time::Timestamp;

/// How often the structure is looked at: less often than what ends is forgotten.
const LOOK: Duration = Duration::from_secs(2);

/// Who is attached to a process this soon has seen its start.
const SOON: Duration = Duration::from_secs(2);

/// What makes findings of two versions of a program the same: lines move.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FindingKey {
    /// The detector.
    pub detector: &'static str,
    /// The name of what it is about.
    pub name: String,
    /// The file.
    pub file: String,
}

/// A finding that was seen, be it confirmed or not.
#[derive(Debug, Clone)]
pub struct Sighted {
    /// What found it.
    pub detector: &'static Detector,
    /// The name of the finding on its target.
    pub fingerprint: String,
    /// The place, with its line.
    pub location: String,
    /// The sentence about it when it was worst.
    pub summary: String,
    /// How certain it is.
    pub grade: Grade,
    /// The worst severity while it was shown; none if it never was.
    pub shown: Option<Severity>,
}

/// What is remembered of one target.
#[derive(Debug, Clone, Default)]
pub struct Observer {
    limit: Option<Duration>,
    structure: Structure,
    series: Series,
    findings: BTreeMap<FindingKey, Sighted>,
    latest: Option<(u32, Timestamp)>,
    watched: Duration,
    next_look: Timestamp,
    updates: u64,
    knows_start: bool,
    saw_start: bool,
    restarts: usize,
    is_cut: bool,
    stranger: Option<String>,
}

impl Observer {
    /// One that takes in no more than this time of the target, by its own clock: so that a recording says the same each time.
    pub fn for_at_most(limit: Option<Duration>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// The structure that showed.
    pub fn structure(&self) -> &Structure {
        &self.structure
    }

    /// What the target did, block by block.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// The findings that were seen.
    pub fn findings(&self) -> &BTreeMap<FindingKey, Sighted> {
        &self.findings
    }

    /// How long the target was watched, by its own clock.
    pub fn watched(&self) -> Duration {
        self.watched
    }

    /// Whether it takes in no more.
    pub fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| self.watched >= limit)
    }

    /// Whether everything that the process did since its start is known.
    pub fn knows_start(&self) -> bool {
        self.knows_start
    }

    /// Whether it was watched from its start: a target remembers what tasks and resources it had, and not who waited for what.
    pub fn saw_start(&self) -> bool {
        self.saw_start
    }

    /// How often the process was seen to restart while it was watched.
    pub fn restarts(&self) -> usize {
        self.restarts
    }

    /// Whether nothing came from it, or no more came before its time was over: it did not come up, died, or its recording is cut off.
    pub fn is_lost(&self) -> bool {
        self.is_cut || self.watched.is_zero()
    }

    /// What answers there instead of a console, as a sentence: no update can be expected any more.
    pub fn stranger(&self) -> Option<&str> {
        self.stranger.as_deref()
    }

    /// Takes in what the diagnosis of the target says after an event.
    pub fn observe(&mut self, diagnosis: &Diagnosis) {
        if let Status::Stranger { reason, .. } = diagnosis.status() {
            self.stranger = Some(reason.clone());
        }
        if diagnosis.updates() == self.updates || self.is_over() {
            return;
        }
        self.updates = diagnosis.updates();
        let model = diagnosis.model();
        let (epoch, now) = (model.epoch(), model.now());
        match self.latest.replace((epoch, now)) {
            Some((before, at)) if before == epoch => self.watched += now.since(at),
            before => {
                self.restarts += usize::from(before.is_some());
                self.next_look = Timestamp::default();
                self.knows_start = model.knows_all_since(model.birth());
                self.saw_start = model.clock().began().since(model.birth()) <= SOON;
            }
        }
        self.series.observe(diagnosis);
        for finding in diagnosis.engine().findings() {
            // What is suppressed does not count, and is known all the same: it is not new on the other side.
            let is_shown = finding.is_shown() && diagnosis.suppressor().suppression(finding).is_none();
            self.note(finding, is_shown);
        }
        if now >= self.next_look {
            self.next_look = now.plus(LOOK);
            self.structure.observe(&diagnosis.evidence());
        }
    }

    /// Takes in the end of the target: what has happened since the last look at its structure, and whether it was still there.
    pub fn finish(&mut self, diagnosis: &Diagnosis) {
        let is_silent = || !matches!(diagnosis.status(), Status::Live) || diagnosis.model().quality().quiet.is_some();
        self.is_cut = !self.is_over()
            && match diagnosis.ended() {
                Some(ended) => matches!(ended, Ended::Truncated { .. }),
                None => is_silent(),
            };
        if self.updates > 0 && (!self.is_over() || diagnosis.updates() == self.updates) {
            self.structure.observe(&diagnosis.evidence());
        }
    }

    fn note(&mut self, finding: &Finding, is_shown: bool) {
        if finding.detector.family == Family::Feed {
            return;
        }
        let subject = &finding.symptom.subject;
        let file = item::file(&Location::parse(&subject.location));
        let key = FindingKey { detector: finding.detector.id, name: subject.name.clone(), file };
        let shown = is_shown.then(|| finding.severity());
        let is_news = self.findings.get(&key).is_none_or(|known| shown > known.shown);
        if is_news {
            let sighted = Sighted {
                detector: finding.detector,
                fingerprint: finding.fingerprint.clone(),
                location: subject.location.clone(),
                summary: finding.symptom.summary.clone(),
                grade: finding.grade(),
                shown,
            };
            self.findings.insert(key, sighted);
        }
    }
}
