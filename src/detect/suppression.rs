//! Suppressions: findings that somebody knows and accepts. Detectors still look for them, but they do not count.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use wildmatch::WildMatch;

use super::detector::Detector;
use super::finding::{Finding, Transition};
use super::severity::{Family, State};
use super::symptom::Symptom;
use crate::model::time::Timestamp;

/// Which findings do not count, why, and until when.
#[derive(Debug, Clone, PartialEq)]
pub struct Suppression {
    /// The detectors whose findings it covers; any, if empty.
    pub detectors: Vec<&'static str>,
    /// Patterns, one of which the name of the subject matches; any name, if empty.
    pub names: Vec<Pattern>,
    /// Patterns, one of which the place of the subject matches; any place, if empty.
    pub locations: Vec<Pattern>,
    /// One of these is the fingerprint of the finding; any fingerprint, if empty.
    pub fingerprints: Vec<String>,
    /// Why they are acceptable.
    pub statement: String,
    /// From when on they count again.
    pub expires: Option<SystemTime>,
}

/// A text in which `*` stands for any characters, none included, and `?` for one.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(WildMatch);

impl Pattern {
    /// The pattern of this text.
    pub fn new(text: &str) -> Self {
        Self(WildMatch::new(text))
    }

    /// Whether it matches whatever there is.
    pub fn is_any(&self) -> bool {
        // Several in a row have become one.
        self.0.pattern() == "*"
    }

    fn matches(&self, text: &str) -> bool {
        self.0.matches(text)
    }

    /// A place also matches without its column, and without its line.
    fn matches_place(&self, location: &str) -> bool {
        let shorter = |place: &str| {
            let (rest, number) = place.rsplit_once(':')?;
            number.bytes().all(|it| it.is_ascii_digit()).then(|| rest.to_owned())
        };
        let line = shorter(location);
        let file = line.as_deref().and_then(shorter);
        [Some(location), line.as_deref(), file.as_deref()].into_iter().flatten().any(|place| self.matches(place))
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Suppression {
    /// Whether its findings count again at this time.
    pub fn is_expired(&self, at: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= at)
    }

    fn matches(&self, finding: &Finding) -> bool {
        let Finding { detector, symptom: Symptom { subject, .. }, fingerprint, .. } = finding;
        let any = |patterns: &[Pattern], matches: &dyn Fn(&Pattern) -> bool| {
            patterns.is_empty() || patterns.iter().any(matches)
        };
        (self.detectors.is_empty() || self.detectors.contains(&detector.id))
            && (self.fingerprints.is_empty() || self.fingerprints.contains(fingerprint))
            && any(&self.names, &|pattern| pattern.matches(&subject.name))
            && any(&self.locations, &|pattern| pattern.matches_place(&subject.location))
    }
}

/// Whether findings of a detector can be suppressed. One that says that the feed cannot be trusted cannot: a doubt is not an alarm, and a
/// verdict without it would be a guess.
pub fn is_suppressible(detector: &Detector) -> bool {
    detector.family != Family::Feed || detector.doubt.is_none()
}

/// Keeps the suppressed findings of one target apart from those that count.
///
/// It decides when a finding changes, so that what was announced and what is listed are always the same. A finding that a suppressed one
/// explains stays explained.
#[derive(Debug, Clone)]
pub struct Suppressor {
    suppressions: Arc<[Suppression]>,
    /// No finding is older than the run: today decides what is expired, also for a recording of long ago.
    begun: SystemTime,
    /// The findings suppressed at present: the index of the suppression, by fingerprint.
    active: BTreeMap<String, usize>,
    /// All that fired while they were suppressed.
    fired: BTreeMap<String, &'static Detector>,
}

impl Default for Suppressor {
    fn default() -> Self {
        Self::new(Arc::default(), SystemTime::UNIX_EPOCH)
    }
}

impl Suppressor {
    /// One that applies these suppressions in a run that begins at a time.
    pub fn new(suppressions: Arc<[Suppression]>, begun: SystemTime) -> Self {
        Self { suppressions, begun, active: BTreeMap::new(), fired: BTreeMap::new() }
    }

    /// The suppression that covers a finding at present, if one does.
    pub fn suppression(&self, finding: &Finding) -> Option<&Suppression> {
        self.active.get(&finding.fingerprint).and_then(|index| self.suppressions.get(*index))
    }

    /// Whether a finding fired while it was suppressed.
    pub fn has_suppressed(&self, fingerprint: &str) -> bool {
        self.fired.contains_key(fingerprint)
    }

    /// All findings that fired while they were suppressed: fingerprint and detector.
    pub fn fired(&self) -> impl ExactSizeIterator<Item = (&str, &'static Detector)> {
        self.fired.iter().map(|(fingerprint, detector)| (fingerprint.as_str(), *detector))
    }

    /// Takes away the transitions of suppressed findings, and adds one for each finding that counts again because its suppression has expired.
    pub fn filter<'a>(
        &mut self,
        transitions: Vec<Transition>,
        findings: impl Iterator<Item = &'a Finding>,
        (now, at): (Timestamp, SystemTime),
    ) -> Vec<Transition> {
        if self.suppressions.is_empty() {
            return transitions;
        }
        let at = at.max(self.begun);
        let mut kept = transitions;
        kept.retain(|transition| !self.suppresses(&transition.finding, at));
        for finding in findings {
            let is_over = self.suppression(finding).is_some_and(|it| it.is_expired(at));
            if is_over && !self.suppresses(finding, at) && finding.is_shown() {
                kept.push(Transition { at: now, finding: finding.clone() });
            }
        }
        kept
    }

    /// Decides whether a finding that has changed is suppressed.
    fn suppresses(&mut self, finding: &Finding, at: SystemTime) -> bool {
        let known = self.active.remove(&finding.fingerprint);
        if finding.state == State::Resolved {
            return known.is_some();
        }
        let by = |it: &Suppression| !it.is_expired(at) && it.matches(finding);
        let Some(index) = self.suppressions.iter().position(by).filter(|_| is_suppressible(finding.detector)) else {
            return false;
        };
        self.active.insert(finding.fingerprint.clone(), index);
        if finding.is_shown() {
            self.fired.insert(finding.fingerprint.clone(), finding.detector);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::detect::detectors::detector;

    fn finding(id: &str, name: &str, location: &str, state: State) -> Finding {
        Finding::sample(detector(id).expect("it exists"), name, location, state)
    }

    fn suppression(detectors: &[&'static str], name: Option<&str>, location: Option<&str>) -> Suppression {
        let patterns = |pattern: Option<&str>| pattern.into_iter().map(Pattern::new).collect();
        let (names, locations) = (patterns(name), patterns(location));
        let (fingerprints, statement) = (Vec::new(), "known".to_owned());
        Suppression { detectors: detectors.to_vec(), names, locations, fingerprints, statement, expires: None }
    }

    fn at(seconds: u64) -> (Timestamp, SystemTime) {
        (Timestamp::default(), SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// What is left of a transition to each of these findings.
    fn told(suppressor: &mut Suppressor, findings: &[Finding], seconds: u64) -> Vec<(&'static str, State)> {
        let transition = |finding: &Finding| Transition { at: Timestamp::default(), finding: finding.clone() };
        let transitions = findings.iter().map(transition).collect();
        let kept = suppressor.filter(transitions, findings.iter(), at(seconds));
        kept.iter().map(|it| (it.finding.detector.id, it.finding.state)).collect()
    }

    #[test]
    fn what_a_suppression_covers() {
        let covered = |suppression: &Suppression, id: &str| {
            let known = finding(id, "refresh cache", "src/cache.rs:41:9", State::Firing);
            suppression.matches(&known)
        };
        for (detectors, name, location, expected) in [
            (&["deadlock"][..], None, None, true),
            (&["contended-lock"], None, None, false),
            (&["contended-lock", "deadlock"], None, None, true),
            (&[], Some("refresh cache"), None, true),
            (&[], Some("refresh*"), None, true),
            (&[], Some("refresh"), None, false),
            (&[], Some("Refresh*"), None, false),
            (&[], None, Some("src/cache.rs:41:9"), true),
            (&[], None, Some("src/cache.rs:41"), true),
            (&[], None, Some("src/cache.rs"), true),
            (&[], None, Some("*/cache.rs"), true),
            (&[], None, Some("src/*"), true),
            (&[], None, Some("src/cache.rs:4"), false),
            (&[], None, Some("cache.rs"), false),
            (&["deadlock"], Some("refresh*"), Some("src/*"), true),
            (&["deadlock"], Some("refresh*"), Some("lib/*"), false),
        ] {
            let suppression = suppression(detectors, name, location);
            assert_eq!(covered(&suppression, "deadlock"), expected, "{suppression:?}");
        }
        let of_class = |id: &str| Suppression { fingerprints: vec![id.to_owned()], ..suppression(&[], None, None) };
        assert!(covered(&of_class("deadlock:refresh cachesrc/cache.rs:41:9"), "deadlock"));
        assert!(!covered(&of_class("deadlock:refresh"), "deadlock"), "a fingerprint is meant as a whole");
        assert!(Pattern::new("***").is_any() && !Pattern::new("*a").is_any());
    }

    #[test]
    fn suppressed_findings_change_in_silence_and_are_counted() {
        let rules = [suppression(&["deadlock"], None, None), suppression(&[], Some("noise"), None)];
        let mut suppressor = Suppressor::new(Arc::from(rules), SystemTime::UNIX_EPOCH);
        let [pending, firing, over] = [State::Pending, State::Firing, State::Resolved]
            .map(|state| [finding("deadlock", "a", "", state), finding("busy-loop", "b", "", state)]);
        assert_eq!(told(&mut suppressor, &pending, 1), [("busy-loop", State::Pending)]);
        assert_eq!(suppressor.fired().len(), 0, "it is not confirmed");
        assert_eq!(told(&mut suppressor, &firing, 2), [("busy-loop", State::Firing)]);
        assert_eq!(suppressor.suppression(&firing[0]).map(|it| it.statement.as_str()), Some("known"));
        assert!(suppressor.suppression(&firing[1]).is_none());
        assert_eq!(told(&mut suppressor, &over, 3), [("busy-loop", State::Resolved)]);
        assert_eq!(suppressor.fired().map(|(_, it)| it.id).collect::<Vec<_>>(), ["deadlock"]);
        assert!(suppressor.has_suppressed(&over[0].fingerprint) && !suppressor.has_suppressed(&over[1].fingerprint));
    }

    #[test]
    fn a_doubt_about_the_feed_cannot_be_suppressed() {
        let mut suppressor = Suppressor::new(Arc::from([suppression(&[], None, Some("*"))]), SystemTime::UNIX_EPOCH);
        let findings = ["partial-feed", "costly-retention"].map(|id| finding(id, "feed", "", State::Firing));
        assert_eq!(told(&mut suppressor, &findings, 1), [("partial-feed", State::Firing)]);
    }

    #[test]
    fn when_a_suppression_expires_its_findings_count_again() {
        let expires = Some(at(100).1);
        let rules = [Suppression { expires, ..suppression(&["deadlock"], None, None) }];
        let mut suppressor = Suppressor::new(Arc::from(rules.clone()), SystemTime::UNIX_EPOCH);
        let firing = [finding("deadlock", "a", "", State::Firing)];
        assert_eq!(told(&mut suppressor, &firing, 98), []);
        let quiet = suppressor.filter(Vec::new(), firing.iter(), at(99));
        assert!(quiet.is_empty());
        let news = suppressor.filter(Vec::new(), firing.iter(), at(100));
        assert_eq!(news.len(), 1, "it opens for those who have not heard of it");
        assert!(suppressor.suppression(&firing[0]).is_none());
        assert!(suppressor.filter(Vec::new(), firing.iter(), at(101)).is_empty(), "once");

        let mut of_a_recording = Suppressor::new(Arc::from(rules), at(200).1);
        assert_eq!(told(&mut of_a_recording, &firing, 50).len(), 1, "today counts, not the day of the recording");
    }
}
