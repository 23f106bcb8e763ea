//! Leaves out what one message tells again and again.

use std::cell::Cell;
use std::collections::HashMap;

use foldhash::quality::RandomState;

use super::Message;
use super::elements::PollOp;
use super::select::Select;

/// So many poll ops of a message stay, whatever they are: who only counts them needs no more.
const FEW: usize = 1_000;

/// Which poll ops stay: the first ones, and the last of each async op.
struct Telling {
    last: HashMap<u64, usize, RandomState>,
    seen: Cell<usize>,
}

impl Select for Telling {
    fn poll_op(&self, poll: &PollOp<'_>) -> bool {
        let nth = self.seen.replace(self.seen.get() + 1);
        nth < FEW || poll.async_op_id.is_some_and(|op| poll.is_whole() && self.last.get(&op) == Some(&nth))
    }
}

impl Message {
    /// The message without the poll ops that a later one in it outdates, where there are very many; itself otherwise. A task that spins on a
    /// timer causes more than 100,000 a second, all the same.
    #[must_use]
    pub fn with_few_poll_ops(&self) -> Self {
        if self.poll_ops().nth(FEW).is_none() {
            return self.clone();
        }
        let polls = self.poll_ops().enumerate().filter(|(_, poll)| poll.is_whole());
        let last = polls.filter_map(|(nth, poll)| Some((poll.async_op_id?, nth))).collect();
        self.selected(&Telling { last, seen: Cell::default() })
    }
}
