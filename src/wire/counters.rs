//! Counters of tasks, resources and async ops: nearly all of an update is that.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::time::Duration;

use console_api::{PollStats, async_ops, resources, tasks};

use super::direct::{Direct, duration, id, length, time};
use super::elements::{nanos, split};
use super::facts::{FACTS, Holders, TaskEnd, fact, is_ready, runtime, thread};
use super::fields::{Value, in_order};
use super::introduced::Attribute;

/// Counters and times of polls. Times are in nanoseconds since the epoch, here as in all counters; one that makes no sense is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Polls {
    /// Polls begun.
    pub polls: u64,
    /// Start of the first poll.
    pub first: Option<u64>,
    /// Start of the last poll.
    pub started: Option<u64>,
    /// End of the last poll that has ended.
    pub ended: Option<u64>,
    /// Time spent in polls.
    pub busy: Duration,
}

/// What a message says about an entity, with its id; read when it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a, S> {
    /// The id of the entity.
    pub id: u64,
    value: Option<&'a [u8]>,
    kind: PhantomData<fn() -> S>,
}

#[expect(private_bounds, reason = "how an element is read is no business of those who read it")]
impl<'a, S: Direct<'a>> Entry<'a, S> {
    pub(super) fn new(entry: &'a [u8]) -> Self {
        let (id, value) = split(entry);
        Self { id, value, kind: PhantomData }
    }

    /// What it says; `None` where that cannot be decoded.
    pub fn read(&self) -> Option<S> {
        S::read(self.value?)
    }
}

/// The counters of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskStats<'a> {
    /// When it was spawned.
    pub created: Option<u64>,
    /// When its span closed.
    pub dropped: Option<u64>,
    /// How often it was woken.
    pub wakes: u64,
    /// How often it was woken from inside its own poll.
    pub self_wakes: u64,
    /// How often its waker was cloned.
    pub waker_clones: u64,
    /// How often a clone of its waker was dropped.
    pub waker_drops: u64,
    /// The last wake.
    pub last_wake: Option<u64>,
    /// Its polls.
    pub polls: Polls,
    /// Time between being woken and being polled.
    pub scheduled: Duration,
    /// How it ended, where the target says so.
    pub end: Option<TaskEnd>,
    /// The thread that polled it last, where the target says so.
    pub thread: Option<Cow<'a, str>>,
    /// The number of the runtime that polls it, where the target says so.
    pub runtime: Option<u64>,
}

/// The counters of an async op.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpStats<'a> {
    /// When its future was made.
    pub created: Option<u64>,
    /// When its future was dropped.
    pub dropped: Option<u64>,
    /// The span id of the task that last polled it.
    pub task: Option<u64>,
    /// Its polls.
    pub polls: Polls,
    /// Whether its last poll was ready, where the target says so.
    pub is_ready: bool,
    /// What it says about itself.
    pub attributes: Vec<Attribute<'a>>,
}

/// The state of a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceStats<'a> {
    /// When it was made.
    pub created: Option<u64>,
    /// When it was dropped.
    pub dropped: Option<u64>,
    /// What it says about itself.
    pub attributes: Vec<Attribute<'a>>,
    /// Who holds it, where the target says so.
    pub holders: Holders,
}

impl Polls {
    #[inline]
    fn usual(bytes: &[u8]) -> Option<Self> {
        let mut polls = Self::default();
        in_order(bytes, &[], |number, value| {
            match (number, value) {
                (1, Value::Varint(count)) => polls.polls = count,
                (3, Value::Bytes(at)) => polls.first = time(at)?,
                (4, Value::Bytes(at)) => polls.started = time(at)?,
                (5, Value::Bytes(at)) => polls.ended = time(at)?,
                (6, Value::Bytes(busy)) => polls.busy = length(busy)?,
                _ => return None,
            }
            Some(())
        })?;
        Some(polls)
    }
}

impl<'a> Direct<'a> for TaskStats<'a> {
    type Decoded = tasks::Stats;

    #[inline]
    fn usual(bytes: &'a [u8]) -> Option<Self> {
        let mut stats = Self::default();
        in_order(bytes, &[FACTS], |number, value| {
            match (number, value) {
                (1, Value::Bytes(at)) => stats.created = time(at)?,
                (2, Value::Bytes(at)) => stats.dropped = time(at)?,
                (3, Value::Varint(count)) => stats.wakes = count,
                (4, Value::Varint(count)) => stats.waker_clones = count,
                (5, Value::Varint(count)) => stats.waker_drops = count,
                (6, Value::Bytes(at)) => stats.last_wake = time(at)?,
                (7, Value::Bytes(polls)) => stats.polls = Polls::usual(polls)?,
                (8, Value::Varint(count)) => stats.self_wakes = count,
                (9, Value::Bytes(scheduled)) => stats.scheduled = length(scheduled)?,
                (FACTS, Value::Bytes(it)) => {
                    let fact = fact(it)?;
                    stats.end = TaskEnd::of(&fact).or(stats.end);
                    stats.thread = thread(&fact).or(stats.thread.take());
                    stats.runtime = runtime(&fact).or(stats.runtime);
                }
                _ => return None,
            }
            Some(())
        })?;
        Some(stats)
    }
}

impl<'a> Direct<'a> for OpStats<'a> {
    type Decoded = async_ops::Stats;

    fn usual(bytes: &'a [u8]) -> Option<Self> {
        const ATTRIBUTES: u32 = 6;
        let mut stats = Self::default();
        in_order(bytes, &[ATTRIBUTES, FACTS], |number, value| {
            match (number, value) {
                (1, Value::Bytes(at)) => stats.created = time(at)?,
                (2, Value::Bytes(at)) => stats.dropped = time(at)?,
                (4, Value::Bytes(task)) => stats.task = Some(id(task)?),
                (5, Value::Bytes(polls)) => stats.polls = Polls::usual(polls)?,
                (ATTRIBUTES, Value::Bytes(attribute)) => stats.attributes.push(Attribute::usual(attribute)?),
                (FACTS, Value::Bytes(it)) => stats.is_ready |= is_ready(&fact(it)?),
                _ => return None,
            }
            Some(())
        })?;
        Some(stats)
    }
}

impl<'a> Direct<'a> for ResourceStats<'a> {
    type Decoded = resources::Stats;

    fn usual(bytes: &'a [u8]) -> Option<Self> {
        const ATTRIBUTES: u32 = 3;
        let mut stats = Self::default();
        in_order(bytes, &[ATTRIBUTES, FACTS], |number, value| {
            match (number, value) {
                (1, Value::Bytes(at)) => stats.created = time(at)?,
                (2, Value::Bytes(at)) => stats.dropped = time(at)?,
                (ATTRIBUTES, Value::Bytes(attribute)) => stats.attributes.push(Attribute::usual(attribute)?),
                (FACTS, Value::Bytes(it)) => stats.holders.note(&fact(it)?),
                _ => return None,
            }
            Some(())
        })?;
        Some(stats)
    }
}

impl From<PollStats> for Polls {
    fn from(wire: PollStats) -> Self {
        Self {
            polls: wire.polls,
            first: wire.first_poll.as_ref().and_then(nanos),
            started: wire.last_poll_started.as_ref().and_then(nanos),
            ended: wire.last_poll_ended.as_ref().and_then(nanos),
            busy: wire.busy_time.as_ref().map(duration).unwrap_or_default(),
        }
    }
}

impl From<tasks::Stats> for TaskStats<'_> {
    fn from(wire: tasks::Stats) -> Self {
        Self {
            created: wire.created_at.as_ref().and_then(nanos),
            dropped: wire.dropped_at.as_ref().and_then(nanos),
            wakes: wire.wakes,
            self_wakes: wire.self_wakes,
            waker_clones: wire.waker_clones,
            waker_drops: wire.waker_drops,
            last_wake: wire.last_wake.as_ref().and_then(nanos),
            polls: wire.poll_stats.map(Polls::from).unwrap_or_default(),
            scheduled: wire.scheduled_time.as_ref().map(duration).unwrap_or_default(),
            end: None,
            thread: None,
            runtime: None,
        }
    }
}

impl From<async_ops::Stats> for OpStats<'_> {
    fn from(wire: async_ops::Stats) -> Self {
        Self {
            created: wire.created_at.as_ref().and_then(nanos),
            dropped: wire.dropped_at.as_ref().and_then(nanos),
            task: wire.task_id.map(|id| id.id),
            polls: wire.poll_stats.map(Polls::from).unwrap_or_default(),
            is_ready: false,
            attributes: wire.attributes.into_iter().map(Attribute::from).collect(),
        }
    }
}

impl From<resources::Stats> for ResourceStats<'_> {
    fn from(wire: resources::Stats) -> Self {
        Self {
            created: wire.created_at.as_ref().and_then(nanos),
            dropped: wire.dropped_at.as_ref().and_then(nanos),
            attributes: wire.attributes.into_iter().map(Attribute::from).collect(),
            holders: Holders::default(),
        }
    }
}
