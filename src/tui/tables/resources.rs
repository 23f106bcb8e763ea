//! The list of resources.

use ratatui::style::Style;

use super::{Listing, about};
use crate::report::columns::Value;
use crate::report::order::{Rows, Wanted};
use crate::report::resources::ResourceColumn;
use crate::report::{Link, ResourceKey, Snapshot};
use crate::tui::theme::Theme;
use crate::tui::widgets::table::Column;

/// All resources.
#[derive(Debug, Clone, PartialEq)]
pub struct Resources;

impl Listing for Resources {
    type Key = ResourceKey;
    type Column = ResourceColumn;
    type Scope = ();

    const NOUN: &'static str = "resource";
    const COLUMNS: &'static [Column<ResourceColumn>] = &[
        Column::number(ResourceColumn::Id, 4, 6),
        Column::number(ResourceColumn::Parent, 6, 10),
        Column::text(ResourceColumn::Kind, 15, 1, 0),
        Column::text(ResourceColumn::Findings, 10, 1, 3).largest_first(),
        Column::text(ResourceColumn::Type, 10, 1, 8),
        Column::text(ResourceColumn::Visibility, 6, 1, 9),
        Column::text(ResourceColumn::Target, 12, 1, 11).keeping_the_end(),
        Column::number(ResourceColumn::Total, 7, 7),
        Column::number(ResourceColumn::Waiters, 8, 0),
        Column::text(ResourceColumn::Fill, 8, 1, 4).on_the_right().largest_first(),
        Column::number(ResourceColumn::Wait, 8, 2),
        Column::text(ResourceColumn::Attributes, 14, 2, 5),
        Column::text(ResourceColumn::Location, 14, 3, 1),
    ];
    const SORTED_BY: ResourceColumn = ResourceColumn::Waiters;

    fn rows(shown: &Snapshot<'_>, (): &(), wanted: &Wanted<'_, ResourceColumn>) -> Rows<ResourceKey> {
        shown.resources(wanted)
    }

    fn value<'a>(shown: &'a Snapshot<'_>, key: &ResourceKey, column: ResourceColumn) -> Value<'a> {
        shown.resource_value(*key, column)
    }

    fn is_over(shown: &Snapshot<'_>, key: &ResourceKey) -> bool {
        shown.resource_is_alive(*key) != Some(true)
    }

    fn link(key: &ResourceKey) -> Option<Link> {
        Some(Link::Resource(*key))
    }

    fn style(shown: &Snapshot<'_>, key: &ResourceKey, column: ResourceColumn, theme: &Theme) -> Style {
        match column {
            ResourceColumn::Waiters => theme.strong(),
            ResourceColumn::Findings => about(theme, shown, &Link::Resource(*key)),
            _ => Style::new(),
        }
    }
}
