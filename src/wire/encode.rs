//! Messages as bytes that depend on nothing but what they say: maps are written in the order of their keys.

use std::collections::HashMap;

use console_api::instrument::Update;
use prost::Message as Encode;
use prost::bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len, message, uint64};
use prost_types::Timestamp;

use super::elements::{Numbers, numbers};
use super::facts::FACTS;
use super::{Kind, METADATA, Message, NEW_METADATA, NOW, POLL_OPS};

/// A message that is put together from elements.
#[derive(Debug)]
pub struct Builder(Vec<u8>);

impl Builder {
    /// Begins a message with the target's time, in nanoseconds since the epoch.
    pub fn new(now: Option<u64>) -> Self {
        let mut bytes = Vec::new();
        if let Some(now) = now {
            let seconds = i64::try_from(now / 1_000_000_000).unwrap_or(i64::MAX);
            let nanos = i32::try_from(now % 1_000_000_000).unwrap_or(0);
            message::encode(NOW, &Timestamp { seconds, nanos }, &mut bytes);
        }
        Self(bytes)
    }

    /// Adds what there is to say about entities of a kind: introductions, entries of counters, polls of async ops, and events that were
    /// thrown away.
    pub fn part<'a>(
        &mut self,
        kind: Kind,
        new: impl Iterator<Item = &'a [u8]> + Clone,
        stats: impl Iterator<Item = &'a [u8]> + Clone,
        polls: impl Iterator<Item = &'a [u8]> + Clone,
        dropped_events: u64,
    ) {
        let Numbers { part, new: introductions, stats: entries, dropped } = numbers(kind);
        let new = new.map(|element| (introductions, element));
        let all = new.chain(stats.map(|entry| (entries, entry))).chain(polls.map(|poll| (POLL_OPS, poll)));
        self.elements(part, all, (dropped, dropped_events));
    }

    /// Adds metadata.
    pub fn metadata<'a>(&mut self, metadata: impl Iterator<Item = &'a [u8]> + Clone) {
        self.elements(METADATA, metadata.map(|element| (NEW_METADATA, element)), (0, 0));
    }

    /// Adds what the message says as a whole beyond the protocol.
    pub fn facts<'a>(&mut self, facts: impl Iterator<Item = &'a [u8]>) {
        for fact in facts {
            encode_key(FACTS, WireType::LengthDelimited, &mut self.0);
            encode_varint(length(fact), &mut self.0);
            self.0.extend_from_slice(fact);
        }
    }

    /// The message.
    pub fn finish(self) -> Message {
        Message(Bytes::from(self.0))
    }

    /// A part of elements with the numbers of their fields, and a count, unless that is zero.
    fn elements<'a>(
        &mut self,
        part: u32,
        elements: impl Iterator<Item = (u32, &'a [u8])> + Clone,
        (number, count): (u32, u64),
    ) {
        let count = (count != 0).then_some(count);
        let length = |bytes: &[u8]| encoded_len_varint(length(bytes)) + bytes.len();
        let total: usize = elements.clone().map(|(number, bytes)| key_len(number) + length(bytes)).sum();
        let total = total + count.map_or(0, |count| uint64::encoded_len(number, &count));
        let out = &mut self.0;
        out.reserve(total + 16);
        encode_key(part, WireType::LengthDelimited, out);
        encode_varint(u64::try_from(total).unwrap_or(u64::MAX), out);
        for (number, bytes) in elements {
            encode_key(number, WireType::LengthDelimited, out);
            encode_varint(self::length(bytes), out);
            out.extend_from_slice(bytes);
        }
        count.iter().for_each(|count| uint64::encode(number, count, out));
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

impl From<&Update> for Message {
    fn from(update: &Update) -> Self {
        let mut builder = Builder::new(None);
        update.now.iter().for_each(|now| message::encode(NOW, now, &mut builder.0));
        if let Some(part) = &update.task_update {
            builder.encode(Kind::Task, &part.new_tasks, &part.stats_update, &[], part.dropped_events);
        }
        if let Some(part) = &update.resource_update {
            let polls: Vec<_> = part.new_poll_ops.iter().map(Encode::encode_to_vec).collect();
            builder.encode(Kind::Resource, &part.new_resources, &part.stats_update, &polls, part.dropped_events);
        }
        if let Some(part) = &update.async_op_update {
            builder.encode(Kind::AsyncOp, &part.new_async_ops, &part.stats_update, &[], part.dropped_events);
        }
        update.new_metadata.iter().for_each(|metadata| message::encode(METADATA, metadata, &mut builder.0));
        builder.finish()
    }
}

impl Builder {
    fn encode<N: Encode, S: Encode>(
        &mut self,
        kind: Kind,
        new: &[N],
        stats: &HashMap<u64, S>,
        polls: &[Vec<u8>],
        dropped_events: u64,
    ) {
        let new: Vec<_> = new.iter().map(Encode::encode_to_vec).collect();
        let mut sorted: Vec<_> = stats.iter().collect();
        sorted.sort_unstable_by_key(|(id, _)| **id);
        let stats: Vec<_> = sorted.into_iter().map(|(id, stats)| entry(*id, stats)).collect();
        let [new, stats, polls] = [&*new, &*stats, polls].map(|elements| elements.iter().map(|element| &**element));
        self.part(kind, new, stats, polls, dropped_events);
    }
}

/// An entry of a map.
fn entry(id: u64, stats: &impl Encode) -> Vec<u8> {
    let mut bytes = Vec::new();
    uint64::encode(1, &id, &mut bytes);
    message::encode(2, stats, &mut bytes);
    bytes
}
