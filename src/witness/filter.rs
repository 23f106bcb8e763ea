//! Recorded events without what is left out of them.

use std::collections::BTreeSet;

use console_api::instrument::Update;
use console_api::{Field, Id, MetaId, async_ops, register_metadata, resources, tasks};

use super::inventory::{Keep, messages};
use crate::diagnosis::Arrived;
use crate::feed::{self, FeedEvent};

/// The events with nothing in them but what is kept, one by one.
pub(super) fn only<'a>(events: &'a [Arrived], keep: &'a Keep) -> impl Iterator<Item = Arrived> + 'a {
    events.iter().filter_map(|arrived| {
        let event = match &arrived.event {
            FeedEvent::Update(update) => event(update_of(&update.message.decoded(), keep)),
            FeedEvent::Details(details) => {
                let is_kept = details.task_id.is_some_and(|id| keep.tasks.contains(&id.id));
                is_kept.then(|| FeedEvent::Details(details.clone()))?
            }
            other => other.clone(),
        };
        Some(Arrived { at: arrived.at, event })
    })
}

/// An update as an event.
pub(super) fn event(message: Update) -> FeedEvent {
    FeedEvent::Update(Box::new(feed::Update::from(message)))
}

fn update_of(message: &Update, keep: &Keep) -> Update {
    Update {
        now: message.now,
        task_update: message.task_update.as_ref().map(|part| tasks_of(part, keep)),
        resource_update: message.resource_update.as_ref().map(|part| resources_of(part, keep)),
        async_op_update: message.async_op_update.as_ref().map(|part| ops_of(part, keep)),
        new_metadata: message.new_metadata.clone(),
    }
}

fn tasks_of(part: &tasks::TaskUpdate, keep: &Keep) -> tasks::TaskUpdate {
    let is_kept = |id: &u64| keep.tasks.contains(id);
    tasks::TaskUpdate {
        new_tasks: part.new_tasks.iter().filter(|it| has(it.id, is_kept)).cloned().collect(),
        stats_update: part.stats_update.iter().filter(|(id, _)| is_kept(id)).map(|(id, it)| (*id, *it)).collect(),
        dropped_events: part.dropped_events,
    }
}

fn resources_of(part: &resources::ResourceUpdate, keep: &Keep) -> resources::ResourceUpdate {
    let is_kept = |id: &u64| keep.resources.contains(id);
    let stats = part.stats_update.iter().filter(|(id, _)| is_kept(id));
    let concerns = |poll: &&resources::PollOp| {
        let is_op = |id: &u64| keep.ops.contains(id);
        has(poll.resource_id, is_kept) && poll.async_op_id.as_ref().is_none_or(|id| is_op(&id.id))
    };
    resources::ResourceUpdate {
        new_resources: part.new_resources.iter().filter(|it| has(it.id, is_kept)).cloned().collect(),
        stats_update: stats.map(|(id, it)| (*id, it.clone())).collect(),
        new_poll_ops: part.new_poll_ops.iter().filter(concerns).cloned().collect(),
        dropped_events: part.dropped_events,
    }
}

fn ops_of(part: &async_ops::AsyncOpUpdate, keep: &Keep) -> async_ops::AsyncOpUpdate {
    let is_kept = |id: &u64| keep.ops.contains(id);
    let stats = part.stats_update.iter().filter(|(id, _)| is_kept(id));
    async_ops::AsyncOpUpdate {
        new_async_ops: part.new_async_ops.iter().filter(|it| has(it.id, is_kept)).cloned().collect(),
        stats_update: stats.map(|(id, it)| (*id, it.clone())).collect(),
        dropped_events: part.dropped_events,
    }
}

/// What nobody can name is left out too.
fn has(id: Option<Id>, is_kept: impl Fn(&u64) -> bool) -> bool {
    id.is_some_and(|id| is_kept(&id.id))
}

/// The events without details of tasks.
pub(super) fn without_details(events: &[Arrived]) -> Vec<Arrived> {
    events.iter().filter(|it| !matches!(it.event, FeedEvent::Details(_))).cloned().collect()
}

/// The events without poll ops.
pub(super) fn without_poll_ops(events: &[Arrived]) -> Vec<Arrived> {
    each_update(events, |update| {
        if let Some(part) = &mut update.resource_update {
            part.new_poll_ops.clear();
        }
    })
}

/// The events without metadata that nothing refers to.
pub(super) fn without_unused_metadata(events: &[Arrived]) -> Vec<Arrived> {
    let mut used = BTreeSet::new();
    messages(events).for_each(|message| note_metadata(&message.decoded(), &mut |id| used.extend(id.map(|id| id.id))));
    each_update(events, |update| {
        if let Some(register_metadata) = &mut update.new_metadata {
            let is_used = |it: &register_metadata::NewMetadata| it.id.is_some_and(|id| used.contains(&id.id));
            register_metadata.metadata.retain(is_used);
        }
    })
}

/// The events with every update changed.
pub(super) fn each_update(events: &[Arrived], mut change: impl FnMut(&mut Update)) -> Vec<Arrived> {
    let mut events = events.to_vec();
    for arrived in &mut events {
        if let FeedEvent::Update(update) = &mut arrived.event {
            let mut message = update.message.decoded();
            change(&mut message);
            **update = message.into();
        }
    }
    events
}

fn note_metadata(update: &Update, note: &mut dyn FnMut(Option<MetaId>)) {
    let of_fields = |fields: &[Field], note: &mut dyn FnMut(Option<MetaId>)| {
        fields.iter().for_each(|field| note(field.metadata_id));
    };
    for task in update.task_update.iter().flat_map(|part| &part.new_tasks) {
        note(task.metadata);
        of_fields(&task.fields, note);
    }
    if let Some(part) = &update.resource_update {
        part.new_resources.iter().for_each(|it| note(it.metadata));
        part.new_poll_ops.iter().for_each(|it| note(it.metadata));
        for attribute in part.stats_update.values().flat_map(|it| &it.attributes) {
            of_fields(attribute.field.as_slice(), note);
        }
    }
    if let Some(part) = &update.async_op_update {
        part.new_async_ops.iter().for_each(|it| note(it.metadata));
        for attribute in part.stats_update.values().flat_map(|it| &it.attributes) {
            of_fields(attribute.field.as_slice(), note);
        }
    }
}
