//! What happened to a target in the order of time: findings that opened and closed, beside its vital signs.

use std::time::{Duration, SystemTime};

use super::connection::clock;
use super::findings::{FindingKey, FindingRow, row};
use super::order::{Filter, Order};
use super::snapshot::Snapshot;
use crate::detect::finding::Finding;
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

    /// Everything in it that a reader may look for.
    fn texts(&self) -> [String; 5] {
        let finding = &self.finding;
        let words = [self.turn.as_str(), finding.severity.as_str(), finding.detector, finding.title].map(str::to_owned);
        let [turn, severity, detector, title] = words;
        [turn, severity, detector, title, finding.place()]
    }

    /// The time of the day in UTC.
    pub fn time_of_day(&self) -> String {
        time_of_day(self.at)
    }

    /// How long after the first thing that is known.
    pub fn offset_in_words(&self) -> String {
        format!("+{}", clock(self.offset))
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
        let begins = self.begins();
        let mut open: Vec<(&str, Severity)> = Vec::new();
        let mut rows = Vec::new();
        for (at, transition) in self.member.history() {
            let finding = &transition.finding;
            let Some(turn) = turn(&mut open, finding) else { continue };
            let offset = begins.and_then(|begins| at.duration_since(begins).ok()).unwrap_or_default();
            rows.push(TimelineRow { at, offset, turn, finding: row(finding, transition.at) });
        }
        rows
    }
}

impl Snapshot<'_> {
    /// The rows of the timeline that a filter accepts, in order.
    pub fn timeline_keys(&self, order: Order<TimelineColumn>, filter: Option<Filter<'_>>) -> Vec<TimelineKey> {
        let mut rows = self.timeline();
        rows.retain(|row| filter.is_none_or(|accepts| row.texts().iter().any(|text| accepts(text))));
        // They are in the order of time, and sorting keeps the order of what is equal.
        match order.by {
            TimelineColumn::Time | TimelineColumn::Offset => {}
            TimelineColumn::Turn => rows.sort_by_key(|row| row.turn),
            TimelineColumn::Severity => rows.sort_by_key(|row| row.finding.severity),
            TimelineColumn::Detector => rows.sort_by_key(|row| row.finding.detector),
            TimelineColumn::Place => rows.sort_by_key(|row| row.finding.place()),
        }
        if order.descending {
            rows.reverse();
        }
        rows.iter().map(TimelineRow::key).collect()
    }

    /// A row of the timeline, unless that was forgotten.
    pub fn timeline_row(&self, key: &TimelineKey) -> Option<TimelineRow> {
        self.timeline().into_iter().find(|row| row.key() == *key)
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
        // Its opening is so long ago that it is not kept.
        (State::Resolved, None) => Some(Turn::Resolved),
        (State::Firing | State::Pending, _) => None,
    }
}
