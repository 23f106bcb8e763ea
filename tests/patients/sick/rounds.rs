//! Tasks that wait for others to come, or for permits that others keep.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Barrier, Notify, RwLock, Semaphore};
use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;

use super::Condition::Late;
use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "short-barrier",
        about: "Four shards are to start together, but one of them fails before it comes to the barrier.",
        finding: "abandoned-wait",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::from_millis(500),
        within: Duration::from_secs(50),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: a_party_too_few,
    },
    Illness {
        id: "lost-party",
        about: "Three regions meet after every step of a simulation, until one of them ends in the middle of a step.",
        finding: "abandoned-wait",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::from_secs(4),
        within: Duration::from_secs(55),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: a_party_that_leaves,
    },
    Illness {
        id: "kept-permits",
        about: "Callers keep all three permits of a limiter while they wait for a peer that has gone silent.",
        finding: "abandoned-wait",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::from_secs(5),
        within: Duration::from_secs(55),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: permits_for_a_silent_peer,
    },
    Illness {
        id: "reader-convoy",
        about: "Long reports read a table, writers come in between, and every quick reader waits behind those.",
        finding: "reader-convoy",
        severity: Severity::Warning,
        also: &["contended-lock", "held-across-await"],
        onset: Duration::ZERO,
        within: Duration::from_secs(25),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: reports_before_writers,
    },
    Illness {
        id: "permit-convoy",
        about: "A compaction that asks for all permits stands before small requests and waits for a slow backup.",
        finding: "reader-convoy",
        severity: Severity::Warning,
        also: &["growing-waiters"],
        onset: Duration::ZERO,
        within: Duration::from_secs(25),
        under: &[Late],
        computes: false,
        source: SOURCE,
        run: all_or_nothing,
    },
];

const SOURCE: Source = Source { file: "sick/rounds.rs", text: include_str!("rounds.rs") };

async fn serve_shard(number: u64, ready: Arc<Barrier>) {
    sleep(Duration::from_millis(100 + number * 50)).await;
    if number == 3 {
        // The disk is full: it gives up, and nobody takes its place.
        return;
    }
    ready.wait().await;
    pending::<()>().await;
}

async fn beat() {
    let mut due = interval(Duration::from_millis(200));
    loop {
        due.tick().await;
    }
}

fn a_party_too_few() {
    service::workers(2).block_on(async {
        let ready = Arc::new(Barrier::new(4)); // <- short-barrier
        for number in 0..4 {
            tokio::spawn(serve_shard(number, ready.clone()));
        }
        tokio::spawn(beat());
        pending::<()>().await;
    });
}

async fn simulate(region: u64, step: Arc<Barrier>) {
    for turn in 0_u64.. {
        sleep(Duration::from_millis(100 + (region * 7 + turn * 13) % 60)).await;
        if region == 1 && turn == 20 {
            return;
        }
        step.wait().await;
    }
}

fn a_party_that_leaves() {
    service::workers(2).block_on(async {
        let step = Arc::new(Barrier::new(3)); // <- lost-party
        for region in 0..3 {
            tokio::spawn(simulate(region, step.clone()));
        }
        tokio::spawn(beat());
        pending::<()>().await;
    });
}

struct Peer {
    answered: AtomicU64,
    awake: Notify,
}

async fn call(peer: &Peer) {
    sleep(Duration::from_millis(30)).await;
    if peer.answered.fetch_add(1, Ordering::Relaxed) >= 300 {
        peer.awake.notified().await;
    }
}

async fn call_on_and_on(slots: Arc<Semaphore>, peer: Arc<Peer>) {
    loop {
        let Ok(_slot) = slots.acquire().await else { return };
        call(&peer).await;
    }
}

fn permits_for_a_silent_peer() {
    service::workers(2).block_on(async {
        let slots = Arc::new(Semaphore::new(3)); // <- kept-permits
        let peer = Arc::new(Peer { answered: AtomicU64::new(0), awake: Notify::new() });
        for _ in 0..7 {
            tokio::spawn(call_on_and_on(slots.clone(), peer.clone()));
        }
        tokio::spawn(beat());
        pending::<()>().await;
        peer.awake.notify_waiters();
    });
}

type Table = Arc<RwLock<Vec<u64>>>;

async fn report(table: Table) {
    loop {
        let rows = table.read().await;
        // Sends the rows to a printer one by one.
        sleep(Duration::from_millis(450)).await;
        drop(rows);
        sleep(Duration::from_millis(120)).await;
    }
}

async fn update(table: Table) {
    let mut due = interval(Duration::from_millis(90));
    loop {
        due.tick().await;
        if let Some(row) = table.write().await.first_mut() {
            *row += 1;
        }
    }
}

async fn look_up(table: Table, pause: Duration) {
    loop {
        let _row = table.read().await.first().copied();
        sleep(pause).await;
    }
}

fn reports_before_writers() {
    service::workers(2).block_on(async {
        let table = Arc::new(RwLock::new(vec![1, 2, 3])); // <- reader-convoy
        tokio::spawn(report(table.clone()));
        tokio::spawn(update(table.clone()));
        for reader in 0..6 {
            tokio::spawn(look_up(table.clone(), Duration::from_millis(60 + reader * 11)));
        }
        pending::<()>().await;
    });
}

async fn use_disk(disk: Arc<Semaphore>, permits: u32, work: Duration, pause: Duration) {
    loop {
        let Ok(permit) = disk.acquire_many(permits).await else { return };
        sleep(work).await;
        drop(permit);
        sleep(pause).await;
    }
}

fn all_or_nothing() {
    service::workers(2).block_on(async {
        let disk = Arc::new(Semaphore::new(4)); // <- permit-convoy
        let millis = Duration::from_millis;
        tokio::spawn(use_disk(disk.clone(), 1, millis(700), millis(20)));
        tokio::spawn(use_disk(disk.clone(), 4, millis(1), millis(80)));
        for request in 0..3 {
            tokio::spawn(use_disk(disk.clone(), 1, millis(3), millis(60 + request * 9)));
        }
        pending::<()>().await;
    });
}
