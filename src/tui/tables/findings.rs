//! The list of findings.

use super::Listing;
use crate::report::findings::{FindingColumn, FindingRow};
use crate::report::order::{Filter, Order};
use crate::report::{FindingKey, Snapshot, State};
use crate::tui::theme::Theme;
use crate::tui::widgets::table::{Cell, Column, Width};
use crate::words;

/// All findings.
#[derive(Debug)]
pub struct Findings;

impl Listing for Findings {
    type Key = FindingKey;
    type Row = FindingRow;
    type Column = FindingColumn;

    const COLUMNS: &'static [Column<FindingColumn>] = &[
        Column::text(FindingColumn::Severity, "severity", Width::Fixed(9), 0).largest_first(),
        Column::text(FindingColumn::Detector, "finding", Width::Fixed(16), 0),
        Column::text(FindingColumn::What, "what", Width::Flexible { least: 24, share: 2 }, 3),
        // Findings of one detector differ by their places.
        Column::text(FindingColumn::Place, "where", Width::Flexible { least: 24, share: 2 }, 0).keeping_the_end(),
        Column::number(FindingColumn::Since, "since", 7, 0),
        Column::number(FindingColumn::Count, "count", 7, 1),
    ];
    const SORTED_BY: FindingColumn = FindingColumn::Severity;

    fn order(shown: &Snapshot<'_>, order: Order<FindingColumn>, filter: Option<Filter<'_>>) -> Vec<FindingKey> {
        shown.findings(order, filter)
    }

    fn row(shown: &Snapshot<'_>, key: &FindingKey) -> Option<FindingRow> {
        shown.finding_row(key)
    }

    fn cell(row: &FindingRow, column: FindingColumn, theme: &Theme) -> Cell {
        match column {
            FindingColumn::Severity if Self::is_over(row) => row.state.as_str().to_owned().into(),
            FindingColumn::Severity => Cell::styled(row.severity.as_str(), theme.severity(row.severity)),
            FindingColumn::What => match row.spread {
                Some((with, of)) => format!("on {with} of {of} targets: {}", row.title).into(),
                None => row.title.to_owned().into(),
            },
            FindingColumn::Detector => row.detector.to_owned().into(),
            FindingColumn::Place => format!("{} {}", row.name, row.location).trim().to_owned().into(),
            FindingColumn::Since => words::duration(row.since).into(),
            FindingColumn::Count => words::number(row.count).into(),
        }
    }

    fn is_over(row: &FindingRow) -> bool {
        row.state == State::Resolved
    }
}
