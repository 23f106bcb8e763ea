//! Pipelines over bounded channels whose consumer is too slow, slower than it should be, or gone.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;

use super::Condition::{Late, Load};
use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "full-channel",
        about: "Eight producers share a channel of 16 places, whose consumer takes 300 ms an item.",
        finding: "full-channel",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(20),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: slow_consumer,
    },
    Illness {
        id: "stopped-consumer",
        about: "The consumer of a bounded channel waits for a signal that never comes, and its producers with it.",
        finding: "full-channel",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::from_millis(800),
        within: Duration::from_secs(15),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: stopped_consumer,
    },
    Illness {
        id: "growing-queue",
        about: "A channel of 2,000 places fills up in about a minute, since its consumer is slower than its producers.",
        finding: "growing-queue",
        severity: Severity::Warning,
        also: &["full-channel"],
        onset: Duration::ZERO,
        within: Duration::from_secs(45),
        under: &[Late, Load],
        computes: false,
        source: SOURCE,
        run: filling_channel,
    },
];

const SOURCE: Source = Source { file: "sick/queues.rs", text: include_str!("queues.rs") };

async fn ingest(lines: mpsc::Sender<u64>, pause: Duration) {
    for line in 0.. {
        if lines.send(line).await.is_err() {
            break;
        }
        sleep(pause).await;
    }
}

async fn index(mut lines: mpsc::Receiver<u64>, effort: Duration) {
    while lines.recv().await.is_some() {
        // Writes to a search index.
        sleep(effort).await;
    }
}

fn slow_consumer() {
    service::workers(2).block_on(async {
        let (sender, lines) = mpsc::channel(16);
        tokio::spawn(index(lines, Duration::from_millis(300)));
        for _ in 0..8 {
            tokio::spawn(ingest(sender.clone(), Duration::from_millis(5))); // <- full-channel
        }
        pending::<()>().await;
    });
}

async fn index_until_reload(mut lines: mpsc::Receiver<u64>, reloaded: Arc<Notify>) {
    for _ in 0..200 {
        lines.recv().await;
    }
    reloaded.notified().await;
    while lines.recv().await.is_some() {}
}

fn stopped_consumer() {
    service::workers(2).block_on(async {
        let (sender, lines) = mpsc::channel(32);
        let reloaded = Arc::new(Notify::new());
        tokio::spawn(index_until_reload(lines, reloaded.clone()));
        for _ in 0..3 {
            tokio::spawn(ingest(sender.clone(), Duration::from_millis(10))); // <- stopped-consumer
        }
        pending::<()>().await;
        reloaded.notify_one();
    });
}

async fn collect(lines: mpsc::Sender<u64>) {
    let mut due = interval(Duration::from_millis(80));
    for line in 0.. {
        due.tick().await;
        if lines.send(line).await.is_err() {
            break;
        }
    }
}

fn filling_channel() {
    service::workers(2).block_on(async {
        let (sender, lines) = mpsc::channel(2_000);
        tokio::spawn(index(lines, Duration::from_millis(60)));
        for _ in 0..4 {
            tokio::spawn(collect(sender.clone())); // <- growing-queue
        }
        pending::<()>().await;
    });
}
