//! A target that chooses its values so that they are dear: what it sends must cost about as much as other values of the same number.

use std::time::{Duration, Instant, SystemTime};

use console_api::{Id, async_ops, field, instrument, register_metadata, resources, tasks};
use tokio_canary::detect::settings::Settings;
use tokio_canary::diagnosis::{Arrived, Diagnosis, Withheld};
use tokio_canary::feed::FeedEvent;
use tokio_canary::model::DEFAULT_RETENTION;

use crate::support::updates::{at, idle};

fn diagnosis() -> Diagnosis {
    Diagnosis::new("127.0.0.1:6669".to_owned(), Settings::default(), DEFAULT_RETENTION)
}

/// How long it takes to take an update in.
fn cost(diagnosis: &mut Diagnosis, update: instrument::Update) -> Duration {
    let began = Instant::now();
    diagnosis.apply(Arrived { at: SystemTime::now(), event: FeedEvent::Update(Box::new(update.into())) });
    began.elapsed()
}

fn named(name: &str, value: String) -> console_api::Field {
    let name = Some(field::Name::StrName(name.to_owned()));
    console_api::Field { name, value: Some(field::Value::StrVal(value)), metadata_id: None }
}

/// An update with a task of each of these ids and names, which live on or have ended at once.
fn spawned(now: u64, named_tasks: impl Iterator<Item = (u64, String)>, ended: bool) -> instrument::Update {
    let mut part = tasks::TaskUpdate::default();
    for (id, name) in named_tasks {
        let fields = vec![named("kind", "task".to_owned()), named("task.name", name)];
        part.new_tasks.push(tasks::Task { id: Some(Id { id }), fields, ..Default::default() });
        let dropped_at = ended.then(|| at(now));
        part.stats_update.insert(id, tasks::Stats { created_at: Some(at(now)), dropped_at, ..Default::default() });
    }
    instrument::Update { task_update: Some(part), ..idle(now) }
}

#[test]
fn ids_cannot_be_chosen_so_that_they_collide() {
    const TASKS: u64 = 30_000;
    // The multiplier of `rustc-hash` 2 and its inverse: with these ids all hashes differ in their last bits alone.
    const MULTIPLIER: u64 = 0xf135_7aea_2e62_a9c5;
    let inverse = (0..6).fold(1_u64, |it, _| it.wrapping_mul(2_u64.wrapping_sub(MULTIPLIER.wrapping_mul(it))));
    let with_ids = |choose: &dyn Fn(u64) -> u64| {
        let tasks = (1..=TASKS).map(|n| (choose(n), String::new()));
        cost(&mut diagnosis(), spawned(10_000, tasks, false))
    };
    let counted = with_ids(&|n| n);
    let chosen = with_ids(&|n| n.wrapping_mul(inverse));
    assert!(chosen < counted * 4 + Duration::from_millis(500), "{chosen:?}, and {counted:?} with ids that count");
}

#[test]
fn waits_that_end_together_cost_no_more_than_waits_that_begin_together() {
    const WAITS: u64 = 60_000;
    let resource = resources::Resource {
        id: Some(Id { id: 1 }),
        concrete_type: "Mutex".to_owned(),
        ..resources::Resource::default()
    };
    let ops = |now: u64, dropped: bool| {
        let mut part = async_ops::AsyncOpUpdate::default();
        for id in 2..2 + WAITS {
            if !dropped {
                let (id, resource_id) = (Some(Id { id }), Some(Id { id: 1 }));
                let source = "Mutex::lock".to_owned();
                part.new_async_ops.push(async_ops::AsyncOp { id, resource_id, source, ..Default::default() });
            }
            let (created_at, dropped_at) = (Some(at(10_000)), dropped.then(|| at(now)));
            let task_id = Some(Id { id: 1 + u64::from(dropped) });
            let stats = async_ops::Stats { created_at, dropped_at, task_id, ..Default::default() };
            part.stats_update.insert(id, stats);
        }
        instrument::Update { async_op_update: Some(part), ..idle(now) }
    };
    let mut diagnosis = diagnosis();
    cost(&mut diagnosis, spawned(10_000, [(1, "one".to_owned()), (2, "other".to_owned())].into_iter(), false));
    let mut first = ops(11_000, false);
    let created = resources::Stats { created_at: Some(at(10_000)), ..Default::default() };
    first.resource_update = Some(resources::ResourceUpdate {
        new_resources: vec![resource],
        stats_update: [(1, created)].into(),
        ..Default::default()
    });
    let begun = cost(&mut diagnosis, first);
    let listed = |diagnosis: &Diagnosis| -> usize {
        let model = diagnosis.model();
        let tasks: usize = model.tasks().map(|(_, task)| task.ops.len()).sum();
        tasks + model.resources().map(|(_, resource)| resource.ops.len()).sum::<usize>()
    };
    assert_eq!(listed(&diagnosis), usize::try_from(2 * WAITS).unwrap_or_default());
    // All of them were passed on to the other task, and have ended.
    let ended = cost(&mut diagnosis, ops(12_000, true));
    assert!(ended < begun * 4 + Duration::from_millis(500), "{ended:?}, and {begun:?} to begin");
    assert_eq!(listed(&diagnosis), 0);
}

#[test]
fn metadata_that_no_program_has_so_much_of_is_left_out_and_said() {
    let metadata = |ids: std::ops::Range<u64>| {
        let new = ids.map(|id| register_metadata::NewMetadata {
            id: Some(console_api::MetaId { id }),
            metadata: Some(console_api::Metadata { field_names: vec![format!("field-{id}")], ..Default::default() }),
        });
        console_api::RegisterMetadata { metadata: new.collect() }
    };
    let mut diagnosis = diagnosis();
    cost(&mut diagnosis, instrument::Update { new_metadata: Some(metadata(0..4_000)), ..idle(10_000) });
    assert_eq!(diagnosis.withheld(), []);
    cost(&mut diagnosis, instrument::Update { new_metadata: Some(metadata(0..6_000)), ..idle(11_000) });
    assert_eq!(diagnosis.withheld(), [Withheld::Malformed]);
    assert_eq!(diagnosis.model().quality().malformed, 6_000 - 4_096);
}

/// A word of letters alone, another for each number.
fn word(mut number: u64) -> String {
    let mut letters = String::new();
    for _ in 0..8 {
        letters.push(char::from(b'g' + u8::try_from(number % 20).unwrap_or_default()));
        number /= 20;
    }
    letters
}

#[test]
fn names_that_are_made_up_for_each_task_do_not_add_up() {
    const EACH_SECOND: u64 = 500;
    let mut diagnosis = diagnosis();
    let ended = |id: u64, name: &str, created: u64, now: u64| {
        let mut update = spawned(created, [(id, name.to_owned())].into_iter(), false);
        let stats = tasks::Stats { created_at: Some(at(created)), dropped_at: Some(at(now)), ..Default::default() };
        update.now = Some(at(now));
        update.task_update.get_or_insert_default().stats_update.insert(id, stats);
        update
    };
    cost(&mut diagnosis, ended(1, "pump", 1_000, 90_000));
    cost(&mut diagnosis, ended(2, "pair", 90_000, 90_500));
    cost(&mut diagnosis, ended(3, "pair", 90_500, 91_000));
    for second in 0..30 {
        let now = 92_000 + second * 1_000;
        let names = (0..EACH_SECOND).map(|n| (1_000 + second * EACH_SECOND + n, word(second * EACH_SECOND + n)));
        cost(&mut diagnosis, spawned(now, names, true));
    }
    let model = diagnosis.model();
    assert!(model.sites().len() < 12_000, "{} sites", model.sites().len());
    assert!(model.forgotten_sites() > 3_000, "{} forgotten", model.forgotten_sites());
    for kept in ["pump", "pair"] {
        assert!(model.sites().any(|(_, site)| &*site.id.name == kept), "{kept} is forgotten");
    }
}

#[test]
fn names_with_identifiers_in_them_are_of_one_site() {
    let mut diagnosis = diagnosis();
    let id = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let names = (1..=300_u64).map(|n| {
        let (hex, name) = (format!("{:016x}", id(n)), ["request-", "trace ", "conn:"]);
        let uuid = format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[1..4], &hex[12..15], &hex[2..14]);
        let id = if n % 2 == 0 { uuid } else { hex };
        (n, format!("{}{id}", name[usize::try_from(n % 3).unwrap_or_default()]))
    });
    cost(&mut diagnosis, spawned(10_000, names, false));
    let mut names: Vec<String> = diagnosis.model().sites().map(|(_, site)| site.id.name.to_string()).collect();
    names.sort();
    assert_eq!(names, ["conn:#", "request-#", "trace #"]);
}
