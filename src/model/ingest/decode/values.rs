//! Single values of the wire, in the model's terms: what makes no sense becomes nothing.

use std::num::NonZeroU16;
use std::time::Duration;

use console_api::tasks;

use crate::model::entity::async_op::OpStats;
use crate::model::entity::details::Durations;
use crate::model::entity::resource::{ReportedHolder, ReportedHolders};
use crate::model::entity::stats::{PollStats, TaskStats};
use crate::model::entity::thread::Thread;
use crate::model::time::Timestamp;
use crate::model::tokio::attribute;
use crate::wire::introduced::{FieldName, FieldValue};
use crate::wire::{self, Polls, TaskEnd};

/// No counter of a real process gets further: cut off here, sums over any number of tasks stay in range.
const HIGHEST: u64 = 1 << 40;
/// No poll lasts longer, which is three hundred years.
const LONGEST: Duration = Duration::from_secs(10_000_000_000);

/// A time of the target, if it is one.
pub(super) fn timestamp(wire: &prost_types::Timestamp) -> Option<Timestamp> {
    wire::nanos(wire).map(Timestamp::from_nanos)
}

/// A counter, cut off where no real one gets.
pub(super) fn count(wire: u64) -> u64 {
    wire.min(HIGHEST)
}

fn poll_stats(wire: &Polls) -> PollStats {
    PollStats {
        polls: count(wire.polls),
        first: wire.first.map(Timestamp::from_nanos),
        started: wire.started.map(Timestamp::from_nanos),
        ended: wire.ended.map(Timestamp::from_nanos),
        busy: wire.busy.min(LONGEST),
    }
}

/// The counters of a task that this thread polled last; nothing without its time of birth.
pub(super) fn task_stats(wire: &wire::TaskStats<'_>, thread: Option<Thread>) -> Option<TaskStats> {
    Some(TaskStats {
        created: wire.created.map(Timestamp::from_nanos)?,
        dropped: wire.dropped.map(Timestamp::from_nanos),
        wakes: count(wire.wakes),
        self_wakes: count(wire.self_wakes),
        waker_clones: count(wire.waker_clones),
        waker_drops: count(wire.waker_drops),
        last_wake: wire.last_wake.map(Timestamp::from_nanos),
        poll: poll_stats(&wire.polls),
        scheduled: wire.scheduled.min(LONGEST),
        was_cancelled: wire.end.map(|end| end == TaskEnd::Cancelled),
        thread,
        runtime: wire.runtime.and_then(|number| NonZeroU16::new(u16::try_from(number).ok()?)),
    })
}

/// The counters of an async op; nothing without its time of birth.
pub(super) fn op_stats(wire: &wire::OpStats<'_>) -> Option<OpStats> {
    let permits = |wanted: &str| {
        let mut fields = wire.attributes.iter().filter_map(|it| it.field.as_ref());
        let named = fields.find(|it| matches!(&it.name, Some(FieldName::Text(name)) if name == wanted))?;
        named.value.as_ref().and_then(number)
    };
    Some(OpStats {
        created: wire.created.map(Timestamp::from_nanos)?,
        dropped: wire.dropped.map(Timestamp::from_nanos),
        poll: poll_stats(&wire.polls),
        task: wire.task,
        requested: permits(attribute::REQUESTED),
        obtained: permits(attribute::OBTAINED),
        is_ready: wire.is_ready,
    })
}

/// Who holds a resource, without what makes no sense.
pub(super) fn holders(wire: &wire::Holders) -> ReportedHolders {
    let holder = |it: &wire::Holder| ReportedHolder {
        task: it.task,
        since: Timestamp::from_nanos(it.since),
        permits: count(it.permits),
        borrowed: it.borrowed,
    };
    let wire::Holders { oldest, are_more, are_unclear } = wire;
    ReportedHolders { oldest: oldest.iter().map(holder).collect(), are_more: *are_more, are_unclear: *are_unclear }
}

/// A distribution of durations, if it is one.
pub(super) fn durations(wire: &tasks::DurationHistogram) -> Option<Durations> {
    Durations::decode(&wire.raw_histogram, count(wire.high_outliers), wire.highest_outlier)
}

/// A field as a count, if it is one.
pub(super) fn number(value: &FieldValue<'_>) -> Option<u64> {
    match value {
        FieldValue::Number(number) => Some(*number),
        FieldValue::Signed(number) => u64::try_from(*number).ok(),
        FieldValue::Text(text) => text.parse().ok(),
        FieldValue::Bool(_) => None,
    }
}

/// What `read` makes of a field as text.
pub(super) fn with_text<T>(value: &FieldValue<'_>, read: impl FnOnce(&str) -> T) -> T {
    match value {
        FieldValue::Text(text) => read(text),
        FieldValue::Number(number) => read(&number.to_string()),
        FieldValue::Signed(number) => read(&number.to_string()),
        FieldValue::Bool(yes) => read(&yes.to_string()),
    }
}
