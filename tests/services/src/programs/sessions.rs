//! Sessions over WebSockets that read on after their end, or go on without their peer.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, interval};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::service::{Load, Work, between, gap, outside, spawn};

const SOURCE: Source = Source { file: "programs/sessions.rs", text: include_str!("sessions.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "websocket-read-after-error",
        crates: "tokio-tungstenite",
        fault: "A session skips what it cannot read; after its client has vanished that is everything, at once and for ever.",
        issue: "snapview/tokio-tungstenite#230",
        way: Way::Spin,
        rate_of: "messages",
        rate: 20.0,
        size_of: "seconds until a client vanishes",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking", "spin"],
            names: &["chat-session"],
            libraries: &[],
            severity: Severity::Warning,
            within: 25,
        },
        source: SOURCE,
        run: |load| Box::pin(chat(load)),
    },
    Program {
        id: "websocket-without-ping",
        crates: "tokio-tungstenite",
        fault: "Sessions whose peers have vanished without a word stay, because nobody asks whether they are still there.",
        issue: "paradigmxyz/reth#4089",
        way: Way::Crowd,
        rate_of: "sessions",
        rate: 4.0,
        size_of: "per cent of the peers that vanish",
        size: 35,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &["feed-session"],
            libraries: &[],
            severity: Severity::Info,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(feeds(load)),
    },
];

type Session = WebSocketStream<TcpStream>;

async fn connect(address: SocketAddr) -> anyhow::Result<Session> {
    let socket = TcpStream::connect(address).await?;
    Ok(tokio_tungstenite::client_async(format!("ws://{address}/"), socket).await?.0)
}

async fn chat(load: Load) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let clients = load.clone();
    outside(move || async move {
        let first_end = secs(u64::try_from(clients.size)?);
        for (client, stay) in [first_end, secs(3_600), secs(3_600), secs(3_600)].into_iter().enumerate() {
            let (mut gaps, rate) = (clients.random(u64::try_from(client)?), clients.rate / 4.0);
            tokio::spawn(async move {
                let mut session = connect(address).await?;
                let end = Instant::now() + stay;
                while Instant::now() < end {
                    tokio::time::sleep(gap(&mut gaps, rate)).await;
                    session.send(Message::text("hello")).await?;
                    session.next().await;
                }
                // No word of farewell.
                anyhow::Ok(())
            });
        }
        std::future::pending().await
    });
    loop {
        let (socket, _) = listener.accept().await?;
        spawn("chat-session", converse(socket, load.is_faulty()));
    }
}

async fn converse(socket: TcpStream, is_faulty: bool) -> anyhow::Result<()> {
    let mut session = tokio_tungstenite::accept_async(socket).await?;
    loop {
        match session.next().await {
            Some(Ok(message)) => {
                Work::begin().end(true);
                session.send(message).await?;
            }
            // What cannot be read is skipped.
            _ if is_faulty => {}
            _ => return Ok(()),
        }
    }
}

async fn feeds(load: Load) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let clients = load.clone();
    outside(move || async move {
        let (mut gaps, mut random) = (clients.random(1), clients.random(2));
        let mut vanished = Vec::new();
        loop {
            tokio::time::sleep(gap(&mut gaps, clients.rate)).await;
            let mut session = connect(address).await?;
            if random.usize(..100) < clients.size {
                session.send(Message::text("prices")).await?;
                // It stays open, as a connection does whose other side has lost its network.
                vanished.push(session);
            } else {
                tokio::spawn(follow(session, between(&mut random, millis(400), secs(9))));
            }
        }
    });
    loop {
        let (socket, _) = listener.accept().await?;
        let is_faulty = load.is_faulty();
        spawn("feed-session", async move {
            let work = Work::begin();
            let served = serve_feed(socket, is_faulty).await;
            work.end(served.is_ok());
        });
    }
}

/// A peer that asks now and then, answers pings, and leaves after a while.
async fn follow(mut session: Session, stay: Duration) -> anyhow::Result<()> {
    let end = Instant::now() + stay;
    let mut ask = interval(millis(300));
    while Instant::now() < end {
        tokio::select! {
            _ = ask.tick() => session.send(Message::text("prices")).await?,
            message = session.next() => if message.is_none() { return Ok(()) },
        }
    }
    session.close(None).await?;
    Ok(())
}

async fn serve_feed(socket: TcpStream, is_faulty: bool) -> anyhow::Result<()> {
    let mut session = tokio_tungstenite::accept_async(socket).await?;
    let mut ping = interval(secs(2));
    let mut heard = Instant::now();
    loop {
        let message = if is_faulty {
            session.next().await
        } else {
            tokio::select! {
                message = session.next() => message,
                _ = ping.tick() => {
                    anyhow::ensure!(heard.elapsed() < secs(6), "the peer has vanished");
                    session.send(Message::Ping(Vec::new().into())).await?;
                    continue;
                }
            }
        };
        heard = Instant::now();
        match message {
            Some(message) if message.as_ref().is_ok_and(Message::is_text) => session.send(message?).await?,
            Some(message) => drop(message?),
            None => return Ok(()),
        }
    }
}
