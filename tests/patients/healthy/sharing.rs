//! Locks and semaphores that are shared as they should be.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, RwLock, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use super::Pattern;
use crate::service;

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "free-locks",
        about: "A mutex, a read-write lock and a semaphore that are taken for a moment now and then, or never.",
        run: free_locks,
    },
    Pattern {
        id: "lock-with-timeout",
        about: "A lock that is sometimes kept for 600 ms, by others asked for with a timeout and tried again.",
        run: lock_with_timeout,
    },
    Pattern {
        id: "worker-pool",
        about: "Four workers share one receiver behind a mutex, so that one of them holds it whenever they are idle.",
        run: worker_pool,
    },
    Pattern {
        id: "connection-limit",
        about: "An acceptor takes an owned permit, spawns a task with it, and waits for the next.",
        run: connection_limit,
    },
    Pattern {
        id: "batch-limiter",
        about: "Batches of 30 tasks, of which a semaphore lets six work at a time.",
        run: batch_limiter,
    },
];

struct Shared {
    visits: Mutex<u64>,
    settings: RwLock<u64>,
    exports: Semaphore,
}

async fn visit(shared: Arc<Shared>) {
    let mut due = interval(Duration::from_millis(100));
    for visit in 0_u64.. {
        due.tick().await;
        *shared.visits.lock().await += 1;
        let _setting = *shared.settings.read().await;
        if visit.is_multiple_of(10) {
            *shared.settings.write().await = visit;
        }
        let _export = shared.exports.acquire().await;
    }
}

fn free_locks() {
    service::workers(2).block_on(async {
        let shared = Shared { visits: Mutex::new(0), settings: RwLock::new(0), exports: Semaphore::new(2) };
        let unused = (Mutex::new(()), RwLock::new(()), Semaphore::new(0));
        tokio::spawn(visit(Arc::new(shared)));
        pending::<()>().await;
        drop(unused);
    });
}

async fn rebuild(index: Arc<Mutex<u64>>) {
    let mut due = interval(Duration::from_secs(4));
    loop {
        due.tick().await;
        let mut index = index.lock().await;
        sleep(Duration::from_millis(600)).await;
        *index += 1;
    }
}

async fn search(index: Arc<Mutex<u64>>) {
    let mut due = interval(Duration::from_millis(700));
    loop {
        due.tick().await;
        for _attempt in 0..5 {
            if timeout(Duration::from_millis(150), index.lock()).await.is_ok() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn lock_with_timeout() {
    service::workers(2).block_on(async {
        let index = Arc::new(Mutex::new(0));
        tokio::spawn(rebuild(index.clone()));
        tokio::spawn(search(index));
        pending::<()>().await;
    });
}

async fn work(jobs: Arc<Mutex<mpsc::Receiver<u64>>>) {
    loop {
        let job = jobs.lock().await.recv().await;
        let Some(job) = job else { break };
        sleep(Duration::from_millis(20 + job * 11 % 40)).await;
    }
}

fn worker_pool() {
    service::workers(2).block_on(async {
        let (sender, jobs) = mpsc::channel(64);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..4 {
            tokio::spawn(work(jobs.clone()));
        }
        let mut due = interval(Duration::from_millis(300));
        for job in 0.. {
            due.tick().await;
            if sender.send(job).await.is_err() {
                break;
            }
        }
    });
}

fn connection_limit() {
    service::workers(2).block_on(async {
        let free = Arc::new(Semaphore::new(3));
        for visitor in 0_u64.. {
            let Ok(place) = free.clone().acquire_owned().await else {
                break;
            };
            tokio::spawn(async move {
                sleep(Duration::from_millis(400 + visitor * 173 % 800)).await;
                drop(place);
            });
        }
    });
}

async fn send_mail(slots: Arc<Semaphore>) {
    if let Ok(_slot) = slots.acquire().await {
        sleep(Duration::from_millis(60)).await;
    }
}

fn batch_limiter() {
    service::workers(2).block_on(async {
        let slots = Arc::new(Semaphore::new(6));
        let mut due = interval(Duration::from_secs(6));
        loop {
            due.tick().await;
            let mut batch = JoinSet::new();
            for _ in 0..30 {
                batch.spawn(send_mail(slots.clone()));
            }
            while batch.join_next().await.is_some() {}
        }
    });
}
