//! One message of the stream of updates, and what can be measured about it on arrival.

use std::time::Duration;

use console_api::{Id, instrument, tasks};
use prost::bytes::Bytes;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, encode_key, encode_varint, skip_field};
use prost::{DecodeError, Message};

/// Decoded, a message takes five times its size. From this size on that is worth avoiding, and only a first message, or the one after a
/// long pause, ever reaches it.
const LARGE: usize = 1024 * 1024;

/// `Update.task_update` of the protocol.
const TASK_UPDATE: u32 = 2;
/// `TaskUpdate.new_tasks` of the protocol.
const NEW_TASKS: u32 = 1;

/// One message of `WatchUpdates`.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// The message as it came, but for the new tasks of a large one.
    pub message: instrument::Update,
    /// New tasks that are not in `message`.
    pub more_tasks: MoreTasks,
    /// How far new entities lag behind the message's `now` (see [`lag`](super::lag)); `None` where it is not known.
    pub lag: Option<Duration>,
    /// The share of its time, about, that the target works on calls that make it hand over its events; zero in a recording.
    pub pumping: f64,
    /// Size of the encoded message in bytes.
    pub wire_bytes: usize,
}

/// New tasks as they came, still encoded: pieces of the message's `TaskUpdate`.
#[derive(Debug, Clone, Default)]
pub struct MoreTasks(Vec<Bytes>);

impl From<instrument::Update> for Update {
    fn from(message: instrument::Update) -> Self {
        Self { message, ..Self::default() }
    }
}

impl Update {
    /// Decodes a message. The new tasks of a large one are left for [`MoreTasks::decoded`], so that they are never all in memory
    /// at once.
    ///
    /// # Errors
    /// The bytes are no message of this kind.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let wire_bytes = bytes.len();
        if wire_bytes < LARGE {
            return Ok(Self { message: instrument::Update::decode(bytes)?, wire_bytes, ..Self::default() });
        }
        let mut update = Self { wire_bytes, ..Self::default() };
        for (is_tasks, run) in runs(&bytes, TASK_UPDATE)? {
            if is_tasks {
                elements(run).try_for_each(|part| update.take_tasks(&part))?;
            } else {
                update.message.merge(run)?;
            }
        }
        Ok(update)
    }

    fn take_tasks(&mut self, part: &Bytes) -> Result<(), DecodeError> {
        let tasks = self.message.task_update.get_or_insert_default();
        for (is_new, run) in runs(part, NEW_TASKS)? {
            if is_new {
                self.more_tasks.0.push(run);
            } else {
                tasks.merge(run)?;
            }
        }
        Ok(())
    }

    /// The whole message, encoded.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.message.encode_to_vec();
        // What repeats a part of a message adds to it.
        for run in &self.more_tasks.0 {
            encode_key(TASK_UPDATE, WireType::LengthDelimited, &mut bytes);
            encode_varint(u64::try_from(run.len()).unwrap_or(u64::MAX), &mut bytes);
            bytes.extend_from_slice(run);
        }
        bytes
    }
}

impl MoreTasks {
    /// The tasks, one after the other. One that cannot be decoded is an empty one.
    pub fn decoded(&self) -> impl Iterator<Item = tasks::Task> + Clone {
        self.encoded().map(|task| tasks::Task::decode(task).unwrap_or_default())
    }

    /// Their ids; `None` for a task without one.
    pub fn ids(&self) -> impl Iterator<Item = Option<u64>> {
        self.encoded().map(|task| Identified::decode(task).ok()?.id.map(|id| id.id))
    }

    fn encoded(&self) -> impl Iterator<Item = Bytes> + Clone {
        self.0.iter().cloned().flat_map(elements)
    }
}

/// As much of a `Task` as tells which it is.
#[derive(prost::Message)]
struct Identified {
    #[prost(message, optional, tag = "1")]
    id: Option<Id>,
}

/// Cuts an encoded message between what is the given part of it and what is not.
fn runs(bytes: &Bytes, number: u32) -> Result<Vec<(bool, Bytes)>, DecodeError> {
    let mut runs: Vec<(bool, std::ops::Range<usize>)> = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let from = bytes.len() - rest.len();
        let (found, wire_type) = decode_key(&mut rest)?;
        skip_field(wire_type, found, &mut rest, DecodeContext::default())?;
        let to = bytes.len() - rest.len();
        let is_it = found == number && wire_type == WireType::LengthDelimited;
        match runs.last_mut() {
            Some((was_it, run)) if *was_it == is_it => run.end = to,
            _ => runs.push((is_it, from..to)),
        }
    }
    Ok(runs.into_iter().map(|(is_it, run)| (is_it, bytes.slice(run))).collect())
}

/// The elements of a run, each without the key and the length before it.
fn elements(mut run: Bytes) -> impl Iterator<Item = Bytes> + Clone {
    std::iter::from_fn(move || {
        decode_key(&mut run).ok()?;
        let length = usize::try_from(decode_varint(&mut run).ok()?).ok()?;
        (length <= run.len()).then(|| run.split_to(length))
    })
}

#[cfg(test)]
mod tests {
    use console_api::Field;

    use super::*;

    fn task(id: u64) -> tasks::Task {
        let a_task = "a task".repeat(20);
        let name = Field { name: Some("kind".into()), value: Some(a_task.as_str().into()), metadata_id: None };
        tasks::Task { id: Some(Id { id }), fields: vec![name], ..tasks::Task::default() }
    }

    fn message(tasks: u64) -> instrument::Update {
        let stats = |id| (id, tasks::Stats { wakes: id, ..tasks::Stats::default() });
        let part = tasks::TaskUpdate {
            new_tasks: (1..=tasks).map(task).collect(),
            stats_update: (1..=tasks).map(stats).collect(),
            dropped_events: 7,
        };
        instrument::Update {
            now: Some(prost_types::Timestamp { seconds: 5, nanos: 0 }),
            task_update: Some(part),
            resource_update: Some(console_api::resources::ResourceUpdate { dropped_events: 9, ..Default::default() }),
            ..instrument::Update::default()
        }
    }

    #[test]
    fn a_small_message_is_decoded_as_it_is() {
        let update = Update::decode(message(10).encode_to_vec().into()).unwrap();
        assert_eq!(update.message, message(10));
        assert_eq!(update.more_tasks.decoded().count(), 0);
    }

    #[test]
    fn a_large_message_leaves_its_tasks_for_later_and_loses_none() {
        let whole = message(20_000);
        let bytes = whole.encode_to_vec();
        assert!(bytes.len() > LARGE);
        let update = Update::decode(bytes.clone().into()).unwrap();
        let mut rebuilt = update.message.clone();
        let part = rebuilt.task_update.as_mut().unwrap();
        assert!(part.new_tasks.is_empty());
        part.new_tasks.extend(update.more_tasks.decoded());
        assert!(update.more_tasks.ids().eq((1..=20_000).map(Some)));
        assert_eq!(rebuilt, whole);
        assert_eq!(instrument::Update::decode(update.encode().as_slice()).unwrap(), whole);
        assert_eq!(update.wire_bytes, bytes.len());
    }

    #[test]
    fn parts_in_any_order_and_number_are_put_together() {
        let pieces = [message(9_000), message(1), message(9_000)].map(|piece| piece.encode_to_vec());
        let bytes = pieces.concat();
        let whole = instrument::Update::decode(bytes.as_slice()).unwrap();
        let update = Update::decode(bytes.into()).unwrap();
        assert!(update.message.task_update.as_ref().unwrap().new_tasks.is_empty());
        assert_eq!(instrument::Update::decode(update.encode().as_slice()).unwrap(), whole);
    }

    #[test]
    fn what_is_no_message_is_refused_and_a_bad_task_is_an_empty_one() {
        let mut bytes = message(20_000).encode_to_vec();
        bytes.truncate(bytes.len() - 1);
        assert!(Update::decode(bytes.into()).is_err());
        assert!(Update::decode(vec![0xff; 2 * LARGE].into()).is_err());
        let mut update = Update::from(message(0));
        update.more_tasks.0.push(Bytes::from_static(&[0x0a, 2, 0xff, 0xff, 0x0a, 0]));
        assert_eq!(update.more_tasks.decoded().collect::<Vec<_>>(), [tasks::Task::default(), tasks::Task::default()]);
    }
}
