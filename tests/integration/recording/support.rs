//! A made-up service and ways to record and play it.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use console_api::instrument::Update as Message;
use console_api::register_metadata::NewMetadata;
use console_api::{Id, Location, MetaId, Metadata, PollStats, RegisterMetadata, async_ops, resources, tasks};
use tokio::sync::{mpsc, watch};
use tokio_canary::feed::recording::{Mirror, Recorder, Written};
use tokio_canary::feed::{Arrived, Feed, FeedEvent, Status, Update, Wanted};
use tokio_canary::model::Model;

/// The time so many seconds after the made-up service started.
pub(super) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(4_000_000_000 + seconds)
}

fn arrived(seconds: u64, event: FeedEvent) -> Arrived {
    Arrived { at: at(seconds), event }
}

pub(super) fn status(seconds: u64, status: Status) -> Arrived {
    arrived(seconds, FeedEvent::Status(status))
}

pub(super) fn paused(seconds: u64, paused: bool) -> Arrived {
    arrived(seconds, FeedEvent::Paused(paused))
}

pub(super) fn details(seconds: u64) -> Arrived {
    let details =
        tasks::TaskDetails { task_id: Some(Id { id: 1 }), now: Some(at(seconds).into()), ..Default::default() };
    arrived(seconds, FeedEvent::Details(Box::new(details)))
}

fn event(seconds: u64, message: Message) -> Arrived {
    arrived(seconds, FeedEvent::Update(Box::new(message.into())))
}

/// One update a second. A task, a resource and an async op begin in each, end three seconds later, and their ids are used again after
/// twenty; one task lives from the first to the last second.
pub(super) fn service(seconds: Range<u64>) -> Vec<Arrived> {
    seconds.map(|second| event(second, message(second))).collect()
}

fn message(second: u64) -> Message {
    let born = [second];
    let changed = (second.saturating_sub(3)..=second).collect::<Vec<_>>();
    let id = |born: u64| Some(Id { id: 10 + born % 20 });
    let dropped = |born: u64| (second >= born + 3).then(|| at(born + 3).into());
    let metadata = Some(MetaId { id: 1 });
    let mut new_tasks: Vec<_> = born.iter().map(|it| task(id(*it), &format!("src/task_{it}.rs"))).collect();
    let mut task_stats: HashMap<_, _> = changed
        .iter()
        .map(|it| {
            (
                10 + it % 20,
                tasks::Stats { created_at: Some(at(*it).into()), dropped_at: dropped(*it), ..Default::default() },
            )
        })
        .collect();
    let poll_stats =
        Some(PollStats { polls: second, last_poll_started: Some(at(second).into()), ..Default::default() });
    task_stats.insert(1, tasks::Stats { created_at: Some(at(0).into()), poll_stats, ..Default::default() });
    if second == 0 {
        new_tasks.push(task(Some(Id { id: 1 }), "src/main.rs"));
    }
    let new_metadata = second.is_multiple_of(40).then(|| RegisterMetadata {
        metadata: vec![NewMetadata {
            id: Some(MetaId { id: second + 1 }),
            metadata: Some(Metadata { name: format!("runtime.{second}"), ..Default::default() }),
        }],
    });
    Message {
        now: Some(at(second).into()),
        task_update: Some(tasks::TaskUpdate { new_tasks, stats_update: task_stats, dropped_events: second % 7 }),
        resource_update: Some(resources::ResourceUpdate {
            new_resources: born
                .iter()
                .map(|it| resources::Resource {
                    id: id(*it),
                    metadata,
                    concrete_type: "Mutex".to_owned(),
                    ..Default::default()
                })
                .collect(),
            stats_update: changed
                .iter()
                .map(|it| {
                    let stats = resources::Stats {
                        created_at: Some(at(*it).into()),
                        dropped_at: dropped(*it),
                        attributes: Vec::new(),
                    };
                    (10 + it % 20, stats)
                })
                .collect(),
            new_poll_ops: vec![resources::PollOp { name: "poll_acquire".to_owned(), ..Default::default() }],
            dropped_events: 0,
        }),
        async_op_update: Some(async_ops::AsyncOpUpdate {
            new_async_ops: born
                .iter()
                .map(|it| async_ops::AsyncOp {
                    id: id(*it),
                    metadata,
                    source: "Mutex::lock".to_owned(),
                    ..Default::default()
                })
                .collect(),
            stats_update: changed
                .iter()
                .map(|it| {
                    let created_at = Some(at(*it).into());
                    (10 + it % 20, async_ops::Stats { created_at, dropped_at: dropped(*it), ..Default::default() })
                })
                .collect(),
            dropped_events: 0,
        }),
        new_metadata,
    }
}

fn task(id: Option<Id>, file: &str) -> tasks::Task {
    let location = Some(Location { file: Some(file.to_owned()), line: Some(1), ..Default::default() });
    tasks::Task { id, metadata: Some(MetaId { id: 1 }), location, ..Default::default() }
}

/// An update of a service that was built by a user with this home: a task, a resource, and what they are made by.
pub(super) fn built_in(home: &str) -> Vec<Arrived> {
    let registry = format!("{home}/.cargo/registry/src/index.crates.io-1949cf8c");
    let place = |file| Some(Location { file: Some(file), line: Some(7), column: Some(5), ..Default::default() });
    let mutex = || format!("{registry}/tokio-1.54.1/src/sync/mutex.rs");
    let created_at = Some(at(0).into());
    let task = tasks::Task {
        id: Some(Id { id: 1 }),
        location: place(format!("{home}/code/bank/src/main.rs")),
        ..Default::default()
    };
    let resource = resources::Resource { id: Some(Id { id: 2 }), location: place(mutex()), ..Default::default() };
    let metadata = Metadata { name: format!("event {}:7", mutex()), location: place(mutex()), ..Default::default() };
    let message = Message {
        now: Some(at(1).into()),
        task_update: Some(tasks::TaskUpdate {
            new_tasks: vec![task],
            stats_update: [(1, tasks::Stats { created_at, ..Default::default() })].into(),
            dropped_events: 0,
        }),
        resource_update: Some(resources::ResourceUpdate {
            new_resources: vec![resource],
            stats_update: [(2, resources::Stats { created_at, ..Default::default() })].into(),
            ..Default::default()
        }),
        new_metadata: Some(RegisterMetadata {
            metadata: vec![NewMetadata { id: Some(MetaId { id: 1 }), metadata: Some(metadata) }],
        }),
        ..Default::default()
    };
    vec![event(1, message)]
}

/// The places of all tasks and resources, as a reader of these events knows them.
pub(super) fn places(events: &[Arrived]) -> Vec<String> {
    let mut model = Model::default();
    for update in updates(events) {
        model.apply(&update.message, None);
    }
    let tasks = model.tasks().filter_map(|(_, task)| Some(model.site(task.site)?.id.location.to_string()));
    tasks.chain(model.resources().map(|(_, resource)| resource.location.to_string())).collect()
}

/// Updates of a service whose news is five seconds old.
pub(super) fn lagging(count: u64) -> Vec<Arrived> {
    (5..5 + count)
        .map(|second| {
            let ids = second * 100..second * 100 + 100;
            let created_at = Some((at(second) - Duration::from_secs(5)).into());
            let stats = |id| (id, tasks::Stats { created_at, ..Default::default() });
            let update = tasks::TaskUpdate {
                new_tasks: ids.clone().map(|id| task(Some(Id { id }), "src/main.rs")).collect(),
                stats_update: ids.map(stats).collect(),
                dropped_events: 0,
            };
            event(second, Message { now: Some(at(second).into()), task_update: Some(update), ..Default::default() })
        })
        .collect()
}

/// Updates of a service one of whose tasks asks an elapsed timer again and again.
pub(super) fn spinning(count: u64) -> Vec<Arrived> {
    let poll = resources::PollOp {
        name: "poll_elapsed".to_owned(),
        resource_id: Some(Id { id: 2 }),
        async_op_id: Some(Id { id: 3 }),
        is_ready: true,
        ..Default::default()
    };
    let resource_update = Some(resources::ResourceUpdate { new_poll_ops: vec![poll; 1_000_000], ..Default::default() });
    let update = |second| Message {
        now: Some(at(second).into()),
        resource_update: resource_update.clone(),
        ..Default::default()
    };
    (0..count).map(|second| event(second, update(second))).collect()
}

pub(super) async fn record(path: &Path, events: &[Arrived]) -> Written {
    let mut recorder = Recorder::create(path, "a service").unwrap();
    for event in events {
        recorder.record(event).await.unwrap();
    }
    recorder.finish().await.unwrap()
}

/// A feed that delivers these events and ends.
pub(super) fn feed_of(events: &[Arrived]) -> Feed {
    let (sender, receiver) = mpsc::channel(events.len());
    for event in events {
        sender.try_send(event.clone()).unwrap();
    }
    Feed { events: receiver, wanted: watch::channel(Wanted::new()).0 }
}

/// Everything a feed delivers.
pub(super) async fn collect(mut feed: Feed) -> Vec<Arrived> {
    let mut events = Vec::new();
    while let Some(event) = feed.events.recv().await {
        events.push(event);
    }
    events
}

pub(super) fn updates(events: &[Arrived]) -> impl Iterator<Item = &Update> {
    events.iter().filter_map(|it| match &it.event {
        FeedEvent::Update(update) => Some(&**update),
        _ => None,
    })
}

/// What a client knows after these events, without what ended long ago.
pub(super) fn mirror_of(events: &[Arrived]) -> Mirror {
    let mut mirror = Mirror::default();
    for event in events {
        match &event.event {
            FeedEvent::Status(Status::Live) => mirror.reconnect(),
            FeedEvent::Update(update) => drop(mirror.apply(&update.message)),
            _ => {}
        }
    }
    mirror.expire();
    mirror
}

/// When a recording says that it began.
pub(super) fn begin_of(path: &Path) -> SystemTime {
    let bytes = std::fs::read(path).unwrap();
    let header = mcap::MessageStream::new(&bytes).unwrap().next().unwrap().unwrap();
    UNIX_EPOCH + Duration::from_nanos(header.log_time)
}

#[track_caller]
pub(super) fn assert_same(one: &[Arrived], other: &[Arrived]) {
    assert_eq!(one.len(), other.len());
    for (nth, (one, other)) in one.iter().zip(other).enumerate() {
        let same = match (&one.event, &other.event) {
            (FeedEvent::Update(one), FeedEvent::Update(other)) => one.message == other.message,
            (FeedEvent::Details(one), FeedEvent::Details(other)) => one == other,
            (FeedEvent::Status(one), FeedEvent::Status(other)) => one == other,
            (FeedEvent::Paused(one), FeedEvent::Paused(other)) => one == other,
            (FeedEvent::Quiet(one), FeedEvent::Quiet(other)) => one == other,
            (FeedEvent::Ended(one), FeedEvent::Ended(other)) => one == other,
            _ => false,
        };
        assert!(same && one.at == other.at, "event {nth}: {one:?} and {other:?}");
    }
}
