//! A mutex that everything goes through.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;

use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "contended-lock",
        about: "Thirty tasks share one mutex, which each keeps over a call of 50 ms.",
        finding: "contended-lock",
        severity: Severity::Warning,
        also: &["held-across-await"],
        onset: Duration::ZERO,
        within: Duration::from_secs(20),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: one_lock_for_all,
    },
    Illness {
        id: "held-across-await",
        about: "A task keeps a mutex while it waits for a peer that does not answer, and others queue for it.",
        finding: "held-across-await",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::from_millis(500),
        within: Duration::from_secs(15),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: guard_over_a_silent_peer,
    },
];

const SOURCE: Source = Source { file: "sick/contention.rs", text: include_str!("contention.rs") };

async fn serve_customer(customer: u64, sessions: Arc<Mutex<HashMap<u64, u64>>>) {
    loop {
        let mut sessions = sessions.lock().await;
        // Asks the database whether the session is still good.
        sleep(Duration::from_millis(50)).await;
        *sessions.entry(customer).or_default() += 1;
        drop(sessions);
        sleep(Duration::from_millis(100 + customer * 17 % 100)).await;
    }
}

fn one_lock_for_all() {
    service::workers(2).block_on(async {
        let sessions = Arc::new(Mutex::new(HashMap::new())); // <- contended-lock
        for customer in 0..30 {
            tokio::spawn(serve_customer(customer, sessions.clone()));
        }
        pending::<()>().await;
    });
}

type Peers = Arc<Mutex<HashMap<u64, u64>>>;

async fn announce(peers: Peers, acknowledged: Arc<Notify>) {
    sleep(Duration::from_millis(500)).await;
    let mut peers = peers.lock().await;
    acknowledged.notified().await;
    peers.clear();
}

async fn count_peers(peers: Peers) {
    let mut due = interval(Duration::from_millis(100));
    loop {
        due.tick().await;
        *peers.lock().await.entry(0).or_default() += 1;
    }
}

fn guard_over_a_silent_peer() {
    service::workers(2).block_on(async {
        let peers = Arc::new(Mutex::new(HashMap::new())); // <- held-across-await
        let acknowledged = Arc::new(Notify::new());
        tokio::spawn(announce(peers.clone(), acknowledged.clone()));
        for _ in 0..3 {
            tokio::spawn(count_peers(peers.clone()));
        }
        pending::<()>().await;
        acknowledged.notify_one();
    });
}
