//! A made-up service whose updates are written by hand: what it does at which second is all there is to it.

#![expect(clippy::expect_used, reason = "a made-up service that contradicts itself is a failed test")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use console_api::field::{Name, Value};
use console_api::tasks::task_details::PollTimesHistogram;
use console_api::{Attribute, Field, Id, Location, PollStats, async_ops, instrument, resources, tasks};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};
use tokio_canary::feed::{Arrived, FeedEvent, Status, Update};

/// So many milliseconds after the service began.
pub(super) fn at(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(2_000_000_000) + Duration::from_millis(millis)
}

/// The service, and the update that it is about to send.
#[derive(Debug, Default)]
pub(super) struct Service {
    millis: u64,
    update: instrument::Update,
    tasks: BTreeMap<u64, tasks::Stats>,
    resources: BTreeMap<u64, resources::Stats>,
    ops: BTreeMap<u64, async_ops::Stats>,
}

impl Service {
    /// A service that starts so many milliseconds later.
    pub(super) fn starting_at(millis: u64) -> Self {
        Self { millis, ..Self::default() }
    }

    /// Spawns a task, which is polled once for a moment.
    pub(super) fn spawn(&mut self, id: u64, name: &str, file: &str, line: u32) {
        let mut fields = vec![("tenant", "acme")];
        if !name.is_empty() {
            fields.push(("task.name", name));
        }
        self.spawn_as(id, "task", &fields, file, line);
    }

    /// Spawns a task of a kind with fields of its own.
    pub(super) fn spawn_as(&mut self, id: u64, kind: &str, fields: &[(&str, &str)], file: &str, line: u32) {
        let field = |name: &str, value| Field {
            name: Some(Name::StrName(name.to_owned())),
            value: Some(value),
            ..Field::default()
        };
        let mut fields_of = vec![field("kind", Value::StrVal(kind.to_owned())), field("task.id", Value::U64Val(id))];
        fields_of.extend(fields.iter().map(|(name, value)| field(name, Value::StrVal((*value).to_owned()))));
        let location = Some(place(file, line));
        let task = tasks::Task { id: Some(Id { id }), fields: fields_of, location, ..tasks::Task::default() };
        self.update.task_update.get_or_insert_default().new_tasks.push(task);
        self.tasks.insert(id, tasks::Stats { created_at: Some(at(self.millis).into()), ..tasks::Stats::default() });
        self.poll(id, Some(Duration::from_micros(300)));
    }

    /// Polls a task for so long, or without end.
    pub(super) fn poll(&mut self, id: u64, length: Option<Duration>) {
        let start = at(self.millis);
        let stats = self.tasks.get_mut(&id).expect("the task was spawned");
        let before = stats.poll_stats.unwrap_or_default();
        if before.polls > 0 {
            stats.wakes += 1;
            stats.last_wake = Some(start.into());
        }
        stats.waker_clones += 1;
        let busy = Duration::try_from(before.busy_time.unwrap_or_default()).unwrap_or_default();
        stats.poll_stats = Some(PollStats {
            polls: before.polls + 1,
            first_poll: before.first_poll.or(Some(start.into())),
            last_poll_started: Some(start.into()),
            last_poll_ended: length.map(|length| (start + length).into()).or(before.last_poll_ended),
            busy_time: (busy + length.unwrap_or_default()).try_into().ok(),
        });
        let scheduled = Duration::try_from(stats.scheduled_time.unwrap_or_default()).unwrap_or_default();
        stats.scheduled_time = (scheduled + Duration::from_micros(40)).try_into().ok();
    }

    /// Ends a task.
    pub(super) fn end(&mut self, id: u64) {
        self.tasks.get_mut(&id).expect("the task was spawned").dropped_at = Some(at(self.millis).into());
    }

    /// Makes a mutex.
    pub(super) fn mutex(&mut self, id: u64, file: &str, line: u32) {
        self.resource(id, "Mutex", vec![number("locked", 0)], file, line);
    }

    /// Makes a timer.
    pub(super) fn timer(&mut self, id: u64, file: &str, line: u32) {
        self.resource(id, "Sleep", vec![number("duration", 500)], file, line);
    }

    fn resource(&mut self, id: u64, concrete_type: &str, attributes: Vec<Attribute>, file: &str, line: u32) {
        let resource = resources::Resource {
            id: Some(Id { id }),
            concrete_type: concrete_type.to_owned(),
            location: Some(place(file, line)),
            ..resources::Resource::default()
        };
        self.update.resource_update.get_or_insert_default().new_resources.push(resource);
        let stats = resources::Stats { created_at: Some(at(self.millis).into()), dropped_at: None, attributes };
        self.resources.insert(id, stats);
    }

    /// Drops a resource.
    pub(super) fn drop_resource(&mut self, id: u64) {
        self.resources.get_mut(&id).expect("it was made").dropped_at = Some(at(self.millis).into());
    }

    /// Lets a task lock a mutex at once.
    pub(super) fn lock(&mut self, op: u64, task: u64, mutex: u64) {
        self.ask(op, task, mutex, 1);
        self.ops.get_mut(&op).expect("it was just made").dropped_at =
            Some((at(self.millis) + Duration::from_micros(20)).into());
    }

    /// Lets a task wait for a mutex.
    pub(super) fn wait(&mut self, op: u64, task: u64, mutex: u64) {
        self.ask(op, task, mutex, 0);
    }

    fn ask(&mut self, op: u64, task: u64, mutex: u64, obtained: u64) {
        let asked = async_ops::AsyncOp {
            id: Some(Id { id: op }),
            source: "Mutex::lock".to_owned(),
            resource_id: Some(Id { id: mutex }),
            ..async_ops::AsyncOp::default()
        };
        self.update.async_op_update.get_or_insert_default().new_async_ops.push(asked);
        let (start, end) = (at(self.millis), at(self.millis) + Duration::from_micros(10));
        let stats = async_ops::Stats {
            created_at: Some(start.into()),
            dropped_at: None,
            poll_stats: Some(PollStats {
                polls: 1,
                first_poll: Some(start.into()),
                last_poll_started: Some(start.into()),
                last_poll_ended: Some(end.into()),
                busy_time: Duration::from_micros(10).try_into().ok(),
            }),
            task_id: Some(Id { id: task }),
            attributes: vec![number("permits_requested", 1), number("permits_obtained", obtained)],
        };
        self.ops.insert(op, stats);
    }

    /// The update of this second; the next second begins.
    pub(super) fn tick(&mut self) -> Arrived {
        let mut message = std::mem::take(&mut self.update);
        message.now = Some(at(self.millis).into());
        message.task_update.get_or_insert_default().stats_update = self.tasks.clone().into_iter().collect();
        message.resource_update.get_or_insert_default().stats_update = self.resources.clone().into_iter().collect();
        message.async_op_update.get_or_insert_default().stats_update = self.ops.clone().into_iter().collect();
        self.ops.retain(|_, op| op.dropped_at.is_none());
        self.tasks.retain(|_, task| task.dropped_at.is_none());
        self.resources.retain(|_, resource| resource.dropped_at.is_none());
        let arrived = self.event(FeedEvent::Update(Box::new(Update::from(message))));
        self.millis += 1_000;
        arrived
    }

    /// How long the polls of a task took, and how long it waited for them.
    pub(super) fn details(&self, id: u64, polls: &[Duration], scheduled: &[Duration]) -> Arrived {
        let histogram = |times: &[Duration]| {
            let mut histogram = Histogram::<u64>::new_with_max(1_000_000_000, 2).expect("bounds of console-subscriber");
            times
                .iter()
                .for_each(|time| histogram.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)));
            let mut raw_histogram = Vec::new();
            V2Serializer::new().serialize(&histogram, &mut raw_histogram).expect("memory takes everything");
            tasks::DurationHistogram {
                raw_histogram,
                max_value: 1_000_000_000,
                high_outliers: 2,
                highest_outlier: None,
            }
        };
        self.event(FeedEvent::Details(Box::new(tasks::TaskDetails {
            task_id: Some(Id { id }),
            now: Some(self.now().into()),
            poll_times_histogram: Some(PollTimesHistogram::Histogram(histogram(polls))),
            scheduled_times_histogram: Some(histogram(scheduled)),
        })))
    }

    /// A change of the connection.
    pub(super) fn status(&self, status: Status) -> Arrived {
        self.event(FeedEvent::Status(status))
    }

    /// Something else that happens now.
    pub(super) fn event(&self, event: FeedEvent) -> Arrived {
        Arrived { at: self.now(), event }
    }

    /// The time, by everybody's clock.
    pub(super) fn now(&self) -> SystemTime {
        at(self.millis)
    }
}

fn place(file: &str, line: u32) -> Location {
    Location { file: Some(file.to_owned()), line: Some(line), column: Some(9), ..Location::default() }
}

fn number(name: &str, value: u64) -> Attribute {
    let field =
        Field { name: Some(Name::StrName(name.to_owned())), value: Some(Value::U64Val(value)), ..Field::default() };
    Attribute { field: Some(field), unit: None }
}
