//! Parts of a service that are missing, and locks that have not met yet.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::time::sleep;
use tokio_canary::detect::severity::Severity;

use super::{Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "vanished-singleton",
        about: "The only consumer of a service panics after 65 seconds, and requests go on being served.",
        finding: "vanished-singleton",
        severity: Severity::Info,
        also: &[],
        onset: Duration::from_secs(65),
        within: Duration::from_secs(30),
        under: &[],
        computes: false,
        source: SOURCE,
        run: a_consumer_that_panics,
    },
    Illness {
        id: "lock-order",
        about: "Orders and price changes take the same two locks in opposite order, in turns that have not met so far.",
        finding: "lock-order",
        severity: Severity::Info,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(90),
        under: &[],
        computes: false,
        source: SOURCE,
        run: opposite_orders,
    },
];

const SOURCE: Source = Source { file: "sick/vital.rs", text: include_str!("vital.rs") };

async fn consume(mut left: u32) {
    let mut due = tokio::time::interval(Duration::from_millis(500));
    loop {
        due.tick().await;
        // The message that nobody has thought of.
        left = left.checked_sub(1).unwrap_or_else(|| std::panic::resume_unwind(Box::new("no such message")));
    }
}

async fn serve_requests() {
    let mut due = tokio::time::interval(Duration::from_millis(150));
    loop {
        due.tick().await;
        tokio::spawn(sleep(Duration::from_millis(20)));
    }
}

fn a_consumer_that_panics() {
    service::workers(2).block_on(async {
        tokio::spawn(consume(130)); // <- vanished-singleton
        tokio::spawn(serve_requests());
        pending::<()>().await;
    });
}

type Shelf = Arc<Mutex<HashMap<u32, u32>>>;

async fn take_both(first: Shelf, second: Shelf, turn: Arc<Notify>, next: Arc<Notify>) {
    loop {
        turn.notified().await;
        sleep(Duration::from_millis(335)).await;
        let _first = first.lock().await;
        sleep(Duration::from_millis(100)).await;
        let _second = second.lock().await;
        sleep(Duration::from_millis(250)).await;
        next.notify_one();
    }
}

fn opposite_orders() {
    service::workers(2).block_on(async {
        let stock = Arc::new(Mutex::new(HashMap::new())); // <- lock-order
        let prices = Arc::new(Mutex::new(HashMap::new())); // <- lock-order
        let [orders, changes] = [Notify::new(), Notify::new()].map(Arc::new);
        tokio::spawn(take_both(stock.clone(), prices.clone(), orders.clone(), changes.clone())); // <- also lock-order
        tokio::spawn(take_both(prices, stock, changes, orders.clone())); // <- also lock-order
        orders.notify_one();
        pending::<()>().await;
    });
}
