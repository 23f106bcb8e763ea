//! The messages of a synthetic process, shaped like those of console-subscriber 0.5 in front of Tokio 1.54.

use std::time::Duration;

use console_api::instrument::Update;
use console_api::register_metadata::NewMetadata;
use console_api::resources::resource;
use console_api::{
    Attribute, Field, Id, Location, MetaId, Metadata, PollStats, RegisterMetadata, async_ops, field, resources, tasks,
};
use prost_types::Timestamp;

use super::nanos;

/// The callsite of every span: what it says is not looked at.
const META: MetaId = MetaId { id: 1 };

/// A time of the process's clock, in nanoseconds since the Unix epoch.
pub(crate) fn at(nanos: u64) -> Timestamp {
    let seconds = i64::try_from(nanos / 1_000_000_000).expect("a time");
    Timestamp { seconds, nanos: i32::try_from(nanos % 1_000_000_000).expect("less than a second") }
}

/// An update in which nothing has happened.
pub(crate) fn empty(now: u64) -> Update {
    Update {
        now: Some(at(now)),
        task_update: Some(tasks::TaskUpdate::default()),
        resource_update: Some(resources::ResourceUpdate::default()),
        async_op_update: Some(async_ops::AsyncOpUpdate::default()),
        new_metadata: None,
    }
}

/// The three parts of an update.
pub(crate) fn parts(
    update: &mut Update,
) -> (&mut tasks::TaskUpdate, &mut resources::ResourceUpdate, &mut async_ops::AsyncOpUpdate) {
    (
        update.task_update.get_or_insert_default(),
        update.resource_update.get_or_insert_default(),
        update.async_op_update.get_or_insert_default(),
    )
}

/// What every span was made from.
pub(crate) fn metadata() -> RegisterMetadata {
    let metadata =
        Metadata { name: "runtime.spawn".to_owned(), target: "tokio::task".to_owned(), ..Metadata::default() };
    RegisterMetadata { metadata: vec![NewMetadata { id: Some(META), metadata: Some(metadata) }] }
}

/// A task of the given spawn site.
pub(crate) fn task(id: u64, site: usize, bytes: usize) -> tasks::Task {
    let size = u64::try_from(bytes + 8 * site).expect("a count");
    tasks::Task {
        id: Some(Id { id }),
        metadata: Some(META),
        fields: vec![
            named("kind", field::Value::DebugVal("task".to_owned())),
            named("task.name", field::Value::DebugVal(String::new())),
            named("task.id", field::Value::U64Val(id)),
            named("size.bytes", field::Value::U64Val(size)),
        ],
        location: Some(place(&format!("src/handlers/part_{}.rs", site / 5), site)),
        ..tasks::Task::default()
    }
}

/// Counters of a task that has been polled once.
pub(crate) fn newborn(created: u64) -> tasks::Stats {
    let mut stats = tasks::Stats { created_at: Some(at(created)), waker_clones: 1, ..tasks::Stats::default() };
    poll(&mut stats, 1, created, Duration::from_micros(20));
    stats.wakes = 0;
    stats.last_wake = None;
    stats
}

/// Adds some polls, the last of which began at the given time, each after a wake.
pub(crate) fn poll(stats: &mut tasks::Stats, polls: u64, started: u64, length: Duration) {
    stats.wakes += polls;
    stats.waker_clones += polls;
    stats.waker_drops += polls;
    stats.last_wake = Some(at(started.saturating_sub(30_000)));
    let poll = stats.poll_stats.get_or_insert_default();
    poll.polls += polls;
    poll.first_poll.get_or_insert(at(started));
    poll.last_poll_started = Some(at(started));
    poll.last_poll_ended = Some(at(started + nanos(length)));
    let polls = i32::try_from(polls).expect("a few");
    add(&mut poll.busy_time, length * polls.unsigned_abs());
    add(&mut stats.scheduled_time, Duration::from_micros(30) * polls.unsigned_abs());
}

/// Adds the last poll of a task, and the one that dropping its future counts as.
pub(crate) fn end(stats: &mut tasks::Stats, at_nanos: u64, length: Duration) {
    poll(stats, 1, at_nanos, length);
    stats.dropped_at = Some(at(at_nanos + nanos(length)));
    stats.poll_stats.get_or_insert_default().polls += 1;
}

/// A mutex, and the semaphore inside it.
pub(crate) fn mutex(index: usize, id: u64, inner: u64) -> [resources::Resource; 2] {
    let mutex = resource(id, "Mutex", "Sync");
    let semaphore = resource(inner, "Semaphore", "Sync");
    [
        resources::Resource { location: Some(place("src/state.rs", index)), ..mutex },
        resources::Resource { parent_resource_id: Some(Id { id }), is_internal: true, ..semaphore },
    ]
}

/// What a mutex and its semaphore say.
pub(crate) fn mutex_stats(id: u64, inner: u64, created: u64) -> [(u64, resources::Stats); 2] {
    let locked = attribute("locked", field::Value::BoolVal(true), None);
    let permits = attribute("permits", field::Value::U64Val(0), Some("permits"));
    let stats = |attributes| resources::Stats { created_at: Some(at(created)), dropped_at: None, attributes };
    [(id, stats(vec![locked])), (inner, stats(vec![permits]))]
}

/// A timer.
pub(crate) fn sleep(id: u64) -> resources::Resource {
    resources::Resource { location: Some(place("src/backoff.rs", 7)), ..resource(id, "Sleep", "timer") }
}

/// What a timer says.
pub(crate) fn sleep_stats(created: u64, dropped: Option<u64>) -> resources::Stats {
    let duration = attribute("duration", field::Value::U64Val(1_001), Some("ms"));
    resources::Stats { created_at: Some(at(created)), dropped_at: dropped.map(at), attributes: vec![duration] }
}

/// A wait for a mutex, and the acquisition inside it, which has the next id.
pub(crate) fn wait(outer: u64, mutex: u64, semaphore: u64) -> [async_ops::AsyncOp; 2] {
    let op = |id, source: &str, resource, parent: Option<u64>| async_ops::AsyncOp {
        id: Some(Id { id }),
        metadata: Some(META),
        source: source.to_owned(),
        resource_id: Some(Id { id: resource }),
        parent_async_op_id: parent.map(|id| Id { id }),
    };
    [op(outer, "Mutex::lock", mutex, None), op(outer + 1, "Acquire::new", semaphore, Some(outer))]
}

/// The counters of a wait and its acquisition: it got in if it has ended.
pub(crate) fn wait_stats(outer: u64, task: u64, created: u64, dropped: Option<u64>) -> [(u64, async_ops::Stats); 2] {
    let last = dropped.map_or(created, |dropped| dropped - 5_000);
    let polls = PollStats {
        polls: 1 + u64::from(dropped.is_some()),
        first_poll: Some(at(created)),
        last_poll_started: Some(at(last)),
        last_poll_ended: Some(at(last + 2_000)),
        busy_time: Some(prost_types::Duration { seconds: 0, nanos: 4_000 }),
    };
    let stats = |attributes| async_ops::Stats {
        created_at: Some(at(created)),
        dropped_at: dropped.map(at),
        task_id: Some(Id { id: task }),
        poll_stats: Some(polls),
        attributes,
    };
    let requested = attribute("permits_requested", field::Value::U64Val(1), Some("permits"));
    let obtained = attribute("permits_obtained", field::Value::U64Val(u64::from(dropped.is_some())), Some("permits"));
    [(outer, stats(Vec::new())), (outer + 1, stats(vec![requested, obtained]))]
}

/// A poll of a wait that got in.
pub(crate) fn lock_poll(mutex: u64, wait: u64, task: u64) -> resources::PollOp {
    resources::PollOp {
        metadata: Some(META),
        resource_id: Some(Id { id: mutex }),
        name: "poll".to_owned(),
        task_id: Some(Id { id: task }),
        async_op_id: Some(Id { id: wait }),
        is_ready: true,
    }
}

fn resource(id: u64, concrete_type: &str, kind: &str) -> resources::Resource {
    let kind = match kind {
        "timer" => resource::kind::Kind::Known(resource::kind::Known::Timer.into()),
        other => resource::kind::Kind::Other(other.to_owned()),
    };
    resources::Resource {
        id: Some(Id { id }),
        metadata: Some(META),
        concrete_type: concrete_type.to_owned(),
        kind: Some(resource::Kind { kind: Some(kind) }),
        ..resources::Resource::default()
    }
}

fn named(name: &str, value: field::Value) -> Field {
    Field { name: Some(field::Name::StrName(name.to_owned())), value: Some(value), metadata_id: Some(META) }
}

fn attribute(name: &str, value: field::Value, unit: Option<&str>) -> Attribute {
    Attribute { field: Some(named(name, value)), unit: unit.map(str::to_owned) }
}

fn place(file: &str, line: usize) -> Location {
    let line = u32::try_from(10 * line + 1).expect("a line");
    Location { file: Some(file.to_owned()), line: Some(line), column: Some(9), ..Location::default() }
}

fn add(sum: &mut Option<prost_types::Duration>, more: Duration) {
    let known = sum.take().map_or(Duration::ZERO, |sum| Duration::try_from(sum).expect("no negative times"));
    *sum = Some(prost_types::Duration::try_from(known + more).expect("a time within centuries"));
}
