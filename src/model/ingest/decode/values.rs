//! Single values of the wire, in the model's terms: what makes no sense becomes nothing.

use std::time::Duration;

use console_api::{Attribute as WireAttribute, Field, async_ops, field, tasks};

use crate::model::entity::async_op::OpStats;
use crate::model::entity::details::Durations;
use crate::model::entity::task::{PollStats, TaskStats};
use crate::model::time::Timestamp;
use crate::model::tokio::attribute;
use crate::wire;

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

fn duration(wire: Option<&prost_types::Duration>) -> Duration {
    // One that is negative is no duration, and the most negative one has no absolute value, which the conversion would tell in its error.
    let positive = wire.filter(|wire| wire.seconds >= 0);
    positive.and_then(|wire| Duration::try_from(*wire).ok()).unwrap_or_default().min(LONGEST)
}

fn poll_stats(wire: Option<&console_api::PollStats>) -> PollStats {
    let Some(wire) = wire else {
        return PollStats::default();
    };
    PollStats {
        polls: count(wire.polls),
        first: wire.first_poll.as_ref().and_then(timestamp),
        started: wire.last_poll_started.as_ref().and_then(timestamp),
        ended: wire.last_poll_ended.as_ref().and_then(timestamp),
        busy: duration(wire.busy_time.as_ref()),
    }
}

/// The counters of a task; nothing without its time of birth.
pub(super) fn task_stats(wire: &tasks::Stats) -> Option<TaskStats> {
    Some(TaskStats {
        created: wire.created_at.as_ref().and_then(timestamp)?,
        dropped: wire.dropped_at.as_ref().and_then(timestamp),
        wakes: count(wire.wakes),
        self_wakes: count(wire.self_wakes),
        waker_clones: count(wire.waker_clones),
        waker_drops: count(wire.waker_drops),
        last_wake: wire.last_wake.as_ref().and_then(timestamp),
        poll: poll_stats(wire.poll_stats.as_ref()),
        scheduled: duration(wire.scheduled_time.as_ref()),
    })
}

/// The counters of an async op; nothing without its time of birth.
pub(super) fn op_stats(wire: &async_ops::Stats) -> Option<OpStats> {
    let permits = |wanted: &str| {
        let named = |it: &&WireAttribute| matches!(&it.field, Some(Field { name: Some(field::Name::StrName(name)), .. }) if name == wanted);
        wire.attributes.iter().find(named)?.field.as_ref()?.value.as_ref().and_then(number)
    };
    Some(OpStats {
        created: wire.created_at.as_ref().and_then(timestamp)?,
        dropped: wire.dropped_at.as_ref().and_then(timestamp),
        poll: poll_stats(wire.poll_stats.as_ref()),
        task: wire.task_id.map(|id| id.id),
        requested: permits(attribute::REQUESTED),
        obtained: permits(attribute::OBTAINED),
    })
}

/// A distribution of durations, if it is one.
pub(super) fn durations(wire: &tasks::DurationHistogram) -> Option<Durations> {
    Durations::decode(&wire.raw_histogram, count(wire.high_outliers), wire.highest_outlier)
}

/// A field as a count, if it is one.
pub(super) fn number(value: &field::Value) -> Option<u64> {
    match value {
        field::Value::U64Val(number) => Some(*number),
        field::Value::I64Val(number) => u64::try_from(*number).ok(),
        field::Value::DebugVal(text) | field::Value::StrVal(text) => text.parse().ok(),
        field::Value::BoolVal(_) => None,
    }
}

/// What `read` makes of a field as text.
pub(super) fn with_text<T>(value: &field::Value, read: impl FnOnce(&str) -> T) -> T {
    match value {
        field::Value::DebugVal(text) | field::Value::StrVal(text) => read(text),
        field::Value::U64Val(number) => read(&number.to_string()),
        field::Value::I64Val(number) => read(&number.to_string()),
        field::Value::BoolVal(yes) => read(&yes.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_duration_is_none_at_all() {
        for (seconds, nanos, expected) in [
            (3, 500_000_000, Duration::from_millis(3_500)),
            (-3, 0, Duration::ZERO),
            (0, -1, Duration::ZERO),
            (i64::MIN, 0, Duration::ZERO),
            (i64::MIN, i32::MIN, Duration::ZERO),
            (i64::MAX, i32::MAX, LONGEST),
        ] {
            assert_eq!(duration(Some(&prost_types::Duration { seconds, nanos })), expected, "{seconds} s, {nanos} ns");
        }
    }
}
