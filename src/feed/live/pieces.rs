//! A state that a target sends in pieces, joined: whoever judges it must not see half of it.

use prost::bytes::{Bytes, BytesMut};

use crate::feed::Update;

/// The pieces that have come so far.
#[derive(Debug)]
pub(super) struct Pieces {
    joined: BytesMut,
    /// The most bytes that wait for the last piece.
    limit: usize,
}

impl Pieces {
    pub(super) fn new(limit: usize) -> Self {
        Self { joined: BytesMut::new(), limit }
    }

    /// Takes in a message, and gives back the state of which it is the last piece. A target that never sends the last one is not waited for
    /// beyond the limit.
    pub(super) fn join(&mut self, update: Update) -> Option<Update> {
        let bytes = update.message.bytes();
        let has_more = update.message.has_more() && self.joined.len() + bytes.len() <= self.limit;
        if !has_more && self.joined.is_empty() {
            return Some(update);
        }
        // Messages are joined by joining their bytes: what repeats is added, and of what does not, the last counts.
        self.joined.extend_from_slice(bytes);
        if has_more { None } else { self.take() }
    }

    /// What has come so far, if anything has.
    pub(super) fn take(&mut self) -> Option<Update> {
        let joined: Bytes = std::mem::take(&mut self.joined).freeze();
        // Each piece was sound by itself.
        (!joined.is_empty()).then(|| Update::decode(joined).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use console_api::instrument;
    use console_api::tasks::{Task, TaskUpdate};
    use prost::Message as _;

    use super::*;
    use crate::wire::Kind;

    /// A message that introduces a task, and says whether more follow.
    fn piece(id: u64, more: bool) -> Update {
        let task = Task { id: Some(id.into()), ..Task::default() };
        let tasks = TaskUpdate { new_tasks: vec![task], ..TaskUpdate::default() };
        let update = instrument::Update { task_update: Some(tasks), ..instrument::Update::default() };
        let mut bytes = update.encode_to_vec();
        if more {
            let fact =
                console_api::Field { name: Some("canary.more".into()), value: Some(1_u64.into()), metadata_id: None };
            prost::encoding::message::encode(1000, &fact, &mut bytes);
        }
        Update::decode(bytes.into()).unwrap()
    }

    fn tasks(update: &Update) -> Vec<u64> {
        update.message.introduced_ids(Kind::Task).flatten().collect()
    }

    #[test]
    fn pieces_are_one_state() {
        let mut pieces = Pieces::new(usize::MAX);
        assert!(pieces.join(piece(1, true)).is_none());
        assert!(pieces.join(piece(2, true)).is_none());
        assert_eq!(tasks(&pieces.join(piece(3, false)).unwrap()), [1, 2, 3]);
        assert_eq!(tasks(&pieces.join(piece(4, false)).unwrap()), [4]);
    }

    #[test]
    fn a_last_piece_that_never_comes_is_not_waited_for_without_end() {
        let mut pieces = Pieces::new(piece(1, true).wire_bytes() * 2);
        assert!(pieces.join(piece(1, true)).is_none());
        assert!(pieces.join(piece(2, true)).is_none());
        assert_eq!(tasks(&pieces.join(piece(3, true)).unwrap()), [1, 2, 3]);
        assert!(pieces.join(piece(4, true)).is_none());
        assert_eq!(tasks(&pieces.take().unwrap()), [4]);
        assert!(pieces.take().is_none());
    }
}
