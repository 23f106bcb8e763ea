//! Tasks that meet at barriers, read together or work long under a limit, as they should.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Barrier, Mutex, RwLock, Semaphore};
use tokio::time::{interval, sleep};

use super::Pattern;
use crate::service;

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "barrier-rounds",
        about: "Three parties meet at a barrier again and again, and one of them takes longer than the others.",
        run: barrier_rounds,
    },
    Pattern {
        id: "slow-start",
        about: "Components meet when they are ready; one of them loads its index for most of a minute first.",
        run: slow_start,
    },
    Pattern {
        id: "long-jobs",
        about: "Two exports at a time work for most of a minute each, and others wait for their turn.",
        run: long_jobs,
    },
    Pattern {
        id: "read-mostly",
        about: "A table that is read all the time, written now and then, and rarely read for 300 ms.",
        run: read_mostly,
    },
    Pattern {
        id: "two-locks",
        about: "Two locks in opposite order, but one at a time; and two others inside a third.",
        run: two_locks,
    },
];

async fn take_part(step: Arc<Barrier>, work: Duration) {
    loop {
        sleep(work).await;
        step.wait().await;
    }
}

fn barrier_rounds() {
    service::workers(2).block_on(async {
        let step = Arc::new(Barrier::new(3));
        for seconds in [1, 1, 4] {
            tokio::spawn(take_part(step.clone(), Duration::from_secs(seconds)));
        }
        pending::<()>().await;
    });
}

async fn start_component(number: u64, ready: Arc<Barrier>) {
    let parts = if number == 0 { 450 } else { 3 };
    for _part in 0..parts {
        sleep(Duration::from_millis(100)).await;
    }
    ready.wait().await;
    let mut due = interval(Duration::from_millis(500));
    loop {
        due.tick().await;
    }
}

fn slow_start() {
    service::workers(2).block_on(async {
        let ready = Arc::new(Barrier::new(4));
        for number in 0..4 {
            tokio::spawn(start_component(number, ready.clone()));
        }
        pending::<()>().await;
    });
}

async fn export(slots: Arc<Semaphore>) {
    loop {
        let Ok(slot) = slots.acquire().await else { return };
        for _page in 0..20 {
            sleep(Duration::from_millis(2_300)).await;
        }
        drop(slot);
    }
}

fn long_jobs() {
    service::workers(2).block_on(async {
        let slots = Arc::new(Semaphore::new(2));
        for _ in 0..4 {
            tokio::spawn(export(slots.clone()));
        }
        pending::<()>().await;
    });
}

async fn read_often(table: Arc<RwLock<u64>>) {
    let mut due = interval(Duration::from_millis(60));
    loop {
        due.tick().await;
        let _row = *table.read().await;
    }
}

fn read_mostly() {
    service::workers(2).block_on(async {
        let table = Arc::new(RwLock::new(0));
        for _ in 0..4 {
            tokio::spawn(read_often(table.clone()));
        }
        let mut due = interval(Duration::from_millis(250));
        for turn in 0_u64.. {
            due.tick().await;
            if turn.is_multiple_of(60) {
                let row = table.read().await;
                sleep(Duration::from_millis(300)).await;
                drop(row);
            }
            *table.write().await += 1;
        }
    });
}

async fn one_after_the_other(locks: [Arc<Mutex<u64>>; 2], pause: Duration) {
    loop {
        for lock in &locks {
            let mut count = lock.lock().await;
            sleep(Duration::from_millis(30)).await;
            *count += 1;
        }
        sleep(pause).await;
    }
}

async fn both_inside_a_third(gate: Arc<Mutex<()>>, locks: [Arc<Mutex<u64>>; 2], pause: Duration) {
    loop {
        let gate = gate.lock().await;
        let mut first = locks[0].lock().await;
        sleep(Duration::from_millis(20)).await;
        let mut second = locks[1].lock().await;
        sleep(Duration::from_millis(30)).await;
        (*first, *second) = (*second, *first);
        drop((first, second, gate));
        sleep(pause).await;
    }
}

fn two_locks() {
    service::workers(2).block_on(async {
        let (left, right) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        let (front, back) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        let gate = Arc::new(Mutex::new(()));
        let millis = Duration::from_millis;
        tokio::spawn(one_after_the_other([left.clone(), right.clone()], millis(170)));
        tokio::spawn(one_after_the_other([right, left], millis(230)));
        tokio::spawn(both_inside_a_third(gate.clone(), [front.clone(), back.clone()], millis(290)));
        tokio::spawn(both_inside_a_third(gate, [back, front], millis(310)));
        pending::<()>().await;
    });
}
