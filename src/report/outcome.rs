//! What a run found and what it looked for: the findings that fired, and what became of each detector.

use std::cmp::Reverse;
use std::time::Duration;

use super::finding::FindingView;
use super::snapshot::Snapshot;
use crate::detect::describe::whole_seconds;
use crate::detect::detector::{Detector, Needs};
use crate::detect::detectors::DETECTORS;
use crate::detect::finding::Finding;
use crate::detect::severity::{Family, Severity, State};
use crate::diagnosis::Diagnosis;
use crate::words;

/// Detectors without enough time that are named; where there are more, those that need the least time more.
const NAMED: usize = 3;

/// A finding that fired and is not suppressed, also if it was resolved since.
#[derive(Debug, Clone, PartialEq)]
pub struct FiredView {
    /// How bad it was at its worst: what a verdict goes by.
    pub worst: Severity,
    /// Whether it is about the feed: it casts doubt on a verdict, and makes none.
    pub is_of_feed: bool,
    /// Whether the user expects it to fire.
    pub is_expected: bool,
    /// The finding as it is now, or was when it was last seen.
    pub finding: FindingView,
}

impl FiredView {
    /// Whether it makes a verdict by which findings of this severity count.
    pub fn counts(&self, fail_on: Severity) -> bool {
        !self.is_expected && counts(self.is_of_feed, Some(self.worst), fail_on)
    }

    /// Whether it is over.
    pub fn is_resolved(&self) -> bool {
        self.finding.row.state == State::Resolved
    }
}

/// All findings of a target that fired.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FiredFindings {
    /// Those that are known still, in the order in which they are read.
    pub known: Vec<FiredView>,
    /// How many more there were: the oldest resolved ones are forgotten.
    pub forgotten: usize,
    /// How many fired that the user has suppressed.
    pub suppressed: usize,
}

/// What became of a detector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectorRow {
    /// Its id.
    pub id: &'static str,
    /// What it finds, in a few words.
    pub title: &'static str,
    /// The family it belongs to.
    pub family: &'static str,
    /// Whether it is about the feed: its findings cast doubt on a verdict, and make none.
    pub is_of_feed: bool,
    /// Why it has not judged the target; none if it has.
    pub not_evaluated: Option<NotEvaluated>,
    /// How many of its findings fired and are not suppressed.
    pub fired: usize,
    /// The worst severity of those that were not expected.
    pub worst: Option<Severity>,
    /// How many of its findings fired that the user has suppressed.
    pub suppressed: usize,
}

/// Whether findings of which this is the worst make a verdict; those that were expected are left out before.
fn counts(is_of_feed: bool, worst: Option<Severity>, fail_on: Severity) -> bool {
    !is_of_feed && worst >= Some(fail_on)
}

/// Why a detector has not judged a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotEvaluated {
    /// The configuration has turned it off.
    Disabled,
    /// Hardly anything arrived.
    TooFewUpdates,
    /// It looks further back than the run did.
    WarmingUp {
        /// How much longer it has to watch.
        left: Duration,
    },
    /// It needs a complete feed, and this one is incomplete.
    Incomplete,
}

impl NotEvaluated {
    /// Every reason; the durations in them are examples.
    pub const ALL: [Self; 4] =
        [Self::Disabled, Self::TooFewUpdates, Self::WarmingUp { left: Duration::from_secs(45) }, Self::Incomplete];

    /// The word for it in output for machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::TooFewUpdates => "too_few_updates",
            Self::WarmingUp { .. } => "warming_up",
            Self::Incomplete => "incomplete",
        }
    }

    /// The reason in words, as part of a sentence.
    pub fn describe(self) -> String {
        match self {
            Self::Disabled => "turned off".to_owned(),
            Self::TooFewUpdates => "too few updates arrived".to_owned(),
            Self::WarmingUp { left } => {
                format!("the run was too short: it needs {} more", words::age(whole_seconds(left)))
            }
            Self::Incomplete => "the feed is incomplete".to_owned(),
        }
    }
}

impl Snapshot<'_> {
    /// The findings that fired and are not suppressed, expected and resolved ones included, in the order in which they are read.
    pub fn fired(&self) -> FiredFindings {
        let diagnosis = self.diagnosis();
        let mut known: Vec<(&Finding, Severity)> = Vec::new();
        let mut forgotten = 0;
        for (fingerprint, _, worst) in diagnosis.counted() {
            match last_known(diagnosis, fingerprint) {
                Some(finding) => known.push((finding, worst)),
                None => forgotten += 1,
            }
        }
        known.sort_by_cached_key(|(finding, worst)| (Reverse(*worst), finding.rank()));
        let view = |(finding, worst): (&Finding, Severity)| FiredView {
            worst,
            is_of_feed: finding.detector.family == Family::Feed,
            is_expected: diagnosis.expectations().is_expected(&finding.fingerprint),
            finding: self.view(finding, self.now()),
        };
        let known = known.into_iter().map(view).collect();
        FiredFindings { known, forgotten, suppressed: diagnosis.suppressed_so_far() }
    }
}

impl DetectorRow {
    /// What became of each detector, in the order of the registry.
    pub fn all(diagnosis: &Diagnosis) -> Vec<Self> {
        let warming_up: Vec<(&str, Duration)> = diagnosis.warming_up().map(|(it, left)| (it.id, left)).collect();
        let row = |detector: &&'static Detector| {
            let fired = diagnosis.counted().filter(|(_, it, _)| it.id == detector.id).count();
            let unexpected = diagnosis.unexpected().filter(|(_, it, _)| it.id == detector.id);
            let suppressed = diagnosis.suppressed_by(detector.id);
            let has_fired = suppressed > 0 || fired > 0;
            let left = warming_up.iter().find(|(id, _)| *id == detector.id).map(|(_, left)| *left);
            Self {
                id: detector.id,
                title: detector.title,
                family: detector.family.as_str(),
                is_of_feed: detector.family == Family::Feed,
                not_evaluated: not_evaluated(diagnosis, detector, left).filter(|_| !has_fired),
                fired,
                worst: unexpected.map(|(.., worst)| worst).max(),
                suppressed,
            }
        };
        DETECTORS.iter().map(row).collect()
    }

    /// Whether the run was too short for it.
    fn lacks_time(&self) -> bool {
        matches!(self.not_evaluated, Some(NotEvaluated::WarmingUp { .. } | NotEvaluated::TooFewUpdates))
    }

    /// How much longer it has to watch, as far as that is known.
    fn left(&self) -> Option<Duration> {
        match self.not_evaluated? {
            NotEvaluated::WarmingUp { left } => Some(left),
            NotEvaluated::Disabled | NotEvaluated::TooFewUpdates | NotEvaluated::Incomplete => None,
        }
    }

    /// Whether one of its findings makes a verdict by which findings of this severity count, be it forgotten meanwhile.
    pub fn counts(&self, fail_on: Severity) -> bool {
        counts(self.is_of_feed, self.worst, fail_on)
    }
}

/// A finding of this class as it is now, or else as it was when it was resolved last.
fn last_known<'a>(diagnosis: &'a Diagnosis, fingerprint: &str) -> Option<&'a Finding> {
    let engine = diagnosis.engine();
    let present = engine.finding(fingerprint).filter(|it| it.state == State::Firing);
    present.or_else(|| engine.resolved().filter(|it| it.fingerprint == fingerprint).last())
}

/// Which detectors a run was too short for, as a sentence: all of a few, and of many the number and the nearest.
pub fn too_short_in_words(rows: &[DetectorRow]) -> Option<String> {
    let short: Vec<&DetectorRow> = rows.iter().filter(|row| row.lacks_time()).collect();
    if short.len() <= NAMED {
        let ids: Vec<&str> = short.iter().map(|row| row.id).collect();
        return (!ids.is_empty()).then(|| format!("Too short to evaluate {}.", ids.join(", ")));
    }
    let mut nearest: Vec<(Duration, &str)> = short.iter().filter_map(|row| Some((row.left()?, row.id))).collect();
    nearest.sort_unstable();
    let nearest = nearest.iter().take(NAMED).map(|(left, id)| format!("{id} in {}", words::age(whole_seconds(*left))));
    let next = match nearest.collect::<Vec<_>>().join(", ") {
        next if next.is_empty() => next,
        next => format!(" (next: {next})"),
    };
    Some(format!("Too short to evaluate {} of {} detectors{next}.", short.len(), rows.len()))
}

fn not_evaluated(diagnosis: &Diagnosis, detector: &Detector, left: Option<Duration>) -> Option<NotEvaluated> {
    let (engine, model) = (diagnosis.engine(), diagnosis.model());
    let is_off = !detector.is_enabled(engine.settings());
    let has_begun = diagnosis.updates() > 0 && (detector.needs == Needs::Nothing || engine.has_warmed_up(model));
    match left {
        _ if is_off => Some(NotEvaluated::Disabled),
        _ if !has_begun => Some(NotEvaluated::TooFewUpdates),
        _ if detector.needs == Needs::Everything && engine.lacks_data(model) => Some(NotEvaluated::Incomplete),
        Some(left) => Some(NotEvaluated::WarmingUp { left }),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &'static str, not_evaluated: Option<NotEvaluated>) -> DetectorRow {
        let (title, family) = ("", "stuck");
        DetectorRow { id, title, family, is_of_feed: false, not_evaluated, fired: 0, worst: None, suppressed: 0 }
    }

    fn warming_up(id: &'static str, seconds: u64) -> DetectorRow {
        row(id, Some(NotEvaluated::WarmingUp { left: Duration::from_secs(seconds) }))
    }

    #[test]
    fn few_detectors_are_named_and_of_many_the_nearest() {
        let said = |rows: &[DetectorRow]| too_short_in_words(rows).unwrap_or_default();
        let few = [warming_up("a", 9), row("off", Some(NotEvaluated::Disabled)), row("done", None), warming_up("b", 3)];
        assert_eq!(
            (said(&few[..3]).as_str(), said(&few).as_str()),
            ("Too short to evaluate a.", "Too short to evaluate a, b.")
        );
        assert_eq!(too_short_in_words(&few[1..3]), None);
        let many: Vec<DetectorRow> =
            ["a", "b", "c", "d"].into_iter().zip([90, 30, 5, 10]).map(|(id, left)| warming_up(id, left)).collect();
        let many = [&few[1..3], &many[..]].concat();
        assert_eq!(said(&many), "Too short to evaluate 4 of 6 detectors (next: c in 5 s, d in 10 s, b in 30 s).");
        let none = ["a", "b", "c", "d"].map(|id| row(id, Some(NotEvaluated::TooFewUpdates)));
        assert_eq!(said(&none), "Too short to evaluate 4 of 4 detectors.");
    }
}
