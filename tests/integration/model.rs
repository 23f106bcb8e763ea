//! What the model makes of a process: who holds what, who waits for whom, how tasks ended, and what is forgotten.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

use std::time::{Duration, SystemTime};

use console_api::instrument::Update;
use tokio_canary::detect::settings::Settings;
use tokio_canary::diagnosis::Diagnosis;
use tokio_canary::evidence::Evidence;
use tokio_canary::evidence::holders::Confidence;
use tokio_canary::feed::{Arrived, FeedEvent, Status};
use tokio_canary::model::entity::resource::Resource;
use tokio_canary::model::entity::site::Site;
use tokio_canary::model::entity::task::{Task, TaskState};
use tokio_canary::model::tokio::{AcquireKind, ResourceKind};
use tokio_canary::model::{DEFAULT_RETENTION, Model, TaskKey};
use tokio_canary::wire::Message;

use crate::support::simulator::scenario::Scenario;
use crate::support::simulator::timeline::{Timeline, Told, play};
use crate::support::updates::{births, idle};

fn played(scenario: &str) -> Timeline {
    play(&Scenario::parse(scenario), Told::Once)
}

fn name(task: &Task) -> String {
    task.name().map(|it| it.to_string()).unwrap_or_default()
}

fn task_named<'a>(model: &'a Model, wanted: &str) -> (TaskKey, &'a Task) {
    model.tasks().find(|(_, task)| name(task) == wanted).unwrap_or_else(|| panic!("no task is called {wanted}"))
}

fn site_named<'a>(model: &'a Model, wanted: &str) -> &'a Site {
    let found = model.sites().map(|(_, site)| site).find(|site| &*site.id.name == wanted);
    found.unwrap_or_else(|| panic!("no site is called {wanted}"))
}

/// Names and confidences of those who hold the lock made at a place, sorted.
fn holders(model: &Evidence<'_>, place: &str) -> Vec<(String, Confidence)> {
    let (key, _) = model.resources().find(|(_, it)| it.location.as_str() == place).expect("a lock made there");
    let holders = model.holders(key);
    let holders = holders.tasks.iter();
    let mut holders: Vec<_> = holders.filter_map(|it| Some((name(model.task(it.task)?), it.confidence))).collect();
    holders.sort();
    holders
}

fn likely(names: &[&str]) -> Vec<(String, Confidence)> {
    names.iter().map(|name| ((*name).to_owned(), Confidence::Likely)).collect()
}

#[test]
fn the_holder_of_a_mutex_is_whoever_got_in_last() {
    let timeline = played(
        r#"
about = "Two tasks have had the lock before a third one keeps it."
run = "6s"
shared = [{ name = "state", kind = "mutex", place = "src/a.rs:1:1" }]
[[spawn]]
at = "1s"
name = "passing"
place = "src/a.rs:2:2"
count = 2
body = [{ lock = "state" }, { wait = "10ms" }, { release = "state" }, { wait = "never" }]
[[spawn]]
at = "2s"
name = "holding"
place = "src/a.rs:3:3"
body = [{ lock = "state" }, { wait = "never" }]
[[spawn]]
at = "3s"
name = "waiting"
place = "src/a.rs:4:4"
body = [{ lock = "state" }]
"#,
    );
    let model = &timeline.diagnosis.evidence();
    assert_eq!(holders(model, "src/a.rs:1:1"), likely(&["holding"]));
    let (waiting, _) = task_named(model, "waiting");
    let chain = model.wait_chain(waiting);
    assert_eq!(chain.len(), 1, "the holder waits for nothing that shows");
    assert_eq!(chain[0].holders.tasks[0].task, task_named(model, "holding").0);
}

#[test]
fn an_owned_guard_may_be_anywhere() {
    let timeline = played(
        r#"
about = "An owned guard is given away."
run = "6s"
shared = [{ name = "state", kind = "mutex", place = "src/a.rs:1:1" }]
[[spawn]]
at = "1s"
name = "giver"
place = "src/a.rs:2:2"
body = [{ lock = { of = "state", owned = true } }, { give-away = { of = "state", until = "never" } }, { wait = "never" }]
[[spawn]]
at = "2s"
name = "waiting"
place = "src/a.rs:4:4"
body = [{ lock = "state" }]
"#,
    );
    let expected = vec![("giver".to_owned(), Confidence::Possible)];
    assert_eq!(holders(&timeline.diagnosis.evidence(), "src/a.rs:1:1"), expected);
}

#[test]
fn a_queued_writer_tells_how_many_readers_are_inside() {
    let timeline = played(
        r#"
about = "Of three readers two are still inside when a writer asks; another reader queues behind the writer."
run = "6s"
shared = [{ name = "map", kind = "rw-lock", place = "src/a.rs:1:1" }]
[[spawn]]
at = "1s"
name = "gone"
place = "src/a.rs:2:2"
body = [{ read = "map" }, { wait = "10ms" }, { release = "map" }, { wait = "never" }]
[[spawn]]
at = "2500ms"
name = "inside"
place = "src/a.rs:3:3"
count = 2
body = [{ read = "map" }, { wait = "never" }]
[[spawn]]
at = "3s"
name = "writer"
place = "src/a.rs:4:4"
body = [{ write = "map" }]
[[spawn]]
at = "4s"
name = "late"
place = "src/a.rs:5:5"
body = [{ read = "map" }]
"#,
    );
    let model = &timeline.diagnosis.evidence();
    assert_eq!(holders(model, "src/a.rs:1:1"), likely(&["inside", "inside"]));
    for waiting in ["writer", "late"] {
        let chain = model.wait_chain(task_named(model, waiting).0);
        assert_eq!(chain.first().map(|step| step.holders.tasks.len()), Some(2), "{waiting}");
    }
}

#[test]
fn a_writer_inside_keeps_readers_out() {
    let timeline = played(
        r#"
about = "Readers wait for a writer."
run = "6s"
shared = [{ name = "map", kind = "rw-lock", place = "src/a.rs:1:1" }]
[[spawn]]
at = "1s"
name = "reader"
place = "src/a.rs:3:3"
body = [{ read = "map" }, { wait = "10ms" }, { release = "map" }, { wait = "never" }]
[[spawn]]
at = "2s"
name = "writer"
place = "src/a.rs:4:4"
body = [{ write = "map" }, { wait = "never" }]
[[spawn]]
at = "4s"
name = "late"
place = "src/a.rs:5:5"
count = 3
body = [{ read = "map" }]
"#,
    );
    assert_eq!(holders(&timeline.diagnosis.evidence(), "src/a.rs:1:1"), likely(&["writer"]));
}

#[test]
fn a_wait_chain_ends_where_it_began() {
    let timeline = played(
        r#"
about = "Two locks in opposite order, and a third task behind them."
run = "6s"
shared = [{ name = "one", kind = "mutex", place = "src/a.rs:1:1" }, { name = "two", kind = "mutex", place = "src/a.rs:2:1" }]
[[spawn]]
at = "1s"
name = "up"
place = "src/a.rs:3:3"
body = [{ lock = "one" }, { wait = "10ms" }, { lock = "two" }]
[[spawn]]
at = "1s"
name = "down"
place = "src/a.rs:4:4"
body = [{ lock = "two" }, { wait = "10ms" }, { lock = "one" }]
[[spawn]]
at = "2s"
name = "behind"
place = "src/a.rs:5:5"
body = [{ lock = "one" }]
"#,
    );
    let model = &timeline.diagnosis.evidence();
    let chain = model.wait_chain(task_named(model, "behind").0);
    let names: Vec<String> = chain.iter().filter_map(|step| model.task(step.task)).map(name).collect();
    assert_eq!(names, ["behind", "up", "down"]);
}

#[test]
fn a_wait_that_timed_out_is_no_grant() {
    let timeline = played(
        r#"
about = "One task holds a lock for good; another gives up after half a second, again and again."
run = "12s"
shared = [{ name = "state", kind = "mutex", place = "src/a.rs:1:1" }]
[[spawn]]
at = "1s"
name = "holding"
place = "src/a.rs:2:2"
body = [{ lock = "state" }, { wait = "never" }]
[[spawn]]
at = "2s"
name = "trying"
place = "src/a.rs:3:3"
body = [{ forever = [{ lock = { of = "state", within = "500ms" } }, { wait = "10ms" }] }]
"#,
    );
    let model = timeline.diagnosis.model();
    assert_eq!(holders(&timeline.diagnosis.evidence(), "src/a.rs:1:1"), likely(&["holding"]));
    let (_, lock) = model.resources().find(|(_, it)| it.location.as_str() == "src/a.rs:1:1").expect("the lock");
    assert_eq!(lock.grants.total(), 1);
    let waits = lock.waits.window(AcquireKind::Lock, model.now().minus(Duration::from_secs(60)));
    assert!(waits.cancelled > 10 && waits.granted <= 1, "{waits:?}");
}

#[test]
fn what_was_cancelled_is_told_from_what_completed() {
    let timeline = played(
        r#"
about = "Tasks are aborted at their first await, after many wakes, and not at all."
run = "9s"
[[spawn]]
at = "1s"
name = "first-await"
place = "src/a.rs:2:2"
count = 3
body = [{ wait = "never" }]
[[spawn]]
at = "1s"
name = "ticking"
place = "src/a.rs:3:3"
count = 3
body = [{ repeat = { times = 20, body = [{ sleep = "10ms" }] } }, { wait = "never" }]
[[spawn]]
at = "1s"
name = "complete"
place = "src/a.rs:4:4"
count = 3
body = [{ sleep = "2s" }]
[[event]]
at = "5s"
abort = "first-await"
[[event]]
at = "5s"
abort = "ticking"
"#,
    );
    let model = timeline.diagnosis.model();
    for (site, cancelled) in [("first-await", 3), ("ticking", 3), ("complete", 0)] {
        let site = site_named(model, site);
        assert_eq!((site.ended, site.cancelled), (3, cancelled), "{}", site.id.name);
    }
    let lifetime = site_named(model, "complete").lifetime_at(0.5).expect("some completed");
    assert!(lifetime > Duration::from_millis(1_900) && lifetime < Duration::from_millis(2_200), "{lifetime:?}");
}

#[test]
fn a_future_that_is_gone_is_done_though_its_task_is_listed() {
    let timeline = played(
        r#"
about = "A task has ended while a job of its own runs on; main waits under block_on."
run = "9s"
runtimes = { main = 2, thread = 1 }
[[spawn]]
at = "1s"
name = "ended"
place = "src/a.rs:2:2"
body = [{ wait = "10ms" }, { spawn-blocking = "1m" }]
[[spawn]]
name = "main"
kind = "block-on"
runtime = "thread"
place = "src/main.rs:1:1"
body = [{ wait = "100ms" }, { wait = "100ms" }, { wait = "never" }]
"#,
    );
    let model = timeline.diagnosis.model();
    assert_eq!(task_named(model, "ended").1.state(), TaskState::Done);
    assert_eq!(task_named(model, "main").1.state(), TaskState::Idle);
}

#[test]
fn a_sleeping_task_is_known_by_its_timer() {
    let timeline = played(
        r#"
about = "One task sleeps for a minute, another one waits for something else."
run = "6s"
[[spawn]]
at = "1s"
name = "sleeping"
place = "src/a.rs:2:2"
body = [{ wait = "10ms" }, { sleep = "1m" }]
[[spawn]]
at = "2s"
name = "waiting"
place = "src/a.rs:3:3"
body = [{ wait = "never" }]
"#,
    );
    let model = &timeline.diagnosis.evidence();
    let timer = model.timer(task_named(model, "sleeping").0).expect("its timer");
    let left = model.due(timer).expect("it is known when it ends").since(model.now());
    assert!(left > Duration::from_secs(55) && left < Duration::from_secs(57), "{left:?}");
    assert!(model.timer(task_named(model, "waiting").0).is_none());
}

fn channel(model: &Model) -> &Resource {
    let found = model.resources().map(|(_, it)| it).find(|it| it.kind == ResourceKind::Channel);
    found.expect("a channel")
}

#[test]
fn what_is_in_a_channel_is_known_until_its_count_drifts() {
    let scenario = |send: &str| {
        format!(
            r#"
about = "Six messages are put into a channel of ten, and two of them are taken out again."
run = "20s"
shared = [{{ name = "jobs", kind = "channel", permits = 10, at = "1s" }}]
[[spawn]]
at = "5s"
name = "sender"
place = "src/a.rs:2:2"
body = [{{ repeat = {{ times = 6, body = [{{ {send} = "jobs" }}] }} }}, {{ wait = "never" }}]
[[spawn]]
at = "10s"
name = "receiver"
place = "src/a.rs:3:3"
body = [{{ repeat = {{ times = 2, body = [{{ receive = "jobs" }}] }} }}, {{ wait = "never" }}]
"#
        )
    };
    let timeline = played(&scenario("send"));
    let seen = channel(timeline.diagnosis.model());
    assert_eq!((seen.depth(), seen.capacity()), (Some(4), Some(10)));
    let timeline = played(&scenario("try-send"));
    let drifted = channel(timeline.diagnosis.model());
    assert_eq!((drifted.capacity(), drifted.permits.drifted), (None, true), "more came out than was seen to go in");
    assert_eq!(drifted.depth(), Some(0), "four are in it, but none of them was seen to go in");
}

/// Counters are told at once, births in their turn: two of three permits were gone when the semaphore was first heard of.
#[test]
fn news_that_comes_late_takes_back_what_a_semaphore_was_thought_to_have() {
    let timeline = played(
        r#"
about = "Two jobs have a permit each before it is told that they have begun."
run = "12s"
drain = 3
shared = [{ name = "slots", kind = "semaphore", place = "src/a.rs:1:1", permits = 3, at = "1200ms" }]
[[spawn]]
at = "1300ms"
name = "job"
place = "src/a.rs:2:2"
count = 2
body = [{ acquire = "slots" }, { wait = "never" }]
"#,
    );
    let model = timeline.diagnosis.model();
    let (_, slots) = model.resources().find(|(_, it)| it.kind == ResourceKind::Semaphore).expect("the semaphore");
    assert_eq!((slots.ops.len(), slots.grants.total()), (0, 2), "both jobs were heard of in the end");
    assert_eq!((slots.permits.now, slots.permits.capacity), (Some(1), None));
}

#[test]
fn a_stop_is_a_gap_and_what_ended_is_forgotten() {
    let timeline = played(
        r#"
about = "Short tasks, a stop of four seconds, and half a minute of nothing."
run = "60s"
shared = [{ name = "state", kind = "mutex", place = "src/a.rs:1:1" }]
[[spawn]]
at = "1s"
name = "short"
place = "src/a.rs:2:2"
repeat = { every = "10ms", times = 2000 }
body = [{ lock = "state" }, { sleep = "1ms" }, { release = "state" }]
[[event]]
at = "12s"
stop = "4s"
"#,
    );
    let model = timeline.diagnosis.model();
    let gaps: Vec<Duration> = model.clock().gaps().map(|gap| gap.length()).collect();
    assert_eq!(gaps.len(), 1);
    assert!(gaps[0] >= Duration::from_secs(3) && gaps[0] <= Duration::from_secs(5), "{gaps:?}");
    let named = model.tasks().filter(|(_, task)| task.name().is_some()).count();
    assert_eq!((named, model.ops().len()), (0, 0));
    assert_eq!(model.resources().filter(|(_, it)| it.kind == ResourceKind::Sleep).count(), 0);
    let site = site_named(model, "short");
    assert_eq!((site.born, site.ended, site.live.len()), (2_000, 2_000, 0), "what its site has seen is kept");
}

#[test]
fn reused_ids_are_new_entities() {
    let timeline = played(
        r#"
about = "Every slot has one id only, so that each new timer, task or op has the id of one that ended just before."
run = "10s"
wrap = 1
shared = [{ name = "state", kind = "mutex", place = "src/a.rs:1:1" }]
[[spawn]]
at = "1s"
name = "short"
place = "src/a.rs:2:2"
repeat = { every = "10ms", times = 500 }
body = [{ lock = "state" }, { sleep = "3ms" }, { release = "state" }]
[[spawn]]
at = "1s"
name = "long"
place = "src/a.rs:3:3"
count = 5
body = [{ forever = [{ sleep = "7ms" }] }]
"#,
    );
    let model = timeline.diagnosis.model();
    assert_eq!(site_named(model, "long").live.len(), 5);
    assert_eq!(site_named(model, "short").live.len(), 0);
    assert_eq!(model.quality().never_introduced, 0);
    let now = timeline.diagnosis.model().now();
    let live = model.resources().filter(|(_, it)| it.kind == ResourceKind::Sleep && it.dropped.is_none());
    assert_eq!(live.filter(|(_, it)| now.since(it.created) < Duration::from_secs(1)).count(), 5);
}

#[test]
fn births_prove_which_process_it_is_and_the_pod_decides_where_there_are_none() {
    let said = |update: &Update| FeedEvent::Update(Box::new(Message::from(update).into()));
    let (first, other, none) = (births(10_000, 3, 10), births(20_000, 2, 10), idle(20_000));
    for (is_new, update, epoch, tasks) in [
        (true, &none, 1, 0),
        (false, &none, 0, 3),
        (true, &first, 0, 3),
        (false, &first, 0, 3),
        (true, &other, 1, 2),
        (false, &other, 1, 2),
    ] {
        let mut diagnosis = Diagnosis::new("k8s:///web".to_owned(), Settings::default(), DEFAULT_RETENTION);
        let chosen = Status::Chosen { place: "pod `web-1`".to_owned(), is_new };
        for event in [
            FeedEvent::Status(Status::Live),
            said(&first),
            FeedEvent::Status(chosen),
            FeedEvent::Status(Status::Live),
            said(update),
        ] {
            diagnosis.apply(Arrived { at: SystemTime::UNIX_EPOCH, event });
        }
        let model = diagnosis.model();
        assert_eq!((model.epoch(), model.tasks().count()), (epoch, tasks), "is_new: {is_new}, {update:?}");
    }
}
