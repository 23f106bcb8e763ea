//! What happened to a target in the order of time: findings that opened and closed, beside its vital signs.

use std::time::{Duration, SystemTime};

use super::columns::{Column, Kind, Spec, Value, column};
use super::connection::clock;
use super::findings::{FindingKey, FindingRow, row};
use super::order::{Rows, Wanted};
use super::snapshot::Snapshot;
use crate::detect::finding::{Finding, Transition};
use crate::detect::severity::{Severity, State};

/// What became of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// It opened.
    Opened,
    /// It became worse.
    Worsened,
    /// It closed.
    Resolved,
}

impl Turn {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Worsened => "worse",
            Self::Resolved => "resolved",
        }
    }
}

/// Something that became of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineRow {
    /// When it was reported, by our clock; of a recording, by that of the recorder.
    pub at: SystemTime,
    /// How long after the first thing that is known.
    pub offset: Duration,
    /// What became of it.
    pub turn: Turn,
    /// The finding as it was then.
    pub finding: FindingRow,
}

/// Which row: a finding may open several times.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimelineKey {
    /// When.
    pub at: SystemTime,
    /// What became of which finding.
    pub turn: Turn,
    /// The finding.
    pub finding: FindingKey,
}

impl TimelineRow {
    /// Which row it is.
    pub fn key(&self) -> TimelineKey {
        TimelineKey { at: self.at, turn: self.turn, finding: self.finding.key.clone() }
    }

    /// What it has in a column.
    pub fn value(&self, column: TimelineColumn) -> Value<'_> {
        let finding = &self.finding;
        match column {
            TimelineColumn::Time => Value::Text(time_of_day(self.at).into()),
            TimelineColumn::Offset => Value::Ranked(self.offset.as_nanos(), format!("+{}", clock(self.offset)).into()),
            TimelineColumn::Turn => Value::Ranked(self.turn as u128, self.turn.as_str().into()),
            TimelineColumn::Severity => Value::Ranked(finding.severity as u128, finding.severity.as_str().into()),
            TimelineColumn::Detector => Value::text(finding.detector),
            TimelineColumn::Place => Value::Place(finding.place().into()),
        }
    }
}

/// A column of a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimelineColumn {
    /// When.
    Time,
    /// How long after the begin.
    Offset,
    /// What became of it.
    Turn,
    /// How bad it was.
    Severity,
    /// The detector that reported it.
    Detector,
    /// Where.
    Place,
}

impl Column for TimelineColumn {
    const SPECS: &'static [Spec<Self>] = &[
        column(Self::Time, "UTC", "time", Kind::Text, "time of the day, in UTC"),
        column(Self::Offset, "after", "after", Kind::Time, "time since the first thing that is known of the target"),
        column(Self::Turn, "what", "what", Kind::Text, "opened, worse or resolved"),
        column(Self::Severity, "severity", "severity", Kind::Text, "critical, warning or info"),
        column(Self::Detector, "finding", "finding", Kind::Text, "detector that reported it"),
        column(Self::Place, "where", "site", Kind::Text, "name and place that say most about it"),
    ];
}

/// The time of the day in UTC: `00:15:30`.
pub fn time_of_day(at: SystemTime) -> String {
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

impl Snapshot<'_> {
    /// When the first thing that is known of the target arrived: the begin of a recording that is played, or its first update.
    pub fn begins(&self) -> Option<SystemTime> {
        let played = self.member.playing().map(|playing| playing.begins);
        played.or_else(|| Some(self.diagnosis().vital_samples().next()?.from))
    }

    /// What became of findings lately, oldest first.
    pub fn timeline(&self) -> Vec<TimelineRow> {
        let mut open: Vec<(&str, Severity)> = Vec::new();
        let mut rows = Vec::new();
        for (at, transition) in self.member.history() {
            let finding = &transition.finding;
            let Some(turn) = turn(&mut open, finding) else { continue };
            rows.push(self.timeline_row_of(at, transition, turn));
        }
        rows
    }
}

impl Snapshot<'_> {
    fn timeline_row_of(&self, at: SystemTime, transition: &Transition, turn: Turn) -> TimelineRow {
        let offset = self.begins().and_then(|begins| at.duration_since(begins).ok()).unwrap_or_default();
        TimelineRow { at, offset, turn, finding: row(&transition.finding, transition.at) }
    }

    /// The rows of the timeline that are wanted.
    pub fn timeline_keys(&self, wanted: &Wanted<'_, TimelineColumn>) -> Rows<TimelineKey> {
        let mut rows = self.timeline();
        rows.retain(|row| wanted.query.accepts(|column| row.value(column)));
        // They are in the order of time, and sorting keeps the order of what is equal.
        if wanted.order.by != TimelineColumn::Time {
            rows.sort_by(|one, other| one.value(wanted.order.by).cmp(&other.value(wanted.order.by)));
        }
        if wanted.order.descending {
            rows.reverse();
        }
        Rows::new(rows.iter().map(TimelineRow::key).collect())
    }

    /// A row of the timeline, unless that was forgotten.
    pub fn timeline_row(&self, key: &TimelineKey) -> Option<TimelineRow> {
        let is_over = key.turn == Turn::Resolved;
        let (at, transition) = self.member.history().find(|(at, transition)| {
            let finding = &transition.finding;
            let is_turn = (finding.state == State::Resolved) == is_over && finding.state != State::Pending;
            *at == key.at && is_turn && key.finding.is_of(finding)
        })?;
        Some(self.timeline_row_of(at, transition, key.turn))
    }
}

/// What became of a finding, given those that are open; nothing for what is not shown.
fn turn<'a>(open: &mut Vec<(&'a str, Severity)>, finding: &'a Finding) -> Option<Turn> {
    let known = open.iter().position(|(fingerprint, _)| *fingerprint == finding.fingerprint);
    match (finding.state, known) {
        (State::Resolved, Some(known)) => {
            open.swap_remove(known);
            Some(Turn::Resolved)
        }
        (State::Firing, None) if finding.is_shown() => {
            open.push((&finding.fingerprint, finding.severity()));
            Some(Turn::Opened)
        }
        (State::Firing, Some(known)) if finding.severity() > open[known].1 => {
            open[known].1 = finding.severity();
            Some(Turn::Worsened)
        }
        // The journal no longer holds its opening.
        (State::Resolved, None) => Some(Turn::Resolved),
        (State::Firing | State::Pending, _) => None,
    }
}
