//! What a target says beyond the feed of console-subscriber (`proto/canary.proto`) counts as a fact, where others leave it to inference.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

use std::collections::HashMap;
use std::time::SystemTime;

use console_api::register_metadata::NewMetadata;
use console_api::{
    Field, Id, Location, MetaId, Metadata, PollStats, RegisterMetadata, async_ops, instrument, resources, tasks,
};
use prost::Message as _;
use prost_types::Timestamp;
use tokio_canary::detect::settings::Settings;
use tokio_canary::diagnosis::{Arrived, Diagnosis};
use tokio_canary::evidence::holders::Confidence;
use tokio_canary::evidence::spawners::Spawner;
use tokio_canary::evidence::{Evidence, Memory};
use tokio_canary::feed::FeedEvent;
use tokio_canary::feed::recording::Mirror;
use tokio_canary::fleet::Fleet;
use tokio_canary::model::{DEFAULT_RETENTION, Model};
use tokio_canary::report::Snapshot;
use tokio_canary::wire::{Kind, Message, Select};
use tokio_canary::witness::redact::Redactor;

/// `Update`, with the facts that this is about.
#[derive(Clone, PartialEq, prost::Message)]
struct Update {
    #[prost(message, optional, tag = "1")]
    now: Option<Timestamp>,
    #[prost(message, optional, tag = "2")]
    tasks: Option<TaskUpdate>,
    #[prost(message, optional, tag = "3")]
    resources: Option<ResourceUpdate>,
    #[prost(message, optional, tag = "4")]
    async_ops: Option<async_ops::AsyncOpUpdate>,
    #[prost(message, repeated, tag = "1000")]
    canary: Vec<Field>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TaskUpdate {
    #[prost(message, repeated, tag = "1")]
    new: Vec<tasks::Task>,
    #[prost(map = "uint64, message", tag = "3")]
    stats: HashMap<u64, TaskStats>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TaskStats {
    #[prost(message, optional, tag = "1")]
    created: Option<Timestamp>,
    #[prost(message, optional, tag = "2")]
    dropped: Option<Timestamp>,
    #[prost(uint64, tag = "3")]
    wakes: u64,
    #[prost(message, optional, tag = "7")]
    polls: Option<PollStats>,
    #[prost(message, repeated, tag = "1000")]
    canary: Vec<Field>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceUpdate {
    #[prost(message, repeated, tag = "1")]
    new: Vec<resources::Resource>,
    #[prost(map = "uint64, message", tag = "2")]
    stats: HashMap<u64, ResourceStats>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceStats {
    #[prost(message, optional, tag = "1")]
    created: Option<Timestamp>,
    #[prost(message, repeated, tag = "1000")]
    canary: Vec<Field>,
}

const START: i64 = 1_700_000_000;
const LOCK: u64 = 90;

fn at(second: i64) -> Timestamp {
    Timestamp { seconds: START + second, nanos: 0 }
}

fn nanos(second: i64) -> u64 {
    u64::try_from((START + second) * 1_000_000_000).expect("after the epoch")
}

fn number(name: &str, value: u64) -> Field {
    Field { name: Some(name.into()), value: Some(value.into()), metadata_id: None }
}

fn word(name: &str, value: &str) -> Field {
    Field { name: Some(name.into()), value: Some(value.into()), metadata_id: None }
}

/// A process that introduces itself.
fn process(started: i64) -> Vec<Field> {
    vec![number("canary.process", 7), number("canary.started", nanos(started))]
}

/// A task that was polled once, and is dropped at a time if one is given.
fn task(id: u64, created: i64, dropped: Option<i64>, canary: Vec<Field>) -> (tasks::Task, (u64, TaskStats)) {
    let place = Location { file: Some("src/a.rs".into()), line: Some(1), column: Some(1), ..Location::default() };
    let task = tasks::Task { id: Some(Id { id }), location: Some(place), ..tasks::Task::default() };
    let polls = PollStats {
        polls: 1 + u64::from(dropped.is_some()),
        first_poll: Some(at(created)),
        last_poll_started: Some(at(dropped.unwrap_or(created))),
        last_poll_ended: Some(at(dropped.unwrap_or(created))),
        busy_time: None,
    };
    let stats =
        TaskStats { created: Some(at(created)), dropped: dropped.map(at), wakes: 1, polls: Some(polls), canary };
    (task, (id, stats))
}

fn update(second: i64, tasks: Vec<(tasks::Task, (u64, TaskStats))>, canary: Vec<Field>) -> Update {
    let (new, stats) = tasks.into_iter().unzip::<_, _, _, HashMap<_, _>>();
    Update { now: Some(at(second)), tasks: Some(TaskUpdate { new, stats }), canary, ..Update::default() }
}

/// A mutex of which nobody was seen to acquire it, and what is said of it.
fn lock(canary: Vec<Field>) -> ResourceUpdate {
    let mutex = resources::Resource {
        id: Some(LOCK.into()),
        concrete_type: "Mutex".into(),
        kind: Some(resources::resource::Kind { kind: Some(resources::resource::kind::Kind::Other("Sync".into())) }),
        ..resources::Resource::default()
    };
    ResourceUpdate { new: vec![mutex], stats: HashMap::from([(LOCK, ResourceStats { created: Some(at(0)), canary })]) }
}

fn apply(model: &mut Model, update: &Update) {
    let message = Message::new(update.encode_to_vec().into()).expect("a sound message");
    let changes = model.apply(&message, None);
    drop(changes);
}

/// Who holds the mutex, by span id, and how sure that is.
fn holders(model: &Model) -> Vec<(u64, Confidence)> {
    let memory = Memory::default();
    let evidence = Evidence::new(model, &memory);
    let (key, _) = evidence.resources().find(|(_, it)| it.id == LOCK).expect("the mutex");
    let holders = evidence.holders(key);
    holders.tasks.iter().map(|it| (model.task(it.task).expect("the task").id, it.confidence)).collect()
}

fn held_by(task: u64, borrowed: u64) -> Vec<Field> {
    let since = number("canary.held_since", nanos(1));
    vec![
        number("canary.holder", task),
        since,
        number("canary.held_permits", 1),
        number("canary.held_borrowed", borrowed),
    ]
}

#[test]
fn a_holder_that_the_target_names_needs_no_acquisition_to_be_seen() {
    let told = [
        (held_by(1, 1), vec![(1, Confidence::Certain)]),
        // Its guard may be anywhere by now.
        (held_by(1, 0), vec![(1, Confidence::Possible)]),
        // A thread that polls no task, and a task that nobody introduced.
        (held_by(0, 1), vec![]),
        (held_by(5, 1), vec![]),
        (vec![], vec![]),
    ];
    for (facts, expected) in told {
        let mut model = Model::default();
        let tasks = vec![task(1, 0, None, vec![]), task(2, 0, None, vec![])];
        apply(&mut model, &Update { resources: Some(lock(facts.clone())), ..update(10, tasks, process(0)) });
        assert_eq!(holders(&model), expected, "{facts:?}");
    }
}

#[test]
fn holders_that_the_target_cannot_tell_are_inferred_and_a_list_that_is_cut_is_not_taken_for_all() {
    let of = |facts: Vec<Field>| {
        let mut model = Model::default();
        let tasks = vec![task(1, 0, None, vec![]), task(2, 0, None, vec![])];
        apply(&mut model, &Update { resources: Some(lock(facts)), ..update(10, tasks, process(0)) });
        let memory = Memory::default();
        let evidence = Evidence::new(&model, &memory);
        let (key, _) = evidence.resources().find(|(_, it)| it.id == LOCK).expect("the mutex");
        let holders = evidence.holders(key);
        (holders.tasks.len(), holders.inside)
    };
    let with = |fact| held_by(1, 1).into_iter().chain([fact]).collect();
    assert_eq!(of(held_by(1, 1)), (1, Some(1)));
    assert_eq!(of(with(number("canary.held_by_more", 8))), (1, None));
    // Nobody was seen to acquire it, so nothing can be inferred.
    assert_eq!(of(with(number("canary.holders_unclear", 1))), (0, Some(1)));
}

#[test]
fn a_holder_that_has_ended_holds_nothing_any_more() {
    let mut model = Model::default();
    let tasks = vec![task(1, 0, Some(5), vec![word("canary.end", "completed")])];
    apply(&mut model, &Update { resources: Some(lock(held_by(1, 1))), ..update(10, tasks, process(0)) });
    assert_eq!(holders(&model), []);
}

#[test]
fn facts_of_a_target_that_does_not_introduce_itself_are_no_facts() {
    let mut model = Model::default();
    apply(
        &mut model,
        &Update { resources: Some(lock(held_by(1, 1))), ..update(10, vec![task(1, 0, None, vec![])], vec![]) },
    );
    assert_eq!(holders(&model), []);
}

#[test]
fn how_a_task_ended_is_what_the_target_says() {
    // The counters are those of a task that was dropped at its first await: without the fact, that is what they would mean.
    for (end, cancelled) in [("completed", false), ("panicked", false), ("cancelled", true)] {
        let mut model = Model::default();
        apply(&mut model, &update(10, vec![task(1, 0, None, vec![])], process(0)));
        apply(&mut model, &update(11, vec![task(1, 0, Some(11), vec![word("canary.end", end)])], vec![]));
        let (_, known) = model.tasks().next().expect("the task");
        assert_eq!(known.cancelled, cancelled, "{end}");
    }
}

#[test]
fn an_op_whose_resource_was_forgotten_is_no_loss_where_the_target_introduces_everything() {
    for (facts, lost) in [(process(0), 0), (vec![], 1)] {
        let mut model = Model::default();
        let op = async_ops::AsyncOp {
            id: Some(20_u64.into()),
            source: "Receiver::await".into(),
            resource_id: Some(LOCK.into()),
            ..async_ops::AsyncOp::default()
        };
        let stats =
            async_ops::Stats { created_at: Some(at(1)), dropped_at: Some(at(2)), ..async_ops::Stats::default() };
        let ops = async_ops::AsyncOpUpdate {
            new_async_ops: vec![op],
            stats_update: HashMap::from([(20, stats)]),
            ..async_ops::AsyncOpUpdate::default()
        };
        apply(&mut model, &Update { async_ops: Some(ops), ..update(10, vec![], facts) });
        assert_eq!(model.quality().never_introduced, lost);
    }
}

#[test]
fn a_restart_is_told_by_the_process_and_not_by_what_lives_in_it() {
    for (started, epoch) in [(0, 0), (15, 1)] {
        let mut model = Model::default();
        apply(&mut model, &update(10, vec![task(1, 0, None, vec![])], process(0)));
        model.reconnect();
        // Nothing that lived before lives now, in the same process as in another.
        apply(&mut model, &update(20, vec![task(8, 18, None, vec![])], process(started)));
        assert_eq!(model.epoch(), epoch, "started at {started}");
    }
}

#[test]
fn a_task_has_the_thread_that_polls_it_and_the_task_that_spawned_it() {
    let mut model = Model::default();
    let spawner = task(1, 0, None, vec![word("canary.thread", "tokio-rt-worker 4711"), number("canary.runtime", 2)]);
    let mut spawned: Vec<_> = (2..12).map(|id| task(id, 5, None, vec![])).collect();
    spawned.iter_mut().for_each(|(task, _)| task.parents = vec![1_u64.into()]);
    // The id of its spawner is that of a younger task by now.
    let mut orphan = task(12, 5, None, vec![]);
    orphan.0.parents = vec![13_u64.into()];
    let tasks = spawned.into_iter().chain([spawner, orphan, task(13, 6, None, vec![])]);
    apply(&mut model, &update(10, tasks.collect(), process(0)));
    let of = |id| model.tasks().find(|(_, task)| task.id == id).expect("the task");
    let (first, spawner) = of(1);
    assert_eq!(model.thread_of(spawner).map(|it| &**it), Some("tokio-rt-worker 4711"));
    assert_eq!(spawner.stats.runtime.map(u16::from), Some(2));
    assert_eq!((spawner.spawned_by, of(2).1.spawned_by, of(12).1.spawned_by), (None, Some(first), None));
    assert_eq!((model.thread_of(of(2).1), of(2).1.stats.runtime), (None, None));
    let memory = Memory::default();
    let evidence = Evidence::new(&model, &memory);
    let site = evidence.site(spawner.site).expect("the site of all");
    // Ten of thirteen are not nearly all.
    assert_eq!(evidence.spawner(site), None);
}

#[test]
fn whoever_spawns_nearly_all_tasks_of_a_site_is_its_spawner() {
    for (second_spawner, expected) in [(1, true), (2, false)] {
        let mut model = Model::default();
        let mut all: Vec<_> = (1..40).map(|id| task(id, i64::from(id > 2), None, vec![])).collect();
        for (task, _) in &mut all[2..] {
            let spawner = if task.id.is_some_and(|id| id.id % 2 == 0) { 1 } else { second_spawner };
            task.parents = vec![spawner.into()];
        }
        apply(&mut model, &update(10, all, process(0)));
        let (key, first) = model.tasks().find(|(_, task)| task.id == 1).expect("the task");
        let memory = Memory::default();
        let evidence = Evidence::new(&model, &memory);
        let site = evidence.site(first.site).expect("the site of all");
        let expected = if expected { Spawner::Task(key) } else { Spawner::Site(first.site) };
        assert_eq!(evidence.spawner(site), Some(expected), "{second_spawner}");
    }
}

/// Keeps the first tasks and everything else.
struct Early;

impl Select for Early {
    fn entity(&self, kind: Kind, id: u64) -> bool {
        kind != Kind::Task || id < 9
    }
}

#[test]
fn facts_are_in_recordings_that_were_cut_joined_redacted_or_begun_late() {
    let dropped = task(3, 0, Some(9), vec![word("canary.end", "cancelled"), word("canary.thread", "acme-worker 7")]);
    let tasks = vec![task(1, 0, None, vec![]), task(2, 0, None, vec![]), dropped, task(9, 0, None, vec![])];
    let state = Update { resources: Some(lock(held_by(1, 1))), ..update(10, tasks, process(0)) };
    let state = Message::new(state.encode_to_vec().into()).expect("a sound message");
    let nothing = Message::new(update(11, vec![], vec![]).encode_to_vec().into()).expect("a sound message");
    let mut mirror = Mirror::default();
    mirror.apply(&state);
    mirror.apply(&nothing);
    for (how, message, tasks, thread) in [
        ("as it came", state.clone(), 4, Some("acme-worker 7")),
        ("selected", state.selected(&Early), 3, Some("acme-worker 7")),
        ("joined", state.followed_by(&nothing), 4, Some("acme-worker 7")),
        ("begun late", mirror.render(), 4, Some("acme-worker 7")),
        ("redacted", state.changed(&mut Redactor::by_name()), 4, None),
    ] {
        let mut model = Model::default();
        drop(model.apply(&message, None));
        assert_eq!(model.process().map(|it| it.number), Some(7), "{how}");
        assert_eq!(holders(&model), [(1, Confidence::Certain)], "{how}");
        assert_eq!(model.tasks().count(), tasks, "{how}");
        let (_, ended) = model.tasks().find(|(_, task)| task.id == 3).expect("the task");
        assert!(ended.cancelled, "{how}");
        assert_eq!(model.thread_of(ended).map(|it| &**it), thread, "{how}");
    }
}

#[test]
fn what_a_span_is_of_is_on_its_page() {
    let metadata = |id: u64, target: &str| NewMetadata {
        id: Some(MetaId { id }),
        metadata: Some(Metadata { target: target.to_owned(), ..Default::default() }),
    };
    let task = tasks::Task { id: Some(Id { id: 1 }), metadata: Some(MetaId { id: 5 }), ..Default::default() };
    let lock = resources::Resource { id: Some(Id { id: 2 }), metadata: Some(MetaId { id: 6 }), ..Default::default() };
    let update = instrument::Update {
        now: Some(at(1)),
        new_metadata: Some(RegisterMetadata {
            metadata: vec![metadata(5, "tokio::task"), metadata(6, "tokio::sync::mutex")],
        }),
        task_update: Some(tasks::TaskUpdate { new_tasks: vec![task], ..Default::default() }),
        resource_update: Some(resources::ResourceUpdate { new_resources: vec![lock], ..Default::default() }),
        ..Default::default()
    };
    let mut fleet = Fleet::default();
    let target = fleet.join(Diagnosis::new("a".to_owned(), Settings::default(), DEFAULT_RETENTION));
    let arrived = Arrived { at: SystemTime::UNIX_EPOCH, event: FeedEvent::Update(Box::new(update.into())) };
    drop(fleet.apply(target, arrived));
    let member = fleet.member(target).expect("it has joined");
    let (task, _) = member.diagnosis().model().tasks().next().expect("the task");
    let (lock, _) = member.diagnosis().model().resources().next().expect("the lock");
    let shown = Snapshot::new(&fleet, member);
    let targets = (shown.task(task).and_then(|it| it.target), shown.resource(lock).and_then(|it| it.target));
    assert_eq!(targets, (Some("tokio::task".to_owned()), Some("tokio::sync::mutex".to_owned())));
}
