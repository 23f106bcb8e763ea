//! One state of the service, cut into messages that every client accepts.

use bytes::Bytes;

use crate::encode::{self, async_op_update, canary, resource_update, task_update, update};
use crate::recorder::Recorder;
use crate::store::{Kind, PerKind};
use crate::wire;

/// The size of a piece. Clients of tonic refuse messages from 4 MiB on unless they are told otherwise; what a piece adds to its frames
/// takes far less than the rest.
const PIECE: usize = 3 * 1024 * 1024;

/// The frames of a state, and how many more there would have been.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Elements of the three parts of an update.
    pub(crate) frames: PerKind<Vec<u8>>,
    /// How many frames were dropped because nobody read them.
    pub(crate) dropped: PerKind<u64>,
    /// Elements of `RegisterMetadata`.
    pub(crate) metadata: Vec<u8>,
    /// Whether the process introduces itself.
    pub(crate) introduces: bool,
}

/// Messages that carry `state`, at least one.
pub(crate) fn cut(state: &State, recorder: &Recorder) -> Vec<Bytes> {
    let mut pieces: Vec<PerKind<&[u8]>> = vec![PerKind::default()];
    let mut room = PIECE.saturating_sub(state.metadata.len());
    for kind in Kind::ALL {
        let mut rest = state.frames.get(kind).as_slice();
        while !rest.is_empty() {
            let fits = fitting(rest, room);
            // What is larger than a piece goes alone, and so would anything that is no frame.
            let taken = if fits == 0 && room == PIECE { entity(rest).unwrap_or(rest.len()) } else { fits };
            if taken > 0 {
                let (now, later) = rest.split_at(taken);
                if let Some(piece) = pieces.last_mut() {
                    *piece.of(kind) = now;
                }
                room = room.saturating_sub(taken);
                rest = later;
            }
            if !rest.is_empty() {
                pieces.push(PerKind::default());
                room = PIECE;
            }
        }
    }
    let last = pieces.len() - 1;
    pieces.iter().enumerate().map(|(index, piece)| write(state, piece, index == 0, index == last, recorder)).collect()
}

/// The length of the frames at the start of `frames` that fit into `room`.
fn fitting(frames: &[u8], room: usize) -> usize {
    if frames.len() <= room {
        return frames.len();
    }
    let mut end = 0;
    while let Some(length) = entity(&frames[end..]).filter(|length| end + length <= room) {
        end += length;
    }
    end
}

/// The length of what is said about the first entity: a frame, or the two with which one is introduced. tokio-console forgets an entity whose
/// description comes without its counters.
fn entity(frames: &[u8]) -> Option<usize> {
    let first = wire::frame_length(frames)?;
    let second = wire::frame_length(&frames[first..]).filter(|_| introduces(frames) && !introduces(&frames[first..]));
    Some(first + second.unwrap_or(0))
}

/// Whether a frame introduces an entity, of whatever kind.
fn introduces(frame: &[u8]) -> bool {
    const { assert!(task_update::NEW == resource_update::NEW && task_update::NEW == async_op_update::NEW) };
    wire::frame_field(frame) == Some(task_update::NEW)
}

fn write(state: &State, piece: &PerKind<&[u8]>, is_first: bool, is_last: bool, recorder: &Recorder) -> Bytes {
    let clock = &recorder.store.clock;
    let mut out = Vec::with_capacity(
        piece.tasks.len() + piece.resources.len() + piece.async_ops.len() + state.metadata.len() + 512,
    );
    encode::timestamp(&mut out, update::NOW, clock, Some(clock.now()));
    if is_first && !state.metadata.is_empty() {
        wire::bytes(&mut out, update::NEW_METADATA, &state.metadata);
    }
    let parts = [
        (Kind::Task, update::TASKS, task_update::DROPPED),
        (Kind::Resource, update::RESOURCES, resource_update::DROPPED),
        (Kind::AsyncOp, update::ASYNC_OPS, async_op_update::DROPPED),
    ];
    for (kind, field, dropped_field) in parts {
        let mut dropped = Vec::new();
        if is_first {
            wire::count(&mut dropped, dropped_field, *state.dropped.get(kind));
        }
        wire::joined(&mut out, field, &[piece.get(kind), &dropped]);
    }
    if state.introduces && is_first {
        encode::fact(&mut out, canary::PROCESS, std::process::id().into());
        encode::fact(&mut out, canary::STARTED, u64::try_from(clock.started().as_nanos()).unwrap_or(u64::MAX));
    }
    if !is_last {
        encode::fact(&mut out, canary::MORE, 1);
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use console_api::instrument::Update;
    use prost::Message as _;

    use super::*;
    use crate::store::Limits;

    /// A state with so many tasks, each of about so many bytes.
    fn state(tasks: u64, bytes: usize) -> State {
        let mut state = State { introduces: true, ..State::default() };
        for id in 1..=tasks {
            wire::long(&mut state.frames.tasks, task_update::NEW, |out| {
                encode::id(out, encode::task::ID, id);
                encode::field(out, encode::task::FIELDS, &"x".repeat(bytes), 1, |out| {
                    wire::uint(out, encode::value::U64, 1);
                });
            });
        }
        state.dropped.tasks = 3;
        state
    }

    fn recorder() -> std::sync::Arc<Recorder> {
        let limits = Limits { retention: std::time::Duration::ZERO, retained: 0, unsent: 0 };
        Recorder::new(limits, true)
    }

    #[test]
    fn all_frames_arrive_once_in_pieces_that_are_small_enough() {
        for (tasks, bytes, expected) in [(0, 0, 1), (10, 100, 1), (40, 1024 * 1024 / 5, 3), (3, PIECE, 3)] {
            let pieces = cut(&state(tasks, bytes), &recorder());
            let updates: Vec<Update> =
                pieces.iter().map(|piece| Update::decode(&**piece).expect("a message")).collect();
            assert_eq!(pieces.len(), expected, "{tasks} of {bytes} bytes");
            let ids: Vec<u64> = updates
                .iter()
                .filter_map(|update| update.task_update.as_ref())
                .flat_map(|part| part.new_tasks.iter().filter_map(|task| Some(task.id?.id)))
                .collect();
            assert_eq!(ids, (1..=tasks).collect::<Vec<_>>());
            let dropped: u64 =
                updates.iter().filter_map(|update| Some(update.task_update.as_ref()?.dropped_events)).sum();
            assert_eq!(dropped, 3);
            assert!(updates.iter().all(|update| update.now.is_some()));
            // One that is larger than a piece goes alone.
            assert!(bytes >= PIECE || pieces.iter().all(|piece| piece.len() < 4 * 1024 * 1024));
        }
    }

    #[test]
    fn a_description_and_its_counters_are_in_one_piece() {
        let mut state = State::default();
        for id in 1..=9_u64 {
            wire::long(&mut state.frames.tasks, task_update::NEW, |out| {
                encode::id(out, encode::task::ID, id);
                out.resize(out.len() + PIECE / 3, 0);
            });
            wire::long(&mut state.frames.tasks, task_update::STATS, |out| {
                wire::uint(out, 1, id);
                out.resize(out.len() + PIECE / 7, 0);
            });
        }
        let limits = Limits { retention: std::time::Duration::ZERO, retained: 0, unsent: 0 };
        let pieces = cut(&state, &Recorder::new(limits, true));
        assert!(pieces.len() > 4, "{} pieces", pieces.len());
        let mut rest = state.frames.tasks.as_slice();
        while !rest.is_empty() {
            let fits = fitting(rest, PIECE);
            assert!(fits > 0 && introduces(&rest[..fits]), "a piece begins with a description");
            rest = &rest[fits..];
        }
    }
}
