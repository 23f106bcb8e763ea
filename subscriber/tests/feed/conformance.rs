//! The same program under both subscribers: a client must be told the same.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Barrier, Mutex, Notify, RwLock, Semaphore, mpsc, oneshot};
use tokio::time::{interval, sleep};

use crate::client::{Client, Told, text, texts};
use crate::program::{Instrumented, dispatch, run, spawn};

/// One of everything that tokio reports. Which poll comes first does not depend on time.
async fn everything() {
    // Clients attach first: what never waited is told only to who watches.
    sleep(Duration::from_millis(600)).await;
    let lock = Arc::new(Mutex::new(0));
    let (permits, gate) = (Arc::new(Semaphore::new(3)), Arc::new(Notify::new()));
    let readers = Arc::new(RwLock::new(0));
    let holder = spawn("holder", {
        let (lock, gate, readers, permits) =
            (Arc::clone(&lock), Arc::clone(&gate), Arc::clone(&readers), Arc::clone(&permits));
        async move {
            let _guard = lock.lock().await;
            let _writer = readers.write().await;
            let _permits = permits.acquire_many(2).await.unwrap();
            gate.notified().await;
        }
    });
    tokio::task::yield_now().await;
    let waiter = spawn("waiter", {
        let (lock, readers, permits) = (Arc::clone(&lock), Arc::clone(&readers), Arc::clone(&permits));
        async move {
            *lock.lock().await += 1;
            let _value = *readers.read().await;
            let _two = permits.acquire_many(2).await.unwrap();
        }
    });
    tokio::task::yield_now().await;
    gate.notify_one();
    holder.await.unwrap();
    waiter.await.unwrap();

    let (work, mut inbox) = mpsc::channel(1);
    let sender = spawn("sender", async move {
        for number in 0..3 {
            work.send(number).await.unwrap();
        }
    });
    let receiver = spawn("receiver", async move { while inbox.recv().await.is_some() {} });
    sender.await.unwrap();
    receiver.await.unwrap();

    let (answer, question) = oneshot::channel();
    let asks = spawn("asks", async move { question.await.unwrap() });
    tokio::task::yield_now().await;
    answer.send(1).unwrap();
    asks.await.unwrap();

    let barrier = Arc::new(Barrier::new(2));
    let other = spawn("at-the-barrier", {
        let barrier = Arc::clone(&barrier);
        async move { barrier.wait().await.is_leader() }
    });
    tokio::task::yield_now().await;
    barrier.wait().await;
    other.await.unwrap();

    let cancelled = spawn("cancelled", std::future::pending::<()>());
    tokio::task::yield_now().await;
    cancelled.abort();
    assert!(cancelled.await.unwrap_err().is_cancelled());

    let ticks = spawn("ticks", async {
        let mut ticks = interval(Duration::from_millis(5));
        for _ in 0..3 {
            ticks.tick().await;
        }
    });
    ticks.await.unwrap();
    tokio::task::Builder::new().name("blocking").spawn_blocking(|| ()).unwrap().await.unwrap();
    tokio::task::Builder::new().name("local").spawn_local(async {}).unwrap().await.unwrap();
    spawn("last", async {}).await.unwrap();
    std::future::pending::<()>().await;
}

/// What was told, without what depends on time and with names for numbers, each line as often as it was told of something.
fn normalised(told: &Told) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    let mut line = |line: String| *lines.entry(line).or_default() += 1;
    let task_name = |id: u64| told.tasks.get(&id).map_or("unknown".to_owned(), |task| text(&task.fields, "task.name"));
    let resource_name = |id: u64| {
        told.resources
            .get(&id)
            .map_or("unknown".to_owned(), |it| format!("{} internal={}", it.concrete_type, it.is_internal))
    };
    for (id, task) in &told.tasks {
        let stats = &told.task_stats[id];
        let mut fields = texts(&task.fields);
        fields.remove("task.id");
        // The test itself is the task without a name: its polls depend on timers, as those of a ticker do.
        let counts = (!matches!(&*task_name(*id), "" | "ticks")).then(|| {
            let polls = stats.poll_stats.unwrap_or_default();
            let waker = (stats.wakes, stats.self_wakes, stats.waker_clones, stats.waker_drops);
            (
                polls.polls,
                waker,
                polls.first_poll.is_some(),
                polls.last_poll_ended.is_some(),
                stats.dropped_at.is_some(),
            )
        });
        // The thread of a blocking task is another one.
        let counts = counts.filter(|_| fields.get("kind").is_some_and(|kind| kind != "blocking"));
        line(format!(
            "task {fields:?} {} {} {counts:?}",
            place(task.location.as_ref()),
            told.metadata[&task.metadata.unwrap().id].name
        ));
    }
    for (id, resource) in &told.resources {
        let stats = &told.resource_stats[id];
        let parent = resource.parent_resource_id.map(|parent| resource_name(parent.id));
        let attributes = attributes(&stats.attributes);
        let kind = format!("{:?}", resource.kind);
        line(format!(
            "resource {} {kind} {} in {parent:?} {attributes:?} dropped={}",
            resource_name(*id),
            place(resource.location.as_ref()),
            stats.dropped_at.is_some()
        ));
    }
    for (id, op) in &told.ops {
        let stats = &told.op_stats[id];
        let inside =
            op.parent_async_op_id.and_then(|parent| told.ops.get(&parent.id)).map(|parent| parent.source.clone());
        let (resource, task) =
            (resource_name(op.resource_id.unwrap().id), stats.task_id.map(|task| task_name(task.id)));
        // A tick that is due already needs one poll, any other two.
        let polls = stats.poll_stats.map(|stats| stats.polls).filter(|_| op.source != "Interval::tick");
        line(format!(
            "op {} on {resource} in {inside:?} by {task:?} {polls:?} {:?} dropped={}",
            op.source,
            attributes(&stats.attributes),
            stats.dropped_at.is_some()
        ));
    }
    lines
}

fn place(location: Option<&console_api::Location>) -> String {
    location.map_or_else(String::new, |place| format!("{}:{}:{}", place.file(), place.line(), place.column()))
}

fn attributes(attributes: &[console_api::Attribute]) -> impl Debug {
    let mut all: Vec<_> = attributes.iter().map(|it| (texts(it.field.as_ref()), it.unit.clone())).collect();
    // How long a timer still has to run depends on time.
    all.iter_mut().filter_map(|(fields, _)| fields.get_mut("duration")).for_each(String::clear);
    all.sort();
    all
}

async fn told(how: Instrumented) -> BTreeMap<String, usize> {
    let (dispatch, address) = dispatch(how);
    let _running = run(dispatch, everything);
    let mut client = Client::attach(&address).await;
    client.read("end of the program", |told| told.have_ended("last", 1)).await;
    // What ended last may be told with the update after it.
    let updates = client.told.updates;
    client.read("update after it", |told| told.updates > updates + 2).await;
    normalised(&client.told)
}

#[tokio::test]
async fn both_subscribers_tell_the_same() {
    let expected = told(Instrumented::Console).await;
    assert!(expected.len() > 40, "the program says little: {expected:#?}");
    for how in [Instrumented::Layer, Instrumented::Subscriber] {
        let ours = told(how).await;
        let lacks: Vec<_> = expected.iter().filter(|(line, count)| ours.get(*line) != Some(count)).collect();
        let has: Vec<_> = ours.iter().filter(|(line, count)| expected.get(*line) != Some(count)).collect();
        assert!(lacks.is_empty() && has.is_empty(), "{how:?} lacks {lacks:#?}\nand has {has:#?}");
    }
}
