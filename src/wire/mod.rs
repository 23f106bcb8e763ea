//! One message of a target's stream of updates, left as it came and read element by element, so that reading it costs no more memory than
//! it has: two bytes of a hostile message can stand for a task that takes a hundred times that once it is decoded.

mod changed;
mod counters;
mod direct;
mod elements;
mod encode;
mod facts;
mod fields;
pub mod introduced;
mod select;
mod shorten;
mod survey;
mod thin;

use console_api::{RegisterMetadata, async_ops, instrument, register_metadata, resources, tasks};
use prost::Message as _;
use prost::bytes::Bytes;
use prost_types::Timestamp;

pub use self::changed::Change;
pub use self::counters::{Entry, OpStats, Polls, ResourceStats, TaskStats};
use self::direct::Direct;
pub use self::elements::{Births, Dropped, Kind, PollOp, Raw, RawStats, nanos};
use self::elements::{Numbers, capped, entry, id, numbers};
pub use self::encode::Builder;
pub use self::facts::{Holder, Holders, Process, TaskEnd};
pub use self::fields::Malformed;
use self::fields::{check, fields};
pub use self::select::Select;
pub use self::survey::Survey;
pub use self::thin::FLOOD;

/// `Update.now` of the protocol.
const NOW: u32 = 1;
/// `Update.new_metadata`.
const METADATA: u32 = 5;
/// `RegisterMetadata.metadata`.
const NEW_METADATA: u32 = 1;
/// `ResourceUpdate.new_poll_ops`.
const POLL_OPS: u32 = 3;

/// One message of `WatchUpdates`, encoded. Its frame is known to be sound; an element that is not is read as `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message(Bytes);

impl Message {
    /// Takes an encoded message in, without copying it.
    ///
    /// # Errors
    /// The bytes are no message of this kind.
    pub fn new(bytes: Bytes) -> Result<Self, Malformed> {
        check(&bytes)?;
        Ok(Self(bytes))
    }

    /// Takes in the bytes of a message that was sound when it came.
    pub fn again(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The message as it came.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Its encoded size in bytes.
    pub fn wire_bytes(&self) -> usize {
        self.0.len()
    }

    /// The whole message at once, without elements that cannot be decoded: for those few that must have it, since it takes many times the
    /// memory.
    pub fn decoded(&self) -> instrument::Update {
        let has = |part| self.parts(part).next().is_some();
        let Dropped { tasks, resources, async_ops } = self.dropped();
        let poll_ops = self.elements(numbers(Kind::Resource).part, POLL_OPS);
        instrument::Update {
            now: self.stamp(),
            task_update: has(numbers(Kind::Task).part).then(|| tasks::TaskUpdate {
                new_tasks: self.new_elements(Kind::Task).filter_map(capped).collect(),
                stats_update: self.stats_elements(Kind::Task).filter_map(entry).collect(),
                dropped_events: tasks,
            }),
            resource_update: has(numbers(Kind::Resource).part).then(|| resources::ResourceUpdate {
                new_resources: self.new_elements(Kind::Resource).filter_map(capped).collect(),
                stats_update: self.stats_elements(Kind::Resource).filter_map(entry).collect(),
                new_poll_ops: poll_ops.filter_map(|poll| resources::PollOp::decode(poll).ok()).collect(),
                dropped_events: resources,
            }),
            async_op_update: has(numbers(Kind::AsyncOp).part).then(|| async_ops::AsyncOpUpdate {
                new_async_ops: self.new_elements(Kind::AsyncOp).filter_map(capped).collect(),
                stats_update: self.stats_elements(Kind::AsyncOp).filter_map(entry).collect(),
                dropped_events: async_ops,
            }),
            new_metadata: has(METADATA).then(|| RegisterMetadata { metadata: self.new_metadata().flatten().collect() }),
        }
    }

    /// The target's time in nanoseconds since the epoch; `None` where there is none that makes sense.
    pub fn now(&self) -> Option<u64> {
        nanos(&self.stamp()?)
    }

    fn stamp(&self) -> Option<Timestamp> {
        let last = fields(&self.0).filter(|field| field.number == NOW).last()?;
        Timestamp::decode(last.bytes()?).ok()
    }

    /// The process that it is from, where the target says so; it does in its first message.
    pub fn process(&self) -> Option<Process> {
        facts::process(&self.0)
    }

    /// What it says as a whole beyond the protocol, as it came.
    pub fn raw_facts(&self) -> impl Iterator<Item = &[u8]> {
        facts::raw(&self.0)
    }

    /// Whether more pieces of the same state follow at once.
    pub fn has_more(&self) -> bool {
        facts::has_more(&self.0)
    }

    /// Events that the target had to throw away since the message before.
    pub fn dropped(&self) -> Dropped {
        let of = |kind: Kind| {
            let Numbers { part, dropped, .. } = numbers(kind);
            let counts = self.parts(part).flat_map(fields).filter(|field| field.number == dropped);
            counts.last().map_or(0, |field| elements::count(field.value))
        };
        Dropped { tasks: of(Kind::Task), resources: of(Kind::Resource), async_ops: of(Kind::AsyncOp) }
    }

    /// The ids of the entities of a kind that it introduces; `None` for one without.
    pub fn introduced_ids(&self, kind: Kind) -> impl Iterator<Item = Option<u64>> {
        self.new_elements(kind).map(id)
    }

    /// The ids of the entities of a kind of which it has counters, and when each was created, in nanoseconds since the epoch.
    pub fn created(&self, kind: Kind) -> impl Iterator<Item = (u64, u64)> {
        self.stats_elements(kind).filter_map(elements::created)
    }

    /// When each entity that it introduces was created.
    pub fn births(&self, kind: Kind) -> Births {
        Births::read(self.introduced_ids(kind).flatten(), self.stats_elements(kind))
    }

    /// The tasks that it introduces.
    pub fn new_tasks(&self) -> impl Iterator<Item = Option<introduced::Task<'_>>> {
        self.new_elements(Kind::Task).map(Direct::read)
    }

    /// Counters of tasks by their ids.
    pub fn task_stats(&self) -> impl Iterator<Item = Entry<'_, TaskStats<'_>>> {
        self.stats_elements(Kind::Task).map(Entry::new)
    }

    /// The resources that it introduces.
    pub fn new_resources(&self) -> impl Iterator<Item = Option<introduced::Resource<'_>>> {
        self.new_elements(Kind::Resource).map(Direct::read)
    }

    /// States of resources by their ids.
    pub fn resource_stats(&self) -> impl Iterator<Item = Entry<'_, ResourceStats<'_>>> {
        self.stats_elements(Kind::Resource).map(Entry::new)
    }

    /// The async ops that it introduces.
    pub fn new_async_ops(&self) -> impl Iterator<Item = Option<introduced::AsyncOp<'_>>> {
        self.new_elements(Kind::AsyncOp).map(Direct::read)
    }

    /// Counters of async ops by their ids.
    pub fn async_op_stats(&self) -> impl Iterator<Item = Entry<'_, OpStats<'_>>> {
        self.stats_elements(Kind::AsyncOp).map(Entry::new)
    }

    /// Single polls of async ops.
    pub fn poll_ops(&self) -> impl Iterator<Item = PollOp<'_>> {
        self.elements(numbers(Kind::Resource).part, POLL_OPS).map(PollOp::read)
    }

    /// Metadata of spans that it registers.
    pub fn new_metadata(&self) -> impl Iterator<Item = Option<register_metadata::NewMetadata>> {
        self.elements(METADATA, NEW_METADATA).map(capped)
    }

    /// What it says about the entities of a kind, as it came.
    pub fn raw(&self, kind: Kind) -> Raw<'_> {
        let (numbers, mut raw) = (numbers(kind), Raw::default());
        self.parts(numbers.part).for_each(|part| raw.read(part, &numbers));
        raw
    }

    /// Metadata that it registers, as it came, by its ids.
    pub fn raw_metadata(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.elements(METADATA, NEW_METADATA).filter_map(|element| Some((id(element)?, element)))
    }

    fn new_elements(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        let Numbers { part, new, .. } = numbers(kind);
        self.elements(part, new)
    }

    fn stats_elements(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        let Numbers { part, stats, .. } = numbers(kind);
        self.elements(part, stats)
    }

    /// What is in the fields of one number of a part. A part may come in pieces.
    fn elements(&self, part: u32, number: u32) -> impl Iterator<Item = &[u8]> {
        let all = self.parts(part).flat_map(fields);
        all.filter(move |field| field.number == number).filter_map(|field| field.bytes())
    }

    fn parts(&self, number: u32) -> impl Iterator<Item = &[u8]> {
        fields(&self.0).filter(move |field| field.number == number).filter_map(|field| field.bytes())
    }
}

#[cfg(test)]
mod tests;
