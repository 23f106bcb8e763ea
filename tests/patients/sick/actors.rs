//! Actors that wait for each other, or for themselves, over bounded channels.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;

use super::Condition::{Late, Load};
use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "two-actors",
        about: "Two actors answer every message with two, until both inboxes are full and both wait for room in the other's.",
        finding: "full-channel",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::from_millis(800),
        within: Duration::from_secs(15),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: answers_that_multiply,
    },
    Illness {
        id: "self-drain",
        about: "The only reader of a queue also writes into it, and waits for room that only itself could make.",
        finding: "full-channel",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::from_secs(2),
        within: Duration::from_secs(20),
        under: &[Late, Load],
        computes: false,
        source: SOURCE,
        run: a_loop_that_feeds_itself,
    },
    Illness {
        id: "starved-arm",
        about: "A biased select! always finds a heartbeat, and never gets to the orders.",
        finding: "full-channel",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::from_secs(1),
        within: Duration::from_secs(15),
        under: &[Late, Load],
        computes: false,
        source: SOURCE,
        run: heartbeats_before_orders,
    },
    Illness {
        id: "locked-send",
        about: "A task sends on a full channel while it holds the lock that the receiver needs.",
        finding: "held-across-await",
        severity: Severity::Warning,
        also: &["full-channel", "deadlock"],
        onset: Duration::from_secs(1),
        within: Duration::from_secs(20),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: sends_under_a_lock,
    },
];

const SOURCE: Source = Source { file: "sick/actors.rs", text: include_str!("actors.rs") };

async fn play(mut inbox: mpsc::Receiver<u32>, opponent: mpsc::Sender<u32>) {
    while let Some(turn) = inbox.recv().await {
        sleep(Duration::from_millis(40)).await;
        for answer in [turn + 1, turn + 2] {
            if opponent.send(answer).await.is_err() {
                return;
            }
        }
    }
}

fn answers_that_multiply() {
    service::workers(2).block_on(async {
        let (white, to_white) = mpsc::channel(6);
        let (black, to_black) = mpsc::channel(6);
        if white.send(1).await.is_ok() {
            tokio::spawn(play(to_white, black)); // <- two-actors
            tokio::spawn(play(to_black, white)); // <- two-actors
        }
        pending::<()>().await;
    });
}

async fn crawl(mut pages: mpsc::Receiver<u64>, found: mpsc::Sender<u64>) {
    while let Some(page) = pages.recv().await {
        sleep(Duration::from_millis(25)).await;
        for link in 1..=3 {
            if found.send(page * 3 + link).await.is_err() {
                return;
            }
        }
    }
}

fn a_loop_that_feeds_itself() {
    service::current_thread().block_on(async {
        let (found, pages) = mpsc::channel(100);
        if found.send(1).await.is_ok() {
            tokio::spawn(crawl(pages, found)); // <- self-drain
        }
        pending::<()>().await;
    });
}

async fn beat(heartbeats: mpsc::UnboundedSender<u32>) {
    let mut due = interval(Duration::from_millis(5));
    for round in 0.. {
        due.tick().await;
        if (0..4).any(|peer| heartbeats.send(round + peer).is_err()) {
            return;
        }
    }
}

async fn order(orders: mpsc::Sender<u32>, customer: u32) {
    loop {
        sleep(Duration::from_millis(90)).await;
        if orders.send(customer).await.is_err() {
            return;
        }
    }
}

async fn serve(mut heartbeats: mpsc::UnboundedReceiver<u32>, mut orders: mpsc::Receiver<u32>) {
    loop {
        tokio::select! {
            biased;
            Some(_peer) = heartbeats.recv() => sleep(Duration::from_millis(3)).await,
            Some(_customer) = orders.recv() => sleep(Duration::from_millis(2)).await,
            else => return,
        }
    }
}

fn heartbeats_before_orders() {
    service::workers(2).block_on(async {
        let (heartbeats, alive) = mpsc::unbounded_channel();
        let (sender, orders) = mpsc::channel(8);
        tokio::spawn(beat(heartbeats));
        tokio::spawn(serve(alive, orders));
        for customer in 0..3 {
            tokio::spawn(order(sender.clone(), customer)); // <- starved-arm
        }
        pending::<()>().await;
    });
}

type Stock = Arc<Mutex<u64>>;

async fn sell(stock: Stock, sales: mpsc::Sender<u64>) {
    let mut due = interval(Duration::from_millis(30));
    loop {
        due.tick().await;
        let mut left = stock.lock().await;
        *left = left.wrapping_sub(1);
        if sales.send(*left).await.is_err() {
            return;
        }
    }
}

async fn refill(stock: Stock, mut sales: mpsc::Receiver<u64>) {
    while let Some(left) = sales.recv().await {
        // Asks the warehouse; meanwhile the next sales come in.
        sleep(Duration::from_millis(50)).await;
        *stock.lock().await = left + 1;
    }
}

fn sends_under_a_lock() {
    service::workers(2).block_on(async {
        let stock = Arc::new(Mutex::new(500)); // <- locked-send
        let (sender, sales) = mpsc::channel(4);
        tokio::spawn(sell(stock.clone(), sender)); // <- also locked-send
        tokio::spawn(refill(stock, sales));
        pending::<()>().await;
    });
}
