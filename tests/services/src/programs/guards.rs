//! Guards of synchronous locks and pools that live across an await, while others block their worker for them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::service::{Load, Work, between, spawn};

const SOURCE: Source = Source { file: "programs/guards.rs", text: include_str!("guards.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "dashmap-guard-across-await",
        crates: "dashmap",
        fault: "A reference into the map is held across an await; whoever writes to that shard blocks its worker.",
        issue: "xacrimon/dashmap#79",
        way: Way::Blocking,
        rate_of: "requests",
        rate: 40.0,
        size_of: "sessions",
        size: 4,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &["touch-session", "renew-session"],
            libraries: &[],
            severity: Severity::Warning,
            within: 25,
        },
        source: SOURCE,
        run: |load| Box::pin(dashmap_sessions(load)),
    },
    Program {
        id: "r2d2-get-on-worker",
        crates: "r2d2",
        fault: "A synchronous pool is asked on the worker threads, while its connections are held across awaits.",
        issue: "palpo-im/palpo#214",
        way: Way::Blocking,
        rate_of: "requests",
        rate: 25.0,
        size_of: "connections of the pool",
        size: 3,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &["load-profile"],
            libraries: &[],
            severity: Severity::Warning,
            within: 25,
        },
        source: SOURCE,
        run: |load| Box::pin(r2d2_on_workers(load)),
    },
    Program {
        id: "r2d2-jobs-behind-pool",
        crates: "r2d2",
        fault: "Every blocking job waits for one of too few connections, until no thread is left for the others.",
        issue: "actix/examples#458",
        way: Way::Backlog,
        rate_of: "jobs",
        rate: 24.0,
        size_of: "connections of the pool",
        size: 2,
        size_is_capacity: true,
        blocking_threads: Some(12),
        label: Label {
            families: &["queue", "blocking", "contention"],
            names: &["run-report"],
            libraries: &[],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(r2d2_jobs(load)),
    },
    Program {
        id: "r2d2-job-in-callers-span",
        crates: "r2d2, tracing",
        fault: "Jobs that enter their caller's span wait for one of too few connections, and more come than end.",
        issue: "LemmyNet/lemmy#1715",
        way: Way::ForeignSpan,
        rate_of: "exports",
        rate: 5.0,
        size_of: "connections of the pool",
        size: 2,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck", "contention"],
            names: &["export-table"],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(jobs_in_spans(load)),
    },
];

async fn dashmap_sessions(load: Load) -> anyhow::Result<()> {
    let sessions = Arc::new(DashMap::new());
    for session in 0..load.size {
        sessions.insert(session, 0_u64);
    }
    let mut random = load.random(1);
    load.arrivals(|_| {
        let (sessions, session, is_faulty) = (Arc::clone(&sessions), random.usize(..load.size), load.is_faulty());
        let work = Work::begin();
        if random.usize(..4) > 0 {
            spawn("touch-session", async move {
                if let Some(mut uses) = sessions.get_mut(&session) {
                    *uses += 1;
                }
                work.end(true);
            });
            return;
        }
        spawn("renew-session", async move {
            let session = sessions.get(&session);
            if is_faulty {
                tokio::time::sleep(millis(50)).await;
                drop(session);
            } else {
                let uses = session.map(|uses| *uses);
                tokio::time::sleep(millis(50 + uses.unwrap_or_default() % 2)).await;
            }
            work.end(true);
        });
    })
    .await;
    Ok(())
}

/// A connection of a synchronous driver.
struct Connection;

struct Connector;

impl r2d2::ManageConnection for Connector {
    type Connection = Connection;
    type Error = io::Error;

    fn connect(&self) -> io::Result<Connection> {
        Ok(Connection)
    }

    fn is_valid(&self, _: &mut Connection) -> io::Result<()> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

impl Connection {
    fn query(&mut self, length: Duration) {
        std::thread::sleep(length);
    }
}

fn pool(connections: usize, patience: Duration) -> anyhow::Result<r2d2::Pool<Connector>> {
    let builder = r2d2::Pool::builder().max_size(u32::try_from(connections)?);
    Ok(builder.connection_timeout(patience).build(Connector)?)
}

async fn r2d2_on_workers(load: Load) -> anyhow::Result<()> {
    let pool = pool(load.size, secs(5))?;
    load.arrivals(|_| {
        let (pool, is_faulty) = (pool.clone(), load.is_faulty());
        let work = Work::begin();
        spawn("load-profile", async move {
            if is_faulty {
                let connection = pool.get();
                let went_well = connection.is_ok();
                // The picture comes from elsewhere.
                tokio::time::sleep(millis(100)).await;
                drop(connection);
                work.end(went_well);
                return;
            }
            let loaded =
                tokio::task::spawn_blocking(move || pool.get().map(|mut connection| connection.query(millis(1)))).await;
            tokio::time::sleep(millis(100)).await;
            work.end(matches!(loaded, Ok(Ok(()))));
        });
    })
    .await;
    Ok(())
}

async fn r2d2_jobs(load: Load) -> anyhow::Result<()> {
    // Repaired, the pool is as large as the load needs.
    let pool = pool(if load.is_faulty() { load.size } else { load.size * 4 }, secs(5))?;
    load.arrivals(|_| {
        let pool = pool.clone();
        let work = Work::begin();
        spawn("run-report", async move {
            let job = move || pool.get().map(|mut connection| connection.query(millis(120)));
            let done = tokio::task::spawn_blocking(job).await; // <- r2d2-jobs-behind-pool
            work.end(matches!(done, Ok(Ok(()))));
        });
    })
    .await;
    Ok(())
}

async fn jobs_in_spans(load: Load) -> anyhow::Result<()> {
    // Repaired, the pool is as large as the load needs.
    let pool = pool(if load.is_faulty() { load.size } else { load.size * 6 }, secs(120))?;
    let mut random = load.random(1);
    load.arrivals(|_| {
        let (pool, length) = (pool.clone(), between(&mut random, millis(500), millis(1_100)));
        let work = Work::begin();
        spawn("export-table", async move {
            // What is logged on the other thread belongs to this task.
            let span = tracing::Span::current();
            let job = move || span.in_scope(|| pool.get().map(|mut connection| connection.query(length)));
            let done = tokio::task::spawn_blocking(job).await;
            work.end(matches!(done, Ok(Ok(()))));
        });
    })
    .await;
    Ok(())
}
