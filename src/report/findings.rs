//! Findings as rows of a list: those that hold, worst first, and below them those that are resolved.

use std::time::Duration;

use super::order::{Filter, Order};
use super::place::{lead, named_place};
use super::snapshot::Snapshot;
use crate::detect::finding::Finding;
use crate::detect::severity::{Grade, Severity, State};
use crate::model::time::Timestamp;

/// Which finding: one of the same class may come again after it was resolved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FindingKey {
    fingerprint: String,
    first_seen: Timestamp,
}

impl FindingKey {
    fn of(finding: &Finding) -> Self {
        Self { fingerprint: finding.fingerprint.clone(), first_seen: finding.first_seen }
    }

    /// What makes it the same finding again, in every run.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

/// A column of a list of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingColumn {
    /// How bad: the order in which findings are read.
    Severity,
    /// What it is.
    What,
    /// The detector that reported it.
    Detector,
    /// Where.
    Place,
    /// For how long.
    Since,
    /// How many are affected.
    Count,
}

/// A finding in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingRow {
    /// Which finding.
    pub key: FindingKey,
    /// The id of the detector that reported it.
    pub detector: &'static str,
    /// What that detector finds, in a few words.
    pub title: &'static str,
    /// Where it stands.
    pub state: State,
    /// How bad it is.
    pub severity: Severity,
    /// What kind of statement it is.
    pub grade: Grade,
    /// The name of what a reader should look at first; empty if it has none.
    pub name: String,
    /// Its place; empty if that is not known.
    pub location: String,
    /// How old the problem is; of a resolved one, how long ago it was last seen.
    pub since: Duration,
    /// How many tasks or resources are affected.
    pub count: usize,
    /// How many of how many targets have it now, where several do.
    pub spread: Option<(usize, usize)>,
}

impl FindingRow {
    /// The name and the place in a sentence; empty if neither is known.
    pub fn place(&self) -> String {
        named_place(&self.name, &self.location)
    }
}

impl Snapshot<'_> {
    /// The findings that a filter accepts, in order. Resolved ones come after the others whatever the order.
    pub fn findings(&self, order: Order<FindingColumn>, filter: Option<Filter<'_>>) -> Vec<FindingKey> {
        let mut firing = self.diagnosis().findings();
        let mut resolved: Vec<&Finding> = self.diagnosis().resolved().collect();
        resolved.reverse();
        let now = self.now();
        for findings in [&mut firing, &mut resolved] {
            findings.retain(|finding| filter.is_none_or(|accepts| has_text(finding, accepts)));
            // They are in the order in which they are read, and sorting keeps the order of what is equal.
            match order.by {
                FindingColumn::Severity if order.descending => {}
                FindingColumn::Severity => findings.reverse(),
                FindingColumn::What => sort(findings, order, |it| it.detector.title),
                FindingColumn::Detector => sort(findings, order, |it| it.detector.id),
                FindingColumn::Place => {
                    sort(findings, order, |it| (it.symptom.subject.name.clone(), it.symptom.subject.location.clone()));
                }
                FindingColumn::Since => sort(findings, order, |it| since(it, now)),
                FindingColumn::Count => sort(findings, order, |it| it.symptom.subject.count),
            }
        }
        firing.into_iter().chain(resolved).map(FindingKey::of).collect()
    }

    /// The finding of a class: the one that holds, or the one that was resolved last.
    pub fn finding_of(&self, fingerprint: &str) -> Option<FindingKey> {
        let (diagnosis, is_it) = (self.diagnosis(), |it: &&Finding| it.fingerprint == fingerprint);
        let held = diagnosis.engine().finding(fingerprint);
        held.or_else(|| diagnosis.resolved().filter(is_it).last()).map(FindingKey::of)
    }

    /// How many findings have been resolved and are still listed.
    pub fn resolved(&self) -> usize {
        self.diagnosis().resolved().count()
    }

    /// A finding as a row, unless it was forgotten.
    pub fn finding_row(&self, key: &FindingKey) -> Option<FindingRow> {
        let finding = self.find(key)?;
        let with = self.with(finding).len();
        let spread = (with > 1).then(|| (with, self.fleet.members().len()));
        Some(FindingRow { spread, ..row(finding, self.now()) })
    }

    /// The finding of a key, unless it was forgotten.
    pub(super) fn find(&self, key: &FindingKey) -> Option<&Finding> {
        let engine = self.diagnosis().engine();
        let is_it = |finding: &&Finding| finding.first_seen == key.first_seen && finding.fingerprint == key.fingerprint;
        engine.finding(&key.fingerprint).filter(is_it).or_else(|| engine.resolved().find(is_it))
    }
}

/// A finding as a row, at a time of the target's.
pub(super) fn row(finding: &Finding, now: Timestamp) -> FindingRow {
    let (name, location) = lead(&finding.symptom);
    FindingRow {
        key: FindingKey::of(finding),
        detector: finding.detector.id,
        title: finding.detector.title,
        state: finding.state,
        severity: finding.severity(),
        grade: finding.grade(),
        name,
        location,
        since: since(finding, now),
        count: finding.symptom.subject.count,
        spread: None,
    }
}

fn since(finding: &Finding, now: Timestamp) -> Duration {
    now.since(if finding.state == State::Resolved { finding.last_seen } else { finding.since })
}

fn has_text(finding: &Finding, accepts: Filter<'_>) -> bool {
    accepts(finding.severity().as_str())
        || accepts(finding.detector.id)
        || accepts(finding.detector.title)
        || accepts(&finding.symptom.summary)
        || accepts(&finding.symptom.subject.name)
        || accepts(&finding.symptom.subject.location)
}

fn sort<K: Ord>(findings: &mut [&Finding], order: Order<FindingColumn>, key: impl Fn(&Finding) -> K) {
    findings.sort_by(|one, other| {
        let ascending = key(one).cmp(&key(other));
        if order.descending { ascending.reverse() } else { ascending }
    });
}
