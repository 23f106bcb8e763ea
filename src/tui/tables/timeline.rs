//! The timeline: what became of findings, in the order of time.

use ratatui::style::Style;

use super::Listing;
use crate::report::columns::Value;
use crate::report::order::{Rows, Wanted};
use crate::report::timeline::{TimelineColumn, TimelineKey, Turn};
use crate::report::{Link, Snapshot};
use crate::tui::theme::Theme;
use crate::tui::widgets::table::Column;

/// Everything that became of findings lately.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline;

impl Listing for Timeline {
    type Key = TimelineKey;
    type Column = TimelineColumn;
    type Scope = ();

    const NOUN: &'static str = "change";
    const COLUMNS: &'static [Column<TimelineColumn>] = &[
        Column::text(TimelineColumn::Time, 9, 1, 0).largest_first(),
        Column::text(TimelineColumn::Offset, 9, 1, 1).largest_first(),
        Column::text(TimelineColumn::Turn, 9, 1, 0),
        Column::text(TimelineColumn::Severity, 9, 1, 2).largest_first(),
        Column::text(TimelineColumn::Detector, 16, 1, 0),
        Column::text(TimelineColumn::Place, 24, 2, 3),
    ];
    const SORTED_BY: TimelineColumn = TimelineColumn::Time;

    fn rows(shown: &Snapshot<'_>, (): &(), wanted: &Wanted<'_, TimelineColumn>) -> Rows<TimelineKey> {
        shown.timeline_keys(wanted)
    }

    fn value<'a>(shown: &'a Snapshot<'_>, key: &TimelineKey, column: TimelineColumn) -> Value<'a> {
        shown.timeline_row(key).map_or(Value::Nothing, |row| row.value(column).into_owned())
    }

    fn is_over(_: &Snapshot<'_>, key: &TimelineKey) -> bool {
        key.turn == Turn::Resolved
    }

    fn link(key: &TimelineKey) -> Option<Link> {
        Some(Link::Finding(key.finding.clone()))
    }

    fn style(shown: &Snapshot<'_>, key: &TimelineKey, column: TimelineColumn, theme: &Theme) -> Style {
        match (column, key.turn, shown.timeline_row(key)) {
            (TimelineColumn::Severity, Turn::Opened | Turn::Worsened, Some(row)) => {
                theme.severity(row.finding.severity)
            }
            _ => Style::new(),
        }
    }
}
