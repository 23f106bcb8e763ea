//! Resources as rows of a list.

use std::time::Duration;

use super::order::{Filter, Order, SortKey, sorted};
use super::snapshot::Snapshot;
use crate::detect::describe;
use crate::model::ResourceKey;
use crate::model::entity::resource::{Attribute, Resource};
use crate::model::tokio::ResourceKind;
use crate::words;

/// A column of a list of resources.
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
    /// Time since it was created.
    Total,
    /// How many ops wait for it.
    Waiters,
    /// How much is in it or left of it.
    Fill,
    /// How long the first of them has waited.
    Wait,
    /// What it says about itself.
    Attributes,
    /// Where it was created.
    Location,
}

/// A resource in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRow {
    /// Which resource.
    pub key: ResourceKey,
    /// The feed's id.
    pub id: u64,
    /// The id of the resource that it is part of.
    pub parent: Option<u64>,
    /// Its kind, as users know it.
    pub kind: String,
    /// Its type, as the target names it.
    pub concrete_type: String,
    /// Whether it is part of the inside of another: `internal`, or else `public`.
    pub visibility: &'static str,
    /// Whether it still exists.
    pub is_alive: bool,
    /// How long it has existed, or did.
    pub age: Duration,
    /// How many ops wait for it.
    pub waiters: usize,
    /// What is in a queue of how much, or how many permits are left of how many; empty if that is not known.
    pub fill: String,
    /// How long the op has waited that has waited longest.
    pub longest_wait: Option<Duration>,
    /// What it says about itself, in one line.
    pub attributes: String,
    /// Where it was created, or who uses it; empty if that is not known.
    pub location: String,
}

impl Snapshot<'_> {
    /// The resources that a filter accepts, in order.
    pub fn resources(&self, order: Order<ResourceColumn>, filter: Option<Filter<'_>>) -> Vec<ResourceKey> {
        let accepted = |resource: &Resource| filter.is_none_or(|accepts| has_text(resource, accepts));
        let resources = self.evidence.resources().filter(|(_, resource)| accepted(resource));
        let rows = resources.map(|(key, it)| (self.resource_sort_key(key, it, order.by), it.created, key));
        sorted(rows.collect(), order.descending)
    }

    /// A resource as a row, unless it was dropped and forgotten.
    pub fn resource_row(&self, key: ResourceKey) -> Option<ResourceRow> {
        let resource = self.evidence.resource(key)?;
        Some(ResourceRow {
            key,
            id: resource.id,
            parent: self.parent_id(resource),
            kind: describe::type_name(resource),
            concrete_type: resource.concrete_type.to_string(),
            visibility: if resource.internal { "internal" } else { "public" },
            is_alive: resource.dropped.is_none(),
            age: self.age_of(resource),
            waiters: self.evidence.waiters(key).count(),
            fill: fill(resource),
            longest_wait: self.longest_wait_for(key),
            attributes: attributes(resource),
            location: describe::resource_location(&self.evidence, key),
        })
    }

    fn age_of(&self, resource: &Resource) -> Duration {
        resource.dropped.unwrap_or(self.now()).since(resource.created)
    }

    fn parent_id(&self, resource: &Resource) -> Option<u64> {
        resource.parent.and_then(|parent| self.evidence.resource(parent)).map(|parent| parent.id)
    }

    fn longest_wait_for(&self, key: ResourceKey) -> Option<Duration> {
        let evidence = &self.evidence;
        evidence.waiters(key).map(|(_, op)| evidence.running_since(evidence.waiting_since(op))).max()
    }

    fn resource_sort_key(&self, key: ResourceKey, resource: &Resource, column: ResourceColumn) -> SortKey {
        match column {
            ResourceColumn::Id => SortKey::number(Some(resource.id)),
            ResourceColumn::Parent => SortKey::number(self.parent_id(resource)),
            ResourceColumn::Kind => SortKey::Number(resource.kind as u128),
            ResourceColumn::Type => SortKey::Text(resource.concrete_type.clone()),
            ResourceColumn::Visibility => SortKey::Number(resource.internal.into()),
            ResourceColumn::Total => SortKey::Number(self.age_of(resource).as_nanos()),
            ResourceColumn::Waiters => {
                let waiters = u64::try_from(self.evidence.waiters(key).count()).ok();
                SortKey::number(waiters.filter(|waiters| *waiters > 0))
            }
            ResourceColumn::Fill => SortKey::number(resource.depth().or(resource.permits.now)),
            ResourceColumn::Wait => SortKey::number(self.longest_wait_for(key).map(|wait| wait.as_nanos())),
            ResourceColumn::Attributes => SortKey::Text(attributes(resource).into()),
            ResourceColumn::Location => SortKey::Text(resource.location.as_str().into()),
        }
    }
}

/// Whether a text of a resource that is worth looking for is accepted.
fn has_text(resource: &Resource, accepts: Filter<'_>) -> bool {
    accepts(resource.kind.as_str())
        || accepts(&resource.concrete_type)
        || accepts(resource.location.as_str())
        || accepts(&resource.id.to_string())
        || accepts(&attributes(resource))
}

fn fill(resource: &Resource) -> String {
    let permits = resource.permits;
    let free = |permits: u64| format!("{} free", words::number(permits));
    match (resource.kind, resource.depth(), resource.capacity()) {
        (ResourceKind::Semaphore | ResourceKind::Inner, ..) => match (permits.now, permits.capacity) {
            _ if permits.drifted => String::new(),
            (Some(now), Some(capacity)) => format!("{} of {}", words::number(now), words::number(capacity)),
            (Some(now), None) => free(now),
            (None, _) => String::new(),
        },
        (_, Some(depth), Some(capacity)) => format!("{}/{}", words::number(depth), words::number(capacity)),
        (_, Some(depth), None) => words::number(depth),
        (ResourceKind::Channel, None, _) if !permits.drifted => permits.now.map(free).unwrap_or_default(),
        _ => String::new(),
    }
}

fn attributes(resource: &Resource) -> String {
    let all = resource.attributes.iter().map(|it| format!("{}={}", it.name, value(it)));
    all.collect::<Vec<_>>().join(" ")
}

/// The value of an attribute with its unit.
pub(super) fn value(attribute: &Attribute) -> String {
    format!("{}{}", attribute.value, attribute.unit.as_deref().unwrap_or_default())
}
