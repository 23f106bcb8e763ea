//! Programs with a fault.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use tokio::sync::{Mutex, RwLock, Semaphore, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{interval, sleep};

use super::{Program, compute, workers};

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        name: "crossed-mutexes",
        finding: "deadlock",
        severity: "critical",
        also: "",
        seconds: 10,
        run: crossed_mutexes,
    },
    Program {
        name: "upgraded-read",
        finding: "deadlock",
        severity: "critical",
        also: "",
        seconds: 10,
        run: upgraded_read,
    },
    Program {
        name: "blocking-import",
        finding: "blocked-worker",
        severity: "critical",
        also: "runtime-stalled",
        seconds: 12,
        run: blocking_import,
    },
    Program {
        name: "slow-encoding",
        finding: "long-polls",
        severity: "warning",
        also: "",
        seconds: 20,
        run: slow_encoding,
    },
    Program {
        name: "abandoned-inbox",
        finding: "full-channel",
        severity: "warning",
        also: "",
        seconds: 20,
        run: abandoned_inbox,
    },
    Program {
        name: "unbounded-jobs",
        finding: "task-pileup",
        severity: "warning",
        also: "growing-waiters",
        seconds: 26,
        run: unbounded_jobs,
    },
    Program {
        name: "shared-counter",
        finding: "contended-lock",
        severity: "warning",
        also: "held-across-await",
        seconds: 20,
        run: shared_counter,
    },
    Program {
        name: "dropped-waker",
        finding: "lost-waker",
        severity: "warning",
        also: "",
        seconds: 8,
        run: dropped_waker,
    },
    Program {
        name: "polling-for-a-lease",
        finding: "busy-loop",
        severity: "warning",
        also: "",
        seconds: 15,
        run: polling_for_a_lease,
    },
    Program {
        name: "forgotten-slots",
        finding: "permit-leak",
        severity: "warning",
        also: "",
        seconds: 25,
        run: forgotten_slots,
    },
];

async fn heartbeat() {
    let mut due = interval(Duration::from_millis(250));
    loop {
        due.tick().await;
    }
}

async fn swap(left: Arc<Mutex<u32>>, right: Arc<Mutex<u32>>) {
    loop {
        let mut left = left.lock().await;
        sleep(Duration::from_millis(35)).await;
        let mut right = right.lock().await;
        std::mem::swap(&mut *left, &mut *right);
    }
}

/// Two tasks take the same two mutexes in opposite order.
fn crossed_mutexes() {
    workers(3).block_on(async {
        let inbound = Arc::new(Mutex::new(1)); // <- crossed-mutexes
        let outbound = Arc::new(Mutex::new(2)); // <- crossed-mutexes
        tokio::spawn(heartbeat());
        tokio::spawn(swap(inbound.clone(), outbound.clone())); // <- crossed-mutexes
        tokio::spawn(swap(outbound, inbound)); // <- crossed-mutexes
        pending::<()>().await;
    });
}

async fn route(table: Arc<RwLock<Vec<u16>>>) {
    let mut due = interval(Duration::from_millis(60));
    loop {
        due.tick().await;
        let _first = table.read().await.first().copied();
    }
}

async fn add_missing_route(table: Arc<RwLock<Vec<u16>>>) {
    sleep(Duration::from_millis(1_200)).await;
    let known = table.read().await;
    if !known.contains(&443) {
        table.write().await.push(443);
    }
}

/// A task asks for the write lock while it has the read lock.
fn upgraded_read() {
    workers(2).block_on(async {
        let table = Arc::new(RwLock::new(vec![80, 8080])); // <- upgraded-read
        for _ in 0..3 {
            tokio::spawn(route(table.clone()));
        }
        tokio::spawn(add_missing_route(table)); // <- upgraded-read
        pending::<()>().await;
    });
}

async fn import() {
    sleep(Duration::from_millis(1_500)).await;
    // A driver without async support waits for a table lock.
    thread::sleep(Duration::from_secs(60));
}

/// A task blocks one of three workers.
fn blocking_import() {
    workers(3).block_on(async {
        tokio::spawn(heartbeat());
        tokio::spawn(heartbeat());
        tokio::spawn(import()); // <- blocking-import
        pending::<()>().await;
    });
}

async fn encode(frame: u64) {
    yield_now().await;
    compute(Duration::from_millis(25 + frame * 7 % 20));
}

/// Each frame is encoded within one poll.
fn slow_encoding() {
    workers(2).block_on(async {
        let mut due = interval(Duration::from_millis(110));
        for frame in 0.. {
            due.tick().await;
            tokio::spawn(encode(frame)); // <- slow-encoding
        }
    });
}

async fn deliver(inbox: mpsc::Sender<u32>) {
    for letter in 0.. {
        if inbox.send(letter).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(15)).await;
    }
}

async fn read_until_holiday(mut inbox: mpsc::Receiver<u32>, back: oneshot::Receiver<()>) {
    for _ in 0..150 {
        inbox.recv().await;
    }
    // Whoever is to say that the holiday is over never does.
    let _ = back.await;
    while inbox.recv().await.is_some() {}
}

/// The consumer of a channel of 24 places stops, and four producers with it.
fn abandoned_inbox() {
    workers(2).block_on(async {
        let (sender, inbox) = mpsc::channel(24);
        let (back, waiting) = oneshot::channel();
        tokio::spawn(read_until_holiday(inbox, waiting));
        for _ in 0..4 {
            tokio::spawn(deliver(sender.clone())); // <- abandoned-inbox
        }
        pending::<()>().await;
        let _ = back.send(());
    });
}

async fn convert(slots: Arc<Semaphore>) {
    if let Ok(_slot) = slots.acquire().await {
        sleep(Duration::from_millis(400)).await;
    }
}

/// Fifteen jobs a second are spawned, of which three at a time get through in 400 ms.
fn unbounded_jobs() {
    workers(2).block_on(async {
        let slots = Arc::new(Semaphore::new(3));
        let mut due = interval(Duration::from_millis(66));
        loop {
            due.tick().await;
            tokio::spawn(convert(slots.clone())); // <- unbounded-jobs
        }
    });
}

async fn count(visits: Arc<Mutex<u64>>, number: u64) {
    loop {
        let mut visits = visits.lock().await;
        sleep(Duration::from_millis(90)).await;
        *visits += 1;
        drop(visits);
        sleep(Duration::from_millis(80 + number * 19 % 70)).await;
    }
}

/// Twelve tasks go through one mutex, which each keeps for 90 ms.
fn shared_counter() {
    workers(2).block_on(async {
        let visits = Arc::new(Mutex::new(0)); // <- shared-counter
        for number in 0..12 {
            tokio::spawn(count(visits.clone(), number));
        }
        pending::<()>().await;
    });
}

async fn await_reload(version: Arc<AtomicU32>) {
    sleep(Duration::from_millis(700)).await;
    poll_fn(|_| if version.load(Ordering::Relaxed) > 5 { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// A poll function returns pending and forgets whom to wake.
fn dropped_waker() {
    workers(2).block_on(async {
        let version = Arc::new(AtomicU32::new(1));
        tokio::spawn(heartbeat());
        tokio::spawn(await_reload(version)); // <- dropped-waker
        pending::<()>().await;
    });
}

async fn take_lease(leases: Arc<AtomicU32>) {
    while leases.load(Ordering::Relaxed) == 0 {
        yield_now().await;
    }
}

/// A task asks for a lease again and again.
fn polling_for_a_lease() {
    workers(2).block_on(async {
        let leases = Arc::new(AtomicU32::new(0));
        tokio::spawn(heartbeat());
        sleep(Duration::from_secs(1)).await;
        tokio::spawn(take_lease(leases)); // <- polling-for-a-lease
        pending::<()>().await;
    });
}

async fn render(slots: Arc<Semaphore>, page: u64) {
    let Ok(slot) = slots.acquire().await else { return };
    sleep(Duration::from_millis(45)).await;
    if page.is_multiple_of(6) {
        slot.forget();
    }
}

/// Every sixth page forgets its slot, until none of four is left.
fn forgotten_slots() {
    workers(2).block_on(async {
        let slots = Arc::new(Semaphore::new(4)); // <- forgotten-slots
        let mut due = interval(Duration::from_millis(130));
        for page in 1.. {
            due.tick().await;
            tokio::spawn(render(slots.clone(), page)); // <- also forgotten-slots
        }
    });
}
