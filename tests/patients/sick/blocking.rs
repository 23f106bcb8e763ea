//! Services whose tasks keep their thread: calls that block, work without an await, locks of the standard library.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_blocking, spawn_local};
use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;

use super::Condition::{CurrentThread, Late, Load};
use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "blocked-worker",
        about: "A task waits with a blocking call in its third poll and keeps one of two workers.",
        finding: "blocked-worker",
        severity: Severity::Critical,
        also: &["runtime-stalled"],
        onset: Duration::from_millis(400),
        within: Duration::from_secs(10),
        under: &[Late, Load],
        computes: false,
        source: SOURCE,
        run: blocking_call,
    },
    Illness {
        id: "blocked-current-thread",
        about: "A blocking call in one task stands on the only thread of a runtime, whose other tasks are woken in vain.",
        finding: "runtime-stalled",
        severity: Severity::Critical,
        also: &["blocked-worker"],
        onset: Duration::from_millis(400),
        within: Duration::from_secs(10),
        under: &[Late],
        computes: false,
        source: SOURCE,
        run: blocking_call_on_the_only_thread,
    },
    Illness {
        id: "std-lock-order",
        about: "Two tasks lock two mutexes of the standard library in opposite order and block both workers.",
        finding: "blocked-worker",
        severity: Severity::Critical,
        also: &["runtime-stalled"],
        onset: Duration::ZERO,
        within: Duration::from_secs(10),
        under: &[Late],
        computes: false,
        source: SOURCE,
        run: std_locks_in_opposite_order,
    },
    Illness {
        id: "std-lock-across-await",
        about: "A task keeps a guard of a standard mutex over an await, and a second task on that thread locks the same mutex.",
        finding: "blocked-worker",
        severity: Severity::Critical,
        also: &["runtime-stalled"],
        onset: Duration::from_millis(100),
        within: Duration::from_secs(10),
        under: &[Late],
        computes: false,
        source: SOURCE,
        run: std_guard_over_an_await,
    },
    Illness {
        id: "long-polls",
        about: "Every request computes for 20 to 60 ms without an await.",
        finding: "long-polls",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(20),
        under: EVERYWHERE,
        computes: true,
        source: SOURCE,
        run: rendering_in_requests,
    },
    Illness {
        id: "long-polls-in-worker",
        about: "Two long-lived workers compute for 30 to 50 ms on each job they receive.",
        finding: "long-polls",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::ZERO,
        within: Duration::from_secs(20),
        under: &[CurrentThread, Load],
        computes: true,
        source: SOURCE,
        run: thumbnails_in_workers,
    },
    Illness {
        id: "blocking-pool-backlog",
        about: "Lookups of 400 ms come ten a second to a blocking pool of two threads.",
        finding: "blocking-pool-backlog",
        severity: Severity::Warning,
        also: &["task-pileup"],
        onset: Duration::from_millis(300),
        within: Duration::from_secs(15),
        under: &[Late, Load],
        computes: false,
        source: SOURCE,
        run: lookups_in_a_small_pool,
    },
    Illness {
        id: "scheduling-delay",
        about: "Forty tasks compute for a millisecond at a time, more than their only thread can do.",
        finding: "scheduling-delay",
        severity: Severity::Warning,
        also: &["long-polls"],
        onset: Duration::ZERO,
        within: Duration::from_secs(30),
        under: &[Late],
        computes: true,
        source: SOURCE,
        run: more_work_than_workers,
    },
];

const SOURCE: Source = Source { file: "sick/blocking.rs", text: include_str!("blocking.rs") };

/// Longer than anybody watches.
const HOUR: Duration = Duration::from_secs(3_600);

async fn answer_health_checks() {
    let mut due = interval(Duration::from_millis(100));
    loop {
        due.tick().await;
    }
}

async fn resync() {
    let mut due = interval(Duration::from_millis(200));
    for round in 1_u32.. {
        due.tick().await;
        if round == 3 {
            // A client library without async support, and a server that does not answer.
            thread::sleep(HOUR);
        }
    }
}

fn blocking_call() {
    service::workers(2).block_on(async {
        tokio::spawn(answer_health_checks());
        tokio::spawn(resync()); // <- blocked-worker
        pending::<()>().await;
    });
}

async fn store_readings(mut readings: mpsc::UnboundedReceiver<u32>) {
    let mut highest = 0;
    while let Some(reading) = readings.recv().await {
        highest = reading.max(highest);
    }
}

/// A device on a thread of its own, as drivers are, which wakes tasks from outside the runtime.
fn measure(readings: &mpsc::UnboundedSender<u32>) {
    while readings.send(42).is_ok() {
        thread::sleep(Duration::from_millis(100));
    }
}

fn blocking_call_on_the_only_thread() {
    let (sender, readings) = mpsc::unbounded_channel();
    thread::spawn(move || measure(&sender));
    service::current_thread().block_on(async {
        tokio::spawn(answer_health_checks());
        tokio::spawn(store_readings(readings));
        tokio::spawn(resync()); // <- blocked-current-thread
        pending::<()>().await;
    });
}

type Shelf = Arc<Mutex<u32>>;

async fn move_goods(from: Shelf, to: Shelf) {
    loop {
        sleep(Duration::from_millis(10)).await;
        let mut from = from.lock().unwrap_or_else(PoisonError::into_inner);
        thread::sleep(Duration::from_millis(300));
        let mut to = to.lock().unwrap_or_else(PoisonError::into_inner);
        *from = from.saturating_sub(1);
        *to += 1;
    }
}

fn std_locks_in_opposite_order() {
    service::workers(2).block_on(async {
        let stock = Arc::new(Mutex::new(500));
        let reserved = Arc::new(Mutex::new(0));
        tokio::spawn(answer_health_checks());
        tokio::spawn(move_goods(stock.clone(), reserved.clone())); // <- std-lock-order
        tokio::spawn(move_goods(reserved, stock)); // <- std-lock-order
        pending::<()>().await;
    });
}

#[expect(clippy::await_holding_lock, reason = "this is the fault to be found")]
async fn save_session(session: Shelf) {
    loop {
        let mut visits = session.lock().unwrap_or_else(PoisonError::into_inner);
        sleep(Duration::from_millis(100)).await;
        *visits += 1;
    }
}

async fn count_visits(session: Shelf) {
    loop {
        sleep(Duration::from_millis(30)).await;
        let _visits = *session.lock().unwrap_or_else(PoisonError::into_inner);
    }
}

fn std_guard_over_an_await() {
    let main = async {
        let session = Arc::new(Mutex::new(0));
        spawn_local(answer_health_checks());
        spawn_local(save_session(session.clone()));
        spawn_local(count_visits(session)); // <- std-lock-across-await
        pending::<()>().await;
    };
    // The main task drives the local ones inside its own polls, and so is blocked with them.
    service::current_thread().block_on(LocalSet::new().run_until(main)); // <- also std-lock-across-await
}

/// A time between the two, not the same for two jobs in a row.
fn effort(job: u64, least: u64, most: u64) -> Duration {
    Duration::from_millis(least + job * 13 % (most - least + 1))
}

async fn render_page(request: u64) -> u64 {
    // Reads the request.
    sleep(Duration::from_millis(3)).await;
    service::compute(effort(request, 20, 60))
}

fn rendering_in_requests() {
    service::workers(2).block_on(async {
        let mut arrival = interval(Duration::from_millis(125));
        for request in 0.. {
            arrival.tick().await;
            tokio::spawn(render_page(request)); // <- long-polls
        }
    });
}

async fn make_thumbnails(mut jobs: mpsc::UnboundedReceiver<u64>) {
    while let Some(job) = jobs.recv().await {
        service::compute(effort(job, 30, 50));
    }
}

fn thumbnails_in_workers() {
    service::workers(2).block_on(async {
        let mut queues = Vec::new();
        for _ in 0..2 {
            let (queue, jobs) = mpsc::unbounded_channel();
            tokio::spawn(make_thumbnails(jobs)); // <- long-polls-in-worker
            queues.push(queue);
        }
        let mut arrival = interval(Duration::from_millis(130));
        for (job, queue) in (0..).zip(queues.iter().cycle()) {
            arrival.tick().await;
            if queue.send(job).is_err() {
                break;
            }
        }
    });
}

fn look_up() {
    // A resolver that waits for a server far away.
    thread::sleep(Duration::from_millis(400));
}

fn lookups_in_a_small_pool() {
    service::built(Builder::new_multi_thread().worker_threads(2).max_blocking_threads(2)).block_on(async {
        tokio::spawn(answer_health_checks());
        let mut arrival = interval(Duration::from_millis(100));
        loop {
            arrival.tick().await;
            spawn_blocking(look_up); // <- blocking-pool-backlog
        }
    });
}

async fn transcode() {
    loop {
        service::compute(Duration::from_millis(1));
        sleep(Duration::from_millis(10)).await;
    }
}

fn more_work_than_workers() {
    service::current_thread().block_on(async {
        tokio::spawn(answer_health_checks()); // <- also scheduling-delay
        for _ in 0..40 {
            tokio::spawn(transcode()); // <- scheduling-delay
        }
        pending::<()>().await;
    });
}
