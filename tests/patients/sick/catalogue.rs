//! A price catalogue behind a fair `RwLock`: readers that wait for a writer which waits for them.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::RwLock;
use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;

use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "rwlock-upgrade",
        about: "A task asks for the write lock while it still holds its own read guard.",
        finding: "deadlock",
        severity: Severity::Critical,
        also: &[],
        onset: Duration::from_millis(300),
        within: Duration::from_secs(15),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: fill_on_miss,
    },
    Illness {
        id: "recursive-read",
        about: "A reader reads again inside its read guard after a writer has queued in between.",
        finding: "deadlock",
        severity: Severity::Critical,
        also: &[],
        onset: Duration::from_millis(150),
        within: Duration::from_secs(20),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: read_inside_read,
    },
];

const SOURCE: Source = Source { file: "sick/catalogue.rs", text: include_str!("catalogue.rs") };

type Prices = Arc<RwLock<HashMap<u32, u32>>>;

fn first_prices() -> HashMap<u32, u32> {
    (0..50).map(|article| (article, article * 3 + 1)).collect()
}

async fn look_up_or_fill(prices: Prices) -> u32 {
    sleep(Duration::from_millis(300)).await;
    let known = prices.read().await;
    match known.get(&77) {
        Some(price) => *price,
        None => *prices.write().await.entry(77).or_insert(12),
    }
}

async fn browse(prices: Prices) {
    let mut due = interval(Duration::from_millis(80));
    loop {
        due.tick().await;
        let _known = prices.read().await.get(&3).copied();
    }
}

fn fill_on_miss() {
    service::workers(2).block_on(async {
        let prices = Arc::new(RwLock::new(first_prices())); // <- rwlock-upgrade
        tokio::spawn(browse(prices.clone()));
        tokio::spawn(browse(prices.clone()));
        tokio::spawn(look_up_or_fill(prices)); // <- rwlock-upgrade
        pending::<()>().await;
    });
}

async fn discount(prices: &RwLock<HashMap<u32, u32>>, article: u32) -> u32 {
    prices.read().await.get(&article).map_or(0, |price| price / 10)
}

async fn quote(prices: Prices) {
    loop {
        let known = prices.read().await;
        // Converts the currency at a rate that another service knows.
        sleep(Duration::from_millis(150)).await;
        let rebate = discount(&prices, 7).await;
        let _total = known.get(&7).map(|price| price - rebate);
    }
}

async fn change_prices(prices: Prices) {
    let mut due = interval(Duration::from_millis(50));
    loop {
        due.tick().await;
        prices.write().await.insert(7, 20);
    }
}

fn read_inside_read() {
    service::workers(2).block_on(async {
        let prices = Arc::new(RwLock::new(first_prices())); // <- recursive-read
        tokio::spawn(quote(prices.clone())); // <- recursive-read
        tokio::spawn(change_prices(prices)); // <- recursive-read
        pending::<()>().await;
    });
}
