//! Messages with some of their elements. Elements are copied as bytes, so that fields unknown here survive.

use std::collections::BTreeMap;

use prost::bytes::Bytes;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::elements::{self, Numbers, PollOp, numbers, split};
use super::fields::{Field, fields};
use super::{Builder, Kind, METADATA, Message, NEW_METADATA, POLL_OPS};

/// Which elements of messages are kept.
pub trait Select {
    /// Whether to keep the introduction and the counters of an entity.
    fn entity(&self, kind: Kind, id: u64) -> bool {
        let _ = (kind, id);
        true
    }

    /// Whether to keep a poll of an async op.
    fn poll_op(&self, poll: &PollOp<'_>) -> bool {
        let _ = poll;
        true
    }

    /// Whether to keep the metadata of a callsite.
    fn metadata(&self, id: u64) -> bool {
        let _ = id;
        true
    }
}

impl Message {
    /// The message with the elements that `select` keeps. Elements without a readable id are dropped.
    #[must_use]
    pub fn selected(&self, select: &dyn Select) -> Self {
        let mut out = Vec::with_capacity(self.wire_bytes());
        for field in fields(&self.0) {
            let kind = Kind::ALL.into_iter().find(|kind| numbers(*kind).part == field.number);
            match field.bytes().filter(|_| kind.is_some() || field.number == METADATA) {
                Some(part) => {
                    let kept = fields(part).filter(|element| is_kept(kind, element, select));
                    let content: Vec<u8> = kept.flat_map(|element| element.whole).copied().collect();
                    encode_key(field.number, WireType::LengthDelimited, &mut out);
                    encode_varint(u64::try_from(content.len()).unwrap_or(u64::MAX), &mut out);
                    out.extend(content);
                }
                None => out.extend_from_slice(field.whole),
            }
        }
        Self(Bytes::from(out))
    }

    /// This message and the next one merged into one, with the latest counters of each entity.
    #[must_use]
    pub fn followed_by(&self, next: &Self) -> Self {
        let mut builder = Builder::new(next.now().or(self.now()));
        for kind in Kind::ALL {
            let new: Vec<_> = self.new_elements(kind).chain(next.new_elements(kind)).collect();
            let stats = self.stats_elements(kind).chain(next.stats_elements(kind));
            let last: BTreeMap<u64, &[u8]> = stats.map(|entry| (split(entry).0, entry)).collect();
            let part = numbers(kind).part;
            let polls = [self, next].into_iter().filter(|_| kind == Kind::Resource);
            let polls: Vec<_> = polls.flat_map(|message| message.elements(part, POLL_OPS)).collect();
            let dropped = self.dropped().plus(next.dropped()).of(kind);
            builder.part(kind, new.into_iter(), last.values().copied(), polls.into_iter(), dropped);
        }
        let metadata = [self, next].into_iter().flat_map(|message| message.elements(METADATA, NEW_METADATA));
        builder.metadata(metadata.collect::<Vec<_>>().into_iter());
        builder.facts(self.raw_facts().chain(next.raw_facts()));
        builder.finish()
    }
}

/// Whether an element of a part is kept: a part of entities of a kind, or that of metadata.
fn is_kept(kind: Option<Kind>, element: &Field<'_>, select: &dyn Select) -> bool {
    let Some(bytes) = element.bytes() else { return true };
    let Some(kind) = kind else {
        return element.number != NEW_METADATA || elements::id(bytes).is_some_and(|id| select.metadata(id));
    };
    let Numbers { new, stats, .. } = numbers(kind);
    match element.number {
        number if number == new => elements::id(bytes).is_some_and(|id| select.entity(kind, id)),
        number if number == stats => select.entity(kind, split(bytes).0),
        POLL_OPS if kind == Kind::Resource => select.poll_op(&PollOp::read(bytes)),
        _ => true,
    }
}
