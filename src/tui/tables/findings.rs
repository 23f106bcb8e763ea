//! The list of findings: those that hold, worst first, and under them those that are over.

use ratatui::style::Style;

use super::{Filter, Listing, Look, Sort, descending};
use crate::detect::finding::Finding;
use crate::detect::severity::State;
use crate::diagnosis::Diagnosis;
use crate::model::time::Timestamp;
use crate::tui::format::{grouped, short};
use crate::tui::widgets::table::{Cell, Column, Width};

/// Which finding: one of the same kind may come again after it was over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FindingKey {
    fingerprint: String,
    first_seen: Timestamp,
}

impl FindingKey {
    /// The key of a finding.
    pub fn of(finding: &Finding) -> Self {
        Self { fingerprint: finding.fingerprint.clone(), first_seen: finding.first_seen }
    }

    /// The finding of this key, unless it is forgotten.
    pub fn find<'a>(&self, diagnosis: &'a Diagnosis) -> Option<&'a Finding> {
        let engine = diagnosis.engine();
        let is_it =
            |finding: &&Finding| finding.fingerprint == self.fingerprint && finding.first_seen == self.first_seen;
        engine.findings().find(is_it).or_else(|| engine.resolved().find(is_it))
    }
}

/// A column of the list of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingColumn {
    /// How bad.
    Severity,
    /// What it is.
    What,
    /// The detector that found it.
    Detector,
    /// Where.
    Where,
    /// For how long.
    Since,
    /// How many are affected.
    Count,
}

/// All findings.
#[derive(Debug)]
pub struct Findings;

impl Listing for Findings {
    type Key = FindingKey;
    type Column = FindingColumn;

    const COLUMNS: &'static [Column<FindingColumn>] = &[
        Column::text(FindingColumn::Severity, "severity", Width::Fixed(9), 0).largest_first(),
        Column::text(FindingColumn::Detector, "finding", Width::Fixed(16), 0),
        Column::text(FindingColumn::What, "what", Width::Flexible { least: 24, share: 2 }, 3),
        Column::text(FindingColumn::Where, "where", Width::Flexible { least: 24, share: 2 }, 2).keeping_the_end(),
        Column::number(FindingColumn::Since, "since", 7, 0),
        Column::number(FindingColumn::Count, "count", 7, 1),
    ];
    const SORTED_BY: FindingColumn = FindingColumn::Severity;

    fn order(diagnosis: &Diagnosis, sort: Sort<FindingColumn>, filter: &Filter) -> Vec<FindingKey> {
        let mut firing = diagnosis.findings();
        let mut resolved: Vec<&Finding> = diagnosis.resolved().collect();
        resolved.reverse();
        for findings in [&mut firing, &mut resolved] {
            findings.retain(|finding| filter.is_empty() || matches(finding, filter));
            // The diagnosis has put the worst first already, and sorting keeps the order of what is equal.
            let backwards = descending::<Self>(sort);
            match sort.by {
                FindingColumn::Severity if sort.inverted => findings.reverse(),
                FindingColumn::Severity => {}
                FindingColumn::What => by(findings, backwards, |it| it.detector.title.to_owned()),
                FindingColumn::Detector => by(findings, backwards, |it| it.detector.id.to_owned()),
                FindingColumn::Where => by(findings, backwards, place),
                FindingColumn::Since => by(findings, backwards, |it| diagnosis.now().since(it.first_seen)),
                FindingColumn::Count => by(findings, backwards, |it| it.symptom.subject.count),
            }
        }
        firing.into_iter().chain(resolved).map(FindingKey::of).collect()
    }

    fn cell(look: &Look<'_>, key: &FindingKey, column: FindingColumn) -> Cell {
        let Some(finding) = key.find(look.diagnosis) else { return Cell::default() };
        let over = finding.state == State::Resolved;
        match column {
            FindingColumn::Severity if over => "resolved".to_owned().into(),
            FindingColumn::Severity => {
                Cell::styled(finding.severity().as_str(), look.theme.severity(finding.severity()))
            }
            FindingColumn::What => finding.detector.title.to_owned().into(),
            FindingColumn::Detector => finding.detector.id.to_owned().into(),
            FindingColumn::Where => place(finding).into(),
            FindingColumn::Since => short(since(finding, look.diagnosis)).into(),
            FindingColumn::Count => grouped(u64::try_from(finding.symptom.subject.count).unwrap_or(u64::MAX)).into(),
        }
    }

    fn style(look: &Look<'_>, key: &FindingKey) -> Style {
        let over = key.find(look.diagnosis).is_none_or(|finding| finding.state == State::Resolved);
        if over { look.theme.dim() } else { Style::new() }
    }
}

/// For how long a finding has held; one that is over, how long ago it was last seen.
pub fn since(finding: &Finding, diagnosis: &Diagnosis) -> std::time::Duration {
    let from = if finding.state == State::Resolved { finding.last_seen } else { finding.first_seen };
    diagnosis.now().since(from)
}

fn place(finding: &Finding) -> String {
    let subject = &finding.symptom.subject;
    match (subject.name.as_str(), subject.location.as_str()) {
        (name, "") => name.to_owned(),
        ("", location) => location.to_owned(),
        (name, location) => format!("{name} {location}"),
    }
}

fn by<K: Ord>(findings: &mut [&Finding], backwards: bool, key: impl Fn(&Finding) -> K) {
    findings.sort_by(|one, other| {
        let order = key(one).cmp(&key(other));
        if backwards { order.reverse() } else { order }
    });
}

fn matches(finding: &Finding, filter: &Filter) -> bool {
    filter.finds(finding.severity().as_str())
        || filter.finds(finding.detector.id)
        || filter.finds(finding.detector.title)
        || filter.finds(&finding.symptom.summary)
        || filter.finds(&place(finding))
}
