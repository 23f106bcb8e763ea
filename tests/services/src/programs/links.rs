//! Links: devices that send frames, and a proxy between clients and a server.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy, copy_bidirectional};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, sleep, timeout};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers;
use crate::service::{Load, Work, between, gap, outside, spawn};

const SOURCE: Source = Source { file: "programs/links.rs", text: include_str!("links.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "select-drops-half-a-frame",
        crates: "bytes, tokio",
        fault: "A session selects between the length of a frame and questions: a question drops a length that was read by half.",
        issue: "Quantus-Network/chain#674",
        way: Way::Unanswered,
        rate_of: "questions to devices",
        rate: 14.0,
        size_of: "devices",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["ask-device", "serve-device"],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(devices(load)),
    },
    Program {
        id: "proxy-waits-for-both-halves",
        crates: "tokio",
        fault: "A proxy ends a connection when both sides have ended theirs; a silent server does not notice that its client has left.",
        issue: "meow-rs/meow-rs#242",
        way: Way::Crowd,
        rate_of: "connections",
        rate: 4.0,
        size_of: "per cent of the connections that subscribe to something",
        size: 40,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &["proxy-connection"],
            libraries: &[],
            severity: Severity::Info,
            within: 90,
        },
        source: SOURCE,
        run: |load| Box::pin(proxy(load)),
    },
];

/// What the body of a frame begins with.
const READING: u8 = 0;
const ANSWER: u8 = 1;

/// Reads the length of the next frame.
async fn next_length(socket: &mut OwnedReadHalf, read: &mut BytesMut, is_faulty: bool) -> io::Result<usize> {
    if is_faulty {
        // The first byte is lost if this is dropped before the second one has come.
        return Ok(socket.read_u16().await?.into());
    }
    fill(socket, read, 2).await?;
    Ok(read.get_u16().into())
}

/// Reads until there are so many bytes.
async fn fill(socket: &mut OwnedReadHalf, read: &mut BytesMut, length: usize) -> io::Result<()> {
    while read.len() < length {
        if socket.read_buf(read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Passes questions to a device in their order, and its answers to those who asked.
async fn serve_device(
    socket: TcpStream,
    mut questions: mpsc::Receiver<oneshot::Sender<()>>,
    is_faulty: bool,
) -> anyhow::Result<()> {
    let (mut reader, mut writer) = socket.into_split();
    let (mut read, mut asked, mut ticks) = (BytesMut::new(), VecDeque::new(), interval(secs(1)));
    loop {
        tokio::select! {
            length = next_length(&mut reader, &mut read, is_faulty) => {
                let length = length?;
                if is_faulty {
                    read.resize(length, 0);
                    reader.read_exact(&mut read).await?;
                } else {
                    fill(&mut reader, &mut read, length).await?;
                }
                let answered = if read.first() == Some(&ANSWER) { asked.pop_front() } else { None };
                read.advance(length);
                // Who asked may be gone.
                let _ = answered.map(|answered: oneshot::Sender<()>| answered.send(()));
            }
            Some(question) = questions.recv() => {
                asked.push_back(question);
                writer.write_all(b"?").await?;
            }
            _ = ticks.tick() => writer.write_all(b".").await?,
        }
    }
}

/// Sends a frame: its length in two bytes, its kind, and what is in it. Over a weak radio link it comes in two parts.
async fn send_frame(socket: &mut OwnedWriteHalf, kind: u8, is_weak: bool) -> anyhow::Result<()> {
    let mut frame = [0xff; 14];
    frame[..3].copy_from_slice(&[0, 12, kind]);
    let (first, second) = frame.split_at(usize::from(is_weak));
    socket.write_all(first).await?;
    if is_weak {
        sleep(millis(40)).await;
    }
    Ok(socket.write_all(second).await?)
}

/// A device that sends readings, and answers questions.
async fn device(address: SocketAddr, mut random: fastrand::Rng) -> anyhow::Result<()> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (mut reader, mut writer) = socket.into_split();
    let mut readings = interval(millis(250));
    loop {
        let is_weak = random.u8(..20) == 0;
        tokio::select! {
            // What is no question only keeps the connection.
            asked = reader.read_u8() => if asked? == b'?' {
                sleep(between(&mut random, millis(10), millis(60))).await;
                send_frame(&mut writer, ANSWER, is_weak).await?;
            },
            _ = readings.tick() => send_frame(&mut writer, READING, is_weak).await?,
        }
    }
}

async fn devices(load: Load) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, clients) = (listener.local_addr()?, load.clone());
    outside(move || async move {
        for number in 0..clients.size {
            tokio::spawn(device(address, clients.random(100 + number as u64)));
        }
        std::future::pending().await
    });
    let mut sessions = Vec::with_capacity(load.size);
    for _ in 0..load.size {
        let (socket, _) = listener.accept().await?;
        let (question, questions) = mpsc::channel(32);
        sessions.push(question);
        spawn("serve-device", serve_device(socket, questions, load.is_faulty()));
    }
    sidelines::registration()?;
    sidelines::sweep(&load);
    let metrics = sidelines::metrics(&load)?;
    let mut random = load.random(1);
    load.arrivals(|_| {
        let (session, metrics) = (sessions[random.usize(..sessions.len())].clone(), metrics.clone());
        let work = Work::begin();
        spawn("ask-device", async move {
            let (answered, answer) = oneshot::channel();
            session.send(answered).await?;
            work.end(answer.await.is_ok());
            let _ = metrics.try_send(1);
            anyhow::Ok(())
        });
    })
    .await;
    Ok(())
}

/// Starts a server that closes a connection after its answer, unless it has been asked for a subscription: then it is silent for good.
fn upstream() -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(async move {
                let (mut socket, mut line) = (BufReader::new(socket), String::new());
                socket.read_line(&mut line).await?;
                socket.write_all(b"ok\n").await?;
                if line == "subscribe\n" {
                    // It waits for news, and does not read.
                    sleep(secs(600)).await;
                }
                anyhow::Ok(())
            });
        }
    });
    Ok(address)
}

/// Copies until both sides have ended, or, repaired, for at most five seconds after one has.
async fn proxy_connection(mut client: TcpStream, upstream: SocketAddr, is_faulty: bool) -> anyhow::Result<()> {
    const LINGER: Duration = secs(5);
    let mut server = TcpStream::connect(upstream).await?;
    if is_faulty {
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
    let mut upwards = Box::pin(async {
        copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    });
    let mut downwards = Box::pin(async {
        copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    });
    tokio::select! {
        ended = &mut upwards => { ended?; let _ = timeout(LINGER, downwards).await; }
        ended = &mut downwards => { ended?; let _ = timeout(LINGER, upwards).await; }
    }
    Ok(())
}

async fn proxy(load: Load) -> anyhow::Result<()> {
    /// Of so many connections, those that are subscriptions stay.
    const STAY: u64 = 40;
    let (upstream, listener) = (upstream()?, TcpListener::bind("127.0.0.1:0").await?);
    let (address, clients) = (listener.local_addr()?, load.clone());
    outside(move || async move {
        let mut random = clients.random(1);
        for number in 0_u64.. {
            sleep(gap(&mut random, clients.rate)).await;
            // The first subscriptions are for an hour.
            let stay = match random.usize(..100) < clients.size {
                false => None,
                true if number < STAY => Some(secs(3_600)),
                true => Some(between(&mut random, secs(1), secs(20))),
            };
            tokio::spawn(async move {
                let mut socket = BufReader::new(TcpStream::connect(address).await?);
                socket.write_all(if stay.is_some() { b"subscribe\n" } else { b"get\n" }).await?;
                socket.read_line(&mut String::new()).await?;
                sleep(stay.unwrap_or_default()).await;
                anyhow::Ok(())
            });
        }
        Ok(())
    });
    sidelines::registration()?;
    sidelines::sweep(&load);
    let _rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    loop {
        let (socket, _) = listener.accept().await?;
        let _ = metrics.try_send(1);
        let work = Work::begin();
        let is_faulty = load.is_faulty();
        spawn("proxy-connection", async move {
            let ended = proxy_connection(socket, upstream, is_faulty).await;
            work.end(ended.is_ok());
        });
    }
}
