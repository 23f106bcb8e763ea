//! The findings that a recording shows, each at its worst.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::detect::detector::Detector;
use crate::detect::finding::Finding;
use crate::detect::selector::Selector;
use crate::detect::settings::Settings;
use crate::detect::severity::{Grade, Severity};
use crate::detect::symptom::Fact;
use crate::diagnosis::{Arrived, Diagnosis};
use crate::evidence::look_alike::LookAlike;
use crate::feed::recording::Playback;
use crate::model::DEFAULT_RETENTION;

/// A finding that a recording shows, as it was when it was at its worst for the first time.
#[derive(Debug, Clone)]
pub struct Sighting {
    /// What found it.
    pub detector: &'static Detector,
    /// What makes it the same finding again.
    pub fingerprint: String,
    /// How bad it was.
    pub severity: Severity,
    /// What kind of statement it was.
    pub grade: Grade,
    /// The name of what it is about. Hostile until escaped.
    pub name: String,
    /// The place of what it is about. Hostile until escaped.
    pub place: String,
    /// The places of what else has a part in it. Hostile until escaped.
    pub other_places: Vec<String>,
    /// The event of the recording that showed it so, counted from zero.
    pub event: usize,
    /// What was measured beyond its threshold.
    reasons: BTreeSet<&'static str>,
    look_alikes: Vec<LookAlike>,
}

impl Sighting {
    fn of(finding: &Finding, event: usize) -> Self {
        Self {
            detector: finding.detector,
            fingerprint: finding.fingerprint.clone(),
            severity: finding.severity(),
            grade: finding.grade(),
            name: finding.symptom.subject.name.clone(),
            place: finding.symptom.subject.location.clone(),
            other_places: finding.symptom.related.iter().map(|related| related.location.clone()).collect(),
            event,
            reasons: reasons(finding).collect(),
            look_alikes: finding.look_alikes().to_vec(),
        }
    }

    /// Whether a finding is this one for the same reasons, and no less bad.
    pub(super) fn is(&self, finding: &Finding) -> bool {
        let is_alike = |it: &LookAlike| finding.look_alikes().contains(it);
        finding.is_shown()
            && finding.fingerprint == self.fingerprint
            && finding.severity() >= self.severity
            && finding.grade() == self.grade
            && finding.symptom.subject.location == self.place
            && finding.look_alikes().len() == self.look_alikes.len()
            && self.look_alikes.iter().all(is_alike)
            && self.reasons.is_subset(&reasons(finding).collect())
    }
}

fn reasons(finding: &Finding) -> impl Iterator<Item = &'static str> {
    finding.symptom.facts.iter().filter(|fact| fact.fired() == Some(true)).map(|fact: &Fact| fact.metric)
}

/// A diagnosis as it is made of recordings, whoever makes it.
pub(super) fn diagnosis(settings: &Settings) -> Diagnosis {
    Diagnosis::new(String::new(), settings.clone(), DEFAULT_RETENTION)
}

/// Plays recorded events, and returns the findings that they show, the worst first.
pub fn survey(events: impl IntoIterator<Item = Arrived>, settings: &Settings) -> Vec<Sighting> {
    let (mut diagnosis, mut playback) = (diagnosis(settings), Playback::default());
    let mut seen: BTreeMap<String, Sighting> = BTreeMap::new();
    for (index, event) in events.into_iter().enumerate() {
        for arrived in playback.unfold(event) {
            diagnosis.apply(arrived);
        }
        for finding in diagnosis.engine().findings().filter(|finding| finding.is_shown()) {
            let is_worst = seen.get(&finding.fingerprint).is_none_or(|known| known.severity < finding.severity());
            if is_worst {
                seen.insert(finding.fingerprint.clone(), Sighting::of(finding, index));
            }
        }
    }
    let mut sightings: Vec<Sighting> = seen.into_values().collect();
    sightings.sort_by(|one, other| rank(one).cmp(&rank(other)));
    sightings
}

/// Those of some sightings that a selector names. One that has the place as its own goes before those in which the place has another part.
pub fn choose<'a>(selector: &Selector, sightings: &'a [Sighting]) -> Vec<&'a Sighting> {
    let by = |own: bool| {
        let places = move |it: &'a Sighting| {
            let others = it.other_places.iter().filter(move |_| !own);
            std::iter::once(&it.place).chain(others).map(String::as_str)
        };
        sightings.iter().filter(|it| selector.matches(&it.fingerprint, places(it))).collect::<Vec<_>>()
    };
    let own = by(true);
    if own.is_empty() { by(false) } else { own }
}

fn rank(sighting: &Sighting) -> (Reverse<Severity>, Reverse<Grade>, &str) {
    (Reverse(sighting.severity), Reverse(sighting.grade), &sighting.fingerprint)
}
