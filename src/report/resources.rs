//! Resources as rows of a list.

use std::time::Duration;

use super::columns::{Column, Kind, Spec, Value, column};
use super::link::Link;
use super::order::{Rows, Wanted, sorted};
use super::snapshot::Snapshot;
use crate::detect::describe;
use crate::model::ResourceKey;
use crate::model::entity::resource::{Attribute, Resource};
use crate::model::tokio::ResourceKind;
use crate::words;

/// A column of a list of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceColumn {
    /// Its number.
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
    /// How many findings there are about it, and how bad they are.
    Findings,
    /// Which findings those are.
    Finding,
    /// The target of its span.
    Target,
    /// The dependency that creates it.
    Crate,
    /// Where it was created.
    Location,
}

impl Column for ResourceColumn {
    const SPECS: &'static [Spec<Self>] = &[
        column(Self::Id, "id", "id", Kind::Id, "number of the resource"),
        column(Self::Parent, "parent", "parent", Kind::Id, "number of the resource that it is part of"),
        column(Self::Kind, "kind", "kind", Kind::Text, "Mutex, RwLock, Semaphore, bounded channel, Sleep and the like"),
        column(Self::Type, "type", "type", Kind::Text, "type, as the feed calls it"),
        column(Self::Visibility, "part", "part", Kind::Text, "public, or internal to another resource"),
        column(
            Self::Target,
            "target",
            "target",
            Kind::Text,
            "part of the program that its span is of, as tracing calls it",
        ),
        column(Self::Crate, "crate", "crate", Kind::Text, "dependency that creates the resource"),
        column(Self::Total, "total", "age", Kind::Time, "time since it was created"),
        column(Self::Waiters, "waiters", "waiters", Kind::Count, "number of tasks that wait for it"),
        column(Self::Wait, "longest", "waited", Kind::Time, "age of the longest current wait"),
        column(Self::Fill, "fill", "fill", Kind::Text, "entries in a queue, or free permits"),
        column(
            Self::Findings,
            "findings",
            "findings",
            Kind::Text,
            "number of findings about the resource, and the worst severity",
        ),
        column(Self::Finding, "finding", "finding", Kind::Text, "detectors with a finding about the resource"),
        column(Self::Attributes, "attributes", "attributes", Kind::Text, "what the resource reports, as name=value"),
        column(Self::Location, "location", "location", Kind::Text, "place of the creation"),
    ];
}

/// A resource in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRow {
    /// Which resource.
    pub key: ResourceKey,
    /// Its number.
    pub number: u32,
    /// The feed's id.
    pub id: u64,
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
    /// The resources that are wanted. Timers that are over are hidden.
    pub fn resources(&self, wanted: &Wanted<'_, ResourceColumn>) -> Rows<ResourceKey> {
        let (mut rows, mut hidden) = (Vec::new(), 0);
        for (key, resource) in self.evidence.resources() {
            if !wanted.query.is_empty() && !wanted.query.accepts(|column| self.value_of_resource(key, resource, column))
            {
                continue;
            }
            if !wanted.all && resource.kind.is_timer() && resource.dropped.is_some() {
                hidden += 1;
                continue;
            }
            rows.push((self.value_of_resource(key, resource, wanted.order.by), resource.created, key));
        }
        Rows { hidden, ..Rows::new(sorted(rows, wanted.order.descending)) }
    }

    /// What a list shows of a resource in a column; nothing if it was forgotten.
    pub fn resource_value(&self, key: ResourceKey, column: ResourceColumn) -> Value<'_> {
        self.evidence.model().resource(key).map_or(Value::Nothing, |it| self.value_of_resource(key, it, column))
    }

    /// Whether a resource still exists; nothing if it was forgotten.
    pub fn resource_is_alive(&self, key: ResourceKey) -> Option<bool> {
        self.evidence.resource(key).map(|resource| resource.dropped.is_none())
    }

    /// A resource as a row, unless it was dropped and forgotten.
    pub fn resource_row(&self, key: ResourceKey) -> Option<ResourceRow> {
        let resource = self.evidence.resource(key)?;
        Some(ResourceRow {
            key,
            number: key.number(),
            id: resource.id,
            kind: describe::type_name(resource),
            concrete_type: resource.concrete_type.to_string(),
            visibility: visibility(resource),
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

    fn longest_wait_for(&self, key: ResourceKey) -> Option<Duration> {
        let evidence = &self.evidence;
        evidence.waiters(key).map(|(_, op)| evidence.running_since(evidence.waiting_since(op))).max()
    }

    fn value_of_resource<'a>(&'a self, key: ResourceKey, resource: &'a Resource, column: ResourceColumn) -> Value<'a> {
        let link = Link::Resource(key);
        match column {
            ResourceColumn::Id => Value::Number(key.number().into()),
            ResourceColumn::Parent => Value::number(resource.parent.map(ResourceKey::number)),
            ResourceColumn::Kind => Value::Ranked(resource.kind as u128, describe::type_name(resource).into()),
            ResourceColumn::Type => Value::text(&resource.concrete_type),
            ResourceColumn::Visibility => Value::text(visibility(resource)),
            ResourceColumn::Total => Value::time(Some(self.age_of(resource))),
            ResourceColumn::Waiters => match self.evidence.waiters(key).count() {
                0 => Value::Nothing,
                waiters => Value::count(waiters),
            },
            ResourceColumn::Fill => {
                let text = fill(resource);
                let rank = resource.depth().or(resource.permits.now).unwrap_or_default();
                if text.is_empty() { Value::Nothing } else { Value::Ranked(rank.into(), text.into()) }
            }
            ResourceColumn::Wait => Value::time(self.longest_wait_for(key)),
            ResourceColumn::Attributes => Value::Text(attributes(resource).into()),
            ResourceColumn::Findings => self.severity_about(&link),
            ResourceColumn::Finding => self.detectors_about(&link),
            ResourceColumn::Target => resource.target.as_ref().map_or(Value::Nothing, |target| Value::text(target)),
            ResourceColumn::Crate => {
                resource.location.package().map_or(Value::Nothing, |package| Value::text(package.name))
            }
            ResourceColumn::Location => Value::Place(describe::resource_location(&self.evidence, key).into()),
        }
    }
}

fn visibility(resource: &Resource) -> &'static str {
    if resource.internal { "internal" } else { "public" }
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
