//! Messages as a target would send them.

use console_api::field::{Name, Value};
use console_api::{Field, Id, Location, PollStats, instrument, resources, tasks};
use prost_types::Timestamp;
use tokio_canary::wire::Message;

/// A time of the target's clock.
pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(millis / 1000).expect("a time"),
        nanos: i32::try_from(millis % 1000).expect("a time") * 1_000_000,
    }
}

/// An update in which nothing happened.
pub(crate) fn idle(now_millis: u64) -> instrument::Update {
    instrument::Update { now: Some(at(now_millis)), ..Default::default() }
}

/// An update with so many new tasks, all born so long before it.
pub(crate) fn births(now_millis: u64, count: u64, age_millis: u64) -> instrument::Update {
    let mut task_update = tasks::TaskUpdate::default();
    for n in 0..count {
        let id = now_millis * 1000 + n + 1;
        task_update.new_tasks.push(tasks::Task { id: Some(Id { id }), ..Default::default() });
        let stats = tasks::Stats { created_at: Some(at(now_millis - age_millis)), ..Default::default() };
        task_update.stats_update.insert(id, stats);
    }
    instrument::Update { task_update: Some(task_update), ..idle(now_millis) }
}

/// What a process with one task that is polled every 100 ms says so many seconds after its start, which was at this time.
pub(crate) fn working(started_millis: u64, second: u64) -> instrument::Update {
    let (id, now) = (1, started_millis + second * 1_000);
    let last = Some(at(now - 50));
    let polls = PollStats { polls: 1 + second * 10, first_poll: Some(at(started_millis)), ..PollStats::default() };
    let polls = PollStats { last_poll_started: last, last_poll_ended: last, ..polls };
    let stats = tasks::Stats {
        created_at: Some(at(started_millis)),
        wakes: second * 10,
        last_wake: last,
        poll_stats: Some(polls),
        ..tasks::Stats::default()
    };
    let mut task_update = tasks::TaskUpdate { stats_update: [(id, stats)].into(), ..tasks::TaskUpdate::default() };
    if second == 0 {
        let location = Location { file: Some("src/main.rs".to_owned()), line: Some(7), ..Location::default() };
        let kind = Field {
            name: Some(Name::StrName("kind".to_owned())),
            value: Some(Value::StrVal("task".to_owned())),
            metadata_id: None,
        };
        let task =
            tasks::Task { id: Some(Id { id }), location: Some(location), fields: vec![kind], ..tasks::Task::default() };
        task_update.new_tasks.push(task);
    }
    instrument::Update { task_update: Some(task_update), ..idle(now) }
}

/// An update that takes at least so many bytes on the wire.
pub(crate) fn large(now_millis: u64, bytes: usize) -> instrument::Update {
    let name = "x".repeat(1024);
    let poll_op = resources::PollOp { name, ..Default::default() };
    let resource_update =
        resources::ResourceUpdate { new_poll_ops: vec![poll_op; bytes.div_ceil(1024)], ..Default::default() };
    instrument::Update { resource_update: Some(resource_update), ..idle(now_millis) }
}

/// Milliseconds of the target's clock at which an update was made.
pub(crate) fn now_of(message: &Message) -> u64 {
    message.now().expect("every update has a time") / 1_000_000
}
