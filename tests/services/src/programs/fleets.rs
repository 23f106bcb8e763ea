//! Large or busy services: a search with hedged requests, a gateway for many devices, and invoices on a connection pool near its limit.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use deadpool::managed::{self, Metrics, RecycleResult};
use futures::StreamExt as _;
use futures::future::{Either, select};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::future::Cache;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tokio_util::time::DelayQueue;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, spawn};

const SOURCE: Source = Source { file: "programs/fleets.rs", text: include_str!("fleets.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "hedge-leaves-loser-running",
        crates: "axum, moka, governor, tokio-util",
        fault: "The slower one of two hedged requests keeps running although nobody needs its answer; some never get one, and pile up.",
        issue: "joshrotenberg/tower-resilience#369",
        way: Way::Crowd,
        rate_of: "searches",
        rate: 25.0,
        size_of: "words that are searched for",
        size: 300,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &["ask-replica"],
            libraries: &[],
            severity: Severity::Info,
            within: 90,
        },
        source: SOURCE,
        run: |load| Box::pin(searches(load)),
    },
    Program {
        id: "positions-written-one-by-one",
        crates: "tokio-util, governor",
        fault: "The positions of a fleet are written row by row: more arrive than the database takes, and the reporters wait longer and longer.",
        issue: "getsentry/snuba#5874",
        way: Way::Backlog,
        rate_of: "positions in quiet times",
        rate: 30.0,
        size_of: "devices",
        size: 3_000,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &["report-position", "write-positions", "debounce-positions"],
            libraries: &[],
            severity: Severity::Warning,
            within: 90,
        },
        source: SOURCE,
        run: |load| Box::pin(positions(load)),
    },
    Program {
        id: "invoice-keeps-connection",
        crates: "deadpool, rayon",
        fault: "A connection is held while the invoice is rendered and printed: the pool serves only half of the load.",
        issue: "svix/svix-webhooks#498",
        way: Way::Pool,
        rate_of: "invoices",
        rate: 17.0,
        size_of: "connections",
        size: 5,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["contention", "stuck", "queue"],
            names: &["write-invoice"],
            libraries: &["deadpool"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(invoices(load)),
    },
];

/// A request that is aborted when its handle is dropped, or keeps running.
enum Attempt {
    Detached(JoinHandle<anyhow::Result<usize>>),
    Owned(AbortOnDropHandle<anyhow::Result<usize>>),
}

impl Attempt {
    fn start(replica: SocketAddr, is_faulty: bool) -> Self {
        let asked = spawn("ask-replica", async move { peers::request(replica, "/search", None).await });
        if is_faulty { Self::Detached(asked) } else { Self::Owned(AbortOnDropHandle::new(asked)) }
    }

    async fn answer(self) -> anyhow::Result<usize> {
        match self {
            Self::Detached(asked) => asked.await?,
            Self::Owned(asked) => asked.await?,
        }
    }
}

/// Asks one replica, and a second one if the first is slow.
async fn search(replicas: [SocketAddr; 2], word: u64, is_faulty: bool) -> anyhow::Result<usize> {
    const TAKES_LONG: Duration = millis(150);
    let [first, second] = if word.is_multiple_of(2) { replicas } else { [replicas[1], replicas[0]] };
    let mut first = Box::pin(Attempt::start(first, is_faulty).answer());
    if let Ok(answer) = timeout(TAKES_LONG, &mut first).await {
        return answer;
    }
    let second = Box::pin(Attempt::start(second, is_faulty).answer());
    match select(first, second).await {
        Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
    }
}

async fn searches(load: Load) -> anyhow::Result<()> {
    let replica = |purpose| {
        let mut random = load.random(purpose);
        peers::partner(move || match random.u8(..100) {
            0..4 => Answer::Never,
            4..9 => Answer::After(secs(2)),
            _ => Answer::After(between(&mut random, millis(10), millis(120))),
        })
    };
    let (replicas, is_faulty) = ([replica(1)?, replica(2)?], load.is_faulty());
    let found: Cache<u64, usize> = Cache::builder().time_to_live(secs(6)).build();
    // During a burst, searches wait for their turn.
    let quota = Quota::per_second(NonZeroU32::MIN.saturating_add(39)).allow_burst(NonZeroU32::MIN.saturating_add(19));
    let limit: Arc<DefaultDirectRateLimiter> = Arc::new(RateLimiter::direct(quota));
    let answer = async move |Path(word): Path<u64>| {
        let lengths = found.try_get_with(word, async {
            limit.until_ready().await;
            timeout(millis(900), search(replicas, word, is_faulty)).await?
        });
        // If there is no answer, the page shows suggestions.
        lengths.await.map_or_else(|_| "suggestions".to_owned(), |length| length.to_string())
    };
    let address = sidelines::serve_http(Router::new().route("/search/{word}", get(answer))).await?;
    let words = u64::try_from(load.size)?;
    sidelines::visitors(&load, address, secs(15), 40, move |random| {
        (format!("/search/{}", random.u64(..words)), secs(10))
    });
    sidelines::run(&load).await
}

/// Waits until a device has been silent for a second, and forwards its last position.
async fn debounce_positions(mut positions: mpsc::Receiver<u64>, settled: mpsc::Sender<u64>) {
    let mut quiet = DelayQueue::new();
    let mut keys = std::collections::HashMap::new();
    loop {
        tokio::select! {
            position = positions.recv() => {
                let Some(device) = position else { return };
                match keys.get(&device) {
                    Some(key) => quiet.reset(key, secs(1)),
                    None => drop(keys.insert(device, quiet.insert(device, secs(1)))),
                }
            }
            Some(device) = quiet.next() => {
                let device = device.into_inner();
                keys.remove(&device);
                if settled.send(device).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn positions(load: Load) -> anyhow::Result<()> {
    const MOST_ROWS: usize = 100;
    let mut random = load.random(1);
    let database = peers::partner(move || Answer::After(between(&mut random, millis(30), millis(70))))?;
    let closing = CancellationToken::new();
    let mut inboxes = Vec::with_capacity(load.size);
    for _ in 0..load.size {
        let (command, mut commands) = mpsc::channel::<u64>(4);
        let closed = closing.clone();
        inboxes.push(command);
        spawn("device-session", async move {
            loop {
                tokio::select! {
                    command = commands.recv() => if command.is_none() { return },
                    () = closed.cancelled() => return,
                }
                sleep(millis(20)).await;
            }
        });
    }
    let (position, reported) = mpsc::channel(128); // <- positions-written-one-by-one
    let (settled, mut rows) = mpsc::channel(128); // <- positions-written-one-by-one
    spawn("debounce-positions", debounce_positions(reported, settled));
    let most = if load.is_faulty() { 1 } else { MOST_ROWS };
    spawn("write-positions", async move {
        let mut batch = Vec::new();
        while rows.recv_many(&mut batch, most).await > 0 {
            let _ = peers::request(database, "/rows", Some(secs(5))).await;
            batch.clear();
        }
    });
    sidelines::registration()?;
    let metrics = sidelines::metrics(&load)?;
    let mut random = load.random(2);
    let devices = inboxes.len();
    spawn("send-commands", async move {
        loop {
            sleep(gap(&mut random, 15.0)).await;
            let _ = inboxes[random.usize(..devices)].try_send(7);
        }
    });
    let (mut random, began) = (load.random(3), Instant::now());
    loop {
        // Twice a minute, for ten seconds, there are three times as many.
        let factor = if began.elapsed().as_secs() % 30 < 20 { 1.0 } else { 3.0 };
        sleep(gap(&mut random, load.rate * factor)).await;
        let (position, metrics) = (position.clone(), metrics.clone());
        let device = random.u64(..devices as u64);
        let work = Work::begin();
        spawn("report-position", async move {
            work.end(position.send(device).await.is_ok());
            let _ = metrics.try_send(device);
        });
    }
}

/// A connection to the database.
struct Connection;

impl Connection {
    async fn query(&mut self, length: Duration) {
        sleep(length).await;
    }
}

struct Connector;

impl managed::Manager for Connector {
    type Type = Connection;
    type Error = Infallible;

    async fn create(&self) -> Result<Connection, Infallible> {
        sleep(millis(30)).await;
        Ok(Connection)
    }

    async fn recycle(&self, _: &mut Connection, _: &Metrics) -> RecycleResult<Infallible> {
        Ok(())
    }
}

/// Renders an invoice on a thread of rayon's pool.
async fn draw(slots: &Semaphore) -> anyhow::Result<u64> {
    let _slot = slots.acquire().await?;
    let (drawn, drawing) = oneshot::channel();
    rayon::spawn(move || {
        let began = Instant::now();
        let mut ink = 7_u64;
        while began.elapsed() < millis(12) {
            ink = ink.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7);
        }
        // The requester may be gone.
        let _ = drawn.send(ink);
    });
    Ok(drawing.await?)
}

async fn invoices(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let printer = peers::partner(move || Answer::After(between(&mut random, millis(100), millis(400))))?;
    let pool = managed::Pool::<Connector>::builder(Connector).max_size(load.size).build()?; // <- invoice-keeps-connection
    let slots = Arc::new(Semaphore::new(4));
    sidelines::registration()?;
    sidelines::sweep(&load);
    let rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    let (mut random, is_faulty) = (load.random(2), load.is_faulty());
    load.arrivals(|_| {
        let (pool, slots, rates, metrics) = (pool.clone(), Arc::clone(&slots), Arc::clone(&rates), metrics.clone());
        // Nine of ten connections are lent at any time.
        let query = between(&mut random, millis(150), millis(360));
        let work = Work::begin();
        spawn("write-invoice", async move {
            let mut connection = pool.get().await.map_err(|error| anyhow::anyhow!("{error}"))?;
            connection.query(query).await;
            let held = is_faulty.then_some(connection);
            let ink = draw(&slots).await?;
            let printed = peers::request(printer, "/print", Some(secs(5))).await;
            drop(held);
            let _ = metrics.try_send(ink ^ **rates.load());
            work.end(printed.is_ok());
            anyhow::Ok(())
        });
    })
    .await;
    Ok(())
}
