//! A part of the store: the entities of some span numbers, behind one lock.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use slab::Slab;

use crate::clock::{Clock, Moment};
use crate::store::async_op::AsyncOp;
use crate::store::resource::Resource;
use crate::store::retained::Retained;
use crate::store::sites::Sites;
use crate::store::task::Task;

/// Tasks, resources and operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Task,
    Resource,
    AsyncOp,
}

/// Something for each kind.
#[derive(Debug, Default)]
pub(crate) struct PerKind<T> {
    pub(crate) tasks: T,
    pub(crate) resources: T,
    pub(crate) async_ops: T,
}

impl<T> PerKind<T> {
    pub(crate) fn of(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Task => &mut self.tasks,
            Kind::Resource => &mut self.resources,
            Kind::AsyncOp => &mut self.async_ops,
        }
    }

    pub(crate) fn as_ref(&self, kind: Kind) -> &T {
        match kind {
            Kind::Task => &self.tasks,
            Kind::Resource => &self.resources,
            Kind::AsyncOp => &self.async_ops,
        }
    }
}

/// Limits of a shard, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// For what ended, by kind.
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
    /// Whether clients have been sent what never changes.
    introduced: bool,
    /// Whether it has changed since clients were sent what changes.
    changed: bool,
}

/// What can be written to the feed.
pub(crate) trait Encode {
    fn encode_new(&self, id: u64, out: &mut Vec<u8>);
    fn encode_stats(&self, id: u64, dropped: Option<Moment>, clock: &Clock, out: &mut Vec<u8>);
}

macro_rules! encode {
    ($($entity:ty),*) => {$(
        impl Encode for $entity {
            fn encode_new(&self, id: u64, out: &mut Vec<u8>) {
                self.encode_new(id, out);
            }
            fn encode_stats(&self, id: u64, dropped: Option<Moment>, clock: &Clock, out: &mut Vec<u8>) {
                self.encode_stats(id, dropped, clock, out);
            }
        }
    )*};
}
encode!(Task, Resource, AsyncOp);

/// A part of the store.
#[derive(Debug)]
pub(crate) struct Shard {
    index: HashMap<u64, (Kind, usize), RandomState>,
    tasks: Slab<Live<Task>>,
    resources: Slab<Live<Resource>>,
    async_ops: Slab<Live<AsyncOp>>,
    pub(crate) sites: Sites,
    /// What ended.
    pub(crate) retained: PerKind<Retained>,
    /// Whether anybody is watching: else nothing is kept to be sent.
    watched: bool,
    /// What has changed since clients were sent what changes.
    changed: Vec<(Kind, usize)>,
    /// Frames of what ended since clients were sent anything, and of polls of operations.
    unsent: PerKind<Vec<u8>>,
    /// How many frames there was no room for.
    dropped: PerKind<u64>,
    scratch: Vec<u8>,
    room: Room,
}

impl Shard {
    pub(crate) fn new(room: Room) -> Self {
        Self {
            index: HashMap::default(),
            tasks: Slab::new(),
            resources: Slab::new(),
            async_ops: Slab::new(),
            sites: Sites::default(),
            retained: PerKind::default(),
            watched: false,
            changed: Vec::new(),
            unsent: PerKind::default(),
            dropped: PerKind::default(),
            scratch: Vec::new(),
            room,
        }
    }

    pub(crate) fn insert_task(&mut self, id: u64, task: Task) {
        let index = insert(&mut self.tasks, id, task, self.watched);
        self.inserted(id, Kind::Task, index);
    }

    pub(crate) fn insert_resource(&mut self, id: u64, resource: Resource) {
        let index = insert(&mut self.resources, id, resource, self.watched);
        self.inserted(id, Kind::Resource, index);
    }

    pub(crate) fn insert_async_op(&mut self, id: u64, op: AsyncOp) {
        let index = insert(&mut self.async_ops, id, op, self.watched);
        self.inserted(id, Kind::AsyncOp, index);
    }

    fn inserted(&mut self, id: u64, kind: Kind, index: usize) {
        if self.watched {
            self.changed.push((kind, index));
        }
        // A number is not used again before its span is closed; if it were, the older entity would never end.
        if let Some((kind, index)) = self.index.insert(id, (kind, index)) {
            self.remove(kind, index);
        }
    }

    fn remove(&mut self, kind: Kind, index: usize) {
        match kind {
            Kind::Task => drop(self.tasks.try_remove(index)),
            Kind::Resource => drop(self.resources.try_remove(index)),
            Kind::AsyncOp => drop(self.async_ops.try_remove(index)),
        }
    }

    /// What the span is, if it is anything.
    #[inline]
    pub(crate) fn kind(&self, id: u64) -> Option<Kind> {
        self.index.get(&id).map(|(kind, _)| *kind)
    }

    /// The task, to be changed.
    #[inline]
    pub(crate) fn task(&mut self, id: u64) -> Option<&mut Task> {
        let &(Kind::Task, index) = self.index.get(&id)? else { return None };
        change(&mut self.tasks, Kind::Task, index, self.watched, &mut self.changed)
    }

    /// The resource, to be changed.
    #[inline]
    pub(crate) fn resource(&mut self, id: u64) -> Option<&mut Resource> {
        let &(Kind::Resource, index) = self.index.get(&id)? else { return None };
        change(&mut self.resources, Kind::Resource, index, self.watched, &mut self.changed)
    }

    /// The operation, to be changed.
    #[inline]
    pub(crate) fn async_op(&mut self, id: u64) -> Option<&mut AsyncOp> {
        let &(Kind::AsyncOp, index) = self.index.get(&id)? else { return None };
        change(&mut self.async_ops, Kind::AsyncOp, index, self.watched, &mut self.changed)
    }

    /// Ends whatever the span is. Says whether so much waits to be sent that it should not wait for the next interval.
    pub(crate) fn close(&mut self, id: u64, now: Moment, clock: &Clock) -> bool {
        let Some((kind, index)) = self.index.remove(&id) else { return false };
        self.scratch.clear();
        let introduced = match kind {
            Kind::Task => close(&mut self.tasks, index, now, clock, &mut self.scratch),
            Kind::Resource => close(&mut self.resources, index, now, clock, &mut self.scratch),
            Kind::AsyncOp => close(&mut self.async_ops, index, now, clock, &mut self.scratch),
        };
        let Some(introduction) = introduced else { return false };
        self.retained.of(kind).push(&self.scratch, now, self.room.retained);
        self.watched && self.send(kind, introduction)
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

    /// Keeps the frame of a poll of an operation until it is sent. It is written only if anybody watches.
    pub(crate) fn poll_op(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        if !self.watched {
            return false;
        }
        self.scratch.clear();
        write(&mut self.scratch);
        self.send(Kind::Resource, 0)
    }

    /// Appends everything that lives and everything that is retained. From then on, what changes is kept for [`Self::take_changes`].
    pub(crate) fn snapshot(&mut self, clock: &Clock, out: &mut PerKind<Vec<u8>>) {
        self.watched = true;
        for kind in [Kind::Resource, Kind::AsyncOp, Kind::Task] {
            self.retained.as_ref(kind).copy_to(out.of(kind));
        }
        self.tasks.iter().for_each(|(_, live)| live.encode_all(clock, &mut out.tasks));
        self.resources.iter().for_each(|(_, live)| live.encode_all(clock, &mut out.resources));
        self.async_ops.iter().for_each(|(_, live)| live.encode_all(clock, &mut out.async_ops));
    }

    /// How many entities have changed since [`Self::take_changes`] was called.
    pub(crate) fn changes(&self) -> usize {
        self.changed.len()
    }

    /// Appends what has changed since the last call, up to `most` entities, and how much was dropped. Says whether that was all.
    pub(crate) fn take_changes(&mut self, most: usize, clock: &Clock, out: &mut PerKind<Vec<u8>>, dropped: &mut PerKind<u64>) -> bool {
        for kind in [Kind::Resource, Kind::AsyncOp, Kind::Task] {
            out.of(kind).append(self.unsent.of(kind));
            *dropped.of(kind) += std::mem::take(self.dropped.of(kind));
        }
        let rest = self.changed.len().saturating_sub(most);
        for (kind, index) in self.changed.drain(rest..) {
            match kind {
                Kind::Task => encode_change(&mut self.tasks, index, clock, &mut out.tasks),
                Kind::Resource => encode_change(&mut self.resources, index, clock, &mut out.resources),
                Kind::AsyncOp => encode_change(&mut self.async_ops, index, clock, &mut out.async_ops),
            }
        }
        rest == 0
    }

    /// Nobody watches any more.
    pub(crate) fn unwatch(&mut self) {
        self.watched = false;
        self.unsent = PerKind::default();
        self.dropped = PerKind::default();
        for (kind, index) in std::mem::take(&mut self.changed) {
            match kind {
                Kind::Task => settle(&mut self.tasks, index),
                Kind::Resource => settle(&mut self.resources, index),
                Kind::AsyncOp => settle(&mut self.async_ops, index),
            }
        }
    }
}

fn insert<T>(slab: &mut Slab<Live<T>>, id: u64, entity: T, watched: bool) -> usize {
    // Who begins to watch later is sent everything first.
    slab.insert(Live { id, entity, introduced: !watched, changed: watched })
}

#[inline]
fn change<'a, T>(slab: &'a mut Slab<Live<T>>, kind: Kind, index: usize, watched: bool, changed: &mut Vec<(Kind, usize)>) -> Option<&'a mut T> {
    let live = slab.get_mut(index)?;
    if watched && !live.changed {
        live.changed = true;
        changed.push((kind, index));
    }
    Some(&mut live.entity)
}

/// Removes an entity and writes it to `out`. Says where the part begins that clients have not been sent.
fn close<T: Encode>(slab: &mut Slab<Live<T>>, index: usize, now: Moment, clock: &Clock, out: &mut Vec<u8>) -> Option<usize> {
    let Live { id, entity, introduced, .. } = slab.try_remove(index)?;
    entity.encode_new(id, out);
    let stats = out.len();
    entity.encode_stats(id, Some(now), clock, out);
    Some(if introduced { stats } else { 0 })
}

/// Writes what clients do not know. An entity that has ended meanwhile, or another one in its place, has been or will be written by itself.
fn encode_change<T: Encode>(slab: &mut Slab<Live<T>>, index: usize, clock: &Clock, out: &mut Vec<u8>) {
    if let Some(live) = slab.get_mut(index).filter(|live| live.changed) {
        live.changed = false;
        if !std::mem::replace(&mut live.introduced, true) {
            live.entity.encode_new(live.id, out);
        }
        live.entity.encode_stats(live.id, None, clock, out);
    }
}

fn settle<T>(slab: &mut Slab<Live<T>>, index: usize) {
    if let Some(live) = slab.get_mut(index) {
        live.changed = false;
        live.introduced = true;
    }
}

impl<T: Encode> Live<T> {
    fn encode_all(&self, clock: &Clock, out: &mut Vec<u8>) {
        self.entity.encode_new(self.id, out);
        self.entity.encode_stats(self.id, None, clock, out);
    }
}
