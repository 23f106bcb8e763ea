//! A part of the store, behind one lock.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use slab::Slab;

use crate::clock::{Clock, Moment};
use crate::store::address::Address;
use crate::store::async_op::AsyncOp;
use crate::store::resource::Resource;
use crate::store::retained::Retained;
use crate::store::sites::Sites;
use crate::store::task::Task;
use crate::store::{Kind, PerKind};

/// Fewer changes than this are not worth a look at which of them have ended.
const MANY_CHANGED: usize = 1_024;

/// Limits of a shard, in bytes for each kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// For what ended.
    pub(crate) retained: usize,
    /// For what clients have not been sent yet, from which on the publisher is asked to send it.
    pub(crate) due: usize,
    /// For what clients have not been sent yet, from which on it is counted instead.
    pub(crate) unsent: usize,
}

/// Something that lives, and what clients know of it.
#[derive(Debug)]
struct Live<T> {
    id: u64,
    entity: T,
    /// Handles of its span. Counted only where no registry counts them.
    handles: u32,
    /// Whether clients have been sent what never changes.
    introduced: bool,
    /// Whether it has changed since clients were sent what changes.
    changed: bool,
}

/// What the store keeps.
pub(crate) trait Entity: Sized {
    const KIND: Kind;
    fn slab(shard: &mut Shard) -> &mut Slab<Entry<Self>>;
    fn encode_new(&self, id: u64, out: &mut Vec<u8>);
    fn encode_stats(&self, id: u64, dropped: Option<Moment>, clock: &Clock, out: &mut Vec<u8>);
    /// Whether it is kept after its end for clients that attach later.
    fn is_kept(&self) -> bool;
}

/// Something that lives; opaque outside of its shard.
#[derive(Debug)]
pub(crate) struct Entry<T>(Live<T>);

macro_rules! entity {
    ($entity:ty, $kind:ident, $slab:ident) => {
        impl Entity for $entity {
            const KIND: Kind = Kind::$kind;
            #[inline]
            fn slab(shard: &mut Shard) -> &mut Slab<Entry<Self>> {
                &mut shard.$slab
            }
            fn encode_new(&self, id: u64, out: &mut Vec<u8>) {
                self.encode_new(id, out);
            }
            fn encode_stats(&self, id: u64, dropped: Option<Moment>, clock: &Clock, out: &mut Vec<u8>) {
                self.encode_stats(id, dropped, clock, out);
            }
            fn is_kept(&self) -> bool {
                self.is_kept()
            }
        }
    };
}
entity!(Task, Task, tasks);
entity!(Resource, Resource, resources);
entity!(AsyncOp, AsyncOp, async_ops);

/// A part of the store.
#[derive(Debug)]
pub(crate) struct Shard {
    /// Its number in the store.
    number: usize,
    /// Where spans are kept whose numbers a registry gave out.
    index: HashMap<u64, (Kind, usize), RandomState>,
    tasks: Slab<Entry<Task>>,
    resources: Slab<Entry<Resource>>,
    async_ops: Slab<Entry<AsyncOp>>,
    /// How many entities it has had.
    lives: PerKind<u64>,
    pub(crate) sites: Sites,
    /// What ended.
    pub(crate) retained: PerKind<Retained>,
    /// Whether anybody is watching: else nothing is kept to be sent.
    watched: bool,
    /// Whether what lives is being written for a client: what ends meanwhile may or may not have been.
    snapshots: bool,
    /// What has changed since clients were sent what changes, and what has ended since.
    changed: Vec<(Kind, usize)>,
    /// When so many have changed, those that have ended are taken out.
    most_changed: usize,
    /// Frames of what ended since clients were sent anything.
    unsent: PerKind<Vec<u8>>,
    /// How many entities there was no room for.
    dropped: PerKind<u64>,
    scratch: Vec<u8>,
    room: Room,
}

impl Shard {
    pub(crate) fn new(number: usize, room: Room) -> Self {
        Self {
            number,
            index: HashMap::default(),
            tasks: Slab::new(),
            resources: Slab::new(),
            async_ops: Slab::new(),
            lives: PerKind::default(),
            sites: Sites::default(),
            retained: PerKind::default(),
            watched: false,
            snapshots: false,
            changed: Vec::new(),
            most_changed: MANY_CHANGED,
            unsent: PerKind::default(),
            dropped: PerKind::default(),
            scratch: Vec::new(),
            room,
        }
    }

    /// Keeps an entity under the number of its span, or under a new number if it has none. Says which.
    pub(crate) fn insert<T: Entity>(&mut self, span: Option<u64>, entity: T) -> u64 {
        let watched = self.watched;
        *self.lives.of(T::KIND) += 1;
        let (life, shard) = (*self.lives.of(T::KIND), self.number);
        let slab = T::slab(self);
        let entry = slab.vacant_entry();
        let address = Address { kind: T::KIND, shard, slot: entry.key() };
        let id = span.unwrap_or_else(|| address.number(life));
        if !address.exists() {
            return id;
        }
        // Who begins to watch later is sent everything first.
        entry.insert(Entry(Live { id, entity, handles: 1, introduced: !watched, changed: watched }));
        if watched {
            self.note_change(T::KIND, address.slot);
        }
        // A registry does not use a number again before its span is closed; if it did, the older entity would never end.
        if span.is_some()
            && let Some((kind, slot)) = self.index.insert(id, (T::KIND, address.slot))
        {
            self.remove(kind, slot);
        }
        id
    }

    fn remove(&mut self, kind: Kind, slot: usize) {
        match kind {
            Kind::Task => drop(self.tasks.try_remove(slot)),
            Kind::Resource => drop(self.resources.try_remove(slot)),
            Kind::AsyncOp => drop(self.async_ops.try_remove(slot)),
        }
    }

    #[inline]
    fn locate(&self, id: u64) -> Option<(Kind, usize)> {
        // A number that only looks like an address is in the index, if it is anywhere.
        if !self.index.is_empty()
            && let Some(&place) = self.index.get(&id)
        {
            return Some(place);
        }
        Address::of(id).map(|address| (address.kind, address.slot))
    }

    /// What the span is, if it is anything.
    #[inline]
    pub(crate) fn kind(&self, id: u64) -> Option<Kind> {
        self.locate(id).map(|(kind, _)| kind)
    }

    #[inline]
    fn live<T: Entity>(&mut self, id: u64) -> Option<(usize, &mut Live<T>)> {
        let (_, slot) = self.locate(id).filter(|(kind, _)| *kind == T::KIND)?;
        let Entry(live) = T::slab(self).get_mut(slot)?;
        (live.id == id).then_some((slot, live))
    }

    /// The entity, to be looked at.
    #[inline]
    pub(crate) fn get<T: Entity>(&mut self, id: u64) -> Option<&T> {
        self.live(id).map(|(_, live)| &live.entity)
    }

    /// Changes an entity, if there is one.
    #[inline]
    pub(crate) fn change<T: Entity, R>(&mut self, id: u64, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        let watched = self.watched;
        let (slot, live) = self.live::<T>(id)?;
        let result = change(&mut live.entity);
        if watched && !live.changed {
            live.changed = true;
            self.note_change(T::KIND, slot);
        }
        Some(result)
    }

    /// Notes what has changed. If nobody takes the changes, as in a process that was forked, they are no more than what lives.
    fn note_change(&mut self, kind: Kind, slot: usize) {
        self.changed.push((kind, slot));
        if self.changed.len() > self.most_changed {
            let Self { changed, tasks, resources, async_ops, .. } = self;
            changed.sort_unstable();
            changed.dedup();
            changed.retain(|(kind, slot)| match kind {
                Kind::Task => has_changed(tasks, *slot),
                Kind::Resource => has_changed(resources, *slot),
                Kind::AsyncOp => has_changed(async_ops, *slot),
            });
            self.most_changed = MANY_CHANGED.max(2 * self.changed.len());
        }
    }

    /// There is one more handle of a span.
    #[inline]
    pub(crate) fn clone_span(&mut self, id: u64) {
        if let Some(handles) = self.handles(id) {
            *handles += 1;
        }
    }

    /// There is one handle less of a span. Says whether it was the last.
    #[inline]
    pub(crate) fn drop_span(&mut self, id: u64) -> bool {
        // A span that was not recorded, because it did not say what it must, is not kept either.
        let Some(handles) = self.handles(id) else { return true };
        *handles -= 1;
        *handles == 0
    }

    #[inline]
    fn handles(&mut self, id: u64) -> Option<&mut u32> {
        match self.kind(id)? {
            Kind::Task => self.live::<Task>(id).map(|(_, live)| &mut live.handles),
            Kind::Resource => self.live::<Resource>(id).map(|(_, live)| &mut live.handles),
            Kind::AsyncOp => self.live::<AsyncOp>(id).map(|(_, live)| &mut live.handles),
        }
    }

    /// Ends an entity. Says whether so much waits to be sent that it should not wait for the next interval.
    pub(crate) fn close<T: Entity>(&mut self, id: u64, clock: &Clock) -> bool {
        let Some((slot, live)) = self.live::<T>(id) else { return false };
        let (introduced, is_kept) = (live.introduced, live.entity.is_kept());
        let Some(Entry(Live { entity, .. })) = T::slab(self).try_remove(slot) else { return false };
        if !self.index.is_empty() {
            self.index.remove(&id);
        }
        let mut is_due = false;
        if self.watched || is_kept {
            let now = clock.now();
            self.scratch.clear();
            entity.encode_new(id, &mut self.scratch);
            let stats = self.scratch.len();
            entity.encode_stats(id, Some(now), clock, &mut self.scratch);
            if is_kept {
                self.retained.of(T::KIND).push(&self.scratch, now, self.room.retained);
            }
            let known = introduced && !self.snapshots;
            is_due = self.watched && self.send(T::KIND, if known { stats } else { 0 });
        }
        is_due
    }

    /// Keeps the frames in `scratch` from `start` on until they are sent.
    fn send(&mut self, kind: Kind, start: usize) -> bool {
        let unsent = self.unsent.of(kind);
        if unsent.len() + self.scratch.len() > self.room.unsent {
            *self.dropped.of(kind) += 1;
            return true;
        }
        unsent.extend_from_slice(&self.scratch[start..]);
        unsent.len() > self.room.due
    }

    /// Appends everything that is retained. From then on, what changes is kept for [`Self::take_changes`].
    pub(crate) fn begin_snapshot(&mut self, out: &mut PerKind<Vec<u8>>) {
        self.watched = true;
        self.snapshots = true;
        for kind in Kind::ALL {
            self.retained.of(kind).copy_to(out.of(kind));
        }
    }

    /// Appends what lives in up to `most` slots. Says where to go on, if there are more.
    pub(crate) fn snapshot(
        &mut self,
        kind: Kind,
        from: usize,
        most: usize,
        clock: &Clock,
        out: &mut PerKind<Vec<u8>>,
    ) -> Option<usize> {
        match kind {
            Kind::Task => encode_some(&self.tasks, from, most, clock, &mut out.tasks),
            Kind::Resource => encode_some(&self.resources, from, most, clock, &mut out.resources),
            Kind::AsyncOp => encode_some(&self.async_ops, from, most, clock, &mut out.async_ops),
        }
    }

    /// All that lives has been appended.
    pub(crate) fn end_snapshot(&mut self) {
        self.snapshots = false;
    }

    /// How many entities have changed since [`Self::take_changes`] was called.
    pub(crate) fn changes(&self) -> usize {
        self.changed.len()
    }

    /// Appends what has changed since the last call, up to `most` entities, and how much was dropped. Says whether that was all.
    pub(crate) fn take_changes(
        &mut self,
        most: usize,
        clock: &Clock,
        out: &mut PerKind<Vec<u8>>,
        dropped: &mut PerKind<u64>,
    ) -> bool {
        for kind in Kind::ALL {
            out.of(kind).append(self.unsent.of(kind));
            *dropped.of(kind) += std::mem::take(self.dropped.of(kind));
        }
        let rest = self.changed.len().saturating_sub(most);
        for (kind, slot) in self.changed.drain(rest..) {
            match kind {
                Kind::Task => encode_change(&mut self.tasks, slot, clock, &mut out.tasks),
                Kind::Resource => encode_change(&mut self.resources, slot, clock, &mut out.resources),
                Kind::AsyncOp => encode_change(&mut self.async_ops, slot, clock, &mut out.async_ops),
            }
        }
        rest == 0
    }

    /// Nobody watches any more.
    pub(crate) fn unwatch(&mut self) {
        self.watched = false;
        self.unsent = PerKind::default();
        self.dropped = PerKind::default();
        for (kind, slot) in std::mem::take(&mut self.changed) {
            match kind {
                Kind::Task => settle(&mut self.tasks, slot),
                Kind::Resource => settle(&mut self.resources, slot),
                Kind::AsyncOp => settle(&mut self.async_ops, slot),
            }
        }
    }
}

/// Writes what clients do not know. An entity that has ended meanwhile, or another one in its place, has been or will be written by itself.
fn encode_change<T: Entity>(slab: &mut Slab<Entry<T>>, slot: usize, clock: &Clock, out: &mut Vec<u8>) {
    if let Some(Entry(live)) = slab.get_mut(slot).filter(|entry| entry.0.changed) {
        live.changed = false;
        if !std::mem::replace(&mut live.introduced, true) {
            live.entity.encode_new(live.id, out);
        }
        live.entity.encode_stats(live.id, None, clock, out);
    }
}

fn settle<T>(slab: &mut Slab<Entry<T>>, slot: usize) {
    if let Some(Entry(live)) = slab.get_mut(slot) {
        live.changed = false;
        live.introduced = true;
    }
}

fn has_changed<T>(slab: &Slab<Entry<T>>, slot: usize) -> bool {
    slab.get(slot).is_some_and(|Entry(live)| live.changed)
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
    for Entry(live) in (from..until).filter_map(|slot| slab.get(slot)) {
        live.entity.encode_new(live.id, out);
        live.entity.encode_stats(live.id, None, clock, out);
    }
    (until < slab.capacity()).then_some(until)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn changes_that_nobody_takes_are_no_more_than_what_lives() {
        let (clock, room) = (Clock::start(), Room { retained: 0, due: 0, unsent: 0 });
        let mut shard = Shard::new(0, room);
        shard.begin_snapshot(&mut PerKind::default());
        shard.end_snapshot();
        let task = || Task::new(Arc::from([]), 0, None, None, clock.now());
        let living: Vec<u64> = (0..100).map(|_| shard.insert(None, task())).collect();
        for _ in 0..100_000 {
            let id = shard.insert(None, task());
            let _due = shard.close::<Task>(id, &clock);
        }
        assert!(shard.changes() <= MANY_CHANGED, "{} changes", shard.changes());
        let (mut out, mut dropped) = (PerKind::default(), PerKind::default());
        while !shard.take_changes(64, &clock, &mut out, &mut dropped) {}
        // Each with a description and counters.
        assert_eq!(crate::encode::frames(&out.tasks), 2 * living.len() as u64);
    }
}
