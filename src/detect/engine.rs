//! The life of findings: pending until confirmed, firing while seen, resolved some time after; hidden while another explains them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::causes::CauseIndex;
use super::detector::{CATCH_UP, Detector, Needs};
use super::detectors::DETECTORS;
use super::finding::{Explained, Finding, Transition};
use super::fingerprint;
use super::settings::Settings;
use super::severity::State;
use super::symptom::Symptom;
use super::trace::Trace;
use crate::evidence::Evidence;
use crate::model::Model;
use crate::model::time::Timestamp;

/// Updates before anything but the feed is judged: the second one may repeat the first.
const WARM_UP: u64 = 2;
/// Updates come every 10 ms to 10 s. Looking more often than this costs and tells nothing.
const LOOK: Duration = Duration::from_millis(200);
/// Links of a chain of causes that are followed.
const CHAIN: usize = 8;
/// Resolved findings that are kept to be looked at.
const RESOLVED: usize = 100;

/// All findings of one target, and how they came about.
#[derive(Debug, Clone)]
pub struct Engine {
    settings: Settings,
    findings: BTreeMap<String, Finding>,
    resolved: VecDeque<Finding>,
    last_scan: Option<Timestamp>,
    first_scan: Option<Timestamp>,
    epoch: u32,
    caught_up: bool,
}

impl Engine {
    /// An engine without findings.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            findings: BTreeMap::new(),
            resolved: VecDeque::new(),
            last_scan: None,
            first_scan: None,
            epoch: 0,
            caught_up: false,
        }
    }

    /// Findings pending or firing, hidden ones included, in the order of their fingerprints.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.values()
    }

    /// The pending or firing finding of a class.
    pub fn finding(&self, fingerprint: &str) -> Option<&Finding> {
        self.findings.get(fingerprint)
    }

    /// Findings that are over, newest last.
    pub fn resolved(&self) -> impl Iterator<Item = &Finding> {
        self.resolved.iter()
    }

    /// How long it has been looking, by the target's clock.
    pub fn observed(&self) -> Duration {
        self.last_scan.zip(self.first_scan).map_or(Duration::ZERO, |(last, first)| last.since(first))
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The earliest time at which it looks again.
    pub fn next_look(&self) -> Timestamp {
        self.last_scan.map_or(Timestamp::default(), |last| last.plus(LOOK))
    }

    /// Looks at the model as of `now`, unless it has just done so, and returns what became of its findings.
    pub fn scan(&mut self, model: &Evidence<'_>, now: Timestamp) -> Vec<Transition> {
        let mut transitions = Vec::new();
        if self.epoch != model.epoch() {
            self.epoch = model.epoch();
            // The clock of another process may be behind.
            (self.first_scan, self.last_scan) = (None, None);
            self.resolve_all(now, &mut transitions);
        }
        if now < self.next_look() {
            return transitions;
        }
        self.last_scan = Some(now);
        let first = *self.first_scan.get_or_insert(now);
        // A target that always lags is judged all the same, by what is not hurt by it.
        self.caught_up |= self.has_warmed_up(model) && (!model.quality().is_lagging() || now.since(first) > CATCH_UP);
        for (detector, symptom) in self.look(model) {
            self.note(detector, symptom, now);
        }
        self.explain(now);
        self.advance(now, &mut transitions);
        transitions
    }

    /// Whether enough has arrived to judge anything but the feed.
    pub fn has_warmed_up(&self, model: &Model) -> bool {
        model.clock().updates() >= WARM_UP
    }

    /// Whether detectors that need complete data are off, because the target has not caught up yet or has lost events.
    pub fn lacks_data(&self, model: &Model) -> bool {
        !self.caught_up || model.quality().is_lossy(model.now())
    }

    /// Runs every detector that the state of the feed allows.
    fn look(&self, model: &Evidence<'_>) -> Vec<(&'static Detector, Symptom)> {
        let mut seen = Vec::new();
        let mut symptoms = Vec::new();
        for detector in DETECTORS {
            let settings = self.settings.of(detector.id);
            let ready = match detector.needs {
                Needs::Nothing => true,
                Needs::Counters => self.has_warmed_up(model),
                Needs::Everything => !self.lacks_data(model),
            };
            if ready && detector.is_enabled(&self.settings) {
                (detector.scan)(model, settings, &mut symptoms);
            }
            seen.extend(symptoms.drain(..).map(|symptom| (*detector, symptom)));
        }
        seen
    }

    /// Turns a symptom into a finding, or into one more sighting of one. Several of one class in one scan are one sighting, told by
    /// the worst of them.
    fn note(&mut self, detector: &'static Detector, symptom: Symptom, now: Timestamp) {
        let fingerprint = fingerprint::of(detector, &symptom);
        let since = symptom.since.unwrap_or(now).min(now);
        let begins = symptom.strength >= 1.0;
        match self.findings.get_mut(&fingerprint) {
            Some(known) if known.last_seen == now => {
                known.since = known.since.min(since);
                merge(&mut known.symptom, symptom);
            }
            Some(known) if begins || known.state == State::Firing => {
                known.since = known.since.min(since);
                known.trace.note(&symptom, now);
                let is_firing = known.state == State::Firing;
                known.symptom = if is_firing { symptom.following(&known.symptom) } else { symptom };
                known.last_seen = now;
                known.count += 1;
            }
            Some(_) => {}
            None if begins => {
                let finding = Finding {
                    fingerprint: fingerprint.clone(),
                    detector,
                    state: State::Pending,
                    trace: Trace::begin(&symptom, now),
                    symptom,
                    since,
                    first_seen: now,
                    last_seen: now,
                    count: 1,
                    hidden_by: None,
                    explains: Vec::new(),
                    announced: None,
                };
                self.findings.insert(fingerprint, finding);
            }
            None => {}
        }
    }

    /// Hides findings behind those that explain them. A cause hides from its first sighting on, or the symptom with the shorter hold
    /// time would speak first; but one that is not confirmed yet does not silence what was.
    fn explain(&mut self, now: Timestamp) {
        let hidden = self.hidden(now);
        let mut explained: BTreeMap<&str, Vec<Explained>> = BTreeMap::new();
        for (fingerprint, cause) in &hidden {
            if let Some(effect) = self.findings.get(fingerprint) {
                let item = Explained {
                    fingerprint: effect.fingerprint.clone(),
                    detector: effect.detector.id,
                    summary: effect.symptom.summary.clone(),
                };
                explained.entry(cause).or_default().push(item);
            }
        }
        for (fingerprint, finding) in &mut self.findings {
            finding.explains = explained.remove(fingerprint.as_str()).unwrap_or_default();
        }
        for (fingerprint, finding) in &mut self.findings {
            finding.hidden_by = hidden.get(fingerprint).cloned();
        }
    }

    /// Which finding is explained by which, in the end: what is explained itself passes on to what explains it.
    fn hidden(&self, now: Timestamp) -> BTreeMap<String, String> {
        let (mut firing, mut seen_now) = (CauseIndex::default(), CauseIndex::default());
        for finding in self.findings.values() {
            let scope = &finding.symptom.scope;
            let severity = finding.severity();
            if finding.state == State::Firing {
                firing.add(finding.detector.id, severity, &finding.fingerprint, scope);
            }
            if finding.last_seen == now {
                seen_now.add(finding.detector.id, severity, &finding.fingerprint, scope);
            }
        }
        let direct: BTreeMap<&str, &str> = self
            .findings
            .values()
            .filter_map(|effect| {
                let (causes, scope) = (effect.detector.explained_by, &effect.symptom.scope);
                let pending =
                    || (!effect.is_shown()).then(|| seen_now.explaining(causes, effect.severity(), scope)).flatten();
                let cause = firing.explaining(causes, effect.severity(), scope).or_else(pending)?;
                Some((effect.fingerprint.as_str(), cause))
            })
            .collect();
        let mut hidden = BTreeMap::new();
        for (effect, mut cause) in &direct {
            for _ in 0..CHAIN {
                match direct.get(cause) {
                    Some(next) => cause = next,
                    None => break,
                }
            }
            hidden.insert((*effect).to_owned(), (*cause).to_owned());
        }
        hidden
    }

    /// Confirms, resolves and drops findings, and says so.
    fn advance(&mut self, now: Timestamp, transitions: &mut Vec<Transition>) {
        let mut gone = Vec::new();
        for (fingerprint, finding) in &mut self.findings {
            let timing = finding.detector.timing;
            let seen = finding.last_seen == now;
            match finding.state {
                State::Pending if !seen => gone.push(fingerprint.clone()),
                State::Pending => {
                    let confirmed = finding.count >= timing.updates && now.since(finding.first_seen) >= timing.hold;
                    if confirmed && finding.hidden_by.is_none() {
                        finding.state = State::Firing;
                        finding.announced = Some(finding.severity());
                        transitions.push(Transition { at: now, finding: finding.clone() });
                    } else if finding.count == 1 && finding.hidden_by.is_none() {
                        transitions.push(Transition { at: now, finding: finding.clone() });
                    }
                }
                State::Firing if finding.hidden_by.is_some() || now.since(finding.last_seen) > timing.keep_firing => {
                    gone.push(fingerprint.clone());
                }
                State::Firing if finding.announced < Some(finding.severity()) => {
                    finding.announced = Some(finding.severity());
                    transitions.push(Transition { at: now, finding: finding.clone() });
                }
                State::Firing | State::Resolved => {}
            }
        }
        for fingerprint in gone {
            self.resolve(&fingerprint, now, transitions);
        }
    }

    fn resolve(&mut self, fingerprint: &str, now: Timestamp, transitions: &mut Vec<Transition>) {
        let Some(mut finding) = self.findings.remove(fingerprint) else {
            return;
        };
        if finding.state != State::Firing {
            return;
        }
        finding.state = State::Resolved;
        transitions.push(Transition { at: now, finding: finding.clone() });
        if self.resolved.len() == RESOLVED {
            self.resolved.pop_front();
        }
        self.resolved.push_back(finding);
    }

    /// Ends every finding: what a process did is over when another takes its place.
    fn resolve_all(&mut self, now: Timestamp, transitions: &mut Vec<Transition>) {
        let all: Vec<String> = self.findings.keys().cloned().collect();
        for fingerprint in all {
            self.resolve(&fingerprint, now, transitions);
        }
    }
}

/// Adds another symptom of the same class and scan: the worse one speaks, both are counted.
fn merge(known: &mut Symptom, other: Symptom) {
    let count = known.subject.count + other.subject.count;
    let rank = |symptom: &Symptom| (symptom.severity, symptom.subject.count);
    let mut other = other;
    if rank(&other) > rank(known) {
        std::mem::swap(known, &mut other);
    }
    known.subject.count = count;
    known.subject.ids.extend(other.subject.ids);
    known.subject.ids.truncate(super::describe::MOST_IDS);
    known.strength = known.strength.max(other.strength);
    known.scope.resources.extend(other.scope.resources);
    known.scope.sites.extend(other.scope.sites);
    known.scope.tasks.extend(other.scope.tasks);
}
