//! Gateways: one that refreshes a token, one that pushes notices over websockets, and one that compresses exports.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval, sleep, timeout};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside, spawn};

const SOURCE: Source = Source { file: "programs/gateways.rs", text: include_str!("gateways.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "token-refresh-gave-up",
        crates: "axum, tokio",
        fault: "The task that refreshes the token ends after three errors in a row, and every request waits for the next token forever.",
        issue: "googleapis/google-cloud-rust#4593",
        way: Way::Unanswered,
        rate_of: "requests",
        rate: 18.0,
        size_of: "seconds that a token is valid",
        size: 10,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["sync-account"],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 80,
        },
        source: SOURCE,
        run: |load| Box::pin(tokens(load)),
    },
    Program {
        id: "websocket-stalled-readers",
        crates: "axum, futures",
        fault: "Each connection has an unbounded queue: a client that stops reading blocks its writer, and the queue grows.",
        issue: "majiayu000/harness#1996",
        way: Way::Unanswered,
        rate_of: "notices",
        rate: 20.0,
        size_of: "clients that do not read any more",
        size: 3,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &["write-notices"],
            libraries: &[],
            severity: Severity::Warning,
            within: 90,
        },
        source: SOURCE,
        run: |load| Box::pin(notices(load)),
    },
    Program {
        id: "exports-compressed-on-worker",
        crates: "axum, flate2, serde_json",
        fault: "Large exports are encoded and compressed in their handler, which blocks a worker meanwhile.",
        issue: "axiomhq/axiom-rs#9",
        way: Way::Blocking,
        rate_of: "requests",
        rate: 20.0,
        size_of: "thousands of rows in an export",
        size: 25,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &[],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(exports(load)),
    },
];

/// When the token expires.
type Token = Instant;

/// Waits for a valid token, and calls the partner with it.
async fn ask_with_token(tokens: Arc<watch::Sender<Token>>, partner: SocketAddr) -> anyhow::Result<usize> {
    let mut token = tokens.subscribe();
    token.wait_for(|valid_until| *valid_until > Instant::now()).await?;
    peers::request(partner, "/accounts", Some(secs(5))).await
}

async fn refresh_tokens(tokens: Arc<watch::Sender<Token>>, identity: SocketAddr, valid: Duration, most_errors: u32) {
    let mut errors = 0;
    while errors < most_errors {
        if peers::request(identity, "/token", Some(secs(1))).await.is_ok() {
            errors = 0;
            tokens.send_replace(Instant::now() + valid);
            sleep(valid * 2 / 3).await;
        } else {
            errors += 1;
            sleep(millis(500)).await;
        }
    }
}

async fn tokens(load: Load) -> anyhow::Result<()> {
    const DOWN: std::ops::Range<Duration> = secs(18)..secs(30);
    let began = Instant::now();
    let mut random = load.random(1);
    let identity = peers::partner(move || match DOWN.contains(&began.elapsed()) {
        true => Answer::Never,
        false => Answer::After(between(&mut random, millis(30), millis(200))),
    })?;
    let mut random = load.random(2);
    let partner = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(200))))?;
    let tokens = Arc::new(watch::Sender::new(began));
    let valid = secs(u64::try_from(load.size)?);
    let most_errors = if load.is_faulty() { 3 } else { u32::MAX };
    spawn("refresh-tokens", refresh_tokens(Arc::clone(&tokens), identity, valid, most_errors));
    let state = (Arc::clone(&tokens), partner);
    let accounts = async |State((tokens, partner))| match ask_with_token(tokens, partner).await {
        Ok(length) => length.to_string(),
        Err(error) => error.to_string(),
    };
    let address = sidelines::serve_http(Router::new().route("/accounts", get(accounts)).with_state(state)).await?;
    sidelines::visitors(&load, address, secs(10), 20, |_| ("/accounts".to_owned(), secs(60)));
    sidelines::registration()?;
    sidelines::sweep(&load);
    let metrics = sidelines::metrics(&load)?;
    let mut ticks = interval(millis(800));
    loop {
        ticks.tick().await;
        let (tokens, metrics) = (Arc::clone(&tokens), metrics.clone());
        spawn("sync-account", async move {
            let length = ask_with_token(tokens, partner).await?;
            metrics.send(u64::try_from(length)?).await?;
            anyhow::Ok(())
        });
    }
}

/// The queue of a connection, bounded or not.
#[derive(Clone)]
enum Outbox {
    Unbounded(mpsc::UnboundedSender<Arc<str>>),
    Bounded(mpsc::Sender<Arc<str>>),
}

impl Outbox {
    /// Whether the notice was queued.
    fn put(&self, notice: &Arc<str>) -> bool {
        match self {
            Self::Unbounded(queue) => queue.send(Arc::clone(notice)).is_ok(),
            Self::Bounded(queue) => queue.try_send(Arc::clone(notice)).is_ok(),
        }
    }
}

/// What the connections share.
#[derive(Clone, Default)]
struct Hub {
    outboxes: Arc<Mutex<Vec<Outbox>>>,
    is_faulty: bool,
}

async fn follow(hub: Hub, socket: WebSocket) {
    let (mut sink, mut incoming) = socket.split();
    let (outbox, mut notices) = if hub.is_faulty {
        let (queue, notices) = mpsc::unbounded_channel(); // <- websocket-stalled-readers
        (Outbox::Unbounded(queue), tokio_stream::wrappers::UnboundedReceiverStream::new(notices).boxed())
    } else {
        let (queue, notices) = mpsc::channel(64);
        (Outbox::Bounded(queue), tokio_stream::wrappers::ReceiverStream::new(notices).boxed())
    };
    hub.outboxes.lock().push(outbox);
    let mut writer = spawn("write-notices", async move {
        while let Some(notice) = notices.next().await {
            let sent = sink.send(Message::text(&*notice));
            // A client that takes no notice for ten seconds is disconnected.
            match (hub.is_faulty, sent) {
                (true, sent) => sent.await?,
                (false, sent) => timeout(secs(10), sent).await??,
            }
        }
        anyhow::Ok(())
    });
    loop {
        tokio::select! {
            message = incoming.next() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
            // The client is gone, or has stopped reading.
            _ = &mut writer => return,
        }
    }
    writer.abort();
}

async fn notices(load: Load) -> anyhow::Result<()> {
    const CLIENTS: usize = 25;
    let hub = Hub { is_faulty: load.is_faulty(), ..Hub::default() };
    let upgrade = async |State(hub): State<Hub>, upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(|socket| follow(hub, socket)).into_response()
    };
    let rates = sidelines::rates(&load)?;
    let page = move || async move { rates.load().to_string() };
    let router = Router::new().route("/notices", get(upgrade)).route("/rates", get(page)).with_state(hub.clone());
    let address = sidelines::serve_http(router).await?;
    let stalled = load.size.min(CLIENTS);
    outside(move || async move {
        for client in 0..CLIENTS {
            tokio::spawn(read_notices(address, (client < stalled).then_some(secs(15))));
        }
        std::future::pending().await
    });
    let mut asked = load.clone();
    asked.rate = 6.0;
    peers::ask_for(asked, address, &["/rates"]);
    sidelines::registration()?;
    let metrics = sidelines::metrics(&load)?;
    let notice: Arc<str> = "the train to the coast is late, ".repeat(500).into();
    sidelines::bursts(&load, secs(12), 12, || {
        let work = Work::begin();
        hub.outboxes.lock().retain(|outbox| outbox.put(&notice));
        let _ = metrics.try_send(1);
        work.end(true);
    })
    .await;
    Ok(())
}

/// Reads notices, stops reading after a while, and stays connected.
async fn read_notices(address: SocketAddr, until: Option<Duration>) -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(16 * 1_024)?;
    let socket: TcpStream = socket.connect(address).await?;
    let (mut session, _) = tokio_tungstenite::client_async(format!("ws://{address}/notices"), socket).await?;
    let mut heartbeat = interval(secs(5));
    let read = async {
        loop {
            tokio::select! {
                notice = session.next() => match notice {
                    Some(notice) => drop(notice?),
                    None => return anyhow::Ok(()),
                },
                _ = heartbeat.tick() => session.send(tokio_tungstenite::tungstenite::Message::Ping("".into())).await?,
            }
        }
    };
    match until {
        None => read.await,
        Some(until) => {
            let _ = timeout(until, read).await;
            std::future::pending().await
        }
    }
}

/// Encodes and compresses this many thousands of rows.
fn export(thousands: usize) -> Vec<u8> {
    let rows: Vec<_> = (0..thousands * 1_000).map(|row| json!({"id": row, "price": row * 7 % 1_003})).collect();
    let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
    let text = serde_json::to_vec(&rows).unwrap_or_default();
    // Writing to a vector cannot fail.
    let _ = compressed.write_all(&text);
    compressed.finish().unwrap_or_default()
}

async fn exports(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let database = peers::partner(move || Answer::After(between(&mut random, millis(5), millis(60))))?;
    let (is_faulty, thousands) = (load.is_faulty(), load.size);
    let item = async move |Path(number): Path<u64>| {
        let _ = peers::request(database, "/item", Some(secs(2))).await;
        number.to_string()
    };
    let exported = async move || match is_faulty {
        true => export(thousands),
        false => spawn_blocking(move || export(thousands)).await.unwrap_or_default(),
    };
    let router = Router::new().route("/item/{number}", get(item)).route("/export", get(exported));
    let address = sidelines::serve_http(router).await?;
    sidelines::visitors(&load, address, secs(10), 15, |random| match random.u8(..100) {
        0..5 => ("/export".to_owned(), secs(20)),
        number => (format!("/item/{number}"), secs(10)),
    });
    sidelines::registration()?;
    let rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    loop {
        sleep(secs(1)).await;
        let _ = metrics.try_send(**rates.load());
    }
}
