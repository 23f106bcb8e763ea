//! The list of resources.

use std::time::Duration;

use ratatui::style::Style;

use super::{Filter, Listing, Look, Sort, SortKey, descending, sorted};
use crate::detect::describe;
use crate::diagnosis::Diagnosis;
use crate::evidence::Evidence;
use crate::model::ResourceKey;
use crate::model::entity::resource::Resource;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::tui::format::{grouped, short};
use crate::tui::widgets::table::{Cell, Column, Width};

/// A column of the list of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceColumn {
    /// The feed's id.
    Id,
    /// The resource that it is part of.
    Parent,
    /// Its kind, as this tool sees it.
    Kind,
    /// Its type, as the target names it.
    Type,
    /// Whether it is part of the inside of another.
    Visibility,
    /// Time since it was made.
    Total,
    /// How many ops wait for it.
    Waiters,
    /// How much is in it or left of it.
    Fill,
    /// For how long the first of them has waited.
    Wait,
    /// What it says about itself.
    Attributes,
    /// Where it was made.
    Location,
}

/// All resources.
#[derive(Debug)]
pub struct Resources;

impl Listing for Resources {
    type Key = ResourceKey;
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

    fn order(diagnosis: &Diagnosis, sort: Sort<ResourceColumn>, filter: &Filter) -> Vec<ResourceKey> {
        let (model, now) = (&diagnosis.evidence(), diagnosis.now());
        let rows = model
            .resources()
            .filter(|(_, resource)| filter.is_empty() || matches(resource, filter))
            .map(|(key, resource)| (sort_key(model, now, key, resource, sort.by), resource.created, key));
        sorted(rows.collect(), descending::<Self>(sort))
    }

    fn cell(look: &Look<'_>, key: &ResourceKey, column: ResourceColumn) -> Cell {
        let model = &look.diagnosis.evidence();
        let Some(resource) = model.resource(*key) else { return Cell::default() };
        match column {
            ResourceColumn::Id => resource.id.to_string().into(),
            ResourceColumn::Parent => {
                let parent = resource.parent.and_then(|parent| model.resource(parent));
                parent.map_or_else(|| "-".to_owned(), |parent| parent.id.to_string()).into()
            }
            ResourceColumn::Kind => describe::type_name(resource).into(),
            ResourceColumn::Type => resource.concrete_type.to_string().into(),
            ResourceColumn::Visibility => (if resource.internal { "internal" } else { "public" }).to_owned().into(),
            ResourceColumn::Total => short(age(resource, look.diagnosis.now())).into(),
            ResourceColumn::Waiters => match model.waiters(*key).count() {
                0 => String::new().into(),
                waiters => Cell::styled(waiters.to_string(), look.theme.strong()),
            },
            ResourceColumn::Fill => fill(resource).into(),
            ResourceColumn::Wait => longest_wait(model, *key).map(short).unwrap_or_default().into(),
            ResourceColumn::Attributes => attributes(resource).into(),
            ResourceColumn::Location => describe::resource_location(model, *key).into(),
        }
    }

    fn style(look: &Look<'_>, key: &ResourceKey) -> Style {
        let gone = look.diagnosis.model().resource(*key).is_none_or(|resource| resource.dropped.is_some());
        if gone { look.theme.dim() } else { Style::new() }
    }
}

/// How long a resource has existed, or did.
pub fn age(resource: &Resource, now: Timestamp) -> Duration {
    resource.dropped.unwrap_or(now).since(resource.created)
}

/// For how long the op has waited that has waited for longest.
pub fn longest_wait(model: &Evidence<'_>, key: ResourceKey) -> Option<Duration> {
    model.waiters(key).map(|(_, op)| model.running_since(model.waiting_since(op))).max()
}

/// How full it is: what is in a queue of how much, or how many permits are left of how many.
pub fn fill(resource: &Resource) -> String {
    let permits = resource.permits;
    match (resource.kind, resource.depth(), resource.capacity()) {
        (ResourceKind::Semaphore | ResourceKind::Inner, ..) => match (permits.now, permits.capacity) {
            _ if permits.drifted => String::new(),
            (Some(now), Some(capacity)) => format!("{now} of {capacity}"),
            (Some(now), None) => format!("{now} free"),
            (None, _) => String::new(),
        },
        (_, Some(depth), Some(capacity)) => format!("{depth}/{capacity}"),
        (_, Some(depth), None) => grouped(depth),
        (ResourceKind::Channel, None, _) if !permits.drifted => {
            permits.now.map(|now| format!("{now} free")).unwrap_or_default()
        }
        _ => String::new(),
    }
}

/// What a resource says about itself, in one line.
pub fn attributes(resource: &Resource) -> String {
    let attribute = |it: &crate::model::entity::resource::Attribute| {
        let unit = it.unit.as_deref().unwrap_or_default();
        format!("{}={}{unit}", it.name, it.value)
    };
    resource.attributes.iter().map(attribute).collect::<Vec<_>>().join(" ")
}

fn matches(resource: &Resource, filter: &Filter) -> bool {
    filter.finds(resource.kind.as_str())
        || filter.finds(&resource.concrete_type)
        || filter.finds(resource.location.as_str())
        || filter.finds(&resource.id.to_string())
        || filter.finds(&attributes(resource))
}

fn sort_key(
    model: &Evidence<'_>,
    now: Timestamp,
    key: ResourceKey,
    resource: &Resource,
    column: ResourceColumn,
) -> SortKey {
    let number = |number: Option<u64>| number.map_or(SortKey::Nothing, |number| SortKey::Number(number.into()));
    let id = |key: ResourceKey| model.resource(key).map(|resource| resource.id);
    match column {
        ResourceColumn::Id => number(Some(resource.id)),
        ResourceColumn::Parent => number(resource.parent.and_then(id)),
        ResourceColumn::Kind => SortKey::Number(resource.kind as u128),
        ResourceColumn::Type => SortKey::Text(resource.concrete_type.clone()),
        ResourceColumn::Visibility => SortKey::Number(resource.internal.into()),
        ResourceColumn::Total => SortKey::Number(age(resource, now).as_nanos()),
        ResourceColumn::Waiters => match model.waiters(key).count() {
            0 => SortKey::Nothing,
            waiters => SortKey::Number(u128::try_from(waiters).unwrap_or(u128::MAX)),
        },
        ResourceColumn::Fill => number(resource.depth().or(resource.permits.now)),
        ResourceColumn::Wait => {
            longest_wait(model, key).map_or(SortKey::Nothing, |wait| SortKey::Number(wait.as_nanos()))
        }
        ResourceColumn::Attributes => SortKey::Text(attributes(resource).into()),
        ResourceColumn::Location => SortKey::Text(resource.location.as_str().into()),
    }
}
