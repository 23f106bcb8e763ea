//! Permits that are taken and not used, held by futures that nobody polls, or asked for by a task each.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::{BoxError, Service as _, ServiceExt as _, service_fn};

use super::{Label, Program, Severity, Source, Way, millis};
use crate::service::{Load, Work, between, spawn};

const SOURCE: Source = Source { file: "programs/permits.rs", text: include_str!("permits.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "tower-ready-but-not-called",
        crates: "tower, parking_lot",
        fault: "A spare service is made ready for a retry that does not come, and keeps its slot of the limit.",
        issue: "tower-rs/tower#472",
        way: Way::Permits,
        rate_of: "requests",
        rate: 20.0,
        size_of: "requests at a time",
        size: 10,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "contention", "queue"],
            names: &["forward-request"],
            libraries: &["tower", "tokio-util"],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(tower_slots(load)),
    },
    Program {
        id: "buffered-futures-hold-permits",
        crates: "futures",
        fault: "Buffered futures hold permits while nobody polls them, because the loop around them waits for a permit.",
        issue: "rust-lang/futures-rs#2387",
        way: Way::Permits,
        rate_of: "imports",
        rate: 1.0,
        size_of: "permits",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "contention", "queue"],
            names: &["import-batch"],
            libraries: &[],
            severity: Severity::Warning,
            within: 40,
        },
        source: SOURCE,
        run: |load| Box::pin(buffered_imports(load)),
    },
    Program {
        id: "webhooks-spawned-behind-limit",
        crates: "tokio-util",
        fault: "Each event becomes a task at once, which then waits for one of too few permits: the tasks are the queue.",
        issue: "MystenLabs/sui#3572",
        way: Way::Backlog,
        rate_of: "events",
        rate: 30.0,
        size_of: "deliveries at a time",
        size: 4,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["queue", "contention"],
            names: &["deliver-webhook"],
            libraries: &[],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(webhooks(load)),
    },
];

async fn tower_slots(load: Load) -> anyhow::Result<()> {
    let backend = service_fn(|length: Duration| async move {
        tokio::time::sleep(length).await;
        Ok::<_, BoxError>(())
    });
    let limit = GlobalConcurrencyLimitLayer::new(load.size); // <- tower-ready-but-not-called
    let backend = tower::ServiceBuilder::new().layer(limit).service(backend);
    let spares = Arc::new(Mutex::new(Vec::new()));
    let mut random = load.random(1);
    load.arrivals(|_| {
        let (mut service, spares, is_faulty) = (backend.clone(), Arc::clone(&spares), load.is_faulty());
        let (length, is_risky) = (between(&mut random, millis(20), millis(60)), random.usize(..15) == 0);
        let work = Work::begin();
        spawn("forward-request", async move {
            if is_risky {
                let mut spare = service.clone();
                if is_faulty && spare.ready().await.is_err() {
                    return work.end(false);
                }
                // Whoever has to try again finds it here, and makes it ready then.
                spares.lock().push(spare);
            }
            let answer = async { service.ready().await?.call(length).await }.await;
            work.end(answer.is_ok());
        });
    })
    .await;
    Ok(())
}

async fn buffered_imports(load: Load) -> anyhow::Result<()> {
    let permits = Arc::new(Semaphore::new(load.size)); // <- buffered-futures-hold-permits
    let width = load.size;
    load.arrivals(|_| {
        let (permits, is_faulty) = (Arc::clone(&permits), load.is_faulty());
        let work = Work::begin();
        spawn("import-batch", async move {
            let rows = futures::stream::iter(0..40_u64).map(|row| {
                let permits = Arc::clone(&permits);
                async move {
                    let _permit = permits.acquire().await;
                    tokio::time::sleep(millis(3 + row % 5)).await;
                    row
                }
            });
            let mut rows = rows.buffer_unordered(width);
            let mut stored = Vec::new();
            while let Some(row) = rows.next().await {
                if is_faulty {
                    // Meanwhile the buffered futures are not polled, those that hold a permit among them.
                    let _permit = permits.acquire().await;
                    tokio::time::sleep(millis(2)).await;
                }
                stored.push(row);
            }
            work.end(stored.len() == 40);
        });
    })
    .await;
    Ok(())
}

async fn webhooks(load: Load) -> anyhow::Result<()> {
    let permits = Arc::new(Semaphore::new(load.size)); // <- webhooks-spawned-behind-limit
    let deliveries = TaskTracker::new();
    let mut random = load.random(1);
    load.arrivals(|_| {
        let length = between(&mut random, millis(150), millis(350));
        let work = Work::begin();
        let permit = if load.is_faulty() { None } else { Arc::clone(&permits).try_acquire_owned().ok() };
        if !load.is_faulty() && permit.is_none() {
            // Its sender is told to come back later.
            return work.end(false);
        }
        let permits = Arc::clone(&permits);
        spawn(
            "deliver-webhook",
            deliveries.track_future(async move {
                let _permit = match permit {
                    Some(permit) => Some(permit),
                    None => permits.acquire_owned().await.ok(),
                };
                tokio::time::sleep(length).await;
                work.end(true);
            }),
        );
    })
    .await;
    Ok(())
}
