//! Queues that tell of themselves with `tokio-canary-channels`, and get longer, stay full, or lose what they hold.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;
use tokio_canary_channels::broadcast::error::RecvError;
use tokio_canary_channels::{Probe, broadcast, mpsc};

use super::Condition::{Late, Load};
use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "unbounded-growth",
        about: "Webhooks come in 150 times a second and go into an unbounded channel, whose only consumer delivers 40.",
        finding: "growing-queue",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(15),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: unbounded,
    },
    Illness {
        id: "full-counted-channel",
        about: "Six importers share a channel of 32 places that tells of itself; the writer needs 200 ms a row.",
        finding: "full-channel",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(15),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: bounded,
    },
    Illness {
        id: "slow-leak",
        about: "Of twelve entries a second two are put back into their unbounded queue again and again.",
        finding: "growing-queue",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(75),
        under: &[Late, Load],
        computes: false,
        source: SOURCE,
        run: slow_leak,
    },
    Illness {
        id: "broadcast-lag",
        about: "A subscriber stores each of fifty price changes a second, which takes 50 ms, and misses more than half.",
        finding: "lagging-receiver",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(15),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: broadcast_lag,
    },
    Illness {
        id: "growing-outbox",
        about: "An outbox behind a lock of std, seen through a probe, gets more than its flusher sends in each round.",
        finding: "growing-queue",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(45),
        under: &[Late, Load],
        computes: false,
        source: SOURCE,
        run: outbox,
    },
];

const SOURCE: Source = Source { file: "sick/backlogs.rs", text: include_str!("backlogs.rs") };

async fn accept(hooks: mpsc::UnboundedSender<[u64; 4]>, every: Duration) {
    let mut due = interval(every);
    for number in 0.. {
        due.tick().await;
        if hooks.send([number; 4]).is_err() {
            break;
        }
    }
}

async fn deliver(mut hooks: mpsc::UnboundedReceiver<[u64; 4]>) {
    while hooks.recv().await.is_some() {
        sleep(Duration::from_millis(25)).await;
    }
}

fn unbounded() {
    service::workers(2).block_on(async {
        let (sender, hooks) = mpsc::unbounded_channel(); // <- unbounded-growth
        tokio::spawn(deliver(hooks));
        for _ in 0..3 {
            tokio::spawn(accept(sender.clone(), Duration::from_millis(20)));
        }
        pending::<()>().await;
    });
}

async fn import(rows: mpsc::Sender<u64>) {
    for row in 0.. {
        if rows.send(row).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn write_rows(mut rows: mpsc::Receiver<u64>) {
    while rows.recv().await.is_some() {
        sleep(Duration::from_millis(200)).await;
    }
}

fn bounded() {
    service::workers(2).block_on(async {
        let (sender, rows) = mpsc::channel_named("rows", 32); // <- full-counted-channel
        tokio::spawn(write_rows(rows));
        for _ in 0..6 {
            tokio::spawn(import(sender.clone()));
        }
        pending::<()>().await;
    });
}

/// An entry that cannot be done is put back, and one in six never can.
async fn retry(mut entries: mpsc::UnboundedReceiver<u64>, again: mpsc::UnboundedSender<u64>) {
    while let Some(entry) = entries.recv().await {
        sleep(Duration::from_millis(80)).await;
        if entry % 6 == 0 && again.send(entry).is_err() {
            break;
        }
    }
}

async fn submit(entries: mpsc::UnboundedSender<u64>) {
    let mut due = interval(Duration::from_millis(83));
    for entry in 0.. {
        due.tick().await;
        if entries.send(entry).is_err() {
            break;
        }
    }
}

fn slow_leak() {
    service::workers(2).block_on(async {
        let (sender, entries) = mpsc::unbounded_channel_named("retries"); // <- slow-leak
        tokio::spawn(retry(entries, sender.clone()));
        tokio::spawn(submit(sender));
        pending::<()>().await;
    });
}

async fn quote(prices: broadcast::Sender<u64>) {
    let mut due = interval(Duration::from_millis(20));
    for price in 0.. {
        due.tick().await;
        if prices.send(price).is_err() {
            break;
        }
    }
}

async fn show(mut prices: broadcast::Receiver<u64>) {
    while prices.recv().await.is_ok() {}
}

async fn store(mut prices: broadcast::Receiver<u64>) {
    loop {
        match prices.recv().await {
            Ok(_) => sleep(Duration::from_millis(50)).await,
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => break,
        }
    }
}

fn broadcast_lag() {
    service::workers(2).block_on(async {
        let (prices, first) = broadcast::channel(64); // <- broadcast-lag
        tokio::spawn(store(first));
        tokio::spawn(show(prices.subscribe()));
        tokio::spawn(quote(prices));
        pending::<()>().await;
    });
}

type Outbox = Arc<Mutex<VecDeque<u64>>>;

async fn compose(outbox: Outbox) {
    let mut due = interval(Duration::from_millis(10));
    for mail in 0.. {
        due.tick().await;
        outbox.lock().unwrap_or_else(PoisonError::into_inner).push_back(mail);
    }
}

async fn flush(outbox: Outbox) {
    let mut due = interval(Duration::from_millis(500));
    loop {
        due.tick().await;
        let mut outbox = outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let some = outbox.len().min(20);
        outbox.drain(..some);
    }
}

fn outbox() {
    service::workers(2).block_on(async {
        let outbox = Outbox::default();
        let seen = outbox.clone();
        let depth = move || seen.lock().unwrap_or_else(PoisonError::into_inner).len();
        let _probe = Probe::new("outbox", depth); // <- growing-outbox
        tokio::spawn(compose(outbox.clone()));
        tokio::spawn(flush(outbox));
        pending::<()>().await;
    });
}
