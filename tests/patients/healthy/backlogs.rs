//! Queues that tell of themselves with `tokio-canary-channels`, are deep at times, and are all right.

use std::future::pending;
use std::time::Duration;

use tokio::time::{interval, sleep, timeout};
use tokio_canary_channels::{broadcast, mpsc};

use super::Pattern;
use crate::service;

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "draining-bursts",
        about: "Every twenty seconds two thousand jobs come at once, and are done in about seven.",
        run: draining_bursts,
    },
    Pattern {
        id: "shrinking-backlog",
        about: "Sixty thousand jobs were waiting at the start, and get less all the time.",
        run: shrinking_backlog,
    },
    Pattern {
        id: "held-broadcast",
        about: "A receiver that nobody reads holds a broadcast channel open, while listeners come, keep up and go.",
        run: held_broadcast,
    },
    Pattern {
        id: "reply-channels",
        about: "Every request makes a channel for its answers, twenty times a second.",
        run: reply_channels,
    },
];

async fn work(mut jobs: mpsc::UnboundedReceiver<u64>, at_once: usize, pause: Duration) {
    let mut some = Vec::new();
    while jobs.recv_many(&mut some, at_once).await > 0 {
        some.clear();
        sleep(pause).await;
    }
}

fn draining_bursts() {
    service::workers(2).block_on(async {
        let (sender, jobs) = mpsc::unbounded_channel();
        tokio::spawn(work(jobs, 6, Duration::from_millis(20)));
        let mut due = interval(Duration::from_secs(20));
        loop {
            due.tick().await;
            for job in 0..2_000 {
                if sender.send(job).is_err() {
                    return;
                }
            }
        }
    });
}

async fn submit(jobs: mpsc::UnboundedSender<u64>) {
    let mut due = interval(Duration::from_millis(40));
    for job in 0.. {
        due.tick().await;
        if jobs.send(job).is_err() {
            break;
        }
    }
}

fn shrinking_backlog() {
    service::workers(2).block_on(async {
        let (sender, jobs) = mpsc::unbounded_channel_named("migration");
        for job in 0..60_000 {
            if sender.send(job).is_err() {
                return;
            }
        }
        tokio::spawn(work(jobs, 4, Duration::from_millis(50)));
        tokio::spawn(submit(sender));
        pending::<()>().await;
    });
}

async fn announce(events: broadcast::Sender<u64>) {
    let mut due = interval(Duration::from_millis(15));
    for event in 0.. {
        due.tick().await;
        if events.send(event).is_err() {
            break;
        }
    }
}

async fn listen(mut events: broadcast::Receiver<u64>) {
    while events.recv().await.is_ok() {}
}

fn held_broadcast() {
    service::workers(2).block_on(async {
        let (events, _held) = broadcast::channel(256);
        tokio::spawn(announce(events.clone()));
        let mut due = interval(Duration::from_secs(3));
        loop {
            due.tick().await;
            tokio::spawn(timeout(Duration::from_secs(20), listen(events.subscribe())));
        }
    });
}

async fn answer(replies: mpsc::Sender<u64>) {
    for part in 0..3 {
        sleep(Duration::from_millis(2)).await;
        if replies.send(part).await.is_err() {
            break;
        }
    }
}

async fn request() {
    let (sender, mut replies) = mpsc::channel(4);
    tokio::spawn(answer(sender));
    while replies.recv().await.is_some() {}
}

fn reply_channels() {
    service::workers(2).block_on(async {
        let mut due = interval(Duration::from_millis(50));
        loop {
            due.tick().await;
            tokio::spawn(request());
        }
    });
}
