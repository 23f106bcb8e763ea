//! Messages without what a later part of the same message makes worthless.

use std::cell::Cell;
use std::collections::HashMap;

use foldhash::quality::RandomState;

use super::elements::{PollOp, numbers};
use super::select::Select;
use super::{Kind, Message, POLL_OPS};

/// A message with this many poll ops or more is flooded by them. The first ones tell what they are about.
pub const FLOOD: usize = 1_000;

/// Which poll ops are kept: the first ones, and the last one of each async op.
struct FirstAndLast {
    last: HashMap<u64, usize, RandomState>,
    seen: Cell<usize>,
}

impl Select for FirstAndLast {
    fn poll_op(&self, poll: &PollOp<'_>) -> bool {
        let nth = self.seen.replace(self.seen.get() + 1);
        nth < FLOOD || poll.async_op_id.is_some_and(|op| poll.is_whole() && self.last.get(&op) == Some(&nth))
    }
}

impl Message {
    /// Whether it has so many poll ops that most of them only repeat others, as when a task spins on a timer.
    pub fn is_flooded_by_poll_ops(&self) -> bool {
        self.elements(numbers(Kind::Resource).part, POLL_OPS).nth(FLOOD - 1).is_some()
    }

    /// The message without most of the poll ops that flood it; itself if none do. What they say of each async op in the end stays.
    #[must_use]
    pub fn with_few_poll_ops(&self) -> Self {
        if !self.is_flooded_by_poll_ops() {
            return self.clone();
        }
        let polls = self.poll_ops().enumerate().filter(|(_, poll)| poll.is_whole());
        let last = polls.filter_map(|(nth, poll)| Some((poll.async_op_id?, nth))).collect();
        self.selected(&FirstAndLast { last, seen: Cell::default() })
    }
}
