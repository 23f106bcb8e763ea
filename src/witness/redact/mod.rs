//! Replaces what a recording says about a service and its authors by stand-ins, and keeps what the rules read.
//!
//! Names of tasks and resources, values and names of fields, files, modules and types of the service are replaced, each by the same stand-in
//! everywhere. Lines and columns, kinds, numbers and times stay, and so do the places of the standard library and of the published crates that the
//! rules know.

mod places;
mod stand_ins;
mod texts;

use console_api::register_metadata::NewMetadata;
use console_api::{Attribute, async_ops, resources, tasks};

use self::places::Places;
use self::stand_ins::Scheme;
use self::texts::{Texts, poll_op};
use crate::detect::detectors::DETECTORS;
use crate::detect::settings::{Settings, Value};
use crate::detect::suppression::{Pattern, Suppression};
use crate::diagnosis::{Arrived, Ended, Status};
use crate::feed::FeedEvent;
use crate::model::location::Location;
use crate::wire::Change;

/// What a redacted target is called.
pub const TARGET: &str = "target";

/// What one of several redacted targets is called.
pub fn target(index: usize, of: usize) -> String {
    if of > 1 { format!("{TARGET}-{}", index + 1) } else { TARGET.to_owned() }
}

/// Replaces names, each by the same stand-in everywhere.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    scheme: Scheme,
    places: Places,
    texts: Texts,
}

impl Redactor {
    /// One whose stand-ins are the same for the same names in every run.
    pub fn by_name() -> Self {
        let scheme = Scheme::ByName;
        Self { scheme, places: Places::new(scheme), texts: Texts::new(scheme) }
    }

    /// The events without the names in them.
    pub fn events(&mut self, events: &[Arrived]) -> Vec<Arrived> {
        events.iter().cloned().map(|arrived| self.event(arrived)).collect()
    }

    /// An event without the names in it.
    pub fn event(&mut self, mut arrived: Arrived) -> Arrived {
        match &mut arrived.event {
            FeedEvent::Update(update) => update.message = update.message.changed(self),
            // They name the target.
            FeedEvent::Status(Status::Lost { reason, .. }) => "The connection was lost.".clone_into(reason),
            FeedEvent::Status(Status::Stranger { reason, .. }) => {
                "What answers there is not a console-subscriber endpoint.".clone_into(reason);
            }
            FeedEvent::Status(Status::Chosen { place, .. }) => "one of its pods".clone_into(place),
            FeedEvent::Ended(Ended::Truncated { reason }) => "The recording is cut off.".clone_into(reason),
            FeedEvent::Status(Status::Resolving | Status::Dialing | Status::Live)
            | FeedEvent::Ended(Ended::Complete | Ended::Exited)
            | FeedEvent::Details(_)
            | FeedEvent::Paused(_)
            | FeedEvent::Quiet(_) => {}
        }
        arrived
    }

    /// A place that a finding has named, as it is called in the events.
    pub fn place(&self, place: &str) -> String {
        match self.scheme {
            Scheme::InOrder => self.places.place(place),
            Scheme::ByName => {
                let file = Location::parse(place).file().to_owned();
                place.replacen(&file, &self.places.clone().file(&file), 1)
            }
        }
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

    /// A suppression with the names in it replaced.
    ///
    /// # Errors
    /// A pattern in it stands for several names, whose stand-ins have nothing in common.
    pub fn suppression(&mut self, suppression: &Suppression) -> Result<Suppression, String> {
        let mut redacted = suppression.clone();
        for pattern in suppression.names.iter().filter(|it| !it.is_any()) {
            let name = literal(pattern)?;
            // It may be the name of a task or the type of a resource.
            let stand_ins = [self.texts.task_name(&name), self.texts.concrete_type(&name, false, false)];
            redacted.names.extend(stand_ins.iter().map(|it| Pattern::new(it)));
        }
        redacted.locations.retain(Pattern::is_any);
        for pattern in suppression.locations.iter().filter(|it| !it.is_any()) {
            let place = self.place(&literal(pattern)?);
            redacted.locations.push(Pattern::new(&place));
        }
        Ok(redacted)
    }

    /// A task that a setting names: by its name, or by its place.
    fn expected(&mut self, name: &str) -> String {
        let place = match self.scheme {
            Scheme::ByName if Location::parse(name).line().is_none() => name.to_owned(),
            Scheme::ByName => return self.place(name),
            Scheme::InOrder => self.places.place(name),
        };
        if place == name { self.texts.task_name(name) } else { place }
    }

    fn attributes(&mut self, attributes: &mut [Attribute]) {
        attributes.iter_mut().for_each(|attribute| self.texts.attribute(attribute));
    }
}

/// The text of a pattern that stands for itself.
fn literal(pattern: &Pattern) -> Result<String, String> {
    let text = pattern.to_string();
    if text.contains(['*', '?']) {
        return Err(format!(
            "the pattern `{text}` cannot be used with --redact, because stand-ins of similar names are not similar; write the names or \
             places in full, or suppress by detector"
        ));
    }
    Ok(text)
}

impl Change for Redactor {
    fn metadata(&mut self, NewMetadata { id, metadata }: &mut NewMetadata) {
        let id = id.map_or(0, |id| id.id);
        metadata.iter_mut().for_each(|metadata| self.texts.metadata(id, metadata, &mut self.places));
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

    fn resource_stats(&mut self, stats: &mut resources::Stats) {
        self.attributes(&mut stats.attributes);
    }

    fn poll_op(&mut self, poll: &mut resources::PollOp) {
        poll.name = poll_op(&poll.name).to_owned();
    }

    fn async_op(&mut self, op: &mut async_ops::AsyncOp) {
        op.source = self.texts.source(&op.source);
    }

    fn async_op_stats(&mut self, stats: &mut async_ops::Stats) {
        self.attributes(&mut stats.attributes);
    }
}
