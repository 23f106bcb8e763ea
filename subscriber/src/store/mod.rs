//! What lives and what ended. Each callback locks one shard of it for well under a microsecond.

pub(crate) mod address;
pub(crate) mod async_op;
mod attributes;
pub(crate) mod holders;
pub(crate) mod polls;
pub(crate) mod resource;
mod retained;
pub(crate) mod shard;
mod sites;
pub(crate) mod task;

use std::cell::Cell;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use foldhash::fast::FixedState;

use self::address::{Address, MOST_SHARDS};
use self::shard::{Room, Shard};
use crate::clock::{Clock, Moment};

/// The shards for each thread that the machine can run at a time: so many that two threads seldom want the same.
const SHARDS_PER_THREAD: usize = 8;

/// The fewest shards of a store.
const FEWEST_SHARDS: usize = 16;

/// The changes or entities that are written while a shard is locked. More would keep a worker waiting that wants the same shard.
const AT_A_TIME: usize = 32;

thread_local! {
    /// The shard that the thread takes next.
    static TURN: Cell<usize> = const { Cell::new(0) };
}

/// Tasks, resources and operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Task,
    Resource,
    AsyncOp,
}

impl Kind {
    /// All of them; what others refer to comes first.
    pub(crate) const ALL: [Self; 3] = [Self::Resource, Self::Task, Self::AsyncOp];
}

/// Something for each kind.
#[derive(Debug, Default)]
pub(crate) struct PerKind<T> {
    pub(crate) tasks: T,
    pub(crate) resources: T,
    pub(crate) async_ops: T,
}

impl<T> PerKind<T> {
    /// What there is for a kind, to be changed.
    pub(crate) fn of(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Task => &mut self.tasks,
            Kind::Resource => &mut self.resources,
            Kind::AsyncOp => &mut self.async_ops,
        }
    }

    /// What there is for a kind.
    pub(crate) fn get(&self, kind: Kind) -> &T {
        match kind {
            Kind::Task => &self.tasks,
            Kind::Resource => &self.resources,
            Kind::AsyncOp => &self.async_ops,
        }
    }
}

/// How much a store keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long what has ended is kept.
    pub(crate) retention: Duration,
    /// The bytes of what has ended.
    pub(crate) retained: usize,
    /// The bytes of what clients have not been sent yet.
    pub(crate) unsent: usize,
}

/// The store of one subscriber.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) clock: Clock,
    shards: Box<[Mutex<Shard>]>,
    retention: u64,
    /// Whether it gives spans their numbers; else a registry does.
    pub(crate) gives_numbers: bool,
}

impl Store {
    pub(crate) fn new(limits: Limits, gives_numbers: bool) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let shards = (threads * SHARDS_PER_THREAD).next_power_of_two().clamp(FEWEST_SHARDS, MOST_SHARDS);
        // Of three kinds; what is unsent is sent when it has reached a quarter of its room.
        let room = Room {
            retained: limits.retained / shards / 3,
            due: limits.unsent / shards / 12,
            unsent: limits.unsent / shards / 3,
        };
        Self {
            clock: Clock::start(),
            shards: (0..shards).map(|number| Mutex::new(Shard::new(number, room))).collect(),
            retention: u64::try_from(limits.retention.as_nanos()).unwrap_or(u64::MAX),
            gives_numbers,
        }
    }

    /// The shard of a span whose number a registry gave out, locked.
    #[inline]
    pub(crate) fn shard_of_registered(&self, id: u64) -> MutexGuard<'_, Shard> {
        // The numbers of spans are regular, so they are mixed.
        let mixed = FixedState::default().hash_one(id);
        self.lock(usize::try_from(mixed).unwrap_or(mixed.to_le_bytes()[0].into()))
    }

    /// The shard of a span, locked.
    #[inline]
    pub(crate) fn shard(&self, id: u64) -> MutexGuard<'_, Shard> {
        match Address::of(id).filter(|_| self.gives_numbers) {
            Some(address) => self.lock(address.shard),
            None => self.shard_of_registered(id),
        }
    }

    /// A shard for something new, locked: each thread takes them in turn, so that what one thread makes and all threads use is not kept
    /// behind one lock.
    #[inline]
    pub(crate) fn next_shard(&self) -> MutexGuard<'_, Shard> {
        let turn = TURN.try_with(|turn| turn.replace(turn.get().wrapping_add(1))).unwrap_or_default();
        self.lock(turn)
    }

    #[inline]
    fn lock(&self, number: usize) -> MutexGuard<'_, Shard> {
        // Their number is a power of two. A thread that panicked while it had one, which no code here does, has left it usable.
        self.shards[number & (self.shards.len() - 1)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn each(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on, changes are kept for [`Self::changes`], and what ends is kept with its introduction until the end of the snapshot.
    pub(crate) fn begin_snapshot(&self) {
        self.each().for_each(|mut shard| shard.begin_snapshot());
    }

    /// Everything that lives and everything that is retained, after [`Self::begin_snapshot`].
    pub(crate) fn snapshot(&self) -> PerKind<Vec<u8>> {
        let mut frames = PerKind::default();
        // What others refer to comes last: so it is there whatever was added meanwhile.
        for kind in Kind::ALL.into_iter().rev() {
            for number in 0..self.shards.len() {
                let mut from = Some(0);
                // Not all at once: a worker may wait for the shard.
                while let Some(next) = from {
                    from = self.lock(number).snapshot(kind, next, AT_A_TIME, &self.clock, &mut frames);
                }
            }
        }
        self.each().for_each(|mut shard| shard.end_snapshot(&self.clock, &mut frames));
        frames
    }

    /// What has changed since the last call, and how many frames had to be dropped.
    pub(crate) fn changes(&self) -> (PerKind<Vec<u8>>, PerKind<u64>) {
        let (mut frames, mut dropped) = (PerKind::default(), PerKind::default());
        // What others refer to comes last, so that it is there whatever was added meanwhile. Resources refer to resources: those come twice.
        for kind in Kind::ALL.into_iter().rev().chain([Kind::Resource]) {
            let (frames, dropped) = (frames.of(kind), dropped.of(kind));
            for number in 0..self.shards.len() {
                let slots = self.lock(number).take_changes(kind, frames, dropped);
                for some in slots.chunks(AT_A_TIME) {
                    self.lock(number).encode_changes(kind, some, &self.clock, frames);
                }
            }
        }
        (frames, dropped)
    }

    /// Nobody watches any more.
    pub(crate) fn unwatch(&self) {
        self.each().for_each(|mut shard| shard.unwatch());
    }

    /// Forgets what ended longer ago than the retention.
    pub(crate) fn forget(&self, now: Moment) {
        for mut shard in self.each() {
            shard.retained.tasks.forget(now, self.retention);
            shard.retained.resources.forget(now, self.retention);
            shard.retained.async_ops.forget(now, self.retention);
        }
    }
}
