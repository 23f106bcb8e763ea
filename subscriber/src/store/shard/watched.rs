//! What clients are sent of a shard: all that it has, and then what changes.

use slab::Slab;

use super::{Entity, Entry, Live, Shard};
use crate::clock::Clock;
use crate::store::async_op::AsyncOp;
use crate::store::resource::Resource;
use crate::store::task::Task;
use crate::store::{Kind, PerKind};

/// Fewer changes than this are not worth a look at which of them have ended.
const MANY: usize = 1_024;

/// Slots of entities of one kind that have changed, and of some that have ended.
#[derive(Debug, Default)]
pub(super) struct Changed {
    slots: Vec<usize>,
    /// When there are so many, those that have ended are taken out.
    most: usize,
}

impl Shard {
    /// Notes what has changed. If nobody takes the changes, as in a process that was forked, they are no more than what lives.
    pub(super) fn note_change<T: Entity>(&mut self, slot: usize) {
        let changed = self.changed.of(T::KIND);
        changed.slots.push(slot);
        if changed.slots.len() <= changed.most.max(MANY) {
            return;
        }
        let mut slots = std::mem::take(&mut changed.slots);
        slots.sort_unstable();
        slots.dedup();
        let slab = T::slab(self);
        slots.retain(|slot| slab.get(*slot).is_some_and(|Entry(live)| live.changed));
        *self.changed.of(T::KIND) = Changed { most: 2 * slots.len(), slots };
    }

    /// From now on, what changes is kept to be sent.
    pub(crate) fn begin_snapshot(&mut self) {
        self.watched = true;
        self.snapshots = true;
        for kind in [Kind::Task, Kind::Resource] {
            *self.before_snapshot.of(kind) = self.unsent.get(kind).len();
        }
    }

    /// Appends what lives in up to `most` slots and, after the last of them, what is retained. Says where to go on, if there are more.
    pub(crate) fn snapshot(
        &mut self,
        kind: Kind,
        from: usize,
        most: usize,
        clock: &Clock,
        out: &mut PerKind<Vec<u8>>,
    ) -> Option<usize> {
        let out = out.of(kind);
        let next = match kind {
            Kind::Task => encode_some(&self.tasks, from, most, clock, out),
            Kind::Resource => encode_some(&self.resources, from, most, clock, out),
            Kind::AsyncOp => encode_some(&self.async_ops, from, most, clock, out),
        };
        if next.is_none() {
            self.retained.of(kind).copy_to(out);
        }
        next
    }

    /// Appends what others may refer to and was not there when its turn was: all of it is sent once more with the next changes.
    pub(crate) fn end_snapshot(&mut self, clock: &Clock, out: &mut PerKind<Vec<u8>>) {
        self.snapshots = false;
        for kind in [Kind::Task, Kind::Resource] {
            out.of(kind).append(self.sent_meanwhile.of(kind));
            out.of(kind).extend_from_slice(self.unsent.get(kind));
        }
        self.sent_meanwhile = PerKind::default();
        encode_unknown(&self.tasks, &self.changed.tasks.slots, clock, &mut out.tasks);
        encode_unknown(&self.resources, &self.changed.resources.slots, clock, &mut out.resources);
    }

    /// Appends what has ended since the last call, and how much was dropped. Says which slots have changed, for [`Self::encode_changes`].
    pub(crate) fn take_changes(&mut self, kind: Kind, out: &mut Vec<u8>, dropped: &mut u64) -> Vec<usize> {
        if self.snapshots && kind != Kind::AsyncOp {
            // Clients that catch up need these too. What refers to them may end later and then comes with the next changes, to all clients.
            let from = std::mem::take(self.before_snapshot.of(kind));
            let meanwhile = self.unsent.get(kind).get(from..).unwrap_or_default();
            self.sent_meanwhile.of(kind).extend_from_slice(meanwhile);
        }
        out.append(self.unsent.of(kind));
        *dropped += std::mem::take(self.dropped.of(kind));
        std::mem::take(&mut self.changed.of(kind).slots)
    }

    /// Appends what clients do not know of what is in these slots.
    pub(crate) fn encode_changes(&mut self, kind: Kind, slots: &[usize], clock: &Clock, out: &mut Vec<u8>) {
        match kind {
            Kind::Task => encode_changes::<Task>(self, slots, clock, out),
            Kind::Resource => encode_changes::<Resource>(self, slots, clock, out),
            Kind::AsyncOp => encode_changes::<AsyncOp>(self, slots, clock, out),
        }
    }

    /// Nobody watches any more.
    pub(crate) fn unwatch(&mut self) {
        self.watched = false;
        self.unsent = PerKind::default();
        self.dropped = PerKind::default();
        settle::<Task>(self);
        settle::<Resource>(self);
        settle::<AsyncOp>(self);
    }
}

/// An entity that has ended meanwhile, or another one in its place, has been or will be written by itself.
fn encode_changes<T: Entity>(shard: &mut Shard, slots: &[usize], clock: &Clock, out: &mut Vec<u8>) {
    let slab = T::slab(shard);
    for slot in slots {
        let Some(Entry(live)) = slab.get_mut(*slot).filter(|Entry(live)| live.changed) else { continue };
        live.changed = false;
        if !std::mem::replace(&mut live.introduced, true) {
            live.entity.encode_new(live.id, out);
        }
        live.entity.encode_stats(live.id, None, clock, out);
    }
}

/// Appends what no client knows of what is in these slots.
fn encode_unknown<T: Entity>(slab: &Slab<Entry<T>>, slots: &[usize], clock: &Clock, out: &mut Vec<u8>) {
    let unknown = slots.iter().filter_map(|slot| slab.get(*slot)).filter(|Entry(live)| !live.introduced);
    unknown.for_each(|Entry(live)| encode(live, clock, out));
}

/// Appends what lives in up to `most` slots. Says where to go on, if there are more.
fn encode_some<T: Entity>(
    slab: &Slab<Entry<T>>,
    from: usize,
    most: usize,
    clock: &Clock,
    out: &mut Vec<u8>,
) -> Option<usize> {
    // Slots that are empty are among them: no slot in use is beyond the capacity.
    let until = slab.capacity().min(from + most);
    (from..until).filter_map(|slot| slab.get(slot)).for_each(|Entry(live)| encode(live, clock, out));
    (until < slab.capacity()).then_some(until)
}

fn encode<T: Entity>(live: &Live<T>, clock: &Clock, out: &mut Vec<u8>) {
    live.entity.encode_new(live.id, out);
    live.entity.encode_stats(live.id, None, clock, out);
}

fn settle<T: Entity>(shard: &mut Shard) {
    let Changed { slots, .. } = std::mem::take(shard.changed.of(T::KIND));
    let slab = T::slab(shard);
    for slot in slots {
        if let Some(Entry(live)) = slab.get_mut(slot) {
            live.changed = false;
            live.introduced = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::resource::Nature;
    use crate::store::shard::Room;

    #[test]
    fn who_catches_up_is_sent_what_ended_while_others_were_sent_changes() {
        let (clock, room) = (Clock::start(), Room { retained: 0, due: 1 << 20, unsent: 1 << 20 });
        let mut shard = Shard::new(0, room);
        shard.begin_snapshot();
        shard.end_snapshot(&clock, &mut PerKind::default());
        let resource = || {
            let nature = Nature { parent: None, inherits: false, passes_on: false, is_internal: false };
            Resource::new(Arc::from([]), nature, clock.now())
        };
        let (before, meanwhile) = (shard.insert(None, resource()), shard.insert(None, resource()));
        let (mut changes, mut snapshot, mut dropped) = (Vec::new(), PerKind::default(), 0);
        let changed = shard.take_changes(Kind::Resource, &mut changes, &mut dropped);
        shard.encode_changes(Kind::Resource, &changed, &clock, &mut changes);
        let _due = shard.close::<Resource>(before, &clock);
        shard.begin_snapshot();
        let _due = shard.close::<Resource>(meanwhile, &clock);
        changes.clear();
        shard.take_changes(Kind::Resource, &mut changes, &mut dropped);
        shard.snapshot(Kind::Resource, 0, MANY, &clock, &mut snapshot);
        shard.end_snapshot(&clock, &mut snapshot);
        // The end of the first one, and everything about the second.
        assert_eq!(crate::encode::frames(&changes), 3);
        assert_eq!(crate::encode::frames(&snapshot.resources), 2);
    }

    #[test]
    fn changes_that_nobody_takes_are_no_more_than_what_lives() {
        let (clock, room) = (Clock::start(), Room { retained: 0, due: 0, unsent: 0 });
        let mut shard = Shard::new(0, room);
        shard.begin_snapshot();
        shard.end_snapshot(&clock, &mut PerKind::default());
        let task = || Task::new(Arc::from([]), 0, None, None, clock.now());
        let living: Vec<u64> = (0..100).map(|_| shard.insert(None, task())).collect();
        for _ in 0..100_000 {
            let id = shard.insert(None, task());
            let _due = shard.close::<Task>(id, &clock);
        }
        let (mut out, mut dropped) = (Vec::new(), 0);
        let changed = shard.take_changes(Kind::Task, &mut out, &mut dropped);
        assert!(changed.len() <= MANY, "{} changes", changed.len());
        shard.encode_changes(Kind::Task, &changed, &clock, &mut out);
        // Each with a description and counters.
        assert_eq!(crate::encode::frames(&out), 2 * living.len() as u64);
    }
}
