//! Loops that ask again and again instead of waiting.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;

use super::Condition::Late;
use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "busy-loop",
        about: "A task asks whether a file is there, and yields, until it is.",
        finding: "busy-loop",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(30),
        under: EVERYWHERE,
        computes: true,
        source: SOURCE,
        run: asks_and_yields,
    },
    Illness {
        id: "closed-channel-loop",
        about: "A select! goes on receiving from a channel whose senders are gone.",
        finding: "busy-loop",
        severity: Severity::Warning,
        also: &["partial-feed"],
        onset: Duration::from_secs(5),
        within: Duration::from_secs(45),
        under: &[Late],
        computes: true,
        source: SOURCE,
        run: receives_from_a_closed_channel,
    },
];

const SOURCE: Source = Source { file: "sick/spinning.rs", text: include_str!("spinning.rs") };

async fn beat() {
    let mut due = interval(Duration::from_millis(200));
    loop {
        due.tick().await;
    }
}

async fn await_upload(there: Arc<AtomicBool>) {
    while !there.load(Ordering::Acquire) {
        yield_now().await;
    }
}

fn asks_and_yields() {
    service::workers(2).block_on(async {
        let there = Arc::new(AtomicBool::new(false));
        tokio::spawn(beat());
        tokio::spawn(await_upload(there.clone())); // <- busy-loop
        pending::<()>().await;
        there.store(true, Ordering::Release);
    });
}

async fn follow(mut orders: mpsc::UnboundedReceiver<u64>) {
    let mut total: u64 = 0;
    loop {
        tokio::select! {
            order = orders.recv() => total = total.saturating_add(order.unwrap_or_default()),
            () = sleep(Duration::from_secs(5)) => total /= 2,
        }
        if total == u64::MAX {
            break;
        }
    }
}

fn receives_from_a_closed_channel() {
    service::workers(2).block_on(async {
        let (orders, received) = mpsc::unbounded_channel();
        tokio::spawn(beat());
        tokio::spawn(follow(received)); // <- closed-channel-loop
        sleep(Duration::from_secs(5)).await;
        drop(orders);
        pending::<()>().await;
    });
}
