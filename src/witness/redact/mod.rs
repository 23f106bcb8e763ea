//! Replaces what a recording says about a service and its authors by stand-ins, and keeps what the rules read.
//!
//! Names of tasks and resources, values and names of fields, files, modules and types of the service are replaced, each by the same stand-in
//! everywhere. Lines and columns, kinds, numbers and times stay, and so do the places of the standard library and of crates from a registry, by
//! which the rules know libraries.

mod places;
mod stand_ins;
mod texts;

use console_api::instrument::Update;
use console_api::register_metadata::NewMetadata;
use console_api::{Attribute, async_ops, resources, tasks};

use self::places::Places;
use self::texts::{Texts, poll_op};
use super::filter::each_update;
use crate::detect::detectors::DETECTORS;
use crate::detect::settings::{Settings, Value};
use crate::diagnosis::{Arrived, Status};
use crate::feed::FeedEvent;

/// What a redacted target is called.
pub const TARGET: &str = "target";

/// Replaces names, each by the same stand-in everywhere.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    places: Places,
    texts: Texts,
}

impl Redactor {
    /// The events without the names in them.
    pub fn events(&mut self, events: &[Arrived]) -> Vec<Arrived> {
        let mut events = each_update(events, |update| self.update(update));
        for arrived in &mut events {
            if let FeedEvent::Status(Status::Lost { reason, .. } | Status::Stranger { reason, .. }) = &mut arrived.event
            {
                // It names the target.
                "The connection was lost.".clone_into(reason);
            }
        }
        events
    }

    /// A place that a finding has named, as it is called in the events.
    pub fn place(&self, place: &str) -> String {
        self.places.place(place)
    }

    /// The settings with the names in them replaced.
    pub fn settings(&mut self, settings: &Settings) -> Settings {
        let mut redacted = settings.clone();
        for detector in DETECTORS {
            for setting in detector.all_settings() {
                if let Value::Names(names) = settings.value(detector.id, setting)
                    && !names.is_empty()
                {
                    let names = names.iter().map(|name| self.expected(name)).collect();
                    redacted.change(detector.id, setting, Value::Names(names));
                }
            }
        }
        redacted
    }

    /// A task that a setting names: by its name, or by its place.
    fn expected(&mut self, name: &str) -> String {
        let place = self.places.place(name);
        if place == name { self.texts.task_name(name) } else { place }
    }

    fn update(&mut self, update: &mut Update) {
        for NewMetadata { id, metadata } in update.new_metadata.iter_mut().flat_map(|it| &mut it.metadata) {
            let id = id.map_or(0, |id| id.id);
            metadata.iter_mut().for_each(|metadata| self.texts.metadata(id, metadata, &mut self.places));
        }
        update.task_update.iter_mut().flat_map(|part| &mut part.new_tasks).for_each(|task| self.task(task));
        if let Some(part) = &mut update.resource_update {
            part.new_resources.iter_mut().for_each(|resource| self.resource(resource));
            part.new_poll_ops.iter_mut().for_each(|poll| poll.name = poll_op(&poll.name).to_owned());
            let attributes = part.stats_update.iter_mut().map(|(id, stats)| (*id, &mut stats.attributes));
            self.attributes(attributes.collect());
        }
        if let Some(part) = &mut update.async_op_update {
            part.new_async_ops.iter_mut().for_each(|op| self.op(op));
            let attributes = part.stats_update.iter_mut().map(|(id, stats)| (*id, &mut stats.attributes));
            self.attributes(attributes.collect());
        }
    }

    fn task(&mut self, task: &mut tasks::Task) {
        task.location.iter_mut().for_each(|location| self.places.redact(location));
        task.fields.iter_mut().for_each(|field| self.texts.field(field, &mut self.places));
    }

    fn resource(&mut self, resource: &mut resources::Resource) {
        resource.location.iter_mut().for_each(|location| self.places.redact(location));
        let has_parent = resource.parent_resource_id.is_some();
        resource.concrete_type = self.texts.concrete_type(&resource.concrete_type, resource.is_internal, has_parent);
        resource.kind.iter_mut().for_each(|kind| self.texts.kind(kind));
    }

    fn op(&mut self, op: &mut async_ops::AsyncOp) {
        op.source = self.texts.source(&op.source);
    }

    /// In the order of the ids, for the order of a map is another in every process.
    fn attributes(&mut self, mut by_id: Vec<(u64, &mut Vec<Attribute>)>) {
        by_id.sort_unstable_by_key(|(id, _)| *id);
        for attribute in by_id.into_iter().flat_map(|(_, attributes)| attributes) {
            self.texts.attribute(attribute);
        }
    }
}
