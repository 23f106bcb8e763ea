//! Gates: scans that are forwarded over connections which end now and then, and boarding passes that are signed.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use minijinja::{Environment, context};
use ring::hmac;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, OnceCell, broadcast, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;
use tower_http::timeout::TimeoutLayer;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside, spawn};

const SOURCE: Source = Source { file: "programs/gates.rs", text: include_str!("gates.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "supervisor-ends-with-first-error",
        crates: "tokio, axum",
        fault: "The first forwarder that fails ends the task that restarts them, and so all other forwarders: scans wait in their queues.",
        issue: "pyth-network/per#64",
        way: Way::Unanswered,
        rate_of: "scans",
        rate: 12.0,
        size_of: "gates",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(scans(load)),
    },
    Program {
        id: "key-loaded-with-itself",
        crates: "tokio, ring, minijinja, tower-http, axum",
        fault: "When the vault is silent, a key is fetched from a replica with a request that needs the same key: it waits for itself.",
        issue: "pykeio/ort#583",
        way: Way::Deadlock,
        rate_of: "passengers",
        rate: 10.0,
        size_of: "seconds for which the vault is silent at first",
        size: 4,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "contention", "queue"],
            names: &[],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(passes(load)),
    },
];

/// Starts an exchange that acknowledges each scan, and ends each connection after a while, the first one soon.
fn exchange(load: &Load) -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    let load = load.clone();
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        for connection in 0.. {
            let (socket, _) = listener.accept().await?;
            let mut random = load.random(100 + connection);
            let lifetime = between(&mut random, secs(2), if connection == 0 { secs(4) } else { secs(25) });
            tokio::spawn(timeout(lifetime, acknowledge(socket, random)));
        }
        Ok(())
    });
    Ok(address)
}

async fn acknowledge(mut socket: TcpStream, mut random: fastrand::Rng) -> anyhow::Result<()> {
    loop {
        socket.read_u64().await?;
        sleep(between(&mut random, millis(5), millis(40))).await;
        socket.write_u8(1).await?;
    }
}

/// A ticket that was scanned, and who waits until the exchange knows it.
struct Scan {
    ticket: u64,
    done: oneshot::Sender<()>,
}

/// A gate, whose queue outlives the tasks that forward it.
struct Gate {
    scans: mpsc::Sender<Scan>,
    queue: Mutex<mpsc::Receiver<Scan>>,
}

impl Gate {
    fn new() -> Self {
        const QUEUE: usize = 64;
        let (scans, queue) = mpsc::channel(QUEUE); // <- supervisor-ends-with-first-error
        Self { scans, queue: Mutex::new(queue) }
    }

    /// Forwards scans over a connection until that ends.
    async fn forward(&self, exchange: SocketAddr) -> anyhow::Result<()> {
        const PATIENCE: Duration = secs(2);
        let mut socket = timeout(PATIENCE, TcpStream::connect(exchange)).await??;
        let mut queue = self.queue.lock().await;
        loop {
            let scan = tokio::select! {
                scan = queue.recv() => scan.context("the gate is closed")?,
                _ = socket.read_u8() => anyhow::bail!("the exchange has ended the connection"),
            };
            socket.write_u64(scan.ticket).await?;
            timeout(PATIENCE, socket.read_u8()).await??;
            // Who has gone does not need to know.
            let _ = scan.done.send(());
        }
    }

    /// Has a scan forwarded, with another attempt if a connection has ended meanwhile.
    async fn record(&self, ticket: u64) -> bool {
        const ATTEMPTS: usize = 4;
        for _ in 0..ATTEMPTS {
            let (done, is_done) = oneshot::channel(); // <- supervisor-ends-with-first-error
            if self.scans.send(Scan { ticket, done }).await.is_err() {
                return false;
            }
            if is_done.await.is_ok() {
                return true;
            }
            sleep(millis(200)).await;
        }
        false
    }
}

/// Keeps a forwarder running for each gate.
async fn supervise(
    gates: Arc<[Gate]>,
    exchange: SocketAddr,
    mut random: fastrand::Rng,
    is_faulty: bool,
) -> anyhow::Result<()> {
    let forward = |number: usize, pause: Duration| {
        let gates = Arc::clone(&gates);
        async move {
            sleep(pause).await;
            (number, gates[number].forward(exchange).await)
        }
    };
    let mut forwarders = JoinSet::new();
    for number in 0..gates.len() {
        forwarders.spawn(forward(number, Duration::ZERO));
    }
    while let Some(ended) = forwarders.join_next().await {
        let (number, outcome) = ended?;
        if is_faulty {
            outcome?;
        }
        forwarders.spawn(forward(number, between(&mut random, millis(100), millis(500))));
    }
    Ok(())
}

async fn scans(load: Load) -> anyhow::Result<()> {
    let gates: Arc<[Gate]> = (0..load.size).map(|_| Gate::new()).collect();
    let supervisor = supervise(Arc::clone(&gates), exchange(&load)?, load.random(1), load.is_faulty());
    tokio::spawn(supervisor); // <- supervisor-ends-with-first-error
    let mut random = load.random(2);
    let tickets = peers::partner(move || Answer::After(between(&mut random, millis(10), millis(150))))?;
    let count = load.size;
    let scan = async move |Path(ticket): Path<u64>| {
        if peers::request(tickets, &format!("/ticket/{ticket}"), Some(secs(2))).await.is_err() {
            return "unknown";
        }
        let gates = Arc::clone(&gates);
        let record = async move {
            let work = Work::begin();
            let gate = &gates[usize::try_from(ticket).unwrap_or_default() % count];
            work.end(gate.record(ticket).await);
        };
        tokio::spawn(record); // <- supervisor-ends-with-first-error
        "come in"
    };
    let router = Router::new().route("/scan/{ticket}", get(scan)).route("/health", get(async || "fine"));
    let address = sidelines::serve_http(router).await?;
    sidelines::probe(address);
    sidelines::visitors(&load, address, secs(15), 20, |random| (format!("/scan/{}", random.u64(..90_000)), secs(5)));
    sidelines::run(&load).await
}

/// The key that passes are signed with, which is fetched once.
struct Keys {
    key: OnceCell<hmac::Key>,
    vault: SocketAddr,
    replica: SocketAddr,
    is_faulty: bool,
}

impl Keys {
    /// The key, as soon as it is there.
    fn key(&self) -> BoxFuture<'_, anyhow::Result<&hmac::Key>> {
        self.key.get_or_try_init(|| self.fetch()).boxed() // <- key-loaded-with-itself
    }

    /// Fetches the key from the vault, or else from its replica, which wants to know who asks.
    async fn fetch(&self) -> anyhow::Result<hmac::Key> {
        const QUESTION: &[u8] = b"GET /key";
        if peers::request(self.vault, "/key", Some(millis(1_500))).await.is_err() {
            let signature = if self.is_faulty {
                hmac::sign(self.key().await?, QUESTION)
            } else {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"of this machine"), QUESTION)
            };
            peers::request(self.replica, &format!("/key/{}", in_words(&signature)), Some(secs(3))).await?;
        }
        Ok(hmac::Key::new(hmac::HMAC_SHA256, b"of this airport"))
    }
}

/// A signature in hexadecimal digits.
fn in_words(signature: &hmac::Tag) -> String {
    signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is needed to write a pass.
struct Desk {
    keys: Keys,
    templates: Environment<'static>,
    seats: SocketAddr,
    offers: SocketAddr,
}

impl Desk {
    /// Writes a pass, with an offer if there is one soon enough.
    async fn write(&self, flight: u64) -> anyhow::Result<String> {
        let key = self.keys.key().await?;
        peers::request(self.seats, &format!("/seat/{flight}"), Some(secs(2))).await?;
        let offer = peers::request(self.offers, "/offer", Some(millis(400))).await.is_ok();
        let signature = in_words(&hmac::sign(key, &flight.to_be_bytes()));
        Ok(self.templates.get_template("pass")?.render(context! { flight, offer, signature })?)
    }
}

/// Fetches a pass from outside.
async fn fetch_pass(desk: SocketAddr, flight: u64) -> anyhow::Result<()> {
    let (mut socket, mut status) = (BufReader::new(TcpStream::connect(desk).await?), String::new());
    let head = format!("GET /pass/{flight} HTTP/1.1\r\nhost: desk\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    socket.read_line(&mut status).await?;
    anyhow::ensure!(status.starts_with("HTTP/1.1 200"), "no pass");
    Ok(())
}

/// Passengers from outside, and displays at the gates, which connect again after a while.
async fn passengers(load: Load, desk: SocketAddr) -> anyhow::Result<()> {
    const DISPLAYS: usize = 30;
    for _ in 0..DISPLAYS {
        tokio::spawn(async move {
            loop {
                let _ = peers::request(desk, "/calls", Some(secs(40))).await;
                sleep(secs(1)).await;
            }
        });
    }
    let mut random = load.random(1);
    sidelines::bursts(&load, secs(15), 20, || {
        let (work, flight) = (Work::begin(), random.u64(100..1_000));
        tokio::spawn(async move {
            let pass = timeout(secs(5), fetch_pass(desk, flight)).await;
            work.end(matches!(pass, Ok(Ok(()))));
        });
    })
    .await;
    Ok(())
}

async fn passes(load: Load) -> anyhow::Result<()> {
    const LIMIT: Duration = secs(3);
    let (silence, began, mut random) = (secs(load.size as u64), Instant::now(), load.random(2));
    let vault = peers::partner(move || {
        let is_silent = began.elapsed() < silence;
        if is_silent { Answer::Never } else { Answer::After(between(&mut random, millis(20), millis(100))) }
    })?;
    let [replica, seats] = [3, 4].map(|purpose| {
        let mut random = load.random(purpose);
        peers::partner(move || Answer::After(between(&mut random, millis(20), millis(300))))
    });
    // Some offers come too late.
    let mut random = load.random(5);
    let offers = peers::partner(move || Answer::After(between(&mut random, millis(30), millis(450))))?;
    let mut templates = Environment::new();
    templates.add_template("pass", "flight {{ flight }}{% if offer %}, and coffee{% endif %}: {{ signature }}")?;
    let key = OnceCell::new(); // <- key-loaded-with-itself
    let keys = Keys { key, vault, replica: replica?, is_faulty: load.is_faulty() };
    let desk = Arc::new(Desk { keys, templates, seats: seats?, offers });
    let warm = Arc::clone(&desk);
    tokio::spawn(async move { warm.keys.key().await.is_ok() }); // <- key-loaded-with-itself
    let (call, _) = broadcast::channel::<u64>(16);
    let called = call.clone();
    spawn("call-flights", async move {
        for flight in 100.. {
            sleep(secs(8)).await;
            // Without displays, nobody hears it.
            let _ = call.send(flight);
        }
    });
    let pass = async move |Path(flight): Path<u64>| {
        desk.write(flight).await.map_err(|_| StatusCode::BAD_GATEWAY) // <- key-loaded-with-itself
    };
    let calls = async move || {
        let flights = BroadcastStream::new(called.subscribe());
        let events = flights.map(|flight| Ok::<_, Infallible>(Event::default().data(flight.unwrap_or(0).to_string())));
        Sse::new(events).keep_alive(KeepAlive::default())
    };
    let router = Router::new()
        .route("/pass/{flight}", get(pass))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT))
        .route("/calls", get(calls))
        .route("/health", get(async || "fine"));
    let address = sidelines::serve_http(router).await?;
    sidelines::probe(address);
    let clients = load.clone();
    outside(move || passengers(clients, address));
    sidelines::run(&load).await
}
