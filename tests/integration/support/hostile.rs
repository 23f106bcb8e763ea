//! Servers that no target should be: what listens where a console was expected, and consoles that lie, break off or send nonsense.

use std::time::{Duration, SystemTime};

use console_api::instrument::Update;
use console_api::{Field, PollStats};
use h2::SendStream;
use h2::server::{SendResponse, handshake};
use prost::Message;
use prost::bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_canary::feed::endpoint::Address;
use tonic::codegen::http::{HeaderMap, HeaderValue, Response};

use super::updates::{at, births, idle};

/// How often a hostile console publishes.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long a connection lasts that always breaks.
const CONNECTED: Duration = Duration::from_millis(100);
/// Tasks of a hostile console.
const TASKS: u64 = 5;
/// An empty frame of settings.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const SETTINGS_ACK: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];
/// More milliseconds than any service runs.
const CENTURY: u64 = 3_155_760_000_000;

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A web server that refuses HTTP/2 in words.
    Http1,
    /// A web server that closes a connection of HTTP/2 without a word.
    Http1Closing,
    /// A web server of HTTP/2.
    Http2,
    /// A gRPC server of something else.
    OtherGrpc,
    /// A server that refuses what is no TLS with an alert.
    Tls,
    /// A server that closes a connection that is no TLS without a word.
    TlsClosing,
    /// It accepts and says nothing.
    Silent,
    /// It accepts and closes.
    Closes,
    Ssh,
    Redis,
    Postgres,
    Smtp,
    /// Settings of HTTP/2, then nonsense.
    GarbageFrames,
    /// A block of headers that never ends.
    EndlessHeaders,
    /// Every stream is reset, in great numbers.
    ResetStorm,
    /// Every connection is ended at once.
    GoAway,
    /// An answer that ends the stream before its first message.
    TrailersOnly,
    /// `WatchUpdates` is refused, or ends after some updates, with details that are not base64.
    UpdatesBadDetails(Place),
    /// The same for `WatchState`, on a console that is fine otherwise.
    StateBadDetails(Place),
    /// The same for `WatchTaskDetails`, which the pump calls, too.
    TaskDetailsBadDetails(Place),
    /// `WatchState` sends what is no message.
    StateGarbage,
    /// A message of nearly 4 GiB is announced.
    HugeLength,
    /// A message breaks off in the middle.
    Truncated,
    /// Every other message cannot be decoded.
    Undecodable,
    /// Empty messages, as fast as they are taken.
    EmptyUpdates,
    /// A first message, and then the connection breaks, again and again.
    Flapping,
    Clock(Fault),
}

/// Where a status stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Headers,
    Trailers,
}

/// What is wrong with the clock of a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Frozen,
    /// After a second it steps back by an hour.
    SteppedBack,
    /// A single time is a century ahead.
    Leap,
    /// All times are a century ahead of what happens at them.
    FarAhead,
    Missing,
    Negative,
}

/// A server inside the test. Dropping it stops it.
pub(crate) struct Hostile {
    pub(crate) address: Address,
    _tasks: JoinSet<()>,
}

impl Hostile {
    pub(crate) async fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                // Either end may break off: that is what this is for.
                connections.spawn(async move { serve(kind, stream).await.unwrap_or_default() });
            }
        });
        Self { address: Address::Tcp { host: "127.0.0.1".to_owned(), port }, _tasks: tasks }
    }
}

type Served = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn serve(kind: Kind, mut stream: TcpStream) -> Served {
    match kind {
        Kind::Http1 => answer(stream, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await,
        Kind::Tls => answer(stream, b"\x15\x03\x03\x00\x02\x02\x46").await,
        Kind::Redis => answer(stream, b"-ERR unknown command 'PRI', with args beginning with: '*'\r\n").await,
        Kind::Postgres => answer(stream, b"E\0\0\0\x2cSFATAL\0C0A000\0Munsupported frontend protocol\0\0").await,
        Kind::Ssh => greet(stream, b"SSH-2.0-OpenSSH_9.6\r\n").await,
        Kind::Smtp => greet(stream, b"220 mail.example ESMTP\r\n").await,
        Kind::Http1Closing => {
            answer_to(stream, b"OPTIONS", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await
        }
        Kind::TlsClosing => answer_to(stream, b"\x16\x03\x01", b"\x15\x03\x03\x00\x02\x02\x28").await,
        Kind::Closes => Ok(()),
        Kind::Silent => rest(stream).await,
        Kind::GarbageFrames => {
            begin_http2(&mut stream).await?;
            loop {
                stream.write_all(&[0xa5; 4096]).await?;
            }
        }
        Kind::EndlessHeaders => endless_headers(stream).await,
        Kind::ResetStorm => {
            begin_http2(&mut stream).await?;
            loop {
                stream.write_all(&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2]).await?;
            }
        }
        Kind::GoAway => {
            begin_http2(&mut stream).await?;
            stream.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await?;
            rest(stream).await
        }
        Kind::Flapping => timeout(CONNECTED, serve_calls(kind, stream)).await?,
        _ => serve_calls(kind, stream).await,
    }
}

/// Waits for something and answers it.
async fn answer(stream: TcpStream, words: &[u8]) -> Served {
    answer_to(stream, b"", words).await
}

/// Answers what begins so, and closes the connection on everything else.
async fn answer_to(mut stream: TcpStream, expected: &[u8], words: &[u8]) -> Served {
    let mut heard = [0; 1024];
    let length = stream.read(&mut heard).await?;
    if heard.get(..length).is_some_and(|heard| heard.starts_with(expected)) {
        stream.write_all(words).await?;
        stream.shutdown().await?;
        // What is not read before the end would take back what was written.
        return rest(stream).await;
    }
    Ok(())
}

/// Speaks first.
async fn greet(mut stream: TcpStream, words: &[u8]) -> Served {
    stream.write_all(words).await?;
    rest(stream).await
}

async fn rest(mut stream: TcpStream) -> Served {
    let mut heard = [0; 1024];
    while stream.read(&mut heard).await? > 0 {}
    Ok(())
}

async fn begin_http2(stream: &mut TcpStream) -> Served {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await?;
    stream.write_all(&SETTINGS).await?;
    Ok(stream.write_all(&SETTINGS_ACK).await?)
}

async fn endless_headers(mut stream: TcpStream) -> Served {
    begin_http2(&mut stream).await?;
    // `:status: 200`, and no end of headers; then one header after the other, in a frame each.
    stream.write_all(&[0, 0, 1, 1, 0, 0, 0, 0, 1, 0x88]).await?;
    let mut frame = vec![0, 0, 0x67, 9, 0, 0, 0, 0, 1, 0, 1, b'x', 100];
    frame.extend([b'y'; 100]);
    loop {
        stream.write_all(&frame).await?;
    }
}

/// Serves calls of gRPC, each on a task of its own.
async fn serve_calls(kind: Kind, stream: TcpStream) -> Served {
    let mut connection = handshake(stream).await?;
    let mut calls = JoinSet::new();
    let started = SystemTime::now();
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        let path = request.uri().path().to_owned();
        calls.spawn(async move {
            let call = Call { kind, respond, started };
            call.answer(&path).await.unwrap_or_default();
        });
    }
    Ok(())
}

struct Call {
    kind: Kind,
    respond: SendResponse<Bytes>,
    started: SystemTime,
}

impl Call {
    async fn answer(self, path: &str) -> Served {
        match (path.rsplit('/').next().unwrap_or_default(), self.kind) {
            (_, Kind::Http2) => {
                let mut respond = self.respond;
                let page = Response::builder().status(404).header("content-type", "text/html").body(())?;
                respond.send_response(page, false)?.send_data(Bytes::from_static(b"<html></html>"), true)?;
                Ok(())
            }
            (_, Kind::OtherGrpc) => self.refuse(12),
            ("WatchUpdates", Kind::TrailersOnly) => self.refuse(0),
            ("WatchUpdates", Kind::UpdatesBadDetails(place)) => self.end_badly(place, true).await,
            ("WatchUpdates", _) => self.updates().await,
            ("WatchState", Kind::StateBadDetails(place)) => self.end_badly(place, false).await,
            ("WatchState", Kind::StateGarbage) => {
                let mut body = self.open()?;
                send(&mut body, &[0xff; 20]).await
            }
            ("WatchTaskDetails", Kind::TaskDetailsBadDetails(place)) => self.end_badly(place, false).await,
            ("WatchTaskDetails", _) => self.refuse(5),
            _ => self.refuse(12),
        }
    }

    fn open(mut self) -> Result<SendStream<Bytes>, h2::Error> {
        self.respond.send_response(grpc(HeaderMap::new()), false)
    }

    /// Answers with a status and nothing else.
    fn refuse(mut self, code: u16) -> Served {
        let status = HeaderMap::from_iter([("grpc-status".parse()?, HeaderValue::from(code))]);
        self.respond.send_response(grpc(status), true)?;
        Ok(())
    }

    /// Ends with a status that tonic cannot read: it panics.
    async fn end_badly(mut self, place: Place, with_update: bool) -> Served {
        let status = HeaderMap::from_iter([
            ("grpc-status".parse()?, HeaderValue::from_static("13")),
            ("grpc-status-details-bin".parse()?, HeaderValue::from_static("!")),
        ]);
        if place == Place::Headers {
            self.respond.send_response(grpc(status), true)?;
            return Ok(());
        }
        let started = self.started;
        let mut body = self.open()?;
        if with_update {
            send(&mut body, &first(started)).await?;
        }
        Ok(body.send_trailers(status)?)
    }

    async fn updates(self) -> Served {
        let (kind, started) = (self.kind, self.started);
        let mut body = self.open()?;
        let mut ticks = interval(INTERVAL);
        for nth in 0_u64.. {
            if kind != Kind::EmptyUpdates {
                ticks.tick().await;
            }
            match (kind, nth) {
                (Kind::EmptyUpdates, _) => send(&mut body, &[]).await?,
                (Kind::Flapping, 1..) => std::future::pending().await,
                (Kind::HugeLength, 1..) => {
                    body.send_data(Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]), false)?;
                }
                (Kind::Truncated, 1..) => {
                    // The field of tasks is said to have a hundred bytes.
                    send(&mut body, b"\x12\x64hello").await?;
                }
                (Kind::Undecodable, 1..) => send(&mut body, &[0xff; 20]).await?,
                (_, 0) => send(&mut body, &first_of(kind, started)).await?,
                _ => send(&mut body, &next_of(kind, started, nth)).await?,
            }
        }
        Ok(())
    }
}

fn grpc(mut headers: HeaderMap) -> Response<()> {
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut response = Response::new(());
    *response.headers_mut() = headers;
    response
}

/// Sends a message, once there is room for it.
async fn send(body: &mut SendStream<Bytes>, message: &[u8]) -> Served {
    let length = u32::try_from(message.len())?.to_be_bytes();
    let frame = [&[0][..], &length, message].concat();
    body.reserve_capacity(frame.len());
    while body.capacity() < frame.len() {
        std::future::poll_fn(|context| body.poll_capacity(context)).await.ok_or("closed")??;
    }
    body.send_data(frame.into(), false)?;
    // A server that never waits would starve the test that it runs in.
    sleep(Duration::from_micros(10)).await;
    Ok(())
}

/// Milliseconds of the clock of a console that was started when we were attached, an hour after its machine was.
fn clock(started: SystemTime) -> u64 {
    let passed = started.elapsed().unwrap_or_default();
    4_000_000 + u64::try_from(passed.as_millis()).expect("a short time")
}

fn first(started: SystemTime) -> Vec<u8> {
    first_of(Kind::Clock(Fault::None), started)
}

fn first_of(kind: Kind, started: SystemTime) -> Vec<u8> {
    let mut update = births(clock(started), TASKS, 100);
    update.now = now_of(kind, started, 0);
    update.encode_to_vec()
}

fn next_of(kind: Kind, started: SystemTime, nth: u64) -> Vec<u8> {
    let mut update = if kind == Kind::Clock(Fault::FarAhead) { polled(clock(started)) } else { idle(0) };
    update.now = now_of(kind, started, nth);
    update.encode_to_vec()
}

/// An update in which a new task was polled.
fn polled(now: u64) -> Update {
    let mut update = births(now, 1, 10);
    for task in update.task_update.iter_mut().flat_map(|part| &mut part.new_tasks) {
        task.fields.push(Field { name: Some("kind".into()), value: Some("task".into()), metadata_id: None });
    }
    for stats in update.task_update.iter_mut().flat_map(|part| part.stats_update.values_mut()) {
        let (first, polls) = (Some(at(now - 9)), 1);
        let (last_poll_started, last_poll_ended) = (first, Some(at(now - 8)));
        let poll_stats =
            PollStats { polls, first_poll: first, last_poll_started, last_poll_ended, ..PollStats::default() };
        stats.poll_stats = Some(poll_stats);
    }
    update
}

fn now_of(kind: Kind, started: SystemTime, nth: u64) -> Option<prost_types::Timestamp> {
    let now = clock(started);
    let Kind::Clock(fault) = kind else { return Some(at(now)) };
    match fault {
        Fault::None => Some(at(now)),
        Fault::Frozen => Some(at(4_000_000)),
        Fault::SteppedBack if now > 4_001_000 => Some(at(now - 3_600_000)),
        Fault::Leap if nth == 10 => Some(at(now + CENTURY)),
        Fault::FarAhead => Some(at(now + CENTURY)),
        Fault::SteppedBack | Fault::Leap => Some(at(now)),
        Fault::Missing => None,
        Fault::Negative => Some(prost_types::Timestamp { seconds: -5, nanos: -5 }),
    }
}
