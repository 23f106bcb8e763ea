//! Whatever a target sends, the diagnosis neither panics nor keeps more than what lives.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

use std::time::{Duration, SystemTime};

use console_api::field::{Name, Value};
use console_api::register_metadata::NewMetadata;
use console_api::tasks::task_details::PollTimesHistogram;
use console_api::{
    Attribute, Field, Id, Location, MetaId, Metadata, PollStats, RegisterMetadata, async_ops, instrument, resources,
    tasks,
};
use proptest::collection::{hash_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use prost_types::Timestamp;
use tokio_canary::detect::settings::Settings;
use tokio_canary::diagnosis::{Criteria, Diagnosis};
use tokio_canary::feed::lag::LagMeter;
use tokio_canary::feed::{Arrived, Ended, FeedEvent, Status, Update};
use tokio_canary::fleet::{Fleet, Member, TargetId};
use tokio_canary::model::DEFAULT_RETENTION;
use tokio_canary::report::Snapshot;
use tokio_canary::report::columns::{self, Column};
use tokio_canary::report::filter::Query;
use tokio_canary::report::order::{Order, Rows, Wanted};
use tokio_canary::wire::Survey;

use crate::support::updates::{at, idle};

/// A fleet of one target.
struct One {
    fleet: Fleet,
    target: TargetId,
}

impl Default for One {
    fn default() -> Self {
        let mut fleet = Fleet::default();
        let target = fleet.join(Diagnosis::new("arbitrary".to_owned(), Settings::default(), DEFAULT_RETENTION));
        Self { fleet, target }
    }
}

impl One {
    fn member(&self) -> &Member {
        self.fleet.member(self.target).expect("it never leaves")
    }

    fn diagnosis(&self) -> &Diagnosis {
        self.member().diagnosis()
    }
}

/// So few ids that tasks, resources and ops collide, refer to each other in circles, and come again.
fn id() -> impl Strategy<Value = u64> {
    prop_oneof![12 => 0..8_u64, 1 => any::<u64>()]
}

/// Times that mostly lie close together, and sometimes anywhere or nowhere.
fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        12 => (1_000_000_u64..1_100_000).prop_map(at),
        1 => (any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos }),
    ]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..5_u64, 2 => 0..100_000_u64, 1 => any::<u64>()]
}

fn span() -> impl Strategy<Value = prost_types::Duration> {
    prop_oneof![
        6 => (0..100_i64, 0..1_000_000_000_i32).prop_map(|(seconds, nanos)| prost_types::Duration { seconds, nanos }),
        1 => (any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| prost_types::Duration { seconds, nanos }),
    ]
}

prop_compose! {
    fn polls()(polls in count(), first in of(time()), started in of(time()), ended in of(time()), busy in of(span())) -> PollStats {
        PollStats { polls, first_poll: first, last_poll_started: started, last_poll_ended: ended, busy_time: busy }
    }
}

fn word() -> impl Strategy<Value = String> {
    let words = [
        "kind",
        "task",
        "blocking",
        "block_on",
        "local",
        "task.name",
        "task.id",
        "size.bytes",
        "fn",
        "permits",
        "permits_requested",
        "permits_obtained",
        "depth",
        "len",
        "capacity",
        "sent",
        "received",
        "lag",
        "missed",
        "receivers",
        "name",
        "duration",
        "size",
        "locked",
        "Mutex",
        "RwLock",
        "Semaphore",
        "Sender|Receiver",
        "Sleep",
        "Interval",
        "Barrier",
        "Mutex::lock",
        "Mutex::lock_owned",
        "RwLock::read",
        "RwLock::write",
        "Semaphore::acquire",
        "Acquire::new",
        "Launch::launch",
        "maybe_move_runtime",
        "poll",
        "poll_acquire",
        "",
    ];
    prop_oneof![12 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        count().prop_map(Value::U64Val),
        any::<i64>().prop_map(Value::I64Val),
        any::<bool>().prop_map(Value::BoolVal),
        word().prop_map(Value::StrVal),
        word().prop_map(Value::DebugVal),
    ]
}

prop_compose! {
    fn field()(name in of(prop_oneof![6 => word().prop_map(Name::StrName), 1 => (0..4_u64).prop_map(Name::NameIdx)]), value in of(value()), meta in of(id())) -> Field {
        Field { name, value, metadata_id: meta.map(|id| MetaId { id }) }
    }
}

prop_compose! {
    fn attribute()(field in of(field()), unit in of(word())) -> Attribute {
        Attribute { field, unit }
    }
}

fn location() -> impl Strategy<Value = Option<Location>> {
    of((of(word()), of(any::<u32>())).prop_map(|(file, line)| Location { file, line, column: line, module_path: None }))
}

prop_compose! {
    fn task()(id in of(id()), fields in vec(field(), 0..6), location in location()) -> tasks::Task {
        tasks::Task { id: id.map(|id| Id { id }), fields, location, ..tasks::Task::default() }
    }
}

prop_compose! {
    fn task_stats()(
        (created, dropped, wake) in (of(time()), of(time()), of(time())),
        (wakes, clones, drops, own) in (count(), count(), count(), count()),
        polls in of(polls()),
        scheduled in of(span()),
    ) -> tasks::Stats {
        tasks::Stats {
            created_at: created, dropped_at: dropped, last_wake: wake, wakes, waker_clones: clones, waker_drops: drops,
            self_wakes: own, poll_stats: polls, scheduled_time: scheduled,
        }
    }
}

prop_compose! {
    fn resource()(id in of(id()), parent in of(id()), concrete_type in word(), is_internal in any::<bool>(), location in location()) -> resources::Resource {
        resources::Resource {
            id: id.map(|id| Id { id }), parent_resource_id: parent.map(|id| Id { id }), concrete_type, is_internal, location,
            ..resources::Resource::default()
        }
    }
}

prop_compose! {
    fn resource_stats()(created in of(time()), dropped in of(time()), attributes in vec(attribute(), 0..5)) -> resources::Stats {
        resources::Stats { created_at: created, dropped_at: dropped, attributes }
    }
}

prop_compose! {
    fn op()(id in of(id()), resource in of(id()), parent in of(id()), source in word()) -> async_ops::AsyncOp {
        async_ops::AsyncOp {
            id: id.map(|id| Id { id }), resource_id: resource.map(|id| Id { id }),
            parent_async_op_id: parent.map(|id| Id { id }), source, metadata: None,
        }
    }
}

prop_compose! {
    fn op_stats()(
        created in of(time()), dropped in of(time()), task in of(id()), polls in of(polls()), attributes in vec(attribute(), 0..5),
    ) -> async_ops::Stats {
        async_ops::Stats { created_at: created, dropped_at: dropped, task_id: task.map(|id| Id { id }), poll_stats: polls, attributes }
    }
}

prop_compose! {
    fn poll_op()(name in word(), op in of(id()), task in of(id()), resource in of(id()), is_ready in any::<bool>()) -> resources::PollOp {
        let some = |id: Option<u64>| id.map(|id| Id { id });
        resources::PollOp { name, async_op_id: some(op), task_id: some(task), resource_id: some(resource), is_ready, metadata: None }
    }
}

prop_compose! {
    fn metadata()(id in of(id()), names in vec(word(), 0..4)) -> NewMetadata {
        NewMetadata { id: id.map(|id| MetaId { id }), metadata: Some(Metadata { field_names: names, ..Metadata::default() }) }
    }
}

prop_compose! {
    fn update()(
        now in of(time()),
        (new_tasks, task_stats) in (vec(task(), 0..5), hash_map(id(), task_stats(), 0..6)),
        (new_resources, resource_stats) in (vec(resource(), 0..5), hash_map(id(), resource_stats(), 0..6)),
        (new_ops, op_stats) in (vec(op(), 0..5), hash_map(id(), op_stats(), 0..6)),
        poll_ops in vec(poll_op(), 0..5),
        (metadata, lost) in (vec(metadata(), 0..2), count()),
    ) -> instrument::Update {
        instrument::Update {
            now,
            new_metadata: Some(RegisterMetadata { metadata }),
            task_update: Some(tasks::TaskUpdate { new_tasks, stats_update: task_stats, dropped_events: lost }),
            resource_update: Some(resources::ResourceUpdate {
                new_resources, stats_update: resource_stats, new_poll_ops: poll_ops, dropped_events: lost,
            }),
            async_op_update: Some(async_ops::AsyncOpUpdate { new_async_ops: new_ops, stats_update: op_stats, dropped_events: lost }),
        }
    }
}

prop_compose! {
    fn details()(task in of(id()), now in of(time()), bytes in vec(any::<u8>(), 0..80), legacy in any::<bool>(), outlier in of(count())) -> tasks::TaskDetails {
        let histogram = tasks::DurationHistogram { raw_histogram: bytes.clone(), max_value: 0, high_outliers: u64::MAX, highest_outlier: outlier };
        let polls = if legacy { PollTimesHistogram::LegacyHistogram(bytes) } else { PollTimesHistogram::Histogram(histogram.clone()) };
        tasks::TaskDetails {
            task_id: task.map(|id| Id { id }), now, scheduled_times_histogram: Some(histogram), poll_times_histogram: Some(polls),
        }
    }
}

fn event() -> impl Strategy<Value = FeedEvent> {
    let as_event = |message| FeedEvent::Update(Box::new(Update::from(message)));
    prop_oneof![
        12 => update().prop_map(as_event),
        1 => details().prop_map(|details| FeedEvent::Details(Box::new(details))),
        1 => any::<bool>().prop_map(FeedEvent::Paused),
        1 => any::<u64>().prop_map(|nanos| FeedEvent::Quiet(Duration::from_nanos(nanos))),
        1 => Just(FeedEvent::Quiet(Duration::MAX)),
        1 => Just(FeedEvent::Status(Status::Live)),
        1 => Just(FeedEvent::Status(Status::Lost { reason: String::new(), retry_at: SystemTime::UNIX_EPOCH })),
        1 => Just(FeedEvent::Ended(Ended::Complete)),
    ]
}

/// The rows of a list, sorted by each of its columns in turn, with nothing hidden.
fn rows<C: Column, K>(descending: bool, list: impl Fn(&Wanted<'_, C>) -> Rows<K>) -> Vec<K> {
    let query = Query::parse("-zzz").expect("a word is a filter");
    let of = |by| list(&Wanted { order: Order { by, descending }, query: &query, all: true }).keys;
    let mut counts: Vec<usize> = C::SPECS.iter().map(|spec| of(spec.id).len()).collect();
    counts.dedup();
    assert_eq!(counts.len(), 1, "the order changes what is listed");
    C::SPECS.first().map(|spec| of(spec.id)).unwrap_or_default()
}

/// Writes every value of some rows.
fn every<'a, C: Column, K>(keys: &[K], value: impl Fn(&K, C) -> columns::Value<'a>) {
    for (key, spec) in keys.iter().flat_map(|key| C::SPECS.iter().map(move |spec| (key, spec))) {
        let _ = spec.id.in_words(&value(key, spec.id));
    }
}

/// Plays events as a feed delivers them, and asks everything that a front end may ask.
fn play(one: &mut One, events: Vec<FeedEvent>) {
    let mut meter = LagMeter::default();
    for mut event in events {
        if let FeedEvent::Update(update) = &mut event {
            update.lag = meter.observe(&Survey::of(&update.message));
        }
        let _ = one.fleet.apply(one.target, Arrived { at: SystemTime::UNIX_EPOCH, event });
        let _ = (one.diagnosis().wanted_details(), one.fleet.findings());
        let shown = Snapshot::new(&one.fleet, one.member());
        let target = shown.target(Criteria::default(), SystemTime::UNIX_EPOCH);
        let _ = (target.verdict.sentence(), target.warm_up.sentence());
        for descending in [false, true] {
            let keys = rows(descending, |wanted| shown.tasks(wanted));
            every(&keys, |key, column| shown.task_value(*key, column));
            let keys = rows(descending, |wanted| shown.sites(wanted));
            every(&keys, |key, column| shown.site_value(*key, column));
            let keys = rows(descending, |wanted| shown.resources(wanted));
            every(&keys, |key, column| shown.resource_value(*key, column));
            for resource in &keys {
                let keys = rows(descending, |wanted| shown.ops(*resource, wanted));
                every(&keys, |key, column| shown.op_value(*key, column));
            }
            let keys = rows(descending, |wanted| shown.findings(wanted));
            every(&keys, |key, column| shown.finding_value(key, column));
        }
        let model = one.diagnosis().model();
        model.tasks().for_each(|(key, _)| drop(shown.task(key)));
        model.sites().for_each(|(key, _)| drop(shown.site(key)));
        model.resources().for_each(|(key, _)| drop(shown.resource(key)));
        for key in shown.all_findings() {
            let _ = (shown.finding(&key), shown.parties(&key));
        }
    }
}

/// The end of everything that is alive: each is told once more, as dropped.
fn all_dropped(diagnosis: &Diagnosis, now: u64) -> instrument::Update {
    let model = diagnosis.model();
    let gone = Some(at(now));
    let mut update = idle(now);
    let wire = |time: tokio_canary::model::time::Timestamp| {
        let since = time.system_time().duration_since(SystemTime::UNIX_EPOCH).expect("not before 1970");
        Timestamp {
            seconds: i64::try_from(since.as_secs()).expect("fits"),
            nanos: i32::try_from(since.subsec_nanos()).expect("fits"),
        }
    };
    let mut task_update = tasks::TaskUpdate::default();
    for (_, task) in model.tasks() {
        let created_at = Some(wire(task.stats.created));
        task_update.stats_update.insert(task.id, tasks::Stats { created_at, dropped_at: gone, ..Default::default() });
    }
    let mut resource_update = resources::ResourceUpdate::default();
    for (_, resource) in model.resources() {
        let created_at = Some(wire(resource.created));
        let stats = resources::Stats { created_at, dropped_at: gone, ..Default::default() };
        resource_update.stats_update.insert(resource.id, stats);
    }
    let mut op_update = async_ops::AsyncOpUpdate::default();
    for (_, op) in model.ops() {
        let created_at = Some(wire(op.stats.created));
        op_update.stats_update.insert(op.id, async_ops::Stats { created_at, dropped_at: gone, ..Default::default() });
    }
    update.task_update = Some(task_update);
    update.resource_update = Some(resource_update);
    update.async_op_update = Some(op_update);
    update
}

/// Names of what a queue tells of itself in numbers.
const NUMBERS: [&str; 8] = ["depth", "capacity", "sent", "received", "lag", "missed", "receivers", "message_size"];

/// An update each second of the same queue, which tells these numbers.
fn queue_tells(numbers: Vec<[u64; NUMBERS.len()]>) -> Vec<FeedEvent> {
    let update = |(second, numbers): (u64, [u64; NUMBERS.len()])| {
        let now = 1_000_000 + second * 1_000;
        let field = |name: &str, number| {
            let name = Some(Name::StrName(name.to_owned()));
            let field = Some(Field { name, value: Some(Value::U64Val(number)), metadata_id: None });
            Attribute { field, unit: None }
        };
        let attributes = NUMBERS.into_iter().zip(numbers).map(|(name, number)| field(name, number)).collect();
        let stats = resources::Stats { created_at: Some(at(1_000_000)), dropped_at: None, attributes };
        let new = resources::Resource {
            id: Some(Id { id: 1 }),
            concrete_type: "Queue".to_owned(),
            ..resources::Resource::default()
        };
        let new_resources = if second == 0 { vec![new] } else { Vec::new() };
        let stats_update = [(1, stats)].into();
        let resource_update = resources::ResourceUpdate { new_resources, stats_update, ..Default::default() };
        let message = instrument::Update { resource_update: Some(resource_update), ..idle(now) };
        FeedEvent::Update(Box::new(Update::from(message)))
    };
    (0..).zip(numbers).map(update).collect()
}

fn tell(one: &mut One, message: instrument::Update) {
    play(one, vec![FeedEvent::Update(Box::new(message.into()))]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_panics(events in vec(event(), 1..12)) {
        play(&mut One::default(), events);
    }

    #[test]
    fn a_queue_may_tell_any_numbers(mut numbers in vec(proptest::array::uniform8(count()), 70..90), ordered in any::<bool>()) {
        if ordered {
            // All rise, as totals do.
            for index in 0..NUMBERS.len() {
                let mut column: Vec<u64> = numbers.iter().map(|row| row[index]).collect();
                column.sort_unstable();
                numbers.iter_mut().zip(column).for_each(|(row, number)| row[index] = number);
            }
        }
        play(&mut One::default(), queue_tells(numbers));
    }

    #[test]
    fn what_has_ended_is_forgotten(updates in vec(update(), 1..8)) {
        let mut one = One::default();
        for mut message in updates {
            // A clock that jumps to the end of time cannot be carried on from there.
            message.now = message.now.filter(|now| now.seconds < 2_000);
            tell(&mut one, message);
        }
        let now = 2_000_000;
        let message = all_dropped(one.diagnosis(), now);
        tell(&mut one, message);
        for later in [20_000, 60_000, 100_000] {
            tell(&mut one, idle(now + later));
        }
        let model = one.diagnosis().model();
        prop_assert_eq!((model.tasks().len(), model.resources().len(), model.ops().len()), (0, 0, 0));
        prop_assert_eq!(model.contested().count() + model.queues().count() + model.running().count() + model.woken().count(), 0);
        prop_assert!(model.sites().all(|(_, site)| site.live.is_empty()));
    }
}

#[test]
fn the_clock_of_a_restarted_process_may_be_behind() {
    let mut one = One::default();
    let born = |now: u64, id: u64| {
        let mut update = idle(now);
        let mut part = tasks::TaskUpdate::default();
        part.new_tasks.push(tasks::Task { id: Some(Id { id }), ..tasks::Task::default() });
        part.stats_update.insert(id, tasks::Stats { created_at: Some(at(now - 500)), ..tasks::Stats::default() });
        update.task_update = Some(part);
        update
    };
    tell(&mut one, born(500_000, 1));
    for second in 1..5 {
        tell(&mut one, idle(500_000 + second * 1_000));
    }
    let before = one.diagnosis().engine().observed();
    play(&mut one, vec![FeedEvent::Status(Status::Live)]);
    tell(&mut one, born(100_000, 1));
    assert_eq!(one.diagnosis().model().epoch(), 1);
    for second in 1..9 {
        tell(&mut one, idle(100_000 + second * 1_000));
    }
    assert!(one.diagnosis().engine().observed() > before, "it looks at the new process too");
}
