//! Services that drop tasks, hand over short jobs and keep many wakers, and mean it.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::{Notify, broadcast};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{interval, sleep};

use super::Pattern;
use crate::service;

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern { id: "replica-race", about: "Three replicas are asked, and the first answer counts.", run: replica_race },
    Pattern {
        id: "topic-forwarders",
        about: "Connections of all lengths, each with four tasks that forward topics until it is closed.",
        run: topic_forwarders,
    },
    Pattern {
        id: "reloaded-workers",
        about: "A pool of workers that is dropped and made anew when its settings change, twice a minute.",
        run: reloaded_workers,
    },
    Pattern {
        id: "short-jobs-in-bursts",
        about: "A report makes three hundred short blocking jobs every few seconds.",
        run: short_jobs_in_bursts,
    },
    Pattern {
        id: "many-waits",
        about: "One task waits for more and more replies until there are two thousand of them.",
        run: many_waits,
    },
];

async fn ask(question: u64, replica: u64) -> u64 {
    sleep(Duration::from_millis(30 + (question * 7 + replica * 29) % 80)).await;
    replica
}

async fn first_answer(question: u64) -> Option<u64> {
    let mut replicas = JoinSet::new();
    for replica in 0..3 {
        replicas.spawn(ask(question, replica));
    }
    replicas.join_next().await?.ok()
}

fn replica_race() {
    service::workers(2).block_on(async {
        let mut due = interval(Duration::from_millis(250));
        for question in 0.. {
            due.tick().await;
            tokio::spawn(first_answer(question));
        }
    });
}

async fn forward(mut topic: broadcast::Receiver<u64>) {
    while topic.recv().await.is_ok() {}
}

async fn connection(topic: broadcast::Sender<u64>, number: u64) {
    let mut topics = JoinSet::new();
    for _ in 0..4 {
        topics.spawn(forward(topic.subscribe()));
    }
    sleep(Duration::from_millis(600 + number * 733 % 4_000)).await;
}

fn topic_forwarders() {
    service::workers(2).block_on(async {
        let (topic, _) = broadcast::channel(64);
        let mut arrival = interval(Duration::from_millis(700));
        for number in 0.. {
            arrival.tick().await;
            tokio::spawn(connection(topic.clone(), number));
            if number % 3 == 0 {
                // Nobody may be listening.
                let _heard_by = topic.send(number);
            }
        }
    });
}

async fn work_on(shard: u64) {
    let mut due = interval(Duration::from_millis(500 + shard * 20));
    loop {
        due.tick().await;
    }
}

fn reloaded_workers() {
    service::workers(2).block_on(async {
        loop {
            let mut workers = JoinSet::new();
            for shard in 0..12 {
                workers.spawn(work_on(shard));
            }
            sleep(Duration::from_secs(30)).await;
        }
    });
}

fn short_jobs_in_bursts() {
    service::workers(2).block_on(async {
        let mut due = interval(Duration::from_secs(4));
        loop {
            due.tick().await;
            for line in 0_u64..300 {
                let _width = spawn_blocking(move || line.to_string().len()).await;
            }
        }
    });
}

async fn reply(arrived: Arc<Notify>) {
    arrived.notified().await;
}

fn many_waits() {
    service::workers(2).block_on(async {
        tokio::spawn(async {
            let arrived = Arc::new(Notify::new());
            let mut replies = vec![Box::pin(reply(arrived.clone()))];
            let mut more = interval(Duration::from_millis(100));
            loop {
                tokio::select! {
                    _ = more.tick() => {}
                    _ = select_all(replies.iter_mut()) => break,
                }
                if replies.len() < 2_000 {
                    replies.extend((0..20).map(|_| Box::pin(reply(arrived.clone()))));
                }
            }
        });
        pending::<()>().await;
    });
}
