//! Updates as bytes that depend on nothing but what they say: maps are written in the order of their keys.

use std::collections::HashMap;

use console_api::instrument::Update;
use console_api::{async_ops, resources, tasks};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

/// `Update.task_update` of the protocol.
const TASK_UPDATE: u32 = 2;
/// `Update.resource_update` of the protocol.
const RESOURCE_UPDATE: u32 = 3;
/// `Update.async_op_update` of the protocol.
const ASYNC_OP_UPDATE: u32 = 4;

/// The message, always as the same bytes: elsewhere the order of its maps is another in every process.
pub(super) fn encode(update: &Update) -> Vec<u8> {
    let mut rest = update.clone();
    let parts = [
        (TASK_UPDATE, rest.task_update.take().map(tasks)),
        (RESOURCE_UPDATE, rest.resource_update.take().map(resources)),
        (ASYNC_OP_UPDATE, rest.async_op_update.take().map(async_ops)),
    ];
    let mut bytes = rest.encode_to_vec();
    for (number, part) in parts {
        let Some(part) = part else { continue };
        encode_key(number, WireType::LengthDelimited, &mut bytes);
        encode_varint(u64::try_from(part.len()).unwrap_or(u64::MAX), &mut bytes);
        bytes.extend(part);
    }
    bytes
}

fn tasks(mut part: tasks::TaskUpdate) -> Vec<u8> {
    let stats = std::mem::take(&mut part.stats_update);
    with_stats(&part, stats, |stats_update| tasks::TaskUpdate { stats_update, ..Default::default() })
}

fn resources(mut part: resources::ResourceUpdate) -> Vec<u8> {
    let stats = std::mem::take(&mut part.stats_update);
    with_stats(&part, stats, |stats_update| resources::ResourceUpdate { stats_update, ..Default::default() })
}

fn async_ops(mut part: async_ops::AsyncOpUpdate) -> Vec<u8> {
    let stats = std::mem::take(&mut part.stats_update);
    with_stats(&part, stats, |stats_update| async_ops::AsyncOpUpdate { stats_update, ..Default::default() })
}

/// A part of the message, and its stats one by one: what repeats a message adds to it.
fn with_stats<M: Message, S>(rest: &M, stats: HashMap<u64, S>, part_of: impl Fn(HashMap<u64, S>) -> M) -> Vec<u8> {
    let mut bytes = rest.encode_to_vec();
    let mut stats: Vec<(u64, S)> = stats.into_iter().collect();
    stats.sort_unstable_by_key(|(id, _)| *id);
    for entry in stats {
        bytes.extend(part_of(HashMap::from([entry])).encode_to_vec());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    fn update() -> Update {
        let at = Some(Timestamp { seconds: 1, nanos: 2 });
        Update {
            now: at,
            task_update: Some(tasks::TaskUpdate {
                new_tasks: vec![tasks::Task::default()],
                stats_update: (0..50).map(|id| (id, tasks::Stats { wakes: id, ..Default::default() })).collect(),
                dropped_events: 3,
            }),
            resource_update: Some(resources::ResourceUpdate {
                stats_update: (0..50)
                    .map(|id| (id, resources::Stats { created_at: at, ..Default::default() }))
                    .collect(),
                new_poll_ops: vec![resources::PollOp { is_ready: true, ..Default::default() }],
                ..Default::default()
            }),
            async_op_update: Some(async_ops::AsyncOpUpdate {
                stats_update: (0..50).map(|id| (id, async_ops::Stats::default())).collect(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn equal_messages_are_equal_bytes_and_nothing_is_lost() {
        let bytes = encode(&update());
        assert_eq!(Update::decode(bytes.as_slice()).unwrap(), update());
        for _ in 0..10 {
            assert_eq!(encode(&update()), bytes);
        }
    }
}
