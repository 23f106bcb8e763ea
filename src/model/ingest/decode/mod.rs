//! The only reader of the feed's protobuf: walks a message and tells the model, in its own terms, what is in it.

mod values;

use std::collections::HashMap;
use std::time::Duration;

use console_api::{Attribute as WireAttribute, Field, Location as WireLocation};
use console_api::{async_ops, field, instrument, register_metadata, resources, tasks};
use rustc_hash::FxHashSet;

use self::values::{count, durations, number, op_stats, task_stats, timestamp, with_text};
use super::changes::Changes;
use super::ops::NewOp;
use super::resources::NewResource;
use super::tasks::NewTask;
use crate::model::entity::details::{Details, Durations};
use crate::model::entity::resource::{Attribute, Value};
use crate::model::keys::{Entity, Id};
use crate::model::location::Location;
use crate::model::store::{Metadata, Model};
use crate::model::text::{self, Text};
use crate::model::time::Timestamp;
use crate::model::tokio::{TaskKind, field as task_field};
use crate::paths;

/// Most attributes and fields kept of one entity.
const MOST_FIELDS: usize = 32;

impl Model {
    /// Takes in one update of the feed, with the lag that was measured on its arrival.
    pub fn apply(&mut self, update: &instrument::Update, lag: Option<Duration>) -> Changes {
        self.apply_with(update, std::iter::empty(), lag)
    }

    /// Takes in one update of which some new tasks come apart from it, one by one.
    pub fn apply_with(
        &mut self,
        update: &instrument::Update,
        more_tasks: impl Iterator<Item = tasks::Task> + Clone,
        lag: Option<Duration>,
    ) -> Changes {
        let mut changes = Changes::default();
        let Some(now) = update.now.as_ref().and_then(timestamp) else {
            self.quality.malformed += 1;
            return changes;
        };
        if std::mem::take(&mut self.reconnected) {
            self.identify(update, more_tasks.clone(), now, &mut changes);
        }
        let before = self.move_on_to(now, &mut changes);
        self.note_quality(update, lag);
        for metadata in update.new_metadata.iter().flat_map(|registered| &registered.metadata) {
            self.register(metadata);
        }
        self.introduce(update, more_tasks, &mut changes);
        self.change(update, &mut changes);
        self.finish_update(&mut changes);
        self.compare_stamps(before);
        changes
    }

    /// Takes in one message of a details stream.
    pub fn apply_details(&mut self, message: &tasks::TaskDetails) {
        let at = message.now.as_ref().and_then(timestamp).unwrap_or(self.now());
        self.target_retention.hear(message.task_id.map_or(0, |id| id.id), at);
        let key = match message.task_id.and_then(|id| self.ids.get(&Id::Task(id.id))) {
            Some(Entity::Task(key)) => *key,
            _ => return,
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

    fn note_quality(&mut self, update: &instrument::Update, lag: Option<Duration>) {
        let now = self.now();
        // While the process stood still, nothing was born that could be late.
        let lag = lag.map(|lag| self.clock.running_between(now.minus(lag), now));
        let quality = &mut self.quality;
        let before = quality.dropped();
        quality.dropped_tasks += update.task_update.as_ref().map_or(0, |part| count(part.dropped_events));
        quality.dropped_resources += update.resource_update.as_ref().map_or(0, |part| count(part.dropped_events));
        quality.dropped_ops += update.async_op_update.as_ref().map_or(0, |part| count(part.dropped_events));
        if quality.dropped() > before {
            quality.last_dropped = Some(self.clock.now());
        }
        quality.lag = lag;
        quality.quiet = None;
    }

    /// Decides after a reconnect whether the process is the one known from before, by ids whose time of birth is the same to the
    /// nanosecond. Starts over if it is another; if it is the same, buries what ended while we were not looking.
    fn identify(
        &mut self,
        update: &instrument::Update,
        more_tasks: impl Iterator<Item = tasks::Task>,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let births = births(update);
        let known = |id: &Id, created: Timestamp| self.created(*id).is_some_and(|known| known == created);
        let same = births.iter().any(|(id, created)| known(id, *created));
        if !same && !births.is_empty() {
            let epoch = self.epoch + 1;
            *self = Self { epoch, ..Self::new(self.retention) };
            changes.restarted = true;
            return;
        }
        let mut introduced = introduced(update);
        introduced.extend(more_tasks.filter_map(|task| task.id).map(|id| Id::Task(id.id)));
        if introduced.iter().any(|id| self.ids.contains_key(id)) {
            let gone: Vec<Id> = self.ids.keys().filter(|id| !introduced.contains(id)).copied().collect();
            for id in gone {
                self.retire(id, now, changes);
            }
        }
    }

    fn register(&mut self, new: &register_metadata::NewMetadata) {
        let (Some(id), Some(metadata)) = (new.id, &new.metadata) else {
            self.quality.malformed += 1;
            return;
        };
        let names = metadata.field_names.iter().take(MOST_FIELDS).map(|name| self.strings.intern(name)).collect();
        self.metadata.insert(id.id, Metadata { field_names: names });
    }

    /// Resources come first, then ops, then tasks: each refers to those before it.
    fn introduce(
        &mut self,
        update: &instrument::Update,
        more_tasks: impl Iterator<Item = tasks::Task>,
        changes: &mut Changes,
    ) {
        if let Some(part) = &update.resource_update {
            for resource in &part.new_resources {
                self.introduce_resource(resource, &part.stats_update, changes);
            }
            for resource in &part.new_resources {
                if let (Some(child), Some(parent)) = (resource.id, resource.parent_resource_id) {
                    self.link_resource(child.id, parent.id, changes);
                }
            }
        }
        if let Some(part) = &update.task_update {
            for task in &part.new_tasks {
                self.introduce_task(task, &part.stats_update, changes);
            }
            for task in more_tasks {
                self.introduce_task(&task, &part.stats_update, changes);
            }
        }
        if let Some(part) = &update.async_op_update {
            for op in &part.new_async_ops {
                self.introduce_op(op, &part.stats_update, changes);
            }
            for op in &part.new_async_ops {
                if let Some(id) = op.id {
                    let (resource, parent) = (op.resource_id.map(|id| id.id), op.parent_async_op_id.map(|id| id.id));
                    self.link_op(id.id, resource, parent, changes);
                }
            }
        }
    }

    fn introduce_resource(
        &mut self,
        resource: &resources::Resource,
        stats: &HashMap<u64, resources::Stats>,
        changes: &mut Changes,
    ) {
        let Some(id) = resource.id else {
            self.quality.malformed += 1;
            return;
        };
        let new = NewResource {
            concrete_type: self.strings.intern(&resource.concrete_type),
            location: self.location(resource.location.as_ref()),
            internal: resource.is_internal,
            has_parent: resource.parent_resource_id.is_some(),
        };
        let created = stats.get(&id.id).and_then(|stats| stats.created_at.as_ref()).and_then(timestamp);
        self.new_resource(id.id, created, new, changes);
    }

    fn introduce_task(&mut self, task: &tasks::Task, stats: &HashMap<u64, tasks::Stats>, changes: &mut Changes) {
        let Some(id) = task.id else {
            self.quality.malformed += 1;
            return;
        };
        let mut new = NewTask { location: self.location(task.location.as_ref()), ..NewTask::default() };
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
        let created = stats.get(&id.id).and_then(|stats| stats.created_at.as_ref()).and_then(timestamp);
        self.new_task(id.id, created, new, changes);
    }

    fn introduce_op(&mut self, op: &async_ops::AsyncOp, stats: &HashMap<u64, async_ops::Stats>, changes: &mut Changes) {
        let Some(id) = op.id else {
            self.quality.malformed += 1;
            return;
        };
        let new = NewOp { source: self.strings.intern(&op.source) };
        let created = stats.get(&id.id).and_then(|stats| stats.created_at.as_ref()).and_then(timestamp);
        self.new_op(id.id, created, new, changes);
    }

    fn change(&mut self, update: &instrument::Update, changes: &mut Changes) {
        for (id, stats) in update.resource_update.iter().flat_map(|part| &part.stats_update) {
            let created = stats.created_at.as_ref().and_then(timestamp);
            let Some(created) = created else {
                self.quality.malformed += 1;
                continue;
            };
            let attributes = stats.attributes.iter().take(MOST_FIELDS).filter_map(|it| self.attribute(it)).collect();
            let dropped = stats.dropped_at.as_ref().and_then(timestamp);
            self.resource_changed(*id, created, dropped, attributes, changes);
        }
        for (id, stats) in update.task_update.iter().flat_map(|part| &part.stats_update) {
            match task_stats(stats) {
                Some(stats) => self.task_changed(*id, stats, changes),
                None => self.quality.malformed += 1,
            }
        }
        for (id, stats) in update.async_op_update.iter().flat_map(|part| &part.stats_update) {
            match op_stats(stats) {
                Some(stats) => self.op_changed(*id, stats, changes),
                None => self.quality.malformed += 1,
            }
        }
        for poll in update.resource_update.iter().flat_map(|part| &part.new_poll_ops) {
            // Other names are reported twice a poll, the first time for the cooperative budget, and prove nothing.
            if let (Some(op), "poll") = (poll.async_op_id, poll.name.as_str()) {
                self.op_polled(op.id, poll.is_ready);
            }
        }
    }

    fn attribute(&mut self, attribute: &WireAttribute) -> Option<Attribute> {
        let field = attribute.field.as_ref()?;
        let name = self.field_name(field)?;
        let value = match field.value.as_ref()? {
            field::Value::U64Val(number) => Value::Number(*number),
            field::Value::I64Val(number) => Value::Signed(*number),
            field::Value::BoolVal(yes) => Value::Bool(*yes),
            field::Value::StrVal(text) | field::Value::DebugVal(text) => Value::Text(self.strings.intern(text)),
        };
        Some(Attribute { name, value, unit: attribute.unit.as_ref().map(|unit| self.strings.intern(unit)) })
    }

    fn field_name(&mut self, field: &Field) -> Option<Text> {
        match field.name.as_ref()? {
            field::Name::StrName(name) => Some(self.strings.intern(name)),
            field::Name::NameIdx(index) => {
                let metadata = self.metadata.get(&field.metadata_id?.id)?;
                metadata.field_names.get(usize::try_from(*index).ok()?).cloned()
            }
        }
    }

    fn location(&mut self, location: Option<&WireLocation>) -> Location {
        let Some(location) = location else {
            return Location::new(self.strings.intern(""));
        };
        let file = location.file.as_deref().or(location.module_path.as_deref()).unwrap_or_default();
        let mut place = text::cut(&paths::short(file)).to_owned();
        for part in [location.line, location.column].into_iter().flatten().filter(|_| !file.is_empty()) {
            place = format!("{place}:{part}");
        }
        Location::new(self.strings.intern(&place))
    }
}

/// Every id with counters in a message, and when it was born.
fn births(update: &instrument::Update) -> Vec<(Id, Timestamp)> {
    let tasks = update.task_update.iter().flat_map(|part| &part.stats_update);
    let resources = update.resource_update.iter().flat_map(|part| &part.stats_update);
    let ops = update.async_op_update.iter().flat_map(|part| &part.stats_update);
    let tasks = tasks.map(|(id, stats)| (Id::Task(*id), &stats.created_at));
    let resources = resources.map(|(id, stats)| (Id::Resource(*id), &stats.created_at));
    let ops = ops.map(|(id, stats)| (Id::Op(*id), &stats.created_at));
    let all = tasks.chain(resources).chain(ops);
    all.filter_map(|(id, created)| Some((id, created.as_ref().and_then(timestamp)?))).collect()
}

/// Every id that a message introduces.
fn introduced(update: &instrument::Update) -> FxHashSet<Id> {
    let tasks = update.task_update.iter().flat_map(|part| &part.new_tasks).filter_map(|it| it.id);
    let resources = update.resource_update.iter().flat_map(|part| &part.new_resources).filter_map(|it| it.id);
    let ops = update.async_op_update.iter().flat_map(|part| &part.new_async_ops).filter_map(|it| it.id);
    let tasks = tasks.map(|id| Id::Task(id.id));
    let resources = resources.map(|id| Id::Resource(id.id));
    tasks.chain(resources).chain(ops.map(|id| Id::Op(id.id))).collect()
}
