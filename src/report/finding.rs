//! A finding in plain words and numbers: what it says, how bad it is, how old, and what speaks for and against it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::findings::{FindingKey, FindingRow, row};
use super::link::{Link, Linked};
use super::place::named_place;
use super::snapshot::Snapshot;
use crate::detect::describe;
use crate::detect::finding::{Explained, Finding, Transition};
use crate::detect::severity::State;
use crate::detect::subject::{Related, Role, Subject, SubjectKind};
use crate::detect::symptom::Fact;
use crate::fleet::Member;
use crate::model::SiteKey;
use crate::model::time::Timestamp;
use crate::words;

/// Most tasks and most resources of a finding that can be opened from it.
const MOST: usize = 12;
/// Where the docs pages of detectors are, by id.
const HELP: &str = "docs/detectors/";

/// A finding on its page, or in an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct FindingView {
    /// What a list says of it.
    pub row: FindingRow,
    /// The family of the detector that reported it.
    pub family: &'static str,
    /// The class of the finding: the same in every run and on every target.
    pub fingerprint: String,
    /// What is wrong, as one or two sentences.
    pub headline: String,
    /// What it is about.
    pub subject: Subject,
    /// Severity, grade and age in one line.
    pub standing: String,
    /// When the problem began, as far as is known, by the target's clock.
    pub since: SystemTime,
    /// How old the problem is, or was when it was last seen.
    pub age: Duration,
    /// When it was detected, by the target's clock.
    pub first_seen: SystemTime,
    /// When it was last seen, by the target's clock.
    pub last_seen: SystemTime,
    /// How many scans saw it.
    pub sightings: u64,
    /// The numbers behind it.
    pub facts: Vec<FactRow>,
    /// Harmless explanations that are not ruled out, a sentence each: what speaks against it.
    pub look_alikes: Vec<&'static str>,
    /// Harmless explanations that are ruled out, a noun phrase each: what speaks for it, besides the numbers.
    pub ruled_out: Vec<&'static str>,
    /// What causes it, if that is known.
    pub cause: Option<String>,
    /// The fingerprint of the finding that explains it.
    pub caused_by: Option<String>,
    /// The findings that it explains.
    pub explains: Vec<ExplainedRow>,
    /// What to do.
    pub advice: String,
    /// Who else has a part in it.
    pub related: Vec<RelatedRow>,
    /// Where the docs page of its detector is.
    pub help: String,
    /// The targets that have it now, by name.
    pub members: Vec<String>,
    /// How many targets are watched.
    pub targets: usize,
    /// What these are: pods, or targets of any kind.
    pub noun: &'static str,
    /// The recording that shows it, once that is complete. Whoever makes one says so.
    pub recording: Option<PathBuf>,
}

/// A number behind a finding.
#[derive(Debug, Clone, PartialEq)]
pub struct FactRow {
    /// What was measured: a noun phrase.
    pub metric: &'static str,
    /// The value.
    pub observed: f64,
    /// The value from which on it counts, if there is one.
    pub threshold: Option<f64>,
    /// The unit of both.
    pub unit: &'static str,
    /// The time over which it was measured, if it was not a moment.
    pub window: Option<Duration>,
    /// Whether it is beyond its threshold; nothing without one.
    pub fired: Option<bool>,
}

/// How the number behind a finding developed.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceView {
    /// What was measured, as it was last seen.
    pub fact: FactRow,
    /// Seconds since the first sample, and the value then; oldest first.
    pub samples: Vec<(f64, f64)>,
}

/// Something else that has a part in a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelatedRow {
    /// What kind of thing.
    pub kind: SubjectKind,
    /// Its part.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// Its place.
    pub location: String,
    /// Both in one line.
    pub place: String,
    /// The spawn site, if it is one.
    pub site: Option<SiteKey>,
}

/// A finding that another one explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedRow {
    /// The detector that reported it.
    pub detector: &'static str,
    /// What it says.
    pub headline: String,
}

impl FactRow {
    /// The value with its unit.
    pub fn value_in_words(&self) -> String {
        words::measure(self.observed, self.unit)
    }

    /// The threshold with its unit.
    pub fn threshold_in_words(&self) -> Option<String> {
        self.threshold.map(|threshold| match (self.unit, Duration::try_from_secs_f64(threshold)) {
            ("s", Ok(limit)) => words::limit(limit),
            _ => words::measure(threshold, self.unit),
        })
    }
}

impl FindingView {
    /// On how many of the targets it is, in words; nothing where there is one target.
    pub fn spread(&self) -> Option<String> {
        (self.targets > 1).then(|| format!("on {} of {} {}", self.members.len(), self.targets, self.noun))
    }

    /// The name and the place of its subject; empty if neither is known.
    pub fn subject_in_words(&self) -> String {
        named_place(&self.subject.name, &self.subject.location)
    }

    /// Whether other targets have it too.
    pub fn is_shared(&self) -> bool {
        self.members.len() > 1
    }
}

impl Snapshot<'_> {
    /// A finding of this target, unless it was forgotten.
    pub fn finding(&self, key: &FindingKey) -> Option<FindingView> {
        self.find(key).map(|finding| self.view(finding, self.now()))
    }

    /// A finding as it was when it opened, changed or was resolved.
    pub fn transition(&self, transition: &Transition) -> FindingView {
        self.view(&transition.finding, transition.at)
    }

    /// The page of what has a part in a finding, if that is a spawn site that is known still.
    pub fn site_link(&self, site: Option<SiteKey>) -> Option<Link> {
        site.map(Link::Site).filter(|link| self.knows(link))
    }

    /// The findings that one explains, in a sentence each, and their pages as long as they have one.
    pub fn explained(&self, key: &FindingKey) -> Vec<(String, Option<Link>)> {
        let Some(cause) = self.find(key) else { return Vec::new() };
        let hidden = |it: &Explained| {
            // One that fired before its cause was found has been resolved since.
            let engine = self.diagnosis().engine();
            let mut findings = engine.findings().chain(engine.resolved());
            let found = findings.find(|finding| finding.fingerprint == it.fingerprint);
            found.map(|finding| Link::Finding(FindingKey::of(finding)))
        };
        cause.explains.iter().map(|it| (format!("{}: {}", it.detector, it.summary), hidden(it))).collect()
    }

    /// The tasks and resources of a finding, to be opened. Those of a resolved one may belong to a process that is gone.
    pub fn parties(&self, key: &FindingKey) -> Vec<Linked> {
        let Some(finding) = self.find(key).filter(|finding| finding.state != State::Resolved) else {
            return Vec::new();
        };
        let (evidence, scope) = (&self.evidence, &finding.symptom.scope);
        let tasks = scope.tasks.iter().filter_map(|key| self.linked_task(*key));
        let resources = scope.resources.iter().filter(|key| evidence.resource(**key).is_some());
        let resources =
            resources.map(|key| Linked { text: describe::resource(evidence, *key), link: Link::Resource(*key) });
        tasks.take(MOST).chain(resources.take(MOST)).collect()
    }

    /// How the number behind a finding developed; nothing while it was seen once.
    pub fn trace(&self, key: &FindingKey) -> Option<TraceView> {
        let trace = &self.find(key)?.trace;
        let (first, _) = trace.samples().first().filter(|_| trace.samples().len() > 1)?;
        let samples = trace.samples().iter().map(|(at, value)| (at.since(*first).as_secs_f64(), *value));
        Some(TraceView { fact: trace.fact()?.into(), samples: samples.collect() })
    }

    pub(super) fn view(&self, finding: &Finding, now: Timestamp) -> FindingView {
        let symptom = &finding.symptom;
        let explains = finding.explains.iter();
        FindingView {
            row: row(finding, now),
            family: finding.detector.family.as_str(),
            fingerprint: finding.fingerprint.clone(),
            headline: symptom.summary.clone(),
            subject: symptom.subject.clone(),
            standing: standing(finding, now),
            since: finding.since.system_time(),
            age: age(finding, now),
            first_seen: finding.first_seen.system_time(),
            last_seen: finding.last_seen.system_time(),
            sightings: finding.count,
            facts: symptom.facts.iter().map(FactRow::from).collect(),
            look_alikes: finding.look_alikes().iter().map(|look_alike| look_alike.describe()).collect(),
            ruled_out: ruled_out(finding),
            cause: symptom.cause.clone(),
            caused_by: finding.hidden_by.clone(),
            explains: explains.map(|it| ExplainedRow { detector: it.detector, headline: it.summary.clone() }).collect(),
            advice: symptom.recommendation.clone(),
            related: symptom.related.iter().map(RelatedRow::from).collect(),
            help: format!("{HELP}{}.md", finding.detector.id),
            members: self.with(finding).into_iter().map(|member| member.diagnosis().target().to_owned()).collect(),
            targets: self.fleet.members().len().max(1),
            noun: self.fleet.noun(),
            recording: None,
        }
    }

    /// The targets that have a finding of this class now. This one counts by the state of the finding that is shown, which may be frozen.
    pub(super) fn with<'a>(&'a self, finding: &'a Finding) -> Vec<&'a Member> {
        let own = (finding.state != State::Resolved).then_some(self.member);
        let others = self.fleet.sharing(&finding.fingerprint).filter(|member| member.id() != self.member.id());
        let mut members: Vec<_> = own.into_iter().chain(others).collect();
        members.sort_by_key(|member| member.id());
        members
    }
}

/// How old a problem is, or was when it was last seen.
fn age(finding: &Finding, now: Timestamp) -> Duration {
    let until = if finding.state == State::Resolved { finding.last_seen } else { now };
    until.since(finding.since)
}

fn standing(finding: &Finding, now: Timestamp) -> String {
    let stays = if finding.detector.recovers { "" } else { " · cannot recover by itself" };
    let kind = format!("{} · {}{stays}", finding.severity().as_str(), finding.grade().as_str());
    let age = words::age(age(finding, now));
    match finding.state {
        State::Resolved => {
            format!("resolved · {kind} · lasted {age}, ended {} ago", words::age(now.since(finding.last_seen)))
        }
        State::Pending | State::Firing => {
            format!("{kind} · detected {} ago, problem is {age} old", words::age(now.since(finding.first_seen)))
        }
    }
}

impl From<&Fact> for FactRow {
    fn from(fact: &Fact) -> Self {
        Self {
            metric: fact.metric,
            observed: fact.observed,
            threshold: fact.threshold,
            unit: fact.unit,
            window: fact.window,
            fired: fact.fired(),
        }
    }
}

impl From<&Related> for RelatedRow {
    fn from(related: &Related) -> Self {
        Self {
            kind: related.kind,
            role: related.role,
            name: related.name.clone(),
            location: related.location.clone(),
            place: named_place(&related.name, &related.location),
            site: related.site,
        }
    }
}

/// The harmless explanations that its detector knows and has ruled out: all of them, where none is left.
fn ruled_out(finding: &Finding) -> Vec<&'static str> {
    let known = if finding.look_alikes().is_empty() { finding.detector.look_alikes } else { &[] };
    known.iter().map(|look_alike| look_alike.noun()).collect()
}
