//! Recorded events without what is left out of them.

use std::collections::BTreeSet;

use console_api::instrument::Update;
use console_api::{Field, MetaId};

use super::inventory::{Keep, messages};
use crate::diagnosis::Arrived;
use crate::feed::FeedEvent;
use crate::wire::{Kind, PollOp, Select};

/// The events with nothing in them but what is kept, one by one.
pub(super) fn only<'a>(events: &'a [Arrived], keep: &'a Keep) -> impl Iterator<Item = Arrived> + 'a {
    events.iter().filter_map(|arrived| {
        let event = match &arrived.event {
            FeedEvent::Details(details) => {
                let is_kept = details.task_id.is_some_and(|id| keep.tasks.contains(&id.id));
                is_kept.then(|| FeedEvent::Details(details.clone()))?
            }
            other => selected(other, keep),
        };
        Some(Arrived { at: arrived.at, event })
    })
}

impl Select for Keep {
    fn entity(&self, kind: Kind, id: u64) -> bool {
        let kept = match kind {
            Kind::Task => &self.tasks,
            Kind::Resource => &self.resources,
            Kind::AsyncOp => &self.ops,
        };
        kept.contains(&id)
    }

    fn poll_op(&self, poll: &PollOp<'_>) -> bool {
        let has_resource = poll.resource_id.is_some_and(|id| self.resources.contains(&id));
        has_resource && poll.async_op_id.is_none_or(|id| self.ops.contains(&id))
    }
}

/// Everything but poll ops.
struct NoPollOps;

impl Select for NoPollOps {
    fn poll_op(&self, _: &PollOp<'_>) -> bool {
        false
    }
}

/// Of metadata only these.
struct Metadata(BTreeSet<u64>);

impl Select for Metadata {
    fn metadata(&self, id: u64) -> bool {
        self.0.contains(&id)
    }
}

/// The events without details of tasks.
pub(super) fn without_details(events: &[Arrived]) -> Vec<Arrived> {
    events.iter().filter(|it| !matches!(it.event, FeedEvent::Details(_))).cloned().collect()
}

/// The events without poll ops.
pub(super) fn without_poll_ops(events: &[Arrived]) -> Vec<Arrived> {
    each_update(events, &NoPollOps)
}

/// The events without metadata that nothing refers to.
pub(super) fn without_unused_metadata(events: &[Arrived]) -> Vec<Arrived> {
    let mut used = BTreeSet::new();
    messages(events).for_each(|message| note_metadata(&message.decoded(), &mut |id| used.extend(id.map(|id| id.id))));
    each_update(events, &Metadata(used))
}

/// The events with what is selected of every update.
fn each_update(events: &[Arrived], select: &dyn Select) -> Vec<Arrived> {
    let only = |arrived: &Arrived| Arrived { at: arrived.at, event: selected(&arrived.event, select) };
    events.iter().map(only).collect()
}

/// An event with what is selected of it, if it is an update.
fn selected(event: &FeedEvent, select: &dyn Select) -> FeedEvent {
    match event {
        FeedEvent::Update(update) => FeedEvent::Update(Box::new(update.message.selected(select).into())),
        other => other.clone(),
    }
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
