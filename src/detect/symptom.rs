//! What a detector reports of one scan: a symptom, built up from its subject, its facts and its advice.

use std::time::Duration;

use super::describe;
use super::severity::{Grade, Severity};
use super::subject::{Related, Subject};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::model::time::Timestamp;
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

/// A number that speaks for a finding, or against it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    /// What was measured: a noun phrase.
    pub metric: &'static str,
    /// The value.
    pub observed: f64,
    /// The value from which on it counts, if there is one.
    pub threshold: Option<f64>,
    /// Whether the value counts from the threshold down, and not up.
    pub below: bool,
    /// The unit of both: `s`, `ratio`, or a noun in the plural.
    pub unit: &'static str,
    /// The time over which it was measured, if it was not a moment.
    pub window: Option<Duration>,
}

impl Fact {
    /// A duration.
    pub fn time(metric: &'static str, observed: Duration) -> Self {
        Self::number(metric, "s", observed.as_secs_f64())
    }

    /// A share of something, from 0 to 1.
    pub fn share(metric: &'static str, observed: f64) -> Self {
        Self::number(metric, "ratio", observed)
    }

    /// A count of things.
    #[expect(clippy::cast_precision_loss, reason = "counts of things in one process stay far below 2^53")]
    pub fn count(metric: &'static str, unit: &'static str, observed: usize) -> Self {
        Self::number(metric, unit, observed as f64)
    }

    /// A number that is none of these.
    pub fn number(metric: &'static str, unit: &'static str, observed: f64) -> Self {
        Self { metric, observed, threshold: None, below: false, unit, window: None }
    }

    /// It counts from this value up.
    #[must_use]
    pub fn from(mut self, threshold: impl Into<Threshold>) -> Self {
        self.threshold = Some(threshold.into().0);
        self
    }

    /// It counts below this value.
    #[must_use]
    pub fn below(mut self, threshold: impl Into<Threshold>) -> Self {
        self.threshold = Some(threshold.into().0);
        self.below = true;
        self
    }

    /// It was measured over this time.
    #[must_use]
    pub fn over(mut self, window: Duration) -> Self {
        self.window = Some(window);
        self
    }

    /// Whether the value is beyond its threshold; nothing without one.
    pub fn fired(&self) -> Option<bool> {
        let threshold = self.threshold?;
        Some(if self.below { self.observed < threshold } else { self.observed >= threshold })
    }
}

/// A value to compare with, in the unit of its fact.
#[derive(Debug, Clone, Copy)]
pub struct Threshold(f64);

impl From<Duration> for Threshold {
    fn from(limit: Duration) -> Self {
        Self(limit.as_secs_f64())
    }
}

impl From<f64> for Threshold {
    fn from(limit: f64) -> Self {
        Self(limit)
    }
}

impl From<super::settings::Share> for Threshold {
    fn from(limit: super::settings::Share) -> Self {
        Self(limit.0)
    }
}

impl From<usize> for Threshold {
    #[expect(clippy::cast_precision_loss, reason = "thresholds of counts stay far below 2^53")]
    fn from(limit: usize) -> Self {
        Self(limit as f64)
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
    /// How bad it is, unless a look-alike fits.
    pub severity: Severity,
    /// Its grade, where it is not the detector's usual one.
    pub grade: Option<Grade>,
    /// What it is about.
    pub subject: Subject,
    /// The fact, the number against its threshold, and where: at most two short sentences.
    pub summary: String,
    /// The numbers behind it.
    pub facts: Vec<Fact>,
    /// Harmless explanations that are not ruled out.
    pub look_alikes: Vec<LookAlike>,
    /// Who else is involved.
    pub related: Vec<Related>,
    /// What brings it about, as far as can be told.
    pub cause: Option<String>,
    /// What to do.
    pub recommendation: String,
    /// What makes it the same finding again: identities of entities, never ids.
    pub class: Vec<String>,
    /// What it touches.
    pub scope: Scope,
    /// By how much it exceeds its thresholds: the least of the ratios. Below 1 it is too weak to begin a finding.
    pub strength: f64,
    /// Whether a firing finding keeps its severity: the change that made it severe may be older than the history.
    pub keeps_severity: bool,
    /// Since when the problem has lasted, where that is known.
    pub since: Option<Timestamp>,
}

impl Symptom {
    /// A warning about the tasks of a spawn site, of which these are the worst.
    pub fn of_site(evidence: &Evidence<'_>, key: SiteKey, worst: &[TaskKey], count: usize) -> Self {
        let site = evidence.site(key);
        let subject = site.map(|site| describe::site_subject(evidence, (key, site), worst, count));
        let scope = Scope { sites: vec![key], tasks: worst.to_vec(), ..Scope::default() };
        let symptom = Self::about(subject.unwrap_or_else(describe::feed_subject)).scope(scope);
        symptom.class([evidence.site_class(key)])
    }

    /// A warning about a lock, channel or other resource that concerns this many tasks.
    pub fn of_resource(evidence: &Evidence<'_>, key: ResourceKey, count: usize) -> Self {
        let last_progress = evidence.resource(key).and_then(|it| it.grants.last()).map(|grant| grant.at);
        let scope = Scope { resources: vec![key], last_progress, ..Scope::default() };
        let symptom = Self::about(describe::resource_subject(evidence, key, count)).scope(scope);
        symptom.class([evidence.resource_class(key)])
    }

    /// A warning about the feed.
    pub fn of_feed() -> Self {
        Self::about(describe::feed_subject())
    }

    /// A warning about a subject, with nothing else said yet.
    pub fn about(subject: Subject) -> Self {
        let class = vec![subject.kind.as_str().to_owned(), subject.name.clone(), subject.location.clone()];
        Self {
            severity: Severity::Warning,
            grade: None,
            subject,
            summary: String::new(),
            facts: Vec::new(),
            look_alikes: Vec::new(),
            related: Vec::new(),
            cause: None,
            recommendation: String::new(),
            class,
            scope: Scope::default(),
            strength: f64::INFINITY,
            keeps_severity: false,
            since: None,
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Its grade, where it is not the detector's usual one.
    #[must_use]
    pub fn grade(mut self, grade: Option<Grade>) -> Self {
        self.grade = grade;
        self
    }

    /// What is said of it.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "each is written for its symptom")]
    pub fn summary(mut self, summary: String) -> Self {
        self.summary = words::sentences(&summary);
        self
    }

    /// A number behind it.
    #[must_use]
    pub fn because(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    /// A harmless explanation, if one fits: then it is information.
    #[must_use]
    pub fn unless(mut self, look_alike: Option<LookAlike>) -> Self {
        if let Some(look_alike) = look_alike {
            self.severity = Severity::Info;
            self = self.possibly(look_alike);
        }
        self
    }

    /// A harmless explanation that is not ruled out, although something speaks against it.
    #[must_use]
    pub fn possibly(mut self, look_alike: LookAlike) -> Self {
        if !self.look_alikes.contains(&look_alike) {
            self.look_alikes.push(look_alike);
        }
        self
    }

    /// Who else is involved; whoever has the same part twice is named once.
    #[must_use]
    pub fn involving(mut self, related: impl IntoIterator<Item = Related>) -> Self {
        for party in related {
            if !self.related.iter().any(|it| it.reads_like(&party)) {
                self.related.push(party);
            }
        }
        self
    }

    /// What brings it about.
    #[must_use]
    pub fn cause(mut self, cause: Option<String>) -> Self {
        self.cause = cause.map(|cause| words::sentences(&cause));
        self
    }

    /// What to do.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.recommendation = advice.into();
        self
    }

    /// What makes it the same finding again, where that is not its subject alone.
    #[must_use]
    pub fn class(mut self, identities: impl IntoIterator<Item = String>) -> Self {
        self.class = identities.into_iter().collect();
        self
    }

    /// What it touches, besides its subject.
    #[must_use]
    pub fn touching(mut self, resources: impl IntoIterator<Item = ResourceKey>) -> Self {
        self.scope.resources.extend(resources);
        self
    }

    /// The tasks that it touches, besides its subject, and their spawn sites.
    #[must_use]
    pub fn touching_tasks(mut self, evidence: &Evidence<'_>, tasks: impl IntoIterator<Item = TaskKey>) -> Self {
        for task in tasks {
            self.scope.tasks.push(task);
            self.scope
                .sites
                .extend(evidence.task(task).map(|task| task.site).filter(|it| !self.scope.sites.contains(it)));
        }
        self
    }

    /// The spawn sites that it touches, besides its subject.
    #[must_use]
    pub fn touching_sites(mut self, sites: impl IntoIterator<Item = SiteKey>) -> Self {
        self.scope.sites.extend(sites);
        self
    }

    /// When what it complains of last made progress.
    #[must_use]
    pub fn last_progress(mut self, at: Option<Timestamp>) -> Self {
        self.scope.last_progress = at;
        self
    }

    /// Since when it stalls others.
    #[must_use]
    pub fn stalls_since(mut self, since: Timestamp) -> Self {
        self.scope.stalls_since = Some(since);
        self
    }

    /// What it touches.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// By how much it exceeds its thresholds.
    #[must_use]
    pub fn strength(mut self, strength: f64) -> Self {
        self.strength = strength;
        self
    }

    /// Whether a firing finding keeps its severity.
    #[must_use]
    pub fn keeps_severity(mut self, keeps: bool) -> Self {
        self.keeps_severity = keeps;
        self
    }

    /// The same symptom as the newest sighting of a firing finding, of which this was the last.
    #[must_use]
    pub(super) fn following(mut self, last: &Self) -> Self {
        if self.keeps_severity && last.severity > self.severity {
            (self.severity, self.look_alikes) = (last.severity, last.look_alikes.clone());
        }
        self
    }

    /// Since when the problem has lasted.
    #[must_use]
    pub fn since(mut self, since: Option<Timestamp>) -> Self {
        self.since = since;
        self
    }
}
