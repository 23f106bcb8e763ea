//! Pools of connections that are empty for good, or too small for those who ask.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{interval, sleep, timeout};
use tokio_canary::detect::severity::Severity;

use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[
    Illness {
        id: "empty-pool",
        about: "Requests that fail put their connection aside, and all that come later wait for one for three seconds and give up.",
        finding: "permit-leak",
        severity: Severity::Warning,
        also: &[],
        onset: Duration::from_secs(4),
        within: Duration::from_secs(45),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: empty_pool,
    },
    Illness {
        id: "small-pool",
        about: "Requests come twice as fast as two connections can serve them, so that all of them wait and half of them give up.",
        finding: "contended-lock",
        severity: Severity::Warning,
        also: &["growing-waiters", "task-pileup"],
        onset: Duration::from_secs(1),
        within: Duration::from_secs(40),
        under: EVERYWHERE,
        computes: false,
        source: SOURCE,
        run: small_pool,
    },
];

const SOURCE: Source = Source { file: "sick/pools.rs", text: include_str!("pools.rs") };

/// A connection on loan; dropping it gives its permit back.
struct Connection(Arc<Semaphore>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

/// Takes a connection as the usual pools do: the permit is forgotten, and added again when the connection comes back.
async fn connect(pool: &Arc<Semaphore>, patience: Duration) -> Option<Connection> {
    timeout(patience, pool.acquire()).await.ok()?.ok()?.forget();
    Some(Connection(pool.clone()))
}

async fn query(pool: Arc<Semaphore>, failed: Arc<Mutex<Vec<Connection>>>, number: u64) {
    let Some(connection) = connect(&pool, Duration::from_secs(3)).await else { return };
    sleep(Duration::from_millis(30)).await;
    if number.is_multiple_of(8) {
        // The error path: it is looked at later, which never happens.
        failed.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

fn empty_pool() {
    service::workers(2).block_on(async {
        let pool = Arc::new(Semaphore::new(4)); // <- empty-pool
        let failed = Arc::new(Mutex::new(Vec::new()));
        let mut arrival = interval(Duration::from_millis(110));
        for number in 1.. {
            arrival.tick().await;
            tokio::spawn(query(pool.clone(), failed.clone(), number));
        }
    });
}

async fn report(pool: Arc<Semaphore>) {
    let Some(_connection) = connect(&pool, Duration::from_millis(1500)).await else { return };
    sleep(Duration::from_millis(500)).await;
}

fn small_pool() {
    service::workers(2).block_on(async {
        let pool = Arc::new(Semaphore::new(2)); // <- small-pool
        let mut arrival = interval(Duration::from_millis(130));
        loop {
            arrival.tick().await;
            tokio::spawn(report(pool.clone())); // <- also small-pool
        }
    });
}
