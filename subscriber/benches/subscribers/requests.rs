//! The requests of the services that are measured: each is a task, a lock, a round trip through a channel, an answer and a short sleep.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Time between two batches of arrivals.
const ARRIVAL: Duration = Duration::from_millis(10);

/// A free port: a subscriber cannot say which one it bound.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Serves requests that arrive at a constant rate, after `at_once` in a burst.
pub(crate) async fn arrive(per_second: u32, at_once: u32, served: &Arc<AtomicU64>) {
    let mut due = interval(ARRIVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut owed = f64::from(at_once);
    loop {
        due.tick().await;
        owed += f64::from(per_second) * ARRIVAL.as_secs_f64();
        while owed >= 1.0 {
            tokio::spawn(request(Arc::clone(served)));
            owed -= 1.0;
        }
    }
}

/// Serves `concurrency` requests at a time, as fast as possible.
pub(crate) async fn flat_out(concurrency: usize, served: &Arc<AtomicU64>) {
    let mut loops = tokio::task::JoinSet::new();
    for _ in 0..concurrency {
        let served = Arc::clone(served);
        loops.spawn(async move { while tokio::spawn(request(Arc::clone(&served))).await.is_ok() {} });
    }
    loops.join_all().await;
}

async fn request(served: Arc<AtomicU64>) {
    let account = Mutex::new(0_u64);
    let (work, mut inbox) = mpsc::channel(1);
    let (answer, answered) = oneshot::channel();
    *account.lock().await += 1;
    work.send(answer).await.expect("an inbox");
    inbox.recv().await.expect("work").send(account.into_inner()).expect("somebody who waits");
    sleep(Duration::from_millis(1)).await;
    served.fetch_add(answered.await.expect("an answer"), Ordering::Relaxed);
}
