//! The only reader of the feed's protobuf: walks a message and tells the model, in its own terms, what is in it.

mod changes;
mod values;

use std::fmt::Write;
use std::time::Duration;

use console_api::{register_metadata, tasks};

use self::values::{count, durations, number, timestamp, with_text};
use super::changes::Changes;
use super::ops::NewOp;
use super::resources::NewResource;
use super::tasks::NewTask;
use crate::model::collections::SeededSet;
use crate::model::entity::details::{Details, Durations};
use crate::model::entity::resource::{Attribute, Value};
use crate::model::keys::Id;
use crate::model::location::Location;
use crate::model::store::{Metadata, Model, Process};
use crate::model::text::{self, Text};
use crate::model::time::Timestamp;
use crate::model::tokio::{TaskKind, field as task_field};
use crate::paths;
use crate::wire::introduced::{self, AsyncOp, Field, FieldName, FieldValue, Resource, Task};
use crate::wire::{Births, Dropped, Kind, Message};

/// Most attributes and fields kept of one entity.
const MOST_FIELDS: usize = 32;
/// Most callsites whose field names are kept: each is a line of code, and Tokio has some sixty that it instruments.
const MOST_METADATA: usize = 4_096;

impl Model {
    /// Takes in one update of the feed, with the lag that was measured on its arrival.
    pub fn apply(&mut self, message: &Message, lag: Option<Duration>) -> Changes {
        let mut changes = Changes::default();
        let Some(now) = message.now().map(Timestamp::from_nanos) else {
            self.quality.malformed += 1;
            return changes;
        };
        if std::mem::take(&mut self.reconnected) {
            self.identify(message, now, &mut changes);
        }
        let process =
            message.process().map(|it| Process { number: it.number, started: Timestamp::from_nanos(it.started) });
        self.process = process.or(self.process);
        let before = self.move_on_to(now, &mut changes);
        self.note_quality(message.dropped(), lag);
        for metadata in message.new_metadata() {
            self.register(metadata);
        }
        self.introduce(message, &mut changes);
        self.change(message, &mut changes);
        self.finish_update(&mut changes);
        self.compare_stamps(before);
        changes
    }

    /// Takes in one message of a details stream.
    pub fn apply_details(&mut self, message: &tasks::TaskDetails) {
        let at = message.now.as_ref().and_then(timestamp).unwrap_or(self.now());
        self.target_retention.hear(message.task_id.map_or(0, |id| id.id), at);
        let Some(key) = message.task_id.and_then(|id| self.ids.task(id.id)) else {
            return;
        };
        let polls = match &message.poll_times_histogram {
            Some(tasks::task_details::PollTimesHistogram::LegacyHistogram(bytes)) => Durations::decode(bytes, 0, None),
            Some(tasks::task_details::PollTimesHistogram::Histogram(histogram)) => durations(histogram),
            None => None,
        };
        let scheduled = message.scheduled_times_histogram.as_ref().and_then(durations);
        if polls.is_none() {
            self.quality.malformed += 1;
        }
        self.details.insert(key, Details { polls, scheduled });
    }

    fn note_quality(&mut self, dropped: Dropped, lag: Option<Duration>) {
        let now = self.now();
        // While the process stood still, nothing was born that could be late.
        let lag = lag.map(|lag| self.clock.running_between(now.minus(lag), now));
        let lost = &mut self.totals.lost;
        lost.tasks += count(dropped.tasks);
        lost.resources += count(dropped.resources);
        lost.ops += count(dropped.async_ops);
        let quality = &mut self.quality;
        let before = quality.dropped();
        quality.dropped_tasks += count(dropped.tasks);
        quality.dropped_resources += count(dropped.resources);
        quality.dropped_ops += count(dropped.async_ops);
        if quality.dropped() > before {
            quality.last_dropped = Some(self.clock.now());
        }
        quality.lag = lag;
        quality.lag_trend.note(now, lag);
        quality.quiet = None;
    }

    /// Decides after a reconnect whether the process is the one known from before, by ids whose time of birth is the same to the
    /// nanosecond. Starts over if it is another; if it is the same, buries what ended while we were not looking.
    fn identify(&mut self, message: &Message, now: Timestamp, changes: &mut Changes) {
        let births =
            || Kind::ALL.into_iter().flat_map(|kind| message.created(kind).map(move |(id, at)| (key(kind, id), at)));
        let told = self.process.zip(message.process());
        let same_process = told.map(|(known, it)| known.number == it.number && known.started.nanos() == it.started);
        let same = same_process
            .unwrap_or_else(|| births().any(|(id, at)| self.created(id) == Some(Timestamp::from_nanos(at))));
        let is_another = std::mem::take(&mut self.is_another) || same_process == Some(false);
        // Births prove what they show. Where there are none, what is known of the process itself counts.
        if !same && (is_another || births().next().is_some()) {
            let epoch = self.epoch + 1;
            let totals = std::mem::take(&mut self.totals).carried_over(self.quality.malformed);
            *self = Self { totals, epoch, ..Self::new(self.retention) };
            changes.restarted = true;
            return;
        }
        let introduced = Kind::ALL.into_iter().flat_map(|kind| {
            message.introduced_ids(kind).flatten().map(move |id| key(kind, id)).filter(|id| self.ids.get(*id).is_some())
        });
        let introduced: SeededSet<Id> = introduced.collect();
        if !introduced.is_empty() {
            for id in self.ids.not_among(&introduced) {
                self.retire(id, now, changes);
            }
        }
    }

    fn register(&mut self, new: Option<register_metadata::NewMetadata>) {
        let Some((id, metadata)) = new.and_then(|new| Some((new.id?, new.metadata?))) else {
            self.quality.malformed += 1;
            return;
        };
        if self.metadata.len() >= MOST_METADATA && !self.metadata.contains_key(&id.id) {
            self.quality.malformed += 1;
            return;
        }
        let names = metadata.field_names.iter().take(MOST_FIELDS).map(|name| self.strings.intern(name)).collect();
        let target = self.strings.intern(&metadata.target);
        self.metadata.insert(id.id, Metadata { target, field_names: names });
    }

    /// Resources come first, then ops, then tasks: each refers to those before it.
    fn introduce(&mut self, message: &Message, changes: &mut Changes) {
        let births = message.births(Kind::Resource);
        let mut some_are_parts = false;
        for resource in message.new_resources() {
            some_are_parts |= resource.as_ref().is_some_and(|resource| resource.parent.is_some());
            self.introduce_resource(resource, &births, changes);
        }
        for resource in message.new_resources().flatten().take_while(|_| some_are_parts) {
            if let (Some(child), Some(parent)) = (resource.id, resource.parent) {
                self.link_resource(child, parent, changes);
            }
        }
        let births = message.births(Kind::Task);
        let mut some_have_spawners = false;
        for task in message.new_tasks() {
            some_have_spawners |= task.as_ref().is_some_and(|task| task.parent.is_some());
            self.introduce_task(task, &births, changes);
        }
        for task in message.new_tasks().flatten().take_while(|_| some_have_spawners) {
            if let (Some(id), Some(spawner)) = (task.id, task.parent) {
                self.link_task(id, spawner);
            }
        }
        let births = message.births(Kind::AsyncOp);
        for op in message.new_async_ops() {
            self.introduce_op(op, &births, changes);
        }
        for op in message.new_async_ops().flatten() {
            if let Some(id) = op.id {
                self.link_op(id, op.resource, op.parent, changes);
            }
        }
    }

    fn introduce_resource(&mut self, resource: Option<Resource<'_>>, births: &Births, changes: &mut Changes) {
        let Some((id, resource)) = resource.and_then(|resource| Some((resource.id?, resource))) else {
            self.quality.malformed += 1;
            return;
        };
        let new = NewResource {
            target: self.target(resource.metadata),
            concrete_type: self.strings.intern(&resource.concrete_type),
            location: self.location(resource.location.as_ref()),
            internal: resource.is_internal,
            has_parent: resource.parent.is_some(),
        };
        self.new_resource(id, births.get(id).map(Timestamp::from_nanos), new, changes);
    }

    fn introduce_task(&mut self, task: Option<Task<'_>>, births: &Births, changes: &mut Changes) {
        let Some((id, task)) = task.and_then(|task| Some((task.id?, task))) else {
            self.quality.malformed += 1;
            return;
        };
        let (target, location) = (self.target(task.metadata), self.location(task.location.as_ref()));
        let mut new = NewTask { target, location, ..NewTask::default() };
        let mut others = Vec::new();
        for field in task.fields.iter().take(MOST_FIELDS) {
            let Some(name) = self.field_name(field) else {
                self.quality.malformed += 1;
                continue;
            };
            match (&*name, &field.value) {
                (task_field::KIND, Some(value)) => new.kind = with_text(value, TaskKind::parse),
                (task_field::NAME, Some(value)) => {
                    new.name = with_text(value, |name| (!name.is_empty()).then(|| self.strings.intern(name)));
                }
                (task_field::ID, Some(value)) => new.task_id = number(value),
                (task_field::SIZE, Some(value)) => new.sizes.0 = number(value).unwrap_or(0),
                (task_field::ORIGINAL_SIZE, Some(value)) => new.sizes.1 = number(value).unwrap_or(0),
                (task_field::FUNCTION, Some(value)) => {
                    new.function = Some(with_text(value, |name| self.strings.intern(name)));
                }
                (_, Some(value)) => others.push((name, with_text(value, |text| self.strings.intern(text)))),
                (_, None) => {}
            }
        }
        new.fields = others.into();
        self.new_task(id, births.get(id).map(Timestamp::from_nanos), new, changes);
    }

    /// The target of a span, as `tracing` calls the part of a program that a span is of.
    fn target(&self, metadata: Option<u64>) -> Option<Text> {
        metadata.and_then(|id| self.metadata.get(&id)).map(|it| it.target.clone())
    }

    fn introduce_op(&mut self, op: Option<AsyncOp<'_>>, births: &Births, changes: &mut Changes) {
        let Some((id, op)) = op.and_then(|op| Some((op.id?, op))) else {
            self.quality.malformed += 1;
            return;
        };
        let new = NewOp { source: self.strings.intern(&op.source) };
        self.new_op(id, births.get(id).map(Timestamp::from_nanos), new, changes);
    }

    fn attribute(&mut self, attribute: &introduced::Attribute<'_>) -> Option<Attribute> {
        let field = attribute.field.as_ref()?;
        let name = self.field_name(field)?;
        let value = match field.value.as_ref()? {
            FieldValue::Number(number) => Value::Number(*number),
            FieldValue::Signed(number) => Value::Signed(*number),
            FieldValue::Bool(yes) => Value::Bool(*yes),
            FieldValue::Text(text) => Value::Text(self.strings.intern(text)),
        };
        Some(Attribute { name, value, unit: attribute.unit.as_ref().map(|unit| self.strings.intern(unit)) })
    }

    fn field_name(&mut self, field: &Field<'_>) -> Option<Text> {
        match field.name.as_ref()? {
            FieldName::Text(name) => Some(self.strings.intern(name)),
            FieldName::Index(index) => {
                let metadata = self.metadata.get(&field.metadata?)?;
                metadata.field_names.get(usize::try_from(*index).ok()?).cloned()
            }
        }
    }

    fn location(&mut self, location: Option<&introduced::Location<'_>>) -> Location {
        let Some(location) = location else {
            return Location::new(self.strings.intern(""));
        };
        let file = location.file.as_deref().or(location.module.as_deref()).unwrap_or_default();
        let mut place = text::cut(&paths::short(file)).to_owned();
        for part in [location.line, location.column].into_iter().flatten().filter(|_| !file.is_empty()) {
            // Writing to a text does not fail.
            let _ = write!(place, ":{part}");
        }
        Location::new(self.strings.intern(&place))
    }
}

fn key(kind: Kind, id: u64) -> Id {
    match kind {
        Kind::Task => Id::Task(id),
        Kind::Resource => Id::Resource(id),
        Kind::AsyncOp => Id::Op(id),
    }
}
