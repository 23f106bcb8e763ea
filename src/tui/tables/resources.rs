//! The list of resources.

use super::Listing;
use crate::report::order::{Filter, Order};
use crate::report::resources::{ResourceColumn, ResourceRow};
use crate::report::{ResourceKey, Snapshot};
use crate::tui::theme::Theme;
use crate::tui::widgets::table::{Cell, Column, Width};
use crate::words;

/// All resources.
#[derive(Debug)]
pub struct Resources;

impl Listing for Resources {
    type Key = ResourceKey;
    type Row = ResourceRow;
    type Column = ResourceColumn;

    const COLUMNS: &'static [Column<ResourceColumn>] = &[
        Column::number(ResourceColumn::Id, "id", 8, 5).keeping_the_end(),
        Column::number(ResourceColumn::Parent, "parent", 8, 9).keeping_the_end(),
        Column::text(ResourceColumn::Kind, "kind", Width::Fixed(15), 0),
        Column::text(ResourceColumn::Type, "type", Width::Flexible { least: 10, share: 1 }, 7),
        Column::text(ResourceColumn::Visibility, "part", Width::Fixed(8), 8),
        Column::number(ResourceColumn::Total, "total", 7, 6),
        Column::number(ResourceColumn::Waiters, "waiters", 8, 0),
        Column::number(ResourceColumn::Fill, "fill", 12, 3),
        Column::number(ResourceColumn::Wait, "longest", 8, 2),
        Column::text(ResourceColumn::Attributes, "attributes", Width::Flexible { least: 14, share: 2 }, 4),
        Column::text(ResourceColumn::Location, "location", Width::Flexible { least: 14, share: 3 }, 1)
            .keeping_the_end(),
    ];
    const SORTED_BY: ResourceColumn = ResourceColumn::Waiters;

    fn order(shown: &Snapshot<'_>, order: Order<ResourceColumn>, filter: Option<Filter<'_>>) -> Vec<ResourceKey> {
        shown.resources(order, filter)
    }

    fn row(shown: &Snapshot<'_>, key: &ResourceKey) -> Option<ResourceRow> {
        shown.resource_row(*key)
    }

    fn cell(row: &ResourceRow, column: ResourceColumn, theme: &Theme) -> Cell {
        match column {
            ResourceColumn::Id => row.id.to_string().into(),
            ResourceColumn::Parent => row.parent.map_or_else(|| "-".to_owned(), |id| id.to_string()).into(),
            ResourceColumn::Kind => row.kind.clone().into(),
            ResourceColumn::Type => row.concrete_type.clone().into(),
            ResourceColumn::Visibility => row.visibility.to_owned().into(),
            ResourceColumn::Total => words::duration(row.age).into(),
            ResourceColumn::Waiters if row.waiters == 0 => Cell::default(),
            ResourceColumn::Waiters => Cell::styled(row.waiters.to_string(), theme.strong()),
            ResourceColumn::Fill => row.fill.clone().into(),
            ResourceColumn::Wait => row.longest_wait.map(words::duration).unwrap_or_default().into(),
            ResourceColumn::Attributes => row.attributes.clone().into(),
            ResourceColumn::Location => row.location.clone().into(),
        }
    }

    fn is_over(row: &ResourceRow) -> bool {
        !row.is_alive
    }
}
