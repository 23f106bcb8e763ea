//! Stores: blocks behind a cache, a log with followers, and tables whose scans read files.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use moka::future::Cache;
use tokio::runtime::Handle;
use tokio::sync::{Notify, RwLock, broadcast};
use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, spawn};

const SOURCE: Source = Source { file: "programs/stores.rs", text: include_str!("stores.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "block-marked-as-loading",
        crates: "axum, moka, dashmap",
        fault: "A client disconnects while its block is being loaded: it stays marked as loading, and every later request for it waits forever.",
        issue: "milvus-io/talon#162",
        way: Way::Unanswered,
        rate_of: "reads",
        rate: 25.0,
        size_of: "blocks",
        size: 60,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "cancellation", "queue"],
            names: &["read-ahead"],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 70,
        },
        source: SOURCE,
        run: |load| Box::pin(blocks(load)),
    },
    Program {
        id: "log-locked-for-slow-follower",
        crates: "axum, tokio",
        fault: "The log is sent to a follower under a read guard: a slow follower blocks the next append, which blocks all readers.",
        issue: "neondatabase/neon#12875",
        way: Way::HeldLock,
        rate_of: "records",
        rate: 15.0,
        size_of: "seconds that the slow follower takes",
        size: 5,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "stuck", "queue"],
            names: &["append-record", "send-log"],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 70,
        },
        source: SOURCE,
        run: |load| Box::pin(log(load)),
    },
    Program {
        id: "files-read-inside-blocking-jobs",
        crates: "tokio",
        fault: "Blocking jobs wait for file reads, which are blocking jobs as well: a burst of scans occupies all threads.",
        issue: "delta-io/delta-kernel-rs#3202",
        way: Way::Deadlock,
        rate_of: "scans",
        rate: 8.0,
        size_of: "scans in a burst",
        size: 16,
        size_is_capacity: false,
        blocking_threads: Some(8),
        label: Label {
            families: &["blocking", "stuck", "queue"],
            names: &["scan-table"],
            libraries: &["tokio-1"],
            severity: Severity::Warning,
            within: 65,
        },
        source: SOURCE,
        run: |load| Box::pin(scans(load)),
    },
];

/// Blocks of a remote origin.
struct Blocks {
    origin: SocketAddr,
    loading: DashMap<u64, Arc<Notify>>,
    loaded: Cache<u64, u64>,
    is_faulty: bool,
}

/// Removes the mark of a block and wakes its waiters, however the load ends.
struct Loading<'a>(&'a Blocks, u64);

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        self.0.end_loading(self.1);
    }
}

impl Blocks {
    fn end_loading(&self, number: u64) {
        if let Some((_, loaded)) = self.loading.remove(&number) {
            loaded.notify_waiters();
        }
    }

    async fn load(&self, number: u64) -> anyhow::Result<u64> {
        peers::request(self.origin, "/block", Some(secs(5))).await?;
        self.loaded.insert(number, number * 3).await;
        Ok(number * 3)
    }

    async fn read(&self, number: u64) -> anyhow::Result<u64> {
        loop {
            if let Some(block) = self.loaded.get(&number).await {
                return Ok(block);
            }
            let others = match self.loading.entry(number) {
                Entry::Occupied(others) => Some(Arc::clone(others.get())),
                Entry::Vacant(none) => {
                    none.insert(Arc::new(Notify::new())); // <- block-marked-as-loading
                    None
                }
            };
            let Some(others) = others else {
                if self.is_faulty {
                    let block = self.load(number).await;
                    self.end_loading(number);
                    return block;
                }
                let _loading = Loading(self, number);
                return self.load(number).await;
            };
            let loaded = others.notified();
            if self.loading.contains_key(&number) {
                loaded.await;
            }
        }
    }
}

async fn blocks(load: Load) -> anyhow::Result<()> {
    const LEAVE_AFTER: Duration = secs(20);
    let mut random = load.random(1);
    let origin = peers::partner(move || Answer::After(between(&mut random, millis(40), millis(160))))?;
    let loaded = Cache::builder().time_to_live(secs(4)).build();
    let blocks = Arc::new(Blocks { origin, loading: DashMap::new(), loaded, is_faulty: load.is_faulty() });
    let read = async |State(blocks): State<Arc<Blocks>>, Path(number): Path<u64>| {
        blocks.read(number).await.map(|block| block.to_string()).unwrap_or_default()
    };
    let router = Router::new().route("/block/{number}", get(read)).with_state(Arc::clone(&blocks));
    let address = sidelines::serve_http(router).await?;
    sidelines::registration()?;
    sidelines::sweep(&load);
    let metrics = sidelines::metrics(&load)?;
    let (mut ahead, number_of) = (load.random(2), u64::try_from(load.size)?);
    spawn("schedule-reads", async move {
        let mut ticks = interval(secs(2));
        loop {
            ticks.tick().await;
            let (blocks, first) = (Arc::clone(&blocks), ahead.u64(..number_of));
            let _ = metrics.try_send(first);
            spawn("read-ahead", async move {
                for number in first..(first + 6).min(number_of) {
                    let _ = blocks.read(number).await;
                }
            });
        }
    });
    let began = Instant::now();
    sidelines::visitors(&load, address, secs(10), 20, move |random| {
        // A few clients disconnect before they are answered.
        let leaves = began.elapsed() > LEAVE_AFTER && random.u8(..100) < 4;
        (format!("/block/{}", random.u64(..number_of)), if leaves { millis(60) } else { secs(40) })
    });
    std::future::pending().await
}

/// The records by number, and the newest one.
#[derive(Default)]
struct Log {
    records: HashMap<u64, u64>,
    last: u64,
}

async fn log(load: Load) -> anyhow::Result<()> {
    const SLOW_AFTER: Duration = secs(25);
    let log = Arc::new(RwLock::new(Log::default())); // <- log-locked-for-slow-follower
    let (appended, _) = broadcast::channel::<u64>(512);
    let (began, slow) = (Instant::now(), secs(u64::try_from(load.size)?));
    for follower in 0..3 {
        let mut random = load.random(10 + follower);
        let address = peers::partner(move || {
            let is_slow = follower == 2 && began.elapsed() > SLOW_AFTER;
            Answer::After(if is_slow { slow } else { between(&mut random, millis(5), millis(20)) })
        })?;
        let (log, mut appended, is_faulty) = (Arc::clone(&log), appended.subscribe(), load.is_faulty());
        spawn("send-log", async move {
            // A follower that lags gets the missed records with the next one.
            while !matches!(appended.recv().await, Err(broadcast::error::RecvError::Closed)) {
                let term = log.read().await;
                let held = if is_faulty {
                    Some(term)
                } else {
                    drop(term);
                    None
                };
                let _ = peers::request(address, "/records", Some(secs(10))).await;
                drop(held);
            }
        });
    }
    let status = async |State(log): State<Arc<RwLock<Log>>>| log.read().await.last.to_string();
    let address =
        sidelines::serve_http(Router::new().route("/status", get(status)).with_state(Arc::clone(&log))).await?;
    let mut asked = load.clone();
    asked.rate = 4.0;
    peers::ask_for(asked, address, &["/status"]);
    sidelines::registration()?;
    let metrics = sidelines::metrics(&load)?;
    let compacted = Arc::clone(&log);
    spawn("compact-log", async move {
        loop {
            sleep(secs(6)).await;
            let mut log = compacted.write().await;
            let oldest = log.last.saturating_sub(1_000);
            log.records.retain(|&number, _| number > oldest);
        }
    });
    sidelines::bursts(&load, secs(10), 20, || {
        let (log, appended, metrics) = (Arc::clone(&log), appended.clone(), metrics.clone());
        let work = Work::begin();
        spawn("append-record", async move {
            let mut log = log.write().await;
            log.last += 1;
            let last = log.last;
            log.records.insert(last, last);
            // The record is on disk.
            sleep(millis(2)).await;
            drop(log);
            let _ = metrics.try_send(last);
            let _ = appended.send(last);
            work.end(true);
        });
    })
    .await;
    Ok(())
}

/// Reads what was deleted, asks where the rows are, and reads again.
async fn plan_scan(deleted: &FilePath, catalogue: SocketAddr) -> anyhow::Result<usize> {
    let before = tokio::fs::read(deleted).await?;
    peers::request(catalogue, "/files", Some(secs(5))).await?;
    Ok(before.len() + tokio::fs::read(deleted).await?.len())
}

/// What a scan does with what it has read.
fn filter_rows(bytes: usize) -> usize {
    thread::sleep(millis(15));
    bytes / 2
}

async fn scan(deleted: PathBuf, catalogue: SocketAddr, is_faulty: bool) -> anyhow::Result<usize> {
    if is_faulty {
        let runtime = Handle::current();
        // The kernel is synchronous, and the storage is not.
        let job = move || anyhow::Ok(filter_rows(runtime.block_on(plan_scan(&deleted, catalogue))?));
        spawn_blocking(job).await? // <- files-read-inside-blocking-jobs
    } else {
        let bytes = plan_scan(&deleted, catalogue).await?;
        Ok(spawn_blocking(move || filter_rows(bytes)).await?)
    }
}

async fn scans(load: Load) -> anyhow::Result<()> {
    let deleted = std::env::temp_dir().join(format!("deleted-rows-{}", std::process::id()));
    std::fs::write(&deleted, [7_u8; 4_096])?;
    let mut random = load.random(1);
    let catalogue = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(90))))?;
    sidelines::registration()?;
    let rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    let is_faulty = load.is_faulty();
    sidelines::bursts(&load, secs(20), u64::try_from(load.size)?, || {
        let (deleted, metrics, rates) = (deleted.clone(), metrics.clone(), Arc::clone(&rates));
        let work = Work::begin();
        spawn("scan-table", async move {
            let rows = scan(deleted, catalogue, is_faulty).await;
            let _ = metrics.try_send(**rates.load());
            work.end(rows.is_ok());
        });
    })
    .await;
    Ok(())
}
