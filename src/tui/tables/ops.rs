//! The list of the async ops on a resource.

use ratatui::style::Style;

use super::Listing;
use crate::report::columns::Value;
use crate::report::ops::OpColumn;
use crate::report::order::{Rows, Wanted};
use crate::report::{Link, OpKey, ResourceKey, Snapshot};
use crate::tui::theme::Theme;
use crate::tui::widgets::table::Column;

/// The ops on one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Ops;

impl Listing for Ops {
    type Key = OpKey;
    type Column = OpColumn;
    type Scope = ResourceKey;

    const NOUN: &'static str = "op";
    const COLUMNS: &'static [Column<OpColumn>] = &[
        Column::number(OpColumn::Id, 4, 6),
        Column::number(OpColumn::Parent, 6, 8),
        Column::text(OpColumn::State, 8, 1, 1),
        Column::text(OpColumn::Task, 16, 3, 0),
        Column::text(OpColumn::Source, 12, 1, 2),
        Column::number(OpColumn::Total, 7, 0),
        Column::number(OpColumn::Busy, 7, 4),
        Column::number(OpColumn::Idle, 7, 5),
        Column::number(OpColumn::Polls, 6, 3),
        Column::text(OpColumn::Permits, 12, 1, 7),
    ];
    const SORTED_BY: OpColumn = OpColumn::Total;

    fn rows(shown: &Snapshot<'_>, resource: &ResourceKey, wanted: &Wanted<'_, OpColumn>) -> Rows<OpKey> {
        shown.ops(*resource, wanted)
    }

    fn value<'a>(shown: &'a Snapshot<'_>, key: &OpKey, column: OpColumn) -> Value<'a> {
        shown.op_value(*key, column)
    }

    fn is_over(shown: &Snapshot<'_>, key: &OpKey) -> bool {
        shown.op_value(*key, OpColumn::State) == Value::Nothing
    }

    /// An op leads to its task, which only the snapshot knows.
    fn link(_: &OpKey) -> Option<Link> {
        None
    }

    fn style(_: &Snapshot<'_>, _: &OpKey, _: OpColumn, _: &Theme) -> Style {
        Style::new()
    }
}
