//! Messages read, put together and shortened.

use console_api::register_metadata::NewMetadata;
use console_api::{Attribute, Field, Id, Location, MetaId, Metadata, RegisterMetadata};

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp { seconds, nanos: 2 }
}

fn task(id: u64) -> tasks::Task {
    let name = Field { name: Some("kind".into()), value: Some("task".into()), metadata_id: None };
    let location = Location { file: Some("/home/somebody/bank/src/main.rs".into()), ..Location::default() };
    tasks::Task { id: Some(Id { id }), fields: vec![name], location: Some(location), ..tasks::Task::default() }
}

fn update(count: u64) -> instrument::Update {
    let stats = |id| (id, tasks::Stats { wakes: id, created_at: Some(at(1)), ..tasks::Stats::default() });
    let attribute = Attribute { field: Some(Field::default()), unit: None };
    instrument::Update {
        now: Some(at(5)),
        task_update: Some(tasks::TaskUpdate {
            new_tasks: (1..=count).map(task).collect(),
            stats_update: (1..=count).map(stats).collect(),
            dropped_events: 3,
        }),
        resource_update: Some(resources::ResourceUpdate {
            new_resources: vec![resources::Resource { id: Some(Id { id: 7 }), ..Default::default() }],
            stats_update: [(7, resources::Stats { attributes: vec![attribute; 3], ..Default::default() })].into(),
            new_poll_ops: vec![resources::PollOp {
                name: "poll".into(),
                async_op_id: Some(Id { id: 9 }),
                is_ready: true,
                ..Default::default()
            }],
            dropped_events: 5,
        }),
        async_op_update: Some(async_ops::AsyncOpUpdate {
            new_async_ops: vec![async_ops::AsyncOp { id: Some(Id { id: 9 }), ..Default::default() }],
            stats_update: [(9, async_ops::Stats { created_at: Some(at(4)), ..Default::default() })].into(),
            dropped_events: 7,
        }),
        new_metadata: Some(RegisterMetadata {
            metadata: vec![NewMetadata {
                id: Some(MetaId { id: 4 }),
                metadata: Some(Metadata { name: "event /src/bank/src/main.rs:4".into(), ..Default::default() }),
            }],
        }),
    }
}

#[test]
fn equal_updates_are_equal_bytes_and_nothing_is_lost() {
    let message = Message::from(&update(50));
    assert_eq!(message.decoded(), update(50));
    for _ in 0..10 {
        assert_eq!(Message::from(&update(50)), message);
    }
}

#[test]
fn a_message_is_read_element_by_element() {
    let whole = update(50);
    let message = Message::new(whole.encode_to_vec().into()).unwrap();
    let (tasks, resources, ops) =
        (whole.task_update.unwrap(), whole.resource_update.unwrap(), whole.async_op_update.unwrap());
    assert_eq!(message.now(), Some(5_000_000_002));
    assert_eq!(message.dropped(), Dropped { tasks: 3, resources: 5, async_ops: 7 });
    assert!(message.new_tasks().flatten().eq(tasks.new_tasks.into_iter().map(introduced::Task::from)));
    for entry in message.task_stats() {
        assert_eq!(entry.read(), tasks.stats_update.get(&entry.id).map(|it| TaskStats::from(*it)));
    }
    assert!(message.new_resources().flatten().eq(resources.new_resources.into_iter().map(introduced::Resource::from)));
    for entry in message.resource_stats() {
        assert_eq!(entry.read(), resources.stats_update.get(&entry.id).map(|it| ResourceStats::from(it.clone())));
    }
    assert!(message.new_async_ops().flatten().eq(ops.new_async_ops.into_iter().map(introduced::AsyncOp::from)));
    for entry in message.async_op_stats() {
        assert_eq!(entry.read(), ops.stats_update.get(&entry.id).map(|it| OpStats::from(it.clone())));
    }
    let stats = (message.task_stats().count(), message.resource_stats().count(), message.async_op_stats().count());
    assert_eq!(stats, (50, 1, 1));
    let survey = Survey {
        now: Some(5_000_000_002),
        introduced: 52,
        counted: 52,
        poll_ops: 1,
        dropped: message.dropped(),
        newest: Some(4_000_000_002),
    };
    assert_eq!(Survey::of(&message), survey);
    assert_eq!(message.new_metadata().flatten().collect::<Vec<_>>(), whole.new_metadata.unwrap().metadata);
    let poll = PollOp { name: b"poll", async_op_id: Some(9), is_ready: true, ..PollOp::default() };
    assert_eq!(message.poll_ops().collect::<Vec<_>>(), [poll]);
    assert!(message.introduced_ids(Kind::Task).eq((1..=50).map(Some)));
    assert_eq!(message.births(Kind::Task).get(50), Some(1_000_000_002));
    assert_eq!(message.births(Kind::Resource).get(7), None, "the message does not say when it was created");
    assert_eq!(message.births(Kind::Task).get(51), None);
    assert!(message.created(Kind::AsyncOp).eq([(9, 4_000_000_002)]));
}

#[test]
fn parts_in_any_order_and_number_are_put_together() {
    let pieces = [update(9), update(1), update(3)].map(|piece| piece.encode_to_vec());
    let message = Message::new(pieces.concat().into()).unwrap();
    assert_eq!(message.introduced_ids(Kind::Task).count(), 13);
    assert_eq!(message.task_stats().count(), 13);
    assert_eq!(message.dropped().tasks, 3, "the last word counts, as for every decoder");
}

#[test]
fn a_frame_that_is_not_sound_is_refused_and_a_bad_element_is_nothing() {
    let mut bytes = update(20).encode_to_vec();
    bytes.truncate(bytes.len() - 1);
    assert_eq!(Message::new(bytes.into()), Err(Malformed));
    assert_eq!(Message::new(vec![0xff; 100].into()), Err(Malformed));
    assert_eq!(Message::new(vec![0x12, 2, 0x0a, 9].into()), Err(Malformed), "a task that is longer than its part");
    // A task update with a task of four bytes that make no sense, and one without anything.
    let message = Message::new(vec![0x12, 6, 0x0a, 2, 0xff, 0xff, 0x0a, 0].into()).unwrap();
    assert_eq!(message.new_tasks().collect::<Vec<_>>(), [None, Some(introduced::Task::default())]);
    assert_eq!(message.introduced_ids(Kind::Task).collect::<Vec<_>>(), [None, None]);
    let decoded = message.decoded().task_update.unwrap();
    assert_eq!(decoded.new_tasks, [tasks::Task::default()], "the rest of the message is not lost with a bad element");
}

#[test]
fn an_element_is_read_without_what_it_repeats_too_often() {
    let fields = vec![Field { metadata_id: Some(MetaId { id: 1 }), ..Field::default() }; 10_000];
    let update = instrument::Update {
        task_update: Some(tasks::TaskUpdate {
            new_tasks: vec![tasks::Task { fields, ..task(1) }],
            ..Default::default()
        }),
        new_metadata: Some(RegisterMetadata {
            metadata: vec![NewMetadata {
                id: Some(MetaId { id: 4 }),
                metadata: Some(Metadata { field_names: vec![String::new(); 10_000], ..Default::default() }),
            }],
        }),
        ..Default::default()
    };
    let message = Message::from(&update);
    let task = message.new_tasks().flatten().next().unwrap();
    assert_eq!((task.id, task.fields.len()), (Some(1), 64));
    let metadata = message.new_metadata().flatten().next().unwrap().metadata.unwrap();
    assert_eq!(metadata.field_names.len(), 64);
}

#[test]
fn places_are_shortened_and_nothing_else_is_changed() {
    let mut expected = update(3);
    for task in &mut expected.task_update.as_mut().unwrap().new_tasks {
        task.location.as_mut().unwrap().file = Some("bank/src/main.rs".into());
    }
    let metadata = &mut expected.new_metadata.as_mut().unwrap().metadata[0];
    metadata.metadata.as_mut().unwrap().name = "event bank/src/main.rs:4".into();
    let short = Message::from(&update(3)).with_short_places();
    assert_eq!(short.decoded(), expected);
    assert_eq!(short.with_short_places(), short);
}

#[test]
fn polls_that_are_outdated_within_a_message_are_left_out_where_there_are_very_many() {
    let poll = |op, name: &str, is_ready| resources::PollOp {
        name: name.into(),
        async_op_id: Some(Id { id: op }),
        is_ready,
        ..Default::default()
    };
    let few = Message::from(&update(3));
    assert_eq!(few.with_few_poll_ops(), few);
    let mut spinning = update(3);
    let polls = (0..90_000).flat_map(|nth| [poll(9, "poll_elapsed", true), poll(nth % 3, "poll", nth >= 89_998)]);
    spinning.resource_update.as_mut().unwrap().new_poll_ops = polls.collect();
    let thin = Message::from(&spinning).with_few_poll_ops();
    let left: Vec<_> = thin.poll_ops().map(|it| (it.async_op_id, it.is_ready)).collect();
    assert_eq!(left.len(), 1_003);
    assert_eq!(left[1_000..], [(Some(0), false), (Some(1), true), (Some(2), true)], "the last of each");
    let of_timer = vec![poll(9, "poll_elapsed", true); 90_000];
    spinning.resource_update.as_mut().unwrap().new_poll_ops = of_timer;
    let of_timer = Message::from(&spinning).with_few_poll_ops();
    assert_eq!(of_timer.poll_ops().count(), FLOOD);
    assert!(of_timer.is_flooded_by_poll_ops(), "a replay tells that it was");
    spinning.resource_update.as_mut().unwrap().new_poll_ops.clear();
    let mut rest = thin.decoded();
    rest.resource_update.as_mut().unwrap().new_poll_ops.clear();
    assert_eq!(rest, spinning);
}
