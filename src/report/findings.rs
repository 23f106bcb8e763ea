//! Findings as rows of a list: those that hold, worst first, and below them those that are resolved.

use std::time::Duration;

use super::columns::{Column, Kind, Spec, Value, column};
use super::filter::Query;
use super::order::{Order, Rows, Wanted};
use super::place::{lead, named_place};
use super::snapshot::Snapshot;
use crate::detect::finding::Finding;
use crate::detect::severity::{Grade, Severity, State};
use crate::fleet::{Fleet, TargetId};
use crate::model::time::Timestamp;

/// Which finding: one of the same class may come again after it was resolved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FindingKey {
    fingerprint: String,
    first_seen: Timestamp,
}

impl FindingKey {
    pub(super) fn of(finding: &Finding) -> Self {
        Self { fingerprint: finding.fingerprint.clone(), first_seen: finding.first_seen }
    }

    /// Whether it is the key of this finding.
    pub(super) fn is_of(&self, finding: &Finding) -> bool {
        self.first_seen == finding.first_seen && self.fingerprint == finding.fingerprint
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
    /// Where it stands.
    State,
    /// What it is.
    What,
    /// The detector that reported it.
    Detector,
    /// The family of that.
    Family,
    /// What kind of statement it is.
    Grade,
    /// Where.
    Place,
    /// The sentence.
    Summary,
    /// For how long.
    Since,
    /// How many are affected.
    Count,
}

impl Column for FindingColumn {
    const SPECS: &'static [Spec<Self>] = &[
        column(Self::Severity, "severity", "severity", Kind::Text, "critical, warning or info"),
        column(Self::Detector, "finding", "finding", Kind::Text, "detector that reported it"),
        column(Self::What, "what", "what", Kind::Text, "what the detector finds"),
        column(Self::Place, "where", "site", Kind::Text, "name and place that say most about it"),
        column(
            Self::Since,
            "since",
            "age",
            Kind::Time,
            "age of the problem; of a resolved one, time since it was last seen",
        ),
        column(Self::Count, "count", "count", Kind::Count, "number of tasks or resources affected"),
        column(Self::State, "state", "state", Kind::Text, "firing or resolved"),
        column(Self::Family, "family", "family", Kind::Text, "family of the detector"),
        column(Self::Grade, "grade", "grade", Kind::Text, "proof, risk or trend"),
        column(Self::Summary, "says", "says", Kind::Text, "sentence of the finding"),
    ];
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
    /// The findings that are wanted. Resolved ones come after the others whatever the order.
    pub fn findings(&self, wanted: &Wanted<'_, FindingColumn>) -> Rows<FindingKey> {
        let mut firing = self.diagnosis().findings();
        let mut resolved: Vec<&Finding> = self.diagnosis().resolved().collect();
        resolved.reverse();
        let (order, now) = (wanted.order, self.now());
        for findings in [&mut firing, &mut resolved] {
            if !wanted.query.is_empty() {
                findings.retain(|finding| wanted.query.accepts(|column| value(finding, now, column)));
            }
            // They are in the order in which they are read, and sorting keeps the order of what is equal.
            match order.by {
                FindingColumn::Severity if order.descending => {}
                FindingColumn::Severity => findings.reverse(),
                by => findings.sort_by(|one, other| {
                    let ascending = value(one, now, by).cmp(&value(other, now, by));
                    if order.descending { ascending.reverse() } else { ascending }
                }),
            }
        }
        let over = resolved.len();
        let keys = firing.into_iter().chain(resolved).map(FindingKey::of).collect();
        let tally = if over == 0 { Vec::new() } else { vec![(over, "of them resolved")] };
        Rows { tally, ..Rows::new(keys) }
    }

    /// The finding of a class: the one that holds, or the one that was resolved last.
    pub fn finding_of(&self, fingerprint: &str) -> Option<FindingKey> {
        let (diagnosis, is_it) = (self.diagnosis(), |it: &&Finding| it.fingerprint == fingerprint);
        let held = diagnosis.engine().finding(fingerprint);
        held.or_else(|| diagnosis.resolved().filter(is_it).last()).map(FindingKey::of)
    }

    /// The findings that there are now, in the order in which they are read.
    pub fn current_findings(&self) -> Vec<FindingKey> {
        self.diagnosis().findings().into_iter().map(FindingKey::of).collect()
    }

    /// What a list shows of a finding in a column; nothing if it was forgotten.
    pub fn finding_value(&self, key: &FindingKey, column: FindingColumn) -> Value<'static> {
        let Some(finding) = self.find(key) else { return Value::Nothing };
        let shown = value(finding, self.now(), column).into_owned();
        match (column, shown, self.with(finding).len()) {
            (FindingColumn::What, Value::Text(title), with @ 2..) => {
                Value::Text(format!("on {with} of {} targets: {title}", self.fleet.members().len()).into())
            }
            (_, shown, _) => shown,
        }
    }

    /// Where a finding stands and how bad it is, unless it was forgotten.
    pub fn finding_standing(&self, key: &FindingKey) -> Option<(State, Severity)> {
        self.find(key).map(|finding| (finding.state, finding.severity()))
    }

    /// All findings, resolved ones after the others, in the order in which they are read.
    pub fn all_findings(&self) -> Vec<FindingKey> {
        let order = Order { by: FindingColumn::Severity, descending: true };
        self.findings(&Wanted { order, query: &Query::default(), all: true }).keys
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
        let is_it = |finding: &&Finding| key.is_of(finding);
        engine.finding(&key.fingerprint).filter(is_it).or_else(|| engine.resolved().find(is_it))
    }
}

/// A finding in a list of the findings of all targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetFinding {
    /// The target that has it worst.
    pub target: TargetId,
    /// That target, or how many have it: `3 of 5 pods`.
    pub on: String,
    /// What a list says of it.
    pub row: FindingRow,
}

/// The present findings of all targets, those of one class as one, in the order in which they are read.
pub fn of_fleet(fleet: &Fleet) -> Vec<FleetFinding> {
    let rows = fleet.findings().into_iter().filter_map(|shared| {
        let (member, finding) = *shared.members.first()?;
        let on = match shared.members.len() {
            1 => member.diagnosis().target().to_owned(),
            many => format!("{many} of {} {}", fleet.members().len(), fleet.noun()),
        };
        Some(FleetFinding { target: member.id(), on, row: row(finding, member.diagnosis().now()) })
    });
    rows.collect()
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

/// What a list shows of a finding at a time of the target's, apart from other targets.
fn value(finding: &Finding, now: Timestamp, column: FindingColumn) -> Value<'_> {
    match column {
        FindingColumn::Severity => Value::Ranked(finding.severity() as u128, finding.severity().as_str().into()),
        FindingColumn::State => Value::text(finding.state.as_str()),
        FindingColumn::What => Value::text(finding.detector.title),
        FindingColumn::Detector => Value::text(finding.detector.id),
        FindingColumn::Family => Value::text(finding.detector.family.as_str()),
        FindingColumn::Grade => Value::Ranked(finding.grade() as u128, finding.grade().as_str().into()),
        FindingColumn::Place => {
            let (name, location) = lead(&finding.symptom);
            Value::Place(format!("{name} {location}").trim().to_owned().into())
        }
        FindingColumn::Summary => Value::text(&finding.symptom.summary),
        FindingColumn::Since => Value::time(Some(since(finding, now))),
        FindingColumn::Count => Value::count(finding.symptom.subject.count),
    }
}
