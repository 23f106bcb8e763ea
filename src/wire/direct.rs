//! Elements read straight from their bytes, so that nothing is copied and little is done for each: of a large update there are a million.
//!
//! Each reader knows what targets write. Anything else is left to prost, which knows what to make of a field that is there twice or that nobody
//! knows, and refuses what is malformed; facts beyond the protocol are lost with it.

use std::borrow::Cow;
use std::time::Duration;

use prost_types::Timestamp;

use super::elements::{HARMLESS, Repeats, capped, nanos};
use super::fields::{Value, in_order};

/// An element that can be read so.
pub(super) trait Direct<'a>: Sized {
    /// The same as prost has it.
    type Decoded: Repeats + Into<Self>;

    /// Reads what targets write; `None` for anything else.
    fn usual(bytes: &'a [u8]) -> Option<Self>;

    /// Reads any element; `None` for one that is malformed.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let usual = (bytes.len() <= HARMLESS).then(|| Self::usual(bytes)).flatten();
        usual.or_else(|| capped::<Self::Decoded>(bytes).map(Into::into))
    }
}

/// The number in an id, which has no other field.
#[inline]
pub(super) fn id(bytes: &[u8]) -> Option<u64> {
    let mut id = 0;
    in_order(bytes, &[], |number, value| match (number, value) {
        (1, Value::Varint(number)) => {
            id = number;
            Some(())
        }
        _ => None,
    })?;
    Some(id)
}

/// A text.
#[inline]
pub(super) fn text(bytes: &[u8]) -> Option<Cow<'_, str>> {
    std::str::from_utf8(bytes).ok().map(Cow::Borrowed)
}

/// Seconds and nanoseconds.
#[inline]
fn parts(bytes: &[u8]) -> Option<(i64, i32)> {
    let mut parts = (0, 0);
    in_order(bytes, &[], |number, value| {
        match (number, value) {
            (1, Value::Varint(seconds)) => parts.0 = seconds.cast_signed(),
            (2, Value::Varint(nanos)) => parts.1 = i32::try_from(nanos.cast_signed()).ok()?,
            _ => return None,
        }
        Some(())
    })?;
    Some(parts)
}

/// A time in nanoseconds since the epoch, `Some(None)` for one that makes no sense.
#[inline]
#[expect(clippy::option_option, reason = "what cannot be read is something else than what makes no sense")]
pub(super) fn time(bytes: &[u8]) -> Option<Option<u64>> {
    let (seconds, nanos) = parts(bytes)?;
    Some(self::nanos(&Timestamp { seconds, nanos }))
}

/// A duration.
#[inline]
pub(super) fn length(bytes: &[u8]) -> Option<Duration> {
    let (seconds, nanos) = parts(bytes)?;
    Some(duration(&prost_types::Duration { seconds, nanos }))
}

/// A duration that was decoded; zero for one that is negative.
pub(super) fn duration(wire: &prost_types::Duration) -> Duration {
    match (u64::try_from(wire.seconds), u32::try_from(wire.nanos)) {
        (Ok(seconds), Ok(nanos @ 0..1_000_000_000)) => Duration::new(seconds, nanos),
        (Ok(_), _) => Duration::try_from(*wire).unwrap_or_default(),
        // The most negative one has no absolute value, which the conversion would tell in its error.
        (Err(_), _) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use console_api::resources::resource;
    use console_api::{Attribute, Field, Id, Location, MetaId, PollStats, SpanId, async_ops, field, resources, tasks};
    use proptest::prelude::*;
    use proptest::sample::Index;
    use prost::Message;

    use super::*;
    use crate::wire::introduced;
    use crate::wire::{OpStats, ResourceStats, TaskStats};

    #[test]
    fn what_is_no_duration_is_none_at_all() {
        for (seconds, nanos, expected) in [
            (3, 500_000_000, Duration::from_millis(3_500)),
            (3, 1_500_000_000, Duration::from_millis(4_500)),
            (3, -500_000_000, Duration::from_millis(2_500)),
            (-3, 0, Duration::ZERO),
            (0, -1, Duration::ZERO),
            (i64::MIN, 0, Duration::ZERO),
            (i64::MIN, i32::MIN, Duration::ZERO),
        ] {
            assert_eq!(duration(&prost_types::Duration { seconds, nanos }), expected, "{seconds} s, {nanos} ns");
        }
        assert!(duration(&prost_types::Duration { seconds: i64::MAX, nanos: i32::MAX }) > Duration::from_secs(1 << 62));
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanos: 999_999_999 }
    }

    fn fields() -> Vec<Field> {
        let named = |value| {
            let (name, metadata_id) = (Some(field::Name::StrName("size.bytes".into())), Some(MetaId { id: 1 << 40 }));
            Field { name, value: Some(value), metadata_id }
        };
        let values = [
            field::Value::DebugVal("task".into()),
            field::Value::StrVal("ünïcode".into()),
            field::Value::U64Val(u64::MAX),
            field::Value::I64Val(-7),
            field::Value::I64Val(i64::MIN),
            field::Value::BoolVal(true),
        ];
        let by_index = Field { name: Some(field::Name::NameIdx(300)), ..named(field::Value::U64Val(1)) };
        values.map(named).into_iter().chain([by_index, Field::default()]).collect()
    }

    fn attributes() -> Vec<Attribute> {
        let units = [None, Some("ms".to_owned())].into_iter().cycle();
        fields().into_iter().zip(units).map(|(field, unit)| Attribute { field: Some(field), unit }).collect()
    }

    fn polls() -> PollStats {
        PollStats {
            polls: 1_000,
            first_poll: Some(at(1)),
            last_poll_started: Some(at(1_700_000_000)),
            last_poll_ended: Some(at(-1)),
            busy_time: Some(prost_types::Duration { seconds: 1 << 40, nanos: 5 }),
        }
    }

    fn task() -> tasks::Task {
        tasks::Task {
            id: Some(Id { id: 7 }),
            metadata: Some(MetaId { id: u64::MAX }),
            kind: 1,
            fields: fields(),
            parents: Vec::new(),
            location: Some(Location {
                file: Some("src/bank.rs".into()),
                module_path: Some("bank".into()),
                line: Some(u32::MAX),
                column: Some(9),
            }),
        }
    }

    fn resource(kind: resource::kind::Kind) -> resources::Resource {
        resources::Resource {
            id: Some(Id { id: 300 }),
            concrete_type: "Semaphore".into(),
            kind: Some(resource::Kind { kind: Some(kind) }),
            location: task().location,
            parent_resource_id: Some(Id { id: 0 }),
            is_internal: true,
            ..resources::Resource::default()
        }
    }

    /// What targets send, element by element, in the order in which `check` knows them.
    fn samples() -> [Vec<Vec<u8>>; 6] {
        let stats = tasks::Stats {
            created_at: Some(at(1_700_000_000)),
            dropped_at: Some(at(i64::MAX)),
            wakes: 128,
            waker_clones: 1,
            waker_drops: u64::MAX,
            last_wake: Some(at(0)),
            self_wakes: 3,
            scheduled_time: Some(prost_types::Duration { seconds: 3, nanos: 4 }),
            poll_stats: Some(polls()),
        };
        let op_stats = async_ops::Stats {
            created_at: Some(at(5)),
            dropped_at: None,
            task_id: Some(Id { id: 9 }),
            poll_stats: Some(polls()),
            attributes: attributes(),
        };
        let resource_stats =
            resources::Stats { created_at: Some(at(6)), dropped_at: Some(at(7)), attributes: attributes() };
        let op = async_ops::AsyncOp {
            id: Some(Id { id: 3 }),
            source: "Mutex::lock".into(),
            parent_async_op_id: Some(Id { id: 4 }),
            resource_id: Some(Id { id: 5 }),
            ..async_ops::AsyncOp::default()
        };
        let with_parents = tasks::Task { parents: vec![SpanId { id: 1 }], ..task() };
        let (known, other) = (resource::kind::Kind::Known(0), resource::kind::Kind::Other("Sync".into()));
        [
            vec![stats.encode_to_vec(), tasks::Stats::default().encode_to_vec()],
            vec![op_stats.encode_to_vec()],
            vec![resource_stats.encode_to_vec()],
            vec![task().encode_to_vec(), with_parents.encode_to_vec()],
            vec![resource(known).encode_to_vec(), resource(other).encode_to_vec()],
            vec![op.encode_to_vec()],
        ]
    }

    fn is_as_prost_has_it<'a, T: Direct<'a> + PartialEq + Debug>(bytes: &'a [u8]) {
        assert_eq!(T::read(bytes), capped::<T::Decoded>(bytes).map(Into::into), "{bytes:x?}");
    }

    fn check(kind: usize, bytes: &[u8]) {
        match kind {
            0 => is_as_prost_has_it::<TaskStats>(bytes),
            1 => is_as_prost_has_it::<OpStats<'_>>(bytes),
            2 => is_as_prost_has_it::<ResourceStats<'_>>(bytes),
            3 => is_as_prost_has_it::<introduced::Task<'_>>(bytes),
            4 => is_as_prost_has_it::<introduced::Resource<'_>>(bytes),
            _ => is_as_prost_has_it::<introduced::AsyncOp<'_>>(bytes),
        }
    }

    #[test]
    fn what_targets_send_is_not_left_to_prost() {
        let [stats, op_stats, resource_stats, tasks, resources, ops] = samples();
        assert!(stats.iter().all(|bytes| TaskStats::usual(bytes).is_some()));
        assert!(op_stats.iter().all(|bytes| OpStats::usual(bytes).is_some()));
        assert!(resource_stats.iter().all(|bytes| ResourceStats::usual(bytes).is_some()));
        assert!(introduced::Task::usual(&tasks[0]).is_some());
        assert!(resources.iter().all(|bytes| introduced::Resource::usual(bytes).is_some()));
        assert!(ops.iter().all(|bytes| introduced::AsyncOp::usual(bytes).is_some()));
    }

    /// Bytes after changes: of what kind each is, where, and with what.
    fn changed(mut bytes: Vec<u8>, changes: &[(u8, Index, Index, u8)]) -> Vec<u8> {
        for (change, from, to, byte) in changes {
            let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
            let (from, to) = (from.min(to), from.max(to));
            let part = bytes[from..to].to_vec();
            match change {
                0 if from < bytes.len() => bytes[from] = *byte,
                1 if from < bytes.len() => bytes[from] ^= 1 << (byte % 8),
                2 => drop(bytes.drain(from..to)),
                3 => bytes.insert(from, *byte),
                4 => bytes.truncate(from),
                5 => bytes.extend(part),
                _ => drop(bytes.splice(to..to, part)),
            }
        }
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn any_element_is_read_as_prost_decodes_it(
            kind in 0..6_usize,
            sample in any::<Index>(),
            tail in any::<Option<Index>>(),
            changes in prop::collection::vec((0..7_u8, any::<Index>(), any::<Index>(), any::<u8>()), 0..4),
        ) {
            let samples = &samples()[kind];
            let tail = tail.map(|tail| tail.get(samples).as_slice()).unwrap_or_default();
            check(kind, &changed([sample.get(samples), tail].concat(), &changes));
        }
    }
}
