//! How often, when and for how long something was polled.

use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::encode::{duration, poll_stats, timestamp};
use crate::wire;

/// The polls of a task or of an operation.
#[derive(Debug, Default)]
pub(crate) struct Polls {
    /// How often it was polled.
    pub(crate) count: u64,
    /// The first poll's start.
    pub(crate) first: Option<Moment>,
    /// The last poll's start.
    pub(crate) started: Option<Moment>,
    /// The last poll's end, which is before its start while it is being polled.
    pub(crate) ended: Option<Moment>,
    /// Nanoseconds inside of polls that have ended.
    pub(crate) busy: u64,
    /// Polls at this moment: the span of a task may be entered again inside itself, and on other threads.
    pub(crate) current: u32,
}

impl Polls {
    /// A poll begins; says whether it is no poll inside a poll.
    #[inline]
    pub(crate) fn start(&mut self, now: Moment) -> bool {
        self.current += 1;
        if self.current > 1 {
            return false;
        }
        self.first.get_or_insert(now);
        self.started = Some(now);
        self.count += 1;
        true
    }

    /// A poll ends; says how long it took unless it was a poll inside a poll.
    #[inline]
    pub(crate) fn end(&mut self, now: Moment) -> Option<u64> {
        self.current = self.current.saturating_sub(1);
        let started = self.started.filter(|_| self.current == 0)?;
        let took = now.since(started);
        self.ended = Some(now);
        self.busy += took;
        Some(took)
    }

    /// Appends it as a message.
    pub(crate) fn encode(&self, out: &mut Vec<u8>, field: u32, clock: &Clock) {
        wire::nested(out, field, |out| {
            wire::count(out, poll_stats::POLLS, self.count);
            timestamp(out, poll_stats::FIRST_POLL, clock, self.first);
            timestamp(out, poll_stats::LAST_POLL_STARTED, clock, self.started);
            timestamp(out, poll_stats::LAST_POLL_ENDED, clock, self.ended);
            duration(out, poll_stats::BUSY_TIME, Duration::from_nanos(self.busy));
        });
    }
}
