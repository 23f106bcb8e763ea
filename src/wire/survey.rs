//! What a message brings, counted in one walk over it: it may be larger than the processor's caches.

use super::elements::{Dropped, count, created, numbers};
use super::fields::{Value, fields};
use super::{Kind, Message, POLL_OPS};

/// What a message brings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Survey {
    /// The target's time, as [`Message::now`] has it.
    pub now: Option<u64>,
    /// New tasks, resources and async ops. They may have been announced before.
    pub introduced: usize,
    /// Tasks, resources and async ops that it has counters of.
    pub counted: usize,
    /// Single polls of async ops.
    pub poll_ops: usize,
    /// Events that the target had to throw away since the message before.
    pub dropped: Dropped,
    /// When the youngest of all that it has counters of was created, in nanoseconds since the epoch.
    pub newest: Option<u64>,
}

impl Survey {
    /// Counts it.
    pub fn of(message: &Message) -> Self {
        let mut survey = Self { now: message.now(), ..Self::default() };
        for field in fields(message.bytes()) {
            let kind = Kind::ALL.into_iter().find(|kind| numbers(*kind).part == field.number);
            if let Some((kind, part)) = kind.zip(field.bytes()) {
                survey.count(kind, part);
            }
        }
        survey
    }

    fn count(&mut self, kind: Kind, part: &[u8]) {
        let numbers = numbers(kind);
        for field in fields(part) {
            match (field.number, field.value) {
                (number, Value::Bytes(_)) if number == numbers.new => self.introduced += 1,
                (number, Value::Bytes(entry)) if number == numbers.stats => {
                    self.counted += 1;
                    self.newest = self.newest.max(created(entry).map(|(_, at)| at));
                }
                (number, value) if number == numbers.dropped => *self.dropped.of_mut(kind) = count(value),
                (POLL_OPS, Value::Bytes(_)) if kind == Kind::Resource => self.poll_ops += 1,
                _ => {}
            }
        }
    }
}
