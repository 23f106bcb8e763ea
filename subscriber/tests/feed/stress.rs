//! Many threads at once: nothing is lost, nothing is told twice, nothing hangs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, mpsc};
use tracing::Dispatch;

use crate::client::{Client, text};
use crate::program::{builder, spawn};

/// Tasks of each runtime.
const TASKS: usize = 20_000;

/// More than all of them take: a client that is slower than they are must not be what is tested.
const ROOM: usize = 1 << 30;

async fn work(name: &'static str) {
    let (lock, permits) = (Arc::new(Mutex::new(0_u64)), Arc::new(Semaphore::new(3)));
    let (sender, mut inbox) = mpsc::channel(8);
    let received = tokio::spawn(async move { while inbox.recv().await.is_some() {} });
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..TASKS {
        let (lock, permits, sender) = (Arc::clone(&lock), Arc::clone(&permits), sender.clone());
        let task = async move {
            let _permit = permits.acquire().await.unwrap();
            *lock.lock().await += 1;
            sender.send(number).await.unwrap();
        };
        tasks.build_task().name(name).spawn(task).unwrap();
        if tasks.len() > 256 {
            tasks.join_next().await.unwrap().unwrap();
        }
    }
    tasks.join_all().await;
    drop(sender);
    received.await.unwrap();
    assert_eq!(*lock.lock().await, TASKS as u64);
    spawn("last", async {}).await.unwrap();
}

#[test]
fn two_runtimes_of_many_threads_lose_nothing() {
    let (builder, address) = builder();
    let dispatch = Dispatch::new(builder.unread_bytes(ROOM).unsent_bytes(ROOM).wrap(tracing_subscriber::registry()));
    let runtime = |name: &'static str| {
        let dispatch = dispatch.clone();
        std::thread::spawn(move || {
            let on_each = dispatch.clone();
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(4).enable_all().on_thread_start(move || {
                // For as long as the thread lives.
                std::mem::forget(tracing::dispatcher::set_default(&on_each));
            });
            let runtime = runtime.build().unwrap();
            tracing::dispatcher::with_default(&dispatch, || {
                runtime.block_on(async {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    work(name).await;
                });
            });
            // Kept, so that its threads do not end while their spans are told.
            std::mem::forget(runtime);
        })
    };
    let (first, second) = (runtime("first"), runtime("second"));
    let client_runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = client_runtime.block_on(async {
        let mut client = Client::attach(&address).await;
        client.read("end of both", |told| told.have_ended("last", 2)).await;
        let updates = client.told.updates;
        client.read("update after it", |told| told.updates > updates + 2).await;
        client
    });
    first.join().unwrap();
    second.join().unwrap();
    let told = &client.told;
    assert_eq!(told.dropped, 0);
    for name in ["first", "second"] {
        let ids: Vec<u64> =
            told.tasks.iter().filter(|(_, task)| text(&task.fields, "task.name") == name).map(|(id, _)| *id).collect();
        assert_eq!(ids.len(), TASKS, "{name}");
        for id in ids {
            let stats = &told.task_stats[&id];
            let polls = stats.poll_stats.unwrap();
            assert!(stats.dropped_at.is_some(), "{stats:?}");
            assert!(polls.polls >= 2 && polls.polls <= stats.wakes + 2, "{stats:?}");
            assert!(stats.waker_drops <= stats.waker_clones + stats.wakes, "{stats:?}");
        }
    }
    for stats in told.op_stats.values() {
        assert!(stats.dropped_at.is_some(), "an operation never ended: {stats:?}");
    }
}
