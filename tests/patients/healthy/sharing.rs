//! Locks and semaphores that are shared as they should be.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, RwLock, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio::{join, select};

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
        id: "failing-workers",
        about: "Twelve workers share one receiver behind a mutex; one job in twenty fails, which ends its worker, and a supervisor restarts it.",
        run: failing_workers,
    },
    Pattern {
        id: "sleeping-leader",
        about: "One of three nodes leads for good and sleeps for 25 seconds between two rounds, while the others stand by.",
        run: sleeping_leader,
    },
    Pattern {
        id: "long-settlement",
        about: "Payments take a lock for a moment; every twenty seconds a settlement holds it for 1.7 s.",
        run: long_settlement,
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
    Pattern {
        id: "limited-workers",
        about: "Sixteen workers, of which a semaphore lets four call a peer at a time.",
        run: limited_workers,
    },
    Pattern {
        id: "impatient-downloads",
        about: "Three tasks of four downloads each share three slots; who gets none for a while says so and tries again, for up to a minute.",
        run: impatient_downloads,
    },
    Pattern {
        id: "long-downloads",
        about: "Two tasks of four downloads each share four slots: for twenty seconds each has two downloads that make progress, and two that wait.",
        run: long_downloads,
    },
    Pattern {
        id: "refilled-quota",
        about: "Five calls are let through every twenty seconds, and whoever comes too late waits for a second and fails.",
        run: refilled_quota,
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

async fn work_until_one_fails(jobs: Arc<Mutex<mpsc::Receiver<u64>>>) {
    loop {
        let job = jobs.lock().await.recv().await;
        let Some(job) = job else { break };
        sleep(Duration::from_millis(if job.is_multiple_of(30) { 8_000 } else { 100 + job * 37 % 400 })).await;
        if job % 20 == 7 {
            break;
        }
    }
}

fn failing_workers() {
    service::workers(2).block_on(async {
        let (sender, jobs) = mpsc::channel(64);
        let jobs = Arc::new(Mutex::new(jobs));
        tokio::spawn(async move {
            // All workers have the same spawn site.
            let mut workers = JoinSet::new();
            loop {
                while workers.len() < 12 {
                    workers.spawn(work_until_one_fails(jobs.clone()));
                }
                workers.join_next().await;
                sleep(Duration::from_millis(300)).await;
            }
        });
        let mut due = interval(Duration::from_millis(150));
        for job in 0.. {
            due.tick().await;
            if sender.send(job).await.is_err() {
                break;
            }
        }
    });
}

async fn lead(leadership: Arc<Mutex<u64>>) {
    let mut term = leadership.lock().await;
    loop {
        sleep(Duration::from_secs(25)).await;
        *term += 1;
    }
}

fn sleeping_leader() {
    service::workers(2).block_on(async {
        let leadership = Arc::new(Mutex::new(0));
        for _ in 0..3 {
            tokio::spawn(lead(leadership.clone()));
        }
        pending::<()>().await;
    });
}

async fn settle(books: Arc<Mutex<u64>>) {
    loop {
        sleep(Duration::from_secs(18)).await;
        let mut books = books.lock().await;
        sleep(Duration::from_millis(1_700)).await;
        *books = 0;
    }
}

fn long_settlement() {
    service::workers(2).block_on(async {
        let books = Arc::new(Mutex::new(0));
        tokio::spawn(settle(books.clone()));
        let mut due = interval(Duration::from_millis(80));
        loop {
            due.tick().await;
            let books = books.clone();
            tokio::spawn(async move { *books.lock().await += 1 });
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

async fn crawl(calls: Arc<Semaphore>, worker: u64) {
    for page in 0_u64.. {
        let Ok(call) = calls.acquire().await else { return };
        sleep(Duration::from_millis(250 + page * 37 % 100)).await;
        drop(call);
        sleep(Duration::from_millis(10 + worker)).await;
    }
}

fn limited_workers() {
    service::workers(2).block_on(async {
        let calls = Arc::new(Semaphore::new(4));
        for worker in 0..16 {
            tokio::spawn(crawl(calls.clone(), worker));
        }
        pending::<()>().await;
    });
}

async fn download(slots: &Semaphore, number: u64) {
    for part in 0_u64.. {
        let patience = Duration::from_millis(4_500 + 300 * number);
        let Ok(slot) = timeout(patience, slots.acquire()).await else { continue };
        sleep(Duration::from_millis(if part == 0 { 50 } else { 60_000 })).await;
        drop(slot);
    }
}

async fn long_download(slots: &Semaphore, begins_after: Duration) {
    sleep(begins_after).await;
    let Ok(_slot) = slots.acquire().await else { return };
    for _chunk in 0..200 {
        sleep(Duration::from_millis(100)).await;
    }
}

async fn download_files(slots: Arc<Semaphore>, task: u64) {
    loop {
        for _small_file in 0..80 {
            let _slot = slots.acquire().await;
            sleep(Duration::from_millis(50)).await;
        }
        // In turns with the other task, so that each gets two slots.
        let [first, second, third, fourth] = [0, 1, 2, 3].map(|nth| Duration::from_millis(200 * nth + 100 * task));
        join!(
            long_download(&slots, first),
            long_download(&slots, second),
            long_download(&slots, third),
            long_download(&slots, fourth),
        );
    }
}

fn long_downloads() {
    service::workers(2).block_on(async {
        let slots = Arc::new(Semaphore::new(4));
        for task in 0..2 {
            tokio::spawn(download_files(Arc::clone(&slots), task));
        }
        pending::<()>().await;
    });
}

fn impatient_downloads() {
    service::workers(2).block_on(async {
        let slots = Arc::new(Semaphore::new(3));
        // Whoever watches sees the slots before they are taken.
        sleep(Duration::from_secs(2)).await;
        for _mirror in 0..3 {
            let slots = slots.clone();
            tokio::spawn(async move {
                join!(download(&slots, 1), download(&slots, 2), download(&slots, 3), download(&slots, 4));
            });
        }
        pending::<()>().await;
    });
}

async fn call_within(quota: Arc<Semaphore>) {
    if let Ok(Ok(call)) = timeout(Duration::from_secs(1), quota.acquire()).await {
        call.forget();
        sleep(Duration::from_millis(20)).await;
    }
}

fn refilled_quota() {
    service::workers(2).block_on(async {
        let quota = Arc::new(Semaphore::new(5));
        let (mut refill, mut arrival) = (interval(Duration::from_secs(20)), interval(Duration::from_millis(200)));
        refill.tick().await;
        loop {
            select! {
                _ = refill.tick() => quota.add_permits(5 - quota.available_permits()),
                _ = arrival.tick() => drop(tokio::spawn(call_within(quota.clone()))),
            }
        }
    });
}
