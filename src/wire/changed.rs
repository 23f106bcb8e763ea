//! A message with its elements changed, one after the other: it takes no more memory than the message and one element.

use console_api::register_metadata::NewMetadata;
use console_api::{async_ops, resources, tasks};
use prost::Message as Encode;
use prost::bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint, message, uint64};

use super::elements::{Numbers, Repeats, capped, numbers, split};
use super::facts::{self, FACTS};
use super::{Kind, METADATA, Message, NEW_METADATA, NOW, POLL_OPS};

/// What is done to the elements of messages. Metadata of a message come first, for its other elements refer to them.
pub trait Change {
    /// Changes what is registered.
    fn metadata(&mut self, metadata: &mut NewMetadata);
    /// Changes a task that is introduced.
    fn task(&mut self, task: &mut tasks::Task);
    /// Changes a resource that is introduced.
    fn resource(&mut self, resource: &mut resources::Resource);
    /// Changes what is said about a resource.
    fn resource_stats(&mut self, stats: &mut resources::Stats);
    /// Changes a poll of an async op.
    fn poll_op(&mut self, poll: &mut resources::PollOp);
    /// Changes an async op that is introduced.
    fn async_op(&mut self, op: &mut async_ops::AsyncOp);
    /// Changes what is said about an async op.
    fn async_op_stats(&mut self, stats: &mut async_ops::Stats);
}

/// An element that nobody can decode: a field without a number. One that could not be decoded stays one, and says nothing.
const MALFORMED: &[u8] = &[0x07];

impl Message {
    /// The message with every element changed. Beyond what the protocol defines, only facts that name nothing are taken over.
    #[must_use]
    pub fn changed(&self, change: &mut dyn Change) -> Self {
        let mut out = Vec::with_capacity(self.wire_bytes());
        if let Some(now) = self.stamp() {
            message::encode(NOW, &now, &mut out);
        }
        let mut metadata = Vec::new();
        for it in self.elements(METADATA, NEW_METADATA).map(capped::<NewMetadata>) {
            push(NEW_METADATA, it, &mut metadata, |it| change.metadata(it));
        }
        self.part(METADATA, &metadata, &mut out);
        self.changed_part::<_, tasks::Stats>(Kind::Task, &mut out, change, |change, it| change.task(it), |_, _| {});
        self.changed_part(
            Kind::Resource,
            &mut out,
            change,
            |change, it| change.resource(it),
            |change, it| change.resource_stats(it),
        );
        self.changed_part(
            Kind::AsyncOp,
            &mut out,
            change,
            |change, it| change.async_op(it),
            |change, it| change.async_op_stats(it),
        );
        facts::nameless(&self.0).for_each(|fact| bytes(FACTS, fact, &mut out));
        Self(Bytes::from(out))
    }

    /// Writes what the message says about entities of a kind, changed.
    fn changed_part<N: Repeats, S: Repeats>(
        &self,
        kind: Kind,
        out: &mut Vec<u8>,
        change: &mut dyn Change,
        of_new: fn(&mut dyn Change, &mut N),
        of_stats: fn(&mut dyn Change, &mut S),
    ) {
        let Numbers { part, new, stats, dropped } = numbers(kind);
        let mut content = Vec::new();
        for it in self.new_elements(kind) {
            push(new, capped(it), &mut content, |it| of_new(change, it));
        }
        for it in self.stats_elements(kind) {
            entry(stats, it, &mut content, |it| of_stats(change, it));
        }
        if kind == Kind::Resource {
            for poll in self.elements(part, POLL_OPS) {
                push(POLL_OPS, resources::PollOp::decode(poll).ok(), &mut content, |it| change.poll_op(it));
            }
        }
        match self.dropped().of(kind) {
            0 => {}
            count => uint64::encode(dropped, &count, &mut content),
        }
        self.part(part, &content, out);
    }

    /// Writes a part that the message has.
    fn part(&self, number: u32, content: &[u8], out: &mut Vec<u8>) {
        if self.parts(number).next().is_some() {
            bytes(number, content, out);
        }
    }
}

/// Writes an element, changed.
fn push<T: Encode>(number: u32, element: Option<T>, out: &mut Vec<u8>, change: impl FnOnce(&mut T)) {
    match element {
        Some(mut element) => {
            change(&mut element);
            message::encode(number, &element, out);
        }
        None => bytes(number, MALFORMED, out),
    }
}

/// Writes an entry of a map, changed.
fn entry<T: Repeats>(number: u32, entry: &[u8], out: &mut Vec<u8>, change: impl FnOnce(&mut T)) {
    let (id, value) = split(entry);
    match value.and_then(|value| Some((value, capped::<T>(value)?))) {
        Some((value, mut stats)) => {
            change(&mut stats);
            let mut changed = stats.encode_to_vec();
            facts::nameless(value).for_each(|fact| bytes(FACTS, fact, &mut changed));
            let mut content = Vec::new();
            uint64::encode(1, &id, &mut content);
            bytes(2, &changed, &mut content);
            bytes(number, &content, out);
        }
        None => bytes(number, MALFORMED, out),
    }
}

fn bytes(number: u32, content: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(u64::try_from(content.len()).unwrap_or(u64::MAX), out);
    out.extend_from_slice(content);
}
