//! What lives and what ended, by the number of its span. Each callback locks one shard of it for well under a microsecond.

pub(crate) mod async_op;
mod attributes;
mod holders;
pub(crate) mod polls;
pub(crate) mod resource;
mod retained;
mod shard;
mod sites;
pub(crate) mod task;

use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use foldhash::fast::FixedState;

pub(crate) use self::shard::{Kind, PerKind, Room, Shard};
use crate::clock::{Clock, Moment};

/// The shards for each thread that the machine can run at a time: so many that two threads seldom want the same.
const SHARDS_PER_THREAD: usize = 8;

/// How many shards a store has.
const SHARDS: std::ops::RangeInclusive<usize> = 16..=128;

/// The changes that are written while a shard is locked. More would keep a worker waiting that wants the same shard.
const AT_A_TIME: usize = 32;

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
}

impl Store {
    pub(crate) fn new(limits: Limits) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let shards = (threads * SHARDS_PER_THREAD).next_power_of_two().clamp(*SHARDS.start(), *SHARDS.end());
        // Of three kinds; what is unsent is sent when it has reached a quarter of its room.
        let room = Room { retained: limits.retained / shards / 3, due: limits.unsent / shards / 12, unsent: limits.unsent / shards / 3 };
        Self {
            clock: Clock::start(),
            shards: (0..shards).map(|_| Mutex::new(Shard::new(room))).collect(),
            retention: u64::try_from(limits.retention.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// The shard of a span, locked. A thread that panicked while it had it, which no code here does, has left it usable.
    #[inline]
    pub(crate) fn shard(&self, id: u64) -> MutexGuard<'_, Shard> {
        // The numbers of spans are regular, so they are mixed; the number of shards is a power of two.
        let mixed = FixedState::default().hash_one(id);
        let index = usize::try_from(mixed).unwrap_or(mixed.to_le_bytes()[0].into()) & (self.shards.len() - 1);
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn each(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything that lives and everything that is retained. From then on, changes are kept for [`Self::changes`].
    pub(crate) fn snapshot(&self) -> PerKind<Vec<u8>> {
        let mut frames = PerKind::default();
        self.each().for_each(|mut shard| shard.snapshot(&self.clock, &mut frames));
        frames
    }

    /// What has changed since the last call, and how many frames had to be dropped.
    pub(crate) fn changes(&self) -> (PerKind<Vec<u8>>, PerKind<u64>) {
        let (mut frames, mut dropped) = (PerKind::default(), PerKind::default());
        for shard in &self.shards {
            // What changes while it is written is left for the next call, or a busy service would never come to an end.
            let mut rounds = rounds(shard);
            while rounds > 0 {
                let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                rounds = if shard.take_changes(AT_A_TIME, &self.clock, &mut frames, &mut dropped) { 0 } else { rounds - 1 };
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

fn rounds(shard: &Mutex<Shard>) -> usize {
    shard.lock().unwrap_or_else(PoisonError::into_inner).changes().div_ceil(AT_A_TIME).max(1)
}
