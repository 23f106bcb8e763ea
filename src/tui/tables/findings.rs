//! The list of findings.

use ratatui::style::Style;

use super::Listing;
use crate::report::columns::Value;
use crate::report::findings::FindingColumn;
use crate::report::order::{Rows, Wanted};
use crate::report::{FindingKey, Link, Snapshot, State};
use crate::tui::theme::Theme;
use crate::tui::widgets::table::Column;

/// All findings.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings;

impl Listing for Findings {
    type Key = FindingKey;
    type Column = FindingColumn;
    type Scope = ();

    const NOUN: &'static str = "finding";
    const COLUMNS: &'static [Column<FindingColumn>] = &[
        Column::text(FindingColumn::Severity, 9, 1, 0).largest_first(),
        Column::text(FindingColumn::Detector, 16, 1, 0),
        Column::text(FindingColumn::What, 24, 2, 3),
        Column::text(FindingColumn::Place, 24, 2, 2),
        Column::number(FindingColumn::Since, 7, 0),
        Column::number(FindingColumn::Count, 7, 1),
    ];
    const SORTED_BY: FindingColumn = FindingColumn::Severity;

    fn rows(shown: &Snapshot<'_>, (): &(), wanted: &Wanted<'_, FindingColumn>) -> Rows<FindingKey> {
        shown.findings(wanted)
    }

    fn value<'a>(shown: &'a Snapshot<'_>, key: &FindingKey, column: FindingColumn) -> Value<'a> {
        match (column, shown.finding_standing(key)) {
            (FindingColumn::Severity, Some((State::Resolved, _))) => Value::text(State::Resolved.as_str()),
            _ => shown.finding_value(key, column),
        }
    }

    fn is_over(shown: &Snapshot<'_>, key: &FindingKey) -> bool {
        shown.finding_standing(key).is_none_or(|(state, _)| state == State::Resolved)
    }

    fn link(key: &FindingKey) -> Option<Link> {
        Some(Link::Finding(key.clone()))
    }

    fn style(shown: &Snapshot<'_>, key: &FindingKey, column: FindingColumn, theme: &Theme) -> Style {
        match (column, shown.finding_standing(key)) {
            (FindingColumn::Severity, Some((state, severity))) if state != State::Resolved => theme.severity(severity),
            _ => Style::new(),
        }
    }
}
