//! Work that keeps a processor or a thread busy, where that is allowed.

use std::future::pending;
use std::thread;
use std::time::Duration;

use tokio::task::{block_in_place, spawn_blocking, yield_now};
use tokio::time::{interval, sleep};

use super::Pattern;
use crate::service;

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "long-blocking-jobs",
        about: "Blocking jobs of a minute, in the pool that is made for them.",
        run: long_blocking_jobs,
    },
    Pattern {
        id: "job-outlives-task",
        about: "Tasks that start a blocking job of 20 seconds and end, and so stay listed until it has ended too.",
        run: job_outlives_task,
    },
    Pattern {
        id: "block-in-place",
        about: "A task that blocks for three seconds at a time, after telling the runtime.",
        run: blocks_in_place,
    },
    Pattern {
        id: "sliced-work",
        about: "Half a second of work in slices of a millisecond, with a yield after each.",
        run: sliced_work,
    },
    Pattern { id: "start-up", about: "A start with long polls and many tasks, and then quiet.", run: start_up },
    Pattern {
        id: "late-start",
        about: "Tasks that are spawned on a runtime whose only thread still loads its settings for six seconds.",
        run: late_start,
    },
    Pattern { id: "rare-long-poll", about: "One password hash of 60 ms every eight seconds.", run: rare_long_poll },
];

fn export() {
    thread::sleep(Duration::from_secs(60));
}

fn long_blocking_jobs() {
    service::workers(2).block_on(async {
        loop {
            let first = spawn_blocking(export);
            let second = spawn_blocking(export);
            // A job that panics is as finished as any other.
            let _ = tokio::join!(first, second);
        }
    });
}

async fn upload() {
    spawn_blocking(|| thread::sleep(Duration::from_secs(20)));
    sleep(Duration::from_millis(50)).await;
}

fn job_outlives_task() {
    service::workers(2).block_on(async {
        let mut due = interval(Duration::from_secs(4));
        loop {
            due.tick().await;
            tokio::spawn(upload());
        }
    });
}

async fn compact() {
    let mut due = interval(Duration::from_secs(5));
    loop {
        due.tick().await;
        block_in_place(|| thread::sleep(Duration::from_secs(3)));
    }
}

async fn beat() {
    let mut due = interval(Duration::from_millis(200));
    loop {
        due.tick().await;
    }
}

fn blocks_in_place() {
    service::workers(2).block_on(async {
        tokio::spawn(compact());
        tokio::spawn(beat());
        pending::<()>().await;
    });
}

async fn reindex() {
    loop {
        for _ in 0..500 {
            service::compute(Duration::from_millis(1));
            yield_now().await;
        }
        sleep(Duration::from_secs(3)).await;
    }
}

fn sliced_work() {
    service::workers(2).block_on(async {
        tokio::spawn(reindex());
        tokio::spawn(beat());
        pending::<()>().await;
    });
}

async fn load_cache() {
    for _ in 0..20 {
        service::compute(Duration::from_millis(30));
        yield_now().await;
    }
}

async fn warm_up(entry: u64) {
    sleep(Duration::from_millis(20 + entry % 50)).await;
}

fn start_up() {
    service::workers(2).block_on(async {
        tokio::spawn(load_cache());
        for entry in 0..200 {
            tokio::spawn(warm_up(entry));
        }
        beat().await;
    });
}

fn late_start() {
    let runtime = service::current_thread();
    for _ in 0..10 {
        runtime.spawn(beat());
    }
    thread::sleep(Duration::from_secs(6));
    runtime.block_on(pending::<()>());
}

async fn sign_in() {
    let mut due = interval(Duration::from_secs(8));
    loop {
        due.tick().await;
        service::compute(Duration::from_millis(60));
    }
}

fn rare_long_poll() {
    service::workers(2).block_on(async {
        tokio::spawn(sign_in());
        tokio::spawn(beat());
        pending::<()>().await;
    });
}
