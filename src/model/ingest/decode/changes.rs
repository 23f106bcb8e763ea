//! Counters: a batch of them at a time, so that what they are about is in the processor's cache when it is changed.
//!
//! Of a million tasks hardly one is there, and the time of an update is the time of waiting for them. Read one after the other,
//! before any of them is changed, one wait does not hold up the next.

use std::collections::BTreeMap;
use std::hint::black_box;

use super::MOST_FIELDS;
use super::values::{holders, op_stats, task_stats};
use crate::model::entity::async_op::OpStats;
use crate::model::entity::resource::Resource;
use crate::model::entity::task::Task;
use crate::model::ingest::changes::Changes;
use crate::model::store::Model;
use crate::model::time::Timestamp;
use crate::model::tokio::is_inside_interval;
use crate::wire::{Entry, FLOOD, Message, ResourceStats, TaskStats};

/// Entries in a batch.
const BATCH: usize = 128;

impl Model {
    /// Takes over what a message says about what is known already.
    pub(super) fn change(&mut self, message: &Message, changes: &mut Changes) {
        in_batches(message.resource_stats(), |batch| {
            self.prefetch_resources(batch);
            for entry in batch {
                self.change_resource(entry, changes);
            }
        });
        in_batches(message.task_stats(), |batch| {
            self.prefetch_tasks(batch.iter().map(|entry| entry.id));
            for entry in batch {
                self.change_task(entry, changes);
            }
        });
        let ops = message.async_op_stats().map(|entry| (entry.id, entry.read().and_then(|stats| op_stats(&stats))));
        in_batches(ops, |batch| {
            self.prefetch_ops(batch);
            for (id, stats) in batch {
                match stats {
                    Some(stats) => self.op_changed(*id, *stats, changes),
                    None => self.quality.malformed += 1,
                }
            }
        });
        for poll in message.poll_ops() {
            if let Some(op) = poll.async_op_id.filter(|_| poll.is_whole()) {
                self.op_polled(op, poll.is_ready);
            }
        }
        self.note_elapsed_timers(message);
    }

    /// Notes which timers tasks poll again and again although they have elapsed, if the update is full of such polls. The timer inside an
    /// interval that is behind is ready each time, too.
    fn note_elapsed_timers(&mut self, message: &Message) {
        if !message.is_flooded_by_poll_ops() {
            return;
        }
        let mut polls: BTreeMap<(u64, u64), (usize, bool)> = BTreeMap::new();
        for poll in message.poll_ops().take(FLOOD) {
            if let Some(ids) = poll.task_id.zip(poll.resource_id) {
                let (count, is_always_ready) = polls.entry(ids).or_insert((0, true));
                (*count, *is_always_ready) = (*count + 1, *is_always_ready && poll.is_ready);
            }
        }
        polls.retain(|_, (count, is_always_ready)| *is_always_ready && *count >= FLOOD / 10);
        for (task, timer) in polls.into_keys() {
            let is_elapsed = |timer: &Resource| timer.kind.is_timer() && !is_inside_interval(&timer.location);
            let timer = self.ids.resource(timer).filter(|key| self.resources.get(*key).is_some_and(is_elapsed));
            let site = self.ids.task(task).and_then(|key| self.tasks.get(key)).map(|task| task.site);
            if let Some(site) = site.and_then(|site| self.sites.get_mut(site)).filter(|_| timer.is_some()) {
                site.history.current().elapsed_timer = timer;
            }
        }
    }

    fn change_resource(&mut self, entry: &Entry<'_, ResourceStats<'_>>, changes: &mut Changes) {
        let stats = entry.read();
        let created = stats.as_ref().and_then(|stats| stats.created).map(Timestamp::from_nanos);
        let (Some(stats), Some(created)) = (stats, created) else {
            self.quality.malformed += 1;
            return;
        };
        let attributes = stats.attributes.iter().take(MOST_FIELDS).filter_map(|it| self.attribute(it)).collect();
        let dropped = stats.dropped.map(Timestamp::from_nanos);
        self.resource_changed(entry.id, created, dropped, attributes, holders(&stats.holders), changes);
    }

    fn change_task(&mut self, entry: &Entry<'_, TaskStats<'_>>, changes: &mut Changes) {
        let stats = entry.read().and_then(|stats| {
            let name = stats.thread.as_deref();
            let thread = name.and_then(|name| self.threads.named(name, |name| self.strings.intern(name)));
            task_stats(&stats, thread)
        });
        match stats {
            Some(stats) => self.task_changed(entry.id, stats, changes),
            None => self.quality.malformed += 1,
        }
    }

    fn prefetch_resources(&self, batch: &[Entry<'_, ResourceStats<'_>>]) {
        let ids = batch.iter().map(|entry| entry.id);
        prefetch(ids, |id| self.ids.resource(id), |key| self.resources.get(key).map(Resource::prefetch));
    }

    fn prefetch_tasks(&self, ids: impl Iterator<Item = u64>) {
        prefetch(ids, |id| self.ids.task(id), |key| self.tasks.get(key).map(Task::prefetch));
    }

    /// Prefetches ops, and the tasks that polled them.
    fn prefetch_ops(&self, batch: &[(u64, Option<OpStats>)]) {
        let ids = batch.iter().map(|(id, _)| *id);
        prefetch(ids, |id| self.ids.op(id), |key| self.ops.get(key).map(|op| op.id));
        self.prefetch_tasks(batch.iter().filter_map(|(_, stats)| stats.as_ref()?.task));
    }
}

/// Hands over all of these, a batch at a time.
fn in_batches<T>(mut all: impl Iterator<Item = T>, mut take: impl FnMut(&[T])) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        batch.extend(all.by_ref().take(BATCH));
        if batch.is_empty() {
            break;
        }
        take(&batch);
        batch.clear();
    }
}

/// Prefetches what has these ids: finds out where each is, then reads from all of them.
fn prefetch<K>(ids: impl Iterator<Item = u64>, key: impl Fn(u64) -> Option<K>, read: impl Fn(K) -> Option<u64>) {
    let keys: Vec<K> = ids.filter_map(key).collect();
    black_box(keys.into_iter().filter_map(read).fold(0, u64::wrapping_add));
}
