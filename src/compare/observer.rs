//! What is remembered of one target for a comparison: its structure, its series and its findings.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

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

/// A service that is gone for less than this when its recording ends was stopped with it.
const STOPPED: Duration = Duration::from_secs(5);

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

/// How the watch of a target ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// Its process, or the way to it, was gone.
    Gone,
    /// It was connected and sent nothing any more.
    Silent,
    /// Nothing came from it.
    NeverCame,
    /// Its recording breaks off.
    Cut,
}

/// What is remembered of one target.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts of a target, each apart from the others")]
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
    was_live: bool,
    /// When the connection was lost, by the clock of who watched.
    gone: Option<SystemTime>,
    loss: Option<Loss>,
    is_recorded: bool,
    is_late: bool,
    is_taken_away: bool,
    has_failed: bool,
    stranger: Option<String>,
}

impl Observer {
    /// One that takes in no more than this time of the target, by its own clock: so that a recording says the same each time.
    pub fn for_at_most(limit: Option<Duration>) -> Self {
        Self { limit, ..Self::default() }
    }

    /// The same of a target that came after the others.
    #[must_use]
    pub fn joining_late(self) -> Self {
        Self { is_late: true, ..self }
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

    /// How it was lost before its time was over; none of one that was taken away by whoever runs it.
    pub fn loss(&self) -> Option<Loss> {
        match () {
            () if self.is_taken_away => None,
            () if self.watched.is_zero() => Some(Loss::NeverCame),
            () => self.loss,
        }
    }

    /// Whether it is a recording, which may have been ended together with its service.
    pub fn is_recorded(&self) -> bool {
        self.is_recorded
    }

    /// Whether it came after the others.
    pub fn is_late(&self) -> bool {
        self.is_late
    }

    /// Whether it was taken away before its time was over: a pod that a rollout replaced.
    pub fn is_taken_away(&self) -> bool {
        self.is_taken_away
    }

    /// What answers there instead of a console, as a sentence: no update can be expected any more.
    pub fn stranger(&self) -> Option<&str> {
        self.stranger.as_deref()
    }

    /// Takes in what the diagnosis of the target says after an event.
    pub fn observe(&mut self, diagnosis: &Diagnosis) {
        match diagnosis.status() {
            Status::Stranger { reason, .. } => self.stranger = Some(reason.clone()),
            Status::Live => (self.was_live, self.gone) = (true, None),
            _ if self.was_live => self.gone = self.gone.or(diagnosis.arrived()),
            _ => {}
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
        let is_live = matches!(diagnosis.status(), Status::Live);
        self.is_recorded = diagnosis.ended().is_some();
        let gone_for = diagnosis.arrived().zip(self.gone).and_then(|(end, since)| end.duration_since(since).ok());
        // Not every recording says how the connection was, and many services are stopped just before their recording.
        let is_gone = if self.is_recorded { gone_for.is_some_and(|it| it >= STOPPED) } else { !is_live };
        self.is_taken_away &= !self.is_over();
        self.loss = match diagnosis.ended() {
            _ if self.is_over() => None,
            Some(Ended::Truncated { .. }) => Some(Loss::Cut),
            _ if is_gone || self.has_failed => Some(Loss::Gone),
            _ => diagnosis.model().quality().quiet.map(|_| Loss::Silent),
        };
        if self.updates > 0 && (!self.is_over() || diagnosis.updates() == self.updates) {
            self.structure.observe(&diagnosis.evidence());
        }
    }

    /// Takes in that whoever runs the target has taken it away while it worked.
    pub fn take_away(&mut self) {
        self.is_taken_away = !self.is_over();
    }

    /// Takes in that its process is known to have failed, which may be heard before its connection ends.
    pub fn fail(&mut self) {
        self.has_failed = true;
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
