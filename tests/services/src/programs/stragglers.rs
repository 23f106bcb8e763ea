//! Waits that the feed does not show, and that some tasks never get out of while their siblings finish.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use dashmap::DashMap;
use futures::channel::oneshot;
use futures::{SinkExt, StreamExt};
use moka::future::Cache;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, outside, spawn};

const SOURCE: Source = Source { file: "programs/stragglers.rs", text: include_str!("stragglers.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "moka-loader-hangs",
        crates: "moka",
        fault: "A loader without a timeout hangs in get_with, and whoever asks for that key waits with it.",
        issue: "moka-rs/moka#240",
        way: Way::Stragglers,
        rate_of: "requests for a page",
        rate: 25.0,
        size_of: "keys",
        size: 150,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["render-page"],
            libraries: &[],
            severity: Severity::Warning,
            within: 55,
        },
        source: SOURCE,
        run: |load| Box::pin(moka_loader(load)),
    },
    Program {
        id: "reqwest-no-timeout",
        crates: "reqwest, hyper-util",
        fault: "A client has no timeout, and its partner now and then takes a request and never answers.",
        issue: "seanmonstar/reqwest#181",
        way: Way::Stragglers,
        rate_of: "requests to the partner",
        rate: 12.0,
        size_of: "per cent of the requests that are not answered",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["quote-shipping"],
            libraries: &["hyper-util", "reqwest"],
            severity: Severity::Warning,
            within: 55,
        },
        source: SOURCE,
        run: |load| Box::pin(reqwest_client(load)),
    },
    Program {
        id: "dashmap-late-registration",
        crates: "dashmap, futures",
        fault: "A request is sent before its reply channel is registered; a reply that is faster is thrown away.",
        issue: "karyontech/karyon#65",
        way: Way::Stragglers,
        rate_of: "calls",
        rate: 30.0,
        size_of: "calls of a thousand whose reply overtakes the registration",
        size: 50,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["remote-call"],
            libraries: &[],
            severity: Severity::Warning,
            within: 55,
        },
        source: SOURCE,
        run: |load| Box::pin(late_registration(load)),
    },
    Program {
        id: "websocket-both-write",
        crates: "tokio-tungstenite",
        fault: "A session sends a large snapshot before it reads, and so does its peer: both sockets are full.",
        issue: "snapview/tokio-tungstenite#77",
        way: Way::Stragglers,
        rate_of: "sessions",
        rate: 6.0,
        size_of: "MiB of a large snapshot",
        size: 16,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["sync-session"],
            libraries: &[],
            severity: Severity::Warning,
            within: 55,
        },
        source: SOURCE,
        run: |load| Box::pin(websocket_sessions(load)),
    },
];

/// A share of the partner's answers never comes; the others take some milliseconds.
fn unreliable(load: &Load, percent: usize) -> anyhow::Result<SocketAddr> {
    let mut random = load.random(1);
    peers::partner(move || {
        if random.usize(..100) < percent {
            Answer::Never
        } else {
            Answer::After(between(&mut random, millis(2), millis(25)))
        }
    })
}

async fn moka_loader(load: Load) -> anyhow::Result<()> {
    let store = unreliable(&load, 3)?;
    let cache: Cache<usize, usize> = Cache::builder().max_capacity(10_000).time_to_live(secs(6)).build();
    let mut random = load.random(2);
    let patience = (!load.is_faulty()).then_some(millis(400));
    load.arrivals(|_| {
        let (cache, key) = (cache.clone(), random.usize(..load.size));
        let work = Work::begin();
        spawn("render-page", async move {
            let page = cache.try_get_with(key, peers::request(store, "/page", patience)).await;
            work.end(page.is_ok());
        });
    })
    .await;
    Ok(())
}

async fn reqwest_client(load: Load) -> anyhow::Result<()> {
    let partner = unreliable(&load, load.size)?;
    let mut client = reqwest::Client::builder();
    if !load.is_faulty() {
        client = client.timeout(secs(2));
    }
    let client = client.build()?;
    load.arrivals(|_| {
        let request = client.get(format!("http://{partner}/quote")).send();
        let work = Work::begin();
        spawn("quote-shipping", async move {
            let quote = async { request.await?.text().await }.await;
            work.end(quote.is_ok());
        });
    })
    .await;
    Ok(())
}

/// A connection over which many calls are made at a time.
struct Remote {
    pending: DashMap<u64, oneshot::Sender<u64>>,
}

async fn late_registration(load: Load) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut random = load.random(3);
    outside(move || async move {
        let mut socket = TcpStream::connect(address).await?;
        loop {
            let call = socket.read_u64().await?;
            tokio::time::sleep(between(&mut random, millis(1), millis(4))).await;
            socket.write_u64(call).await?;
        }
    });
    let (socket, _) = listener.accept().await?;
    let (mut replies, mut requests) = socket.into_split();
    let remote = Arc::new(Remote { pending: DashMap::new() });
    let reader = Arc::clone(&remote);
    spawn("reply-reader", async move {
        while let Ok(call) = replies.read_u64().await {
            if let Some((_, reply)) = reader.pending.remove(&call) {
                let _ = reply.send(call);
            }
        }
    });
    let (outbox, mut inbox) = tokio::sync::mpsc::unbounded_channel();
    spawn("request-writer", async move {
        while let Some(call) = inbox.recv().await {
            if requests.write_u64(call).await.is_err() {
                break;
            }
        }
    });
    let mut random = load.random(4);
    load.arrivals(|call| {
        let (remote, outbox) = (Arc::clone(&remote), outbox.clone());
        // Looking up the caller's identity takes a while now and then.
        let is_slow = random.usize(..1_000) < load.size;
        let is_faulty = load.is_faulty();
        let work = Work::begin();
        spawn("remote-call", async move {
            let (reply, answer) = oneshot::channel();
            if !is_faulty {
                remote.pending.insert(call, reply);
                let _ = outbox.send(call);
                look_up(is_slow).await;
            } else {
                let _ = outbox.send(call);
                look_up(is_slow).await;
                remote.pending.insert(call, reply);
            }
            work.end(answer.await.is_ok());
        });
    })
    .await;
    Ok(())
}

async fn look_up(is_slow: bool) {
    if is_slow {
        tokio::time::sleep(millis(20)).await;
    }
}

async fn websocket_sessions(load: Load) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let peers = load.clone();
    outside(move || async move {
        let (mut gaps, mut random) = (peers.random(5), peers.random(6));
        loop {
            tokio::time::sleep(gap(&mut gaps, peers.rate)).await;
            let large = random.usize(..100) < 15;
            tokio::spawn(sync_with_server(address, if large { peers.size << 20 } else { 4 << 10 }));
        }
    });
    loop {
        let (socket, _) = listener.accept().await?;
        let work = Work::begin();
        let is_faulty = load.is_faulty();
        spawn("sync-session", async move {
            let session = if is_faulty { send_then_read(socket).await } else { send_and_read(socket).await };
            work.end(session.is_ok());
        });
    }
}

/// A client that says how much it wants, sends as much itself, and only then reads.
async fn sync_with_server(address: SocketAddr, size: usize) -> anyhow::Result<()> {
    let socket = TcpStream::connect(address).await?;
    let (mut session, _) = tokio_tungstenite::client_async(format!("ws://{address}/"), socket).await?;
    session.send(Message::text(size.to_string())).await?;
    for _ in 0..size.div_ceil(CHUNK) {
        session.send(Message::binary(vec![1_u8; CHUNK])).await?;
    }
    session.send(Message::text("end")).await?;
    while let Some(message) = session.next().await {
        if message?.is_text() {
            break;
        }
    }
    session.close(None).await?;
    Ok(())
}

/// Bytes of one message.
const CHUNK: usize = 64 << 10;

async fn send_then_read(socket: TcpStream) -> anyhow::Result<()> {
    let mut session = tokio_tungstenite::accept_async(socket).await?;
    let size: usize = session.next().await.context("no request")??.to_text()?.parse()?;
    for _ in 0..size.div_ceil(CHUNK) {
        session.send(Message::binary(vec![1_u8; CHUNK])).await?;
    }
    session.send(Message::text("end")).await?;
    while !session.next().await.context("left early")??.is_text() {}
    Ok(())
}

async fn send_and_read(socket: TcpStream) -> anyhow::Result<()> {
    let session = tokio_tungstenite::accept_async(socket).await?;
    let (mut outgoing, mut incoming) = session.split();
    let size: usize = incoming.next().await.context("no request")??.to_text()?.parse()?;
    let send = async {
        for _ in 0..size.div_ceil(CHUNK) {
            outgoing.send(Message::binary(vec![1_u8; CHUNK])).await?;
        }
        outgoing.send(Message::text("end")).await?;
        anyhow::Ok(())
    };
    let receive = async {
        while !incoming.next().await.context("left early")??.is_text() {}
        anyhow::Ok(())
    };
    timeout(secs(30), futures::future::try_join(send, receive)).await??;
    Ok(())
}
