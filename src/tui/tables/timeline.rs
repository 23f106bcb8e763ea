//! The timeline: what became of findings, in the order of time.

use super::Listing;
use crate::report::Snapshot;
use crate::report::order::{Filter, Order};
use crate::report::timeline::{TimelineColumn, TimelineKey, TimelineRow, Turn};
use crate::tui::theme::Theme;
use crate::tui::widgets::table::{Cell, Column, Width};

/// Everything that became of findings lately.
#[derive(Debug)]
pub struct Timeline;

impl Listing for Timeline {
    type Key = TimelineKey;
    type Row = TimelineRow;
    type Column = TimelineColumn;

    const COLUMNS: &'static [Column<TimelineColumn>] = &[
        Column::text(TimelineColumn::Time, "UTC", Width::Fixed(9), 0).largest_first(),
        Column::text(TimelineColumn::Offset, "after", Width::Fixed(9), 1).largest_first(),
        Column::text(TimelineColumn::Turn, "what", Width::Fixed(9), 0),
        Column::text(TimelineColumn::Severity, "severity", Width::Fixed(9), 2).largest_first(),
        Column::text(TimelineColumn::Detector, "finding", Width::Fixed(16), 0),
        Column::text(TimelineColumn::Place, "where", Width::Flexible { least: 24, share: 1 }, 3).keeping_the_end(),
    ];
    const SORTED_BY: TimelineColumn = TimelineColumn::Time;

    fn order(shown: &Snapshot<'_>, order: Order<TimelineColumn>, filter: Option<Filter<'_>>) -> Vec<TimelineKey> {
        shown.timeline_keys(order, filter)
    }

    fn row(shown: &Snapshot<'_>, key: &TimelineKey) -> Option<TimelineRow> {
        shown.timeline_row(key)
    }

    fn cell(row: &TimelineRow, column: TimelineColumn, theme: &Theme) -> Cell {
        let finding = &row.finding;
        match column {
            TimelineColumn::Time => row.time_of_day().into(),
            TimelineColumn::Offset => row.offset_in_words().into(),
            TimelineColumn::Turn => row.turn.as_str().to_owned().into(),
            TimelineColumn::Severity if Self::is_over(row) => finding.severity.as_str().to_owned().into(),
            TimelineColumn::Severity => Cell::styled(finding.severity.as_str(), theme.severity(finding.severity)),
            TimelineColumn::Detector => finding.detector.to_owned().into(),
            TimelineColumn::Place => finding.place().into(),
        }
    }

    fn is_over(row: &TimelineRow) -> bool {
        row.turn == Turn::Resolved
    }
}
