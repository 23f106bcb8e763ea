//! A part of the store, behind one lock.

mod watched;

use std::collections::HashMap;

use foldhash::fast::RandomState;
use slab::Slab;

use self::watched::Changed;
use crate::clock::{Clock, Moment};
use crate::store::address::Address;
use crate::store::async_op::AsyncOp;
use crate::store::resource::Resource;
use crate::store::retained::Retained;
use crate::store::sites::Sites;
use crate::store::task::Task;
use crate::store::{Kind, PerKind};

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
    /// Slots of what has changed since clients were sent what changes, and of what has ended since.
    changed: PerKind<Changed>,
    /// Frames of what ended since clients were sent anything.
    unsent: PerKind<Vec<u8>>,
    /// How many bytes of them were there when the snapshot began.
    before_snapshot: PerKind<usize>,
    /// Frames of what has ended since then, and that clients have been sent already.
    sent_meanwhile: PerKind<Vec<u8>>,
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
            changed: PerKind::default(),
            unsent: PerKind::default(),
            before_snapshot: PerKind::default(),
            sent_meanwhile: PerKind::default(),
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
            self.note_change::<T>(address.slot);
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
            self.note_change::<T>(slot);
        }
        Some(result)
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
}
