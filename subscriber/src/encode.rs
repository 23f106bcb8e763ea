//! The numbers of the feed's fields, and the parts that several messages have in common.
//!
//! They are those of `proto/console/*.proto`; a test decodes everything that is written with the types of `console-api`. What is not part
//! of that contract is in [`canary`] and in `proto/canary.proto`.

use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::fields::Value;
use crate::wire;

/// `Update`.
pub(crate) mod update {
    pub(crate) const NOW: u32 = 1;
    pub(crate) const TASKS: u32 = 2;
    pub(crate) const RESOURCES: u32 = 3;
    pub(crate) const ASYNC_OPS: u32 = 4;
    pub(crate) const NEW_METADATA: u32 = 5;
}

/// `TaskUpdate`.
pub(crate) mod task_update {
    pub(crate) const NEW: u32 = 1;
    pub(crate) const STATS: u32 = 3;
    pub(crate) const DROPPED: u32 = 4;
}

/// `ResourceUpdate`.
pub(crate) mod resource_update {
    pub(crate) const NEW: u32 = 1;
    pub(crate) const STATS: u32 = 2;
    pub(crate) const DROPPED: u32 = 4;
}

/// `AsyncOpUpdate`.
pub(crate) mod async_op_update {
    pub(crate) const NEW: u32 = 1;
    pub(crate) const STATS: u32 = 2;
    pub(crate) const DROPPED: u32 = 3;
}

/// `Task`.
pub(crate) mod task {
    pub(crate) const ID: u32 = 1;
    pub(crate) const METADATA: u32 = 2;
    pub(crate) const FIELDS: u32 = 4;
    pub(crate) const PARENTS: u32 = 5;
    pub(crate) const LOCATION: u32 = 6;
}

/// `tasks.Stats`.
pub(crate) mod task_stats {
    pub(crate) const CREATED_AT: u32 = 1;
    pub(crate) const DROPPED_AT: u32 = 2;
    pub(crate) const WAKES: u32 = 3;
    pub(crate) const WAKER_CLONES: u32 = 4;
    pub(crate) const WAKER_DROPS: u32 = 5;
    pub(crate) const LAST_WAKE: u32 = 6;
    pub(crate) const POLL_STATS: u32 = 7;
    pub(crate) const SELF_WAKES: u32 = 8;
    pub(crate) const SCHEDULED_TIME: u32 = 9;
}

/// `Resource`.
pub(crate) mod resource {
    pub(crate) const ID: u32 = 1;
    pub(crate) const METADATA: u32 = 2;
    pub(crate) const CONCRETE_TYPE: u32 = 3;
    pub(crate) const KIND: u32 = 4;
    pub(crate) const LOCATION: u32 = 5;
    pub(crate) const PARENT: u32 = 6;
    pub(crate) const IS_INTERNAL: u32 = 7;

    /// `Resource.Kind`.
    pub(crate) mod kind {
        pub(crate) const KNOWN: u32 = 1;
        pub(crate) const OTHER: u32 = 2;
        /// The only known kind.
        pub(crate) const TIMER: u64 = 0;
    }
}

/// `resources.Stats`.
pub(crate) mod resource_stats {
    pub(crate) const CREATED_AT: u32 = 1;
    pub(crate) const DROPPED_AT: u32 = 2;
    pub(crate) const ATTRIBUTES: u32 = 3;
}

/// `AsyncOp`.
pub(crate) mod async_op {
    pub(crate) const ID: u32 = 1;
    pub(crate) const METADATA: u32 = 2;
    pub(crate) const SOURCE: u32 = 3;
    pub(crate) const PARENT: u32 = 4;
    pub(crate) const RESOURCE: u32 = 5;
}

/// `async_ops.Stats`.
pub(crate) mod async_op_stats {
    pub(crate) const CREATED_AT: u32 = 1;
    pub(crate) const DROPPED_AT: u32 = 2;
    pub(crate) const TASK: u32 = 4;
    pub(crate) const POLL_STATS: u32 = 5;
    pub(crate) const ATTRIBUTES: u32 = 6;
}

/// `Location`.
pub(crate) mod location {
    pub(crate) const FILE: u32 = 1;
    pub(crate) const LINE: u32 = 3;
    pub(crate) const COLUMN: u32 = 4;
}

/// The values of `Field`.
pub(crate) mod value {
    pub(crate) const DEBUG: u32 = 3;
    pub(crate) const STR: u32 = 4;
    pub(crate) const U64: u32 = 5;
    pub(crate) const I64: u32 = 6;
    pub(crate) const BOOL: u32 = 7;
}

/// `PollStats`.
pub(crate) mod poll_stats {
    pub(crate) const POLLS: u32 = 1;
    pub(crate) const FIRST_POLL: u32 = 3;
    pub(crate) const LAST_POLL_STARTED: u32 = 4;
    pub(crate) const LAST_POLL_ENDED: u32 = 5;
    pub(crate) const BUSY_TIME: u32 = 6;
}

/// What the stock feed does not say: `proto/canary.proto`. Other clients skip fields of which they do not know the number.
pub(crate) mod canary {
    /// `canary` of every message that has it: facts as fields with a name and a value.
    pub(crate) const FACTS: u32 = 1000;

    /// On an update: the process identifier.
    pub(crate) const PROCESS: &str = "canary.process";
    /// On an update: nanoseconds since the Unix epoch at which the subscriber was started; with the process identifier it is unique.
    pub(crate) const STARTED: &str = "canary.started";
    /// On an update: whether more pieces of the same state follow at once.
    pub(crate) const MORE: &str = "canary.more";
    /// On a resource: permits of holders that are not listed.
    pub(crate) const HELD_BY_MORE: &str = "canary.held_by_more";
    /// On a resource: whether permits came back that nobody was seen to acquire, so that who holds others is not known.
    pub(crate) const HOLDERS_UNCLEAR: &str = "canary.holders_unclear";
    /// On a task: the runtime that polls it.
    pub(crate) const RUNTIME: &str = "canary.runtime";
    /// On a task: the thread that polled it last.
    pub(crate) const THREAD: &str = "canary.thread";
    /// On a task that was dropped: how it ended.
    pub(crate) const END: &str = "canary.end";
    /// On an operation: its last poll was ready. One that was dropped without was cancelled.
    pub(crate) const READY: &str = "canary.ready";
    /// On a resource: a task that holds it, oldest first.
    pub(crate) const HOLDER: &str = "canary.holder";
    /// On a resource, after each holder: nanoseconds since the Unix epoch at which it acquired.
    pub(crate) const HELD_SINCE: &str = "canary.held_since";
    /// On a resource, after each holder: how many permits it holds.
    pub(crate) const HELD_PERMITS: &str = "canary.held_permits";
    /// On a resource, after each holder: whether its guard is known to be borrowed from the lock, so that no other task can have it.
    pub(crate) const HELD_BORROWED: &str = "canary.held_borrowed";
    /// On a resource: the task that released last.
    pub(crate) const RELEASED_BY: &str = "canary.released_by";
}

/// Appends a message that consists of a number.
#[inline]
pub(crate) fn id(out: &mut Vec<u8>, field: u32, id: u64) {
    wire::nested(out, field, |out| wire::uint(out, 1, id));
}

/// Appends a `Field` with the value that `write` writes.
pub(crate) fn field(out: &mut Vec<u8>, number: u32, name: &str, metadata: u64, write: impl FnOnce(&mut Vec<u8>)) {
    wire::nested(out, number, |out| {
        wire::bytes(out, 1, name.as_bytes());
        write(out);
        id(out, 8, metadata);
    });
}

/// Appends a fact with a number.
pub(crate) fn fact(out: &mut Vec<u8>, name: &str, value: u64) {
    wire::nested(out, canary::FACTS, |out| {
        wire::bytes(out, 1, name.as_bytes());
        wire::uint(out, value::U64, value);
    });
}

/// Appends a fact in words.
pub(crate) fn fact_in_words(out: &mut Vec<u8>, name: &str, value: &str) {
    wire::nested(out, canary::FACTS, |out| {
        wire::bytes(out, 1, name.as_bytes());
        wire::bytes(out, value::STR, value.as_bytes());
    });
}

/// Appends a value.
pub(crate) fn value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U64(number) => wire::uint(out, value::U64, *number),
        Value::I64(number) => wire::sint(out, value::I64, *number),
        Value::Bool(yes) => wire::uint(out, value::BOOL, (*yes).into()),
        Value::Str(text) => wire::bytes(out, value::STR, text.as_bytes()),
        Value::Debug(text) => wire::bytes(out, value::DEBUG, text.as_bytes()),
    }
}

/// Appends a duration of so many nanoseconds; timestamps have the same form.
#[inline]
pub(crate) fn duration(out: &mut Vec<u8>, field: u32, duration: Duration) {
    wire::nested(out, field, |out| {
        wire::count(out, 1, duration.as_secs());
        wire::count(out, 2, duration.subsec_nanos().into());
    });
}

/// Appends a moment as a timestamp, if there is one.
#[inline]
pub(crate) fn timestamp(out: &mut Vec<u8>, field: u32, clock: &Clock, moment: Option<Moment>) {
    if let Some(moment) = moment {
        duration(out, field, clock.wall(moment));
    }
}

/// How many frames there are.
pub(crate) fn frames(mut frames: &[u8]) -> u64 {
    let mut count = 0;
    while let Some(length) = wire::frame_length(frames) {
        frames = &frames[length..];
        count += 1;
    }
    count
}
