//! Single elements of a message: decoded when they are read, and only as far as is asked for.

use std::borrow::Cow;
use std::collections::HashMap;

use console_api::register_metadata::NewMetadata;
use console_api::{async_ops, resources, tasks};
use prost::Message;
use prost_types::Timestamp;

use super::fields::{Value, fields};

/// Most fields, attributes and names of fields that are read of one element.
const MOST_REPEATED: usize = 64;
/// `Stats.created_at` and `Stats.dropped_at` of the protocol, whatever the stats are about.
const CREATED_AT: u32 = 1;
const DROPPED_AT: u32 = 2;
/// Largest element, in bytes, that is decoded whatever it contains.
pub(super) const HARMLESS: usize = 4096;

/// What an entity of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A task.
    Task,
    /// A resource.
    Resource,
    /// An async op.
    AsyncOp,
}

impl Kind {
    /// Whatever has an id.
    pub const ALL: [Self; 3] = [Self::Task, Self::Resource, Self::AsyncOp];
}

/// Where a message has what it says about entities of a kind: the part, and the fields of it.
pub(super) struct Numbers {
    pub(super) part: u32,
    pub(super) new: u32,
    pub(super) stats: u32,
    pub(super) dropped: u32,
}

pub(super) const fn numbers(kind: Kind) -> Numbers {
    match kind {
        Kind::Task => Numbers { part: 2, new: 1, stats: 3, dropped: 4 },
        Kind::Resource => Numbers { part: 3, new: 1, stats: 2, dropped: 4 },
        Kind::AsyncOp => Numbers { part: 4, new: 1, stats: 2, dropped: 3 },
    }
}

/// Events that a target had to throw away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// About tasks.
    pub tasks: u64,
    /// About resources.
    pub resources: u64,
    /// About async ops.
    pub async_ops: u64,
}

/// A field that counts: nothing, if it is something else.
pub(super) fn count(value: Value<'_>) -> u64 {
    match value {
        Value::Varint(count) => count,
        _ => 0,
    }
}

impl Dropped {
    /// Those about entities of a kind.
    pub fn of(self, kind: Kind) -> u64 {
        match kind {
            Kind::Task => self.tasks,
            Kind::Resource => self.resources,
            Kind::AsyncOp => self.async_ops,
        }
    }

    pub(super) fn of_mut(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Task => &mut self.tasks,
            Kind::Resource => &mut self.resources,
            Kind::AsyncOp => &mut self.async_ops,
        }
    }

    /// These and others.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self {
            tasks: self.tasks.saturating_add(more.tasks),
            resources: self.resources.saturating_add(more.resources),
            async_ops: self.async_ops.saturating_add(more.async_ops),
        }
    }

    /// All of them.
    pub fn total(self) -> u64 {
        self.tasks.saturating_add(self.resources).saturating_add(self.async_ops)
    }
}

/// A poll of an async op, as far as anybody wants to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PollOp<'a> {
    /// What was polled, as the target calls it.
    pub name: &'a [u8],
    /// The resource.
    pub resource_id: Option<u64>,
    /// The task that polled it.
    pub task_id: Option<u64>,
    /// The op.
    pub async_op_id: Option<u64>,
    /// Whether the poll was ready.
    pub is_ready: bool,
}

impl<'a> PollOp<'a> {
    /// Whether it is a poll of the op as a whole. Those with other names are reported twice a poll, the first time for the cooperative budget,
    /// and prove nothing.
    pub fn is_whole(&self) -> bool {
        self.name == b"poll"
    }

    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let mut poll = Self::default();
        for field in fields(bytes) {
            match (field.number, field.value) {
                (3, Value::Bytes(resource)) => poll.resource_id = Some(number(resource, 1)),
                (4, Value::Bytes(name)) => poll.name = name,
                (5, Value::Bytes(task)) => poll.task_id = Some(number(task, 1)),
                (6, Value::Bytes(op)) => poll.async_op_id = Some(number(op, 1)),
                (7, Value::Varint(ready)) => poll.is_ready = ready != 0,
                _ => {}
            }
        }
        poll
    }
}

/// What a message says about an entity, as it came.
#[derive(Debug, Clone, Copy)]
pub struct RawStats<'a> {
    /// The id of the entity.
    pub id: u64,
    /// When it was created, in nanoseconds since the epoch.
    pub created: Option<u64>,
    /// When it ended.
    pub dropped: Option<u64>,
    /// The whole entry of the map, its key included.
    pub entry: &'a [u8],
}

impl<'a> RawStats<'a> {
    fn read(entry: &'a [u8]) -> Self {
        let (id, stats) = split(entry);
        let (mut created, mut dropped) = (None, None);
        for field in fields(stats.unwrap_or_default()) {
            match (field.number, field.bytes()) {
                (CREATED_AT, Some(at)) => created = created.or(Some(at)),
                (DROPPED_AT, Some(at)) => dropped = dropped.or(Some(at)),
                _ => {}
            }
        }
        Self { id, created: created.and_then(timestamp), dropped: dropped.and_then(timestamp), entry }
    }
}

/// What a message says about the entities of a kind, as it came.
#[derive(Debug, Clone, Default)]
pub struct Raw<'a> {
    /// Those that it introduces, by their ids.
    pub new: Vec<(u64, &'a [u8])>,
    /// Those that it has counters of.
    pub stats: Vec<RawStats<'a>>,
    /// Events about them that the target had to throw away.
    pub dropped: u64,
}

impl<'a> Raw<'a> {
    /// Adds a part, in one walk over it.
    pub(super) fn read(&mut self, part: &'a [u8], numbers: &Numbers) {
        for field in fields(part) {
            match field.value {
                Value::Bytes(element) if field.number == numbers.new => {
                    self.new.extend(id(element).map(|id| (id, element)));
                }
                Value::Bytes(entry) if field.number == numbers.stats => self.stats.push(RawStats::read(entry)),
                value if field.number == numbers.dropped => self.dropped = count(value),
                _ => {}
            }
        }
    }

    /// When each entity that it introduces was created.
    pub fn births(&self) -> Births {
        let counters = self.stats.iter().map(|stats| (stats.id, stats.created));
        Births::new(self.new.iter().map(|(id, _)| *id), counters, |created| created)
    }
}

/// When the entities that a message introduces were created.
#[derive(Debug, Clone, Default)]
pub struct Births(HashMap<u64, u64, foldhash::quality::RandomState>);

impl Births {
    /// Of what is introduced, from the counters of everything, of which `created` is asked for.
    fn new<T>(
        ids: impl Iterator<Item = u64>,
        counters: impl Iterator<Item = (u64, T)>,
        created: impl Fn(T) -> Option<u64>,
    ) -> Self {
        let mut births: HashMap<_, _, _> = ids.map(|id| (id, 0)).collect();
        if births.is_empty() {
            return Self::default();
        }
        for (id, counters) in counters {
            // Most of what changes was born before.
            if let Some(birth) = births.get_mut(&id) {
                *birth = created(counters).unwrap_or(0);
            }
        }
        Self(births)
    }

    /// Of what is introduced, from the entries of everything.
    pub(super) fn read<'a>(ids: impl Iterator<Item = u64>, entries: impl Iterator<Item = &'a [u8]>) -> Self {
        Self::new(ids, entries.map(split), |stats| time(stats?, CREATED_AT))
    }

    /// When the entity of this id was created, in nanoseconds since the epoch; `None` if the message does not say.
    pub fn get(&self, id: u64) -> Option<u64> {
        self.0.get(&id).copied().filter(|at| *at != 0)
    }
}

/// The id of an entity that is introduced: `Task.id`, `Resource.id` and `AsyncOp.id` of the protocol.
pub(super) fn id(element: &[u8]) -> Option<u64> {
    part(element, 1).map(|id| number(id, 1))
}

/// Id and time of creation in an entry of counters: its key, and `created_at` of what it is about.
pub(super) fn created(entry: &[u8]) -> Option<(u64, u64)> {
    let (id, stats) = split(entry);
    Some((id, time(stats?, CREATED_AT)?))
}

/// The key and the value in an entry of a map; the key is zero where it is left out, as the protocol has it.
pub(super) fn split(entry: &[u8]) -> (u64, Option<&[u8]>) {
    let (mut key, mut stats) = (0, None);
    for field in fields(entry) {
        match (field.number, field.value) {
            (1, Value::Varint(number)) => key = number,
            (1, _) => key = 0,
            (2, Value::Bytes(bytes)) => stats = stats.or(Some(bytes)),
            _ => {}
        }
    }
    (key, stats)
}

/// A time in counters.
fn time(stats: &[u8], number: u32) -> Option<u64> {
    timestamp(part(stats, number)?)
}

fn timestamp(bytes: &[u8]) -> Option<u64> {
    let mut at = Timestamp::default();
    for field in fields(bytes) {
        match (field.number, field.value) {
            (1, Value::Varint(seconds)) => at.seconds = seconds.cast_signed(),
            (2, Value::Varint(nanos)) => at.nanos = i32::try_from(nanos.cast_signed()).ok()?,
            _ => {}
        }
    }
    nanos(&at)
}

fn part(bytes: &[u8], number: u32) -> Option<&[u8]> {
    fields(bytes).filter(|field| field.number == number).find_map(|field| field.bytes())
}

/// A time as nanoseconds since the epoch; `None` for one that makes no sense.
pub fn nanos(at: &Timestamp) -> Option<u64> {
    let (seconds, nanos) = (u64::try_from(at.seconds).ok()?, u64::try_from(at.nanos).ok()?);
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// A number in a message; zero where it is left out, as the protocol has it.
fn number(bytes: &[u8], number: u32) -> u64 {
    let found = fields(bytes).filter(|field| field.number == number).last();
    match found.map(|field| field.value) {
        Some(Value::Varint(number)) => number,
        _ => 0,
    }
}

/// An entry of a map; `None` if it cannot be decoded or has no value.
pub(super) fn entry<T: Repeats>(element: &[u8]) -> Option<(u64, T)> {
    let (id, value) = split(element);
    Some((id, capped(value?)?))
}

/// An element with no more parts than are ever looked at; `None` if it cannot be decoded.
pub(super) fn capped<T: Repeats>(element: &[u8]) -> Option<T> {
    T::decode(&*without_excess(element, T::REPEATED)).ok()
}

/// An element without what repeats a field too often, on any of its levels.
fn without_excess<'a>(element: &'a [u8], repeated: &[Repeated]) -> Cow<'a, [u8]> {
    if element.len() <= HARMLESS {
        return Cow::Borrowed(element);
    }
    let mut counts = vec![0; repeated.len()];
    let mut kept = Vec::with_capacity(element.len());
    for field in fields(element) {
        let rule = repeated.iter().position(|rule| rule.number == field.number);
        let Some((rule, count)) = rule.and_then(|at| Some((repeated.get(at)?, counts.get_mut(at)?))) else {
            kept.extend_from_slice(field.whole);
            continue;
        };
        *count += 1;
        if *count > rule.most {
            continue;
        }
        match field.bytes() {
            Some(part) if !rule.parts.is_empty() => {
                let part = without_excess(part, rule.parts);
                prost::encoding::bytes::encode(field.number, &part.into_owned(), &mut kept);
            }
            _ => kept.extend_from_slice(field.whole),
        }
    }
    Cow::Owned(kept)
}

/// A field of an element that may be there any number of times.
pub(super) struct Repeated {
    number: u32,
    most: usize,
    parts: &'static [Repeated],
}

const fn repeated(number: u32) -> Repeated {
    Repeated { number, most: MOST_REPEATED, parts: &[] }
}

/// An element that has such fields.
pub(super) trait Repeats: Message + Default {
    const REPEATED: &'static [Repeated];
}

impl Repeats for tasks::Task {
    // Its fields and its parents.
    const REPEATED: &'static [Repeated] = &[repeated(4), repeated(5)];
}

impl Repeats for tasks::Stats {
    const REPEATED: &'static [Repeated] = &[];
}

impl Repeats for resources::Resource {
    const REPEATED: &'static [Repeated] = &[];
}

impl Repeats for resources::Stats {
    // Its attributes.
    const REPEATED: &'static [Repeated] = &[repeated(3)];
}

impl Repeats for async_ops::AsyncOp {
    const REPEATED: &'static [Repeated] = &[];
}

impl Repeats for async_ops::Stats {
    // Its attributes.
    const REPEATED: &'static [Repeated] = &[repeated(6)];
}

impl Repeats for NewMetadata {
    // The names of the fields in its metadata, which is there once.
    const REPEATED: &'static [Repeated] = &[Repeated { number: 2, most: 1, parts: &[repeated(7)] }];
}
