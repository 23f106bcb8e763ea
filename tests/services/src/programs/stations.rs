//! Stations: how long their sessions take is shown to a scraper, what they measure goes to a store, and so do copies of their disks.

use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet, spawn_blocking};
use tokio::time::{interval, sleep, timeout};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside};

const SOURCE: Source = Source { file: "programs/stations.rs", text: include_str!("stations.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "series-of-every-session",
        crates: "prometheus-client, axum",
        fault: "Each session has a time series of its own for good: a scrape writes more of them each time, and keeps its worker longer.",
        issue: "gravitee-io/issues#9746",
        way: Way::Blocking,
        rate_of: "reports of stations",
        rate: 14.0,
        size_of: "sessions that a report is about",
        size: 150,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &[],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(sessions(load)),
    },
    Program {
        id: "failed-batch-grows-under-lock",
        crates: "tokio, serde_json, axum",
        fault: "Readings are sent with their buffer locked, and stay there if that fails: soon there are too many to be sent before the timeout.",
        issue: "kugel-masa/kugelpos-backend#183",
        way: Way::HeldLock,
        rate_of: "readings",
        rate: 20.0,
        size_of: "seconds until the store fails for the first time",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "queue", "stuck"],
            names: &[],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(readings(load)),
    },
    Program {
        id: "lost-part-stops-the-others",
        crates: "tokio, axum",
        fault: "The parts of a backup are sent side by side; if one is lost, the others are dropped half-way, and all of them are sent again.",
        issue: "maidsafe/autonomi#1730",
        way: Way::Cancelled,
        rate_of: "backups",
        rate: 3.0,
        size_of: "parts of a thousand that the store loses",
        size: 120,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["cancellation"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(backups(load)),
    },
];

/// What a session is counted under.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    station: u32,
    session: Option<u32>,
}

type Seconds = Family<Labels, Histogram>;

/// Compresses what happened, every six seconds.
async fn archive() {
    const LENGTH: usize = 3_000_000;
    loop {
        sleep(secs(6)).await;
        let compress = || {
            let journal: Vec<u8> = (0..LENGTH).map(|index| (index * index % 251) as u8).collect();
            let mut out = GzEncoder::new(Vec::new(), Compression::default());
            out.write_all(&journal).and_then(|()| out.finish()).map(|archived| archived.len())
        };
        // There is a next time.
        let _ = spawn_blocking(compress).await;
    }
}

async fn sessions(load: Load) -> anyhow::Result<()> {
    const STATIONS: u32 = 40;
    const SESSIONS: u32 = 100_000;
    const BUCKETS: [f64; 8] = [0.5, 1.0, 5.0, 15.0, 60.0, 240.0, 900.0, 3_600.0];
    let mut random = load.random(1);
    let billing = peers::partner(move || Answer::After(between(&mut random, millis(10), millis(120))))?;
    let seconds = Seconds::new_with_constructor(|| Histogram::new(BUCKETS));
    let mut registry = Registry::default();
    registry.register("session_seconds", "How long the sessions take", seconds.clone());
    let (registry, count, is_faulty) = (Arc::new(registry), load.size as u32, load.is_faulty());
    let report = async move |Path((station, first)): Path<(u32, u32)>| {
        for session in first..first + count {
            let labels = Labels { station, session: is_faulty.then_some(session % SESSIONS) };
            seconds.get_or_create(&labels).observe(f64::from(session % 1_000));
        }
        match peers::request(billing, "/bill", Some(secs(3))).await {
            Ok(_) => "billed",
            Err(_) => "later",
        }
    };
    let scrape = async move || {
        let mut text = String::new();
        encode(&mut text, &registry).map(|()| text).unwrap_or_default() // <- series-of-every-session
    };
    let router = Router::new().route("/report/{station}/{first}", get(report)).route("/metrics", get(scrape)); // <- series-of-every-session
    let address = sidelines::serve_http(router).await?;
    outside(move || async move {
        loop {
            sleep(secs(4)).await;
            // What a scrape misses, the next one has.
            let _ = peers::request(address, "/metrics", Some(secs(20))).await;
        }
    });
    tokio::spawn(archive());
    sidelines::visitors(&load, address, secs(15), 15, |random| {
        (format!("/report/{}/{}", random.u32(..STATIONS), random.u32(..SESSIONS)), secs(5))
    });
    sidelines::run(&load).await
}

/// What a store does with what it gets.
enum Stored {
    /// It says so after a time.
    After(Duration),
    /// It closes the connection instead, after a time.
    Lost(Duration),
}

/// Starts a store that does as `decide` says when it knows the length of what it gets, and returns its address.
fn store(decide: impl FnMut(usize) -> Stored + Send + 'static) -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    let decide = Arc::new(Mutex::new(decide));
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (mut socket, _) = listener.accept().await?;
            let decide = Arc::clone(&decide);
            tokio::spawn(async move {
                let mut body = vec![0; usize::try_from(socket.read_u32().await?)?];
                socket.read_exact(&mut body).await?;
                let stored = (*decide.lock())(body.len());
                match stored {
                    Stored::After(delay) => {
                        sleep(delay).await;
                        socket.write_all(b"stored").await?;
                    }
                    Stored::Lost(delay) => sleep(delay).await,
                }
                anyhow::Ok(())
            });
        }
    });
    Ok(address)
}

/// Sends something to a store, and waits until it is there.
async fn put(store: SocketAddr, body: &[u8]) -> anyhow::Result<()> {
    let exchange = async {
        let mut socket = TcpStream::connect(store).await?;
        socket.write_u32(u32::try_from(body.len())?).await?;
        socket.write_all(body).await?;
        socket.read_exact(&mut [0; 6]).await?;
        anyhow::Ok(())
    };
    timeout(secs(3), exchange).await?
}

/// What a station has measured.
#[derive(Serialize)]
struct Reading {
    station: u32,
    values: Vec<u32>,
    #[serde(skip)]
    work: Work,
}

/// The readings that are not in the store yet.
type Readings = Arc<tokio::sync::Mutex<VecDeque<Reading>>>;

/// Sends all readings every two seconds, and keeps them if that fails.
async fn send_all(readings: Readings, store: SocketAddr) {
    let mut ticks = interval(secs(2));
    loop {
        ticks.tick().await;
        let mut readings = readings.lock().await; // <- failed-batch-grows-under-lock
        let Ok(body) = serde_json::to_vec(&*readings) else { continue };
        if !readings.is_empty() && put(store, &body).await.is_ok() {
            readings.drain(..).for_each(|reading| reading.work.end(true));
        }
    }
}

/// Sends readings every two seconds, so many at a time that they arrive in time, and keeps those for later for which that fails.
async fn send_some(readings: Readings, store: SocketAddr) {
    const AT_ONCE: usize = 60;
    const MOST: usize = 20_000;
    loop {
        sleep(secs(2)).await;
        loop {
            let mut batch: Vec<_> = {
                let mut readings = readings.lock().await;
                let count = readings.len().min(AT_ONCE);
                readings.drain(..count).collect()
            };
            let Ok(body) = serde_json::to_vec(&batch) else { break };
            if batch.is_empty() {
                break;
            }
            if put(store, &body).await.is_ok() {
                batch.into_iter().for_each(|reading| reading.work.end(true));
                continue;
            }
            let mut readings = readings.lock().await;
            while let Some(reading) = batch.pop() {
                readings.push_front(reading);
            }
            // The oldest ones are given up when there are too many.
            let surplus = readings.len().saturating_sub(MOST);
            readings.drain(..surplus).for_each(|reading| reading.work.end(false));
            break;
        }
    }
}

/// Stations outside, which send readings and forget about them.
fn measure(load: &Load, address: SocketAddr) {
    let load = load.clone();
    outside(move || async move {
        let mut random = load.random(904);
        sidelines::bursts(&load, secs(15), 20, || {
            let path = format!("/reading/{}", random.u32(..900));
            tokio::spawn(async move { peers::request(address, &path, Some(secs(10))).await });
        })
        .await;
        Ok(())
    });
}

async fn readings(load: Load) -> anyhow::Result<()> {
    const VALUES: u32 = 40;
    /// The store fails for so long, every so often.
    const FAILS_FOR: Duration = secs(30);
    const FAILS_EVERY: Duration = secs(90);
    /// What the line to the store carries in a second.
    const SPEED: f64 = 40_000.0;
    let first = Instant::now() + secs(load.size as u64);
    let store = store(move |length| {
        let since = Instant::now().checked_duration_since(first).map(|since| since.as_secs() % FAILS_EVERY.as_secs());
        if since.is_some_and(|since| since < FAILS_FOR.as_secs()) {
            Stored::Lost(secs(8))
        } else {
            Stored::After(Duration::from_secs_f64(length as f64 / SPEED))
        }
    })?;
    let readings: Readings = Arc::new(tokio::sync::Mutex::new(VecDeque::new())); // <- failed-batch-grows-under-lock
    if load.is_faulty() {
        tokio::spawn(send_all(Arc::clone(&readings), store)); // <- failed-batch-grows-under-lock
    } else {
        tokio::spawn(send_some(Arc::clone(&readings), store));
    }
    let take = async move |Path(station): Path<u32>| {
        let values = (0..VALUES).map(|value| 1_000_000 + station * value).collect();
        let reading = Reading { station, values, work: Work::begin() };
        readings.lock().await.push_back(reading); // <- failed-batch-grows-under-lock
        "taken"
    };
    let address = sidelines::serve_http(Router::new().route("/reading/{station}", get(take))).await?;
    measure(&load, address);
    sidelines::run(&load).await
}

/// Sends a part of a disk.
async fn send_part(store: SocketAddr, attempts: usize) -> anyhow::Result<()> {
    let part = vec![7; 4_096];
    for _ in 1..attempts {
        if put(store, &part).await.is_ok() {
            return Ok(());
        }
        sleep(millis(200)).await;
    }
    put(store, &part).await
}

/// Sends all parts of a disk side by side.
async fn send_parts(store: SocketAddr, attempts: usize) -> anyhow::Result<()> {
    const PARTS: usize = 8;
    let mut parts = JoinSet::new();
    for _ in 0..PARTS {
        parts.spawn(send_part(store, attempts)); // <- lost-part-stops-the-others
    }
    while let Some(sent) = parts.join_next().await {
        sent??;
    }
    Ok(())
}

/// Makes a copy of a disk.
async fn back_up(store: SocketAddr, is_faulty: bool) {
    const ATTEMPTS: usize = 6;
    let work = Work::begin();
    let (of_all, of_each) = if is_faulty { (ATTEMPTS, 1) } else { (1, ATTEMPTS) };
    for _ in 0..of_all {
        if send_parts(store, of_each).await.is_ok() {
            return work.end(true);
        }
    }
    work.end(false);
}

async fn backups(load: Load) -> anyhow::Result<()> {
    const LOSES_AFTER: Duration = secs(8);
    const DISKS: u32 = 150;
    let (began, mut random, lost, is_faulty) = (Instant::now(), load.random(1), load.size, load.is_faulty());
    let store = store(move |_| {
        if began.elapsed() > LOSES_AFTER && random.usize(..1_000) < lost {
            Stored::Lost(between(&mut random, millis(40), millis(300)))
        } else {
            Stored::After(between(&mut random, millis(250), millis(1_200)))
        }
    })?;
    // A newer copy of the same disk takes the place of one that is not ready.
    let running = Arc::new(Mutex::new(HashMap::<u32, AbortHandle>::new()));
    let begin = async move |Path(disk): Path<u32>| {
        let newer = tokio::spawn(back_up(store, is_faulty)).abort_handle(); // <- lost-part-stops-the-others
        if let Some(older) = running.lock().insert(disk, newer) {
            older.abort();
        }
        "begun"
    };
    let address = sidelines::serve_http(Router::new().route("/backup/{disk}", get(begin))).await?;
    sidelines::visitors(&load, address, secs(20), 4, |random| (format!("/backup/{}", random.u32(..DISKS)), secs(5)));
    sidelines::run(&load).await
}
