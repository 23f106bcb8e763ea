//! Whether an encoded update is what it weighs: two bytes of a hostile file can be an empty task that takes a hundred times that in memory.

/// Least bytes an element takes on average, counting tasks, stats, poll ops and the like with their parts. Those of real updates take
/// more than 20.
const LEAST_BYTES: usize = 8;

/// So many bytes are decoded whatever they hold.
const HARMLESS: usize = 64 * 1024;

/// The repeated fields of a message by their numbers, and the way to those in its parts.
struct Shape(&'static [(u64, Shape)]);

const LEAF: Shape = Shape(&[]);

/// `rs.tokio.console.instrument.Update`.
const UPDATE: Shape = Shape(&[
    // Tasks with their fields and parents; stats.
    (2, Shape(&[(1, Shape(&[(4, LEAF), (5, LEAF)])), (3, LEAF)])),
    // Resources; stats with their attributes; poll ops.
    (3, Shape(&[(1, LEAF), (2, Shape(&[(2, Shape(&[(3, LEAF)]))])), (3, LEAF)])),
    // Async ops; stats with their attributes.
    (4, Shape(&[(1, LEAF), (2, Shape(&[(2, Shape(&[(6, LEAF)]))]))])),
    // Metadata with its field names.
    (5, Shape(&[(1, Shape(&[(2, Shape(&[(7, LEAF)]))]))])),
]);

/// Whether decoding an update takes memory in proportion to its size. What is not protobuf is left to the decoder, which refuses it.
pub(super) fn is_plausible_update(bytes: &[u8]) -> bool {
    bytes.len() <= HARMLESS || elements(bytes, &UPDATE) <= bytes.len() / LEAST_BYTES
}

/// How many elements of a shape there are, up to where the message is malformed.
fn elements(mut bytes: &[u8], shape: &Shape) -> usize {
    let mut count = 0;
    while let Some(key) = varint(&mut bytes) {
        let length = match key & 7 {
            0 => varint(&mut bytes).map(|_| 0),
            1 => Some(8),
            2 => varint(&mut bytes),
            5 => Some(4),
            _ => None,
        };
        let Some((value, rest)) = length.and_then(|it| bytes.split_at_checked(usize::try_from(it).ok()?)) else {
            break;
        };
        bytes = rest;
        if let Some((_, part)) = shape.0.iter().find(|(field, _)| *field == key >> 3) {
            count += 1 + elements(value, part);
        }
    }
    count
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(bytes).ok()
}

#[cfg(test)]
mod tests {
    use console_api::instrument::Update;
    use console_api::{Field, Id, register_metadata, resources, tasks};
    use prost::Message;

    use super::*;

    #[test]
    fn updates_of_real_entities_are_plausible() {
        let fields = vec![Field { name: Some("kind".into()), value: Some("task".into()), ..Default::default() }; 4];
        let stats = tasks::Stats {
            created_at: Some(prost_types::Timestamp { seconds: 4_000_000_000, nanos: 1 }),
            ..Default::default()
        };
        let task = |id| tasks::Task { id: Some(Id { id }), fields: fields.clone(), ..Default::default() };
        let update = tasks::TaskUpdate {
            new_tasks: (0..10_000).map(task).collect(),
            stats_update: (0..10_000).map(|id| (id, stats)).collect(),
            dropped_events: 0,
        };
        let bytes = Update { task_update: Some(update), ..Default::default() }.encode_to_vec();
        assert!(bytes.len() > HARMLESS && is_plausible_update(&bytes), "{}", bytes.len());
    }

    #[test]
    fn updates_of_nothing_but_empty_elements_are_not() {
        let none = Update::default;
        let empty_tasks = tasks::TaskUpdate { new_tasks: vec![tasks::Task::default(); 100_000], ..Default::default() };
        let task = tasks::Task { fields: vec![Field::default(); 100_000], ..Default::default() };
        let empty_fields = tasks::TaskUpdate { new_tasks: vec![task], ..Default::default() };
        let poll_ops = vec![resources::PollOp::default(); 100_000];
        let stats =
            resources::Stats { attributes: vec![console_api::Attribute::default(); 100_000], ..Default::default() };
        let attributes = resources::ResourceUpdate { stats_update: [(1, stats)].into(), ..Default::default() };
        let metadata = vec![register_metadata::NewMetadata::default(); 100_000];
        for update in [
            Update { task_update: Some(empty_tasks), ..none() },
            Update { task_update: Some(empty_fields), ..none() },
            Update {
                resource_update: Some(resources::ResourceUpdate { new_poll_ops: poll_ops, ..Default::default() }),
                ..none()
            },
            Update { resource_update: Some(attributes), ..none() },
            Update { new_metadata: Some(console_api::RegisterMetadata { metadata }), ..none() },
        ] {
            assert!(!is_plausible_update(&update.encode_to_vec()));
        }
    }

    #[test]
    fn what_is_no_update_is_left_to_the_decoder() {
        for byte in [0xff, 0x12, 0, 0x0b] {
            is_plausible_update(&vec![byte; 100_000]);
        }
    }
}
