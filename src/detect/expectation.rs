//! Expectations: findings that must fire or must not, so that a fault and its repair can have a test.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::finding::Finding;
use super::selector::Selector;

/// What is expected to fire, and what is expected not to.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Each of these has to fire on one target at least. What they name does not count against a target.
    pub fire: Vec<Selector>,
    /// None of these may fire on any target, at whatever severity.
    pub silent: Vec<Selector>,
}

impl Expected {
    /// Those that name a place.
    pub fn at_places(&self) -> impl Iterator<Item = &Selector> {
        self.fire.iter().chain(&self.silent).filter(|selector| selector.has_place())
    }
}

/// The expectations of one target, and which findings have to do with them.
#[derive(Debug, Clone, Default)]
pub struct Expectations {
    expected: Arc<Expected>,
    concerned: BTreeMap<String, Concerned>,
}

/// A finding that has fired and has to do with an expectation.
#[derive(Debug, Clone)]
struct Concerned {
    detector: &'static str,
    /// The place of its subject. Hostile until escaped.
    location: String,
    /// The indices of the expectations that it meets,
    met: Vec<usize>,
    /// and of those that it breaks.
    broken: Vec<usize>,
}

impl Expectations {
    /// These, of which nothing is known yet.
    pub fn new(expected: Arc<Expected>) -> Self {
        Self { expected, concerned: BTreeMap::new() }
    }

    /// Takes in that a finding has fired.
    pub fn note(&mut self, finding: &Finding) {
        let Expected { fire, silent } = &*self.expected;
        let naming = |selectors: &[Selector]| -> Vec<usize> {
            let named = selectors.iter().enumerate().filter(|(_, selector)| selector.names(finding));
            named.map(|(index, _)| index).collect()
        };
        let (met, broken) = (naming(fire), naming(silent));
        let id = finding.detector.id;
        let is_of_expected = fire.iter().any(|selector| selector.detector() == id);
        if is_of_expected || !broken.is_empty() {
            let location = finding.symptom.subject.location.clone();
            let concerned = Concerned { detector: id, location, met, broken };
            self.concerned.insert(finding.fingerprint.clone(), concerned);
        }
    }

    /// Forgets the findings that do not count.
    pub fn retain(&mut self, counts: impl Fn(&str) -> bool) {
        self.concerned.retain(|fingerprint, _| counts(fingerprint));
    }

    /// Whether a finding was expected, so that it does not count against the target.
    pub fn is_expected(&self, fingerprint: &str) -> bool {
        self.concerned.get(fingerprint).is_some_and(|it| !it.met.is_empty())
    }

    /// Whether the expectation of this index, among those that have to fire, is met.
    pub fn is_met(&self, index: usize) -> bool {
        self.concerned.values().any(|it| it.met.contains(&index))
    }

    /// The detectors of what must not fire: whoever did not run long enough has not kept silent.
    pub fn silent_detectors(&self) -> impl Iterator<Item = &str> {
        self.expected.silent.iter().map(Selector::detector)
    }

    /// A clause about each finding that fired although it must not.
    pub fn broken(&self) -> Vec<String> {
        let clause = |it: &Concerned, index: &usize| {
            let named = self.expected.silent.get(*index).map(ToString::to_string).unwrap_or_default();
            let place = if it.location.is_empty() { String::new() } else { format!(" at {}", it.location) };
            format!("{named} must not fire, and {} fired{place}", it.detector)
        };
        self.concerned.values().flat_map(|it| it.broken.iter().map(move |index| clause(it, index))).collect()
    }

    /// The places at which a detector fired that was expected elsewhere.
    pub fn elsewhere(&self, detector: &str) -> impl Iterator<Item = &str> {
        self.concerned.values().filter(move |it| it.detector == detector && it.met.is_empty()).map(|it| &*it.location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::detectors::detector;
    use crate::detect::severity::State;

    fn finding(id: &str, location: &str) -> Finding {
        Finding::sample(detector(id).expect("it exists"), "", location, State::Firing)
    }

    fn expectations(fire: &[&str], silent: &[&str]) -> Expectations {
        let read = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a selector")).collect();
        Expectations::new(Arc::new(Expected { fire: read(fire), silent: read(silent) }))
    }

    #[test]
    fn what_is_expected_is_met_at_its_place_only() {
        let mut expectations = expectations(&["deadlock@bank.rs", "busy-loop"], &["task-pileup"]);
        let (there, elsewhere) = (finding("deadlock", "src/bank.rs:41:9"), finding("deadlock", "src/pay.rs:7:5"));
        expectations.note(&elsewhere);
        assert!(!expectations.is_met(0) && !expectations.is_expected(&elsewhere.fingerprint));
        assert_eq!(expectations.elsewhere("deadlock").collect::<Vec<_>>(), ["src/pay.rs:7:5"]);
        expectations.note(&there);
        assert!(expectations.is_met(0) && expectations.is_expected(&there.fingerprint));
        assert!(!expectations.is_met(1), "nothing is known of the other");
        expectations.retain(|_| false);
        assert!(!expectations.is_met(0), "it does not count");
    }

    #[test]
    fn what_must_not_fire_is_said_with_its_place() {
        let mut expectations = expectations(&[], &["task-pileup", "deadlock@bank.rs:42"]);
        expectations.note(&finding("deadlock", "src/bank.rs:41:9"));
        assert_eq!(expectations.broken(), [""; 0]);
        expectations.note(&finding("task-pileup", "src/net.rs:9:5"));
        assert_eq!(expectations.broken(), ["task-pileup must not fire, and task-pileup fired at src/net.rs:9:5"]);
    }
}
