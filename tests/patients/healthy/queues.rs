//! Bounded channels that are full for a moment or always, and yet move.

use std::future::pending;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{interval, sleep};

use super::Pattern;
use crate::service;

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "pipeline",
        about: "One producer that is always a channel ahead of its consumer: full, but moving.",
        run: pipeline,
    },
    Pattern {
        id: "bursts",
        about: "Every eight seconds three producers fill a channel that is empty again within a second.",
        run: bursts,
    },
    Pattern { id: "sampling", about: "A producer that throws away what does not fit, with try_send.", run: sampling },
];

async fn consume(mut items: mpsc::Receiver<u64>, effort: Duration) {
    while items.recv().await.is_some() {
        sleep(effort).await;
    }
}

async fn read_file(items: mpsc::Sender<u64>) {
    for item in 0.. {
        if items.send(item).await.is_err() {
            break;
        }
    }
}

fn pipeline() {
    service::workers(2).block_on(async {
        let (sender, items) = mpsc::channel(8);
        tokio::spawn(consume(items, Duration::from_millis(20)));
        tokio::spawn(read_file(sender));
        pending::<()>().await;
    });
}

async fn report(items: mpsc::Sender<u64>) {
    let mut due = interval(Duration::from_secs(8));
    loop {
        due.tick().await;
        for item in 0..30 {
            if items.send(item).await.is_err() {
                return;
            }
        }
    }
}

fn bursts() {
    service::workers(2).block_on(async {
        let (sender, items) = mpsc::channel(16);
        tokio::spawn(consume(items, Duration::from_millis(5)));
        for _ in 0..3 {
            tokio::spawn(report(sender.clone()));
        }
        pending::<()>().await;
    });
}

async fn sample(items: mpsc::Sender<u64>) {
    let mut due = interval(Duration::from_millis(15));
    for item in 0.. {
        due.tick().await;
        if let Err(mpsc::error::TrySendError::Closed(_)) = items.try_send(item) {
            break;
        }
    }
}

fn sampling() {
    service::workers(2).block_on(async {
        let (sender, items) = mpsc::channel(16);
        tokio::spawn(consume(items, Duration::from_millis(25)));
        tokio::spawn(sample(sender));
        pending::<()>().await;
    });
}
