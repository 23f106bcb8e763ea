//! Orchards: pictures that are restored part by part, and readings of greenhouses that go to an exchange over streams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside};

const SOURCE: Source = Source { file: "programs/orchards.rs", text: include_str!("orchards.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "lost-part-behind-later-ones",
        crates: "tokio, axum",
        fault: "A part that is lost gives its permit back and asks for one again: the later parts have all of them, and wait to be written after it.",
        issue: "databendlabs/databend#17986",
        way: Way::Deadlock,
        rate_of: "pictures to restore",
        rate: 2.0,
        size_of: "parts of a thousand that the store loses",
        size: 15,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "contention", "queue"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(pictures(load)),
    },
    Program {
        id: "stream-opened-before-first-message",
        crates: "tonic, tonic-prost, axum",
        fault: "A session waits until its stream is open before it sends, and a new exchange answers only after the first message: both wait.",
        issue: "aspect-build/aspect-cli#1096",
        way: Way::Deadlock,
        rate_of: "readings",
        rate: 14.0,
        size_of: "seconds until the exchange is replaced",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &["tonic", "axum"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(readings(load)),
    },
];

/// A part of a picture, which may stay in memory until it is written.
struct Part {
    number: usize,
    _memory: OwnedSemaphorePermit,
}

/// Fetches a part, with more attempts if it is lost.
async fn fetch(
    memory: Arc<Semaphore>,
    mut permit: OwnedSemaphorePermit,
    store: SocketAddr,
    number: usize,
    is_faulty: bool,
) -> anyhow::Result<Part> {
    const ATTEMPTS: usize = 5;
    for _ in 1..ATTEMPTS {
        if peers::request(store, &format!("/part/{number}"), Some(secs(1))).await.is_ok() {
            return Ok(Part { number, _memory: permit });
        }
        if is_faulty {
            // Others may use the memory during the pause.
            drop(permit);
            sleep(millis(250)).await;
            permit = Arc::clone(&memory).acquire_owned().await?; // <- lost-part-behind-later-ones
        } else {
            sleep(millis(250)).await;
        }
    }
    peers::request(store, &format!("/part/{number}"), Some(secs(1))).await?;
    Ok(Part { number, _memory: permit })
}

/// Begins to fetch the parts of a picture in their order, as soon as there is memory for each.
async fn fetch_all(
    memory: Arc<Semaphore>,
    store: SocketAddr,
    parts: mpsc::UnboundedSender<JoinHandle<anyhow::Result<Part>>>,
    is_faulty: bool,
) -> anyhow::Result<()> {
    const PARTS: usize = 24;
    for number in 0..PARTS {
        let permit = Arc::clone(&memory).acquire_owned().await?; // <- lost-part-behind-later-ones
        let part = tokio::spawn(fetch(Arc::clone(&memory), permit, store, number, is_faulty)); // <- lost-part-behind-later-ones
        parts.send(part)?;
    }
    Ok(())
}

/// Restores a picture: its parts are fetched side by side, and written one after the other.
async fn restore(memory: &Arc<Semaphore>, store: SocketAddr, is_faulty: bool) -> anyhow::Result<usize> {
    let (begun, mut parts) = mpsc::unbounded_channel();
    tokio::spawn(fetch_all(Arc::clone(memory), store, begun, is_faulty)); // <- lost-part-behind-later-ones
    let mut written = 0;
    while let Some(part) = parts.recv().await {
        let part = part.await??; // <- lost-part-behind-later-ones
        anyhow::ensure!(part.number == written, "out of order");
        // The disk takes a while.
        sleep(millis(4)).await;
        written += 1;
    }
    Ok(written)
}

/// Restores the pictures of an orchard one after the other, in the memory that it has for that.
async fn restore_all(mut pictures: mpsc::Receiver<Work>, store: SocketAddr, is_faulty: bool) {
    const MEMORY: usize = 8;
    let memory = Arc::new(Semaphore::new(MEMORY)); // <- lost-part-behind-later-ones
    while let Some(work) = pictures.recv().await {
        let restored = restore(&memory, store, is_faulty).await;
        work.end(restored.is_ok());
    }
}

async fn pictures(load: Load) -> anyhow::Result<()> {
    const ORCHARDS: usize = 4;
    const QUEUE: usize = 40;
    const LOSES_AFTER: Duration = secs(6);
    let (began, lost, mut random) = (Instant::now(), load.size, load.random(1));
    let store = peers::partner(move || {
        if began.elapsed() > LOSES_AFTER && random.usize(..1_000) < lost {
            Answer::Never
        } else {
            Answer::After(between(&mut random, millis(30), millis(150)))
        }
    })?;
    let mut orchards = Vec::with_capacity(ORCHARDS);
    for _ in 0..ORCHARDS {
        let (orchard, pictures) = mpsc::channel(QUEUE); // <- lost-part-behind-later-ones
        tokio::spawn(restore_all(pictures, store, load.is_faulty())); // <- lost-part-behind-later-ones
        orchards.push(orchard);
    }
    let order = async move |Path(orchard): Path<usize>| match orchards[orchard % ORCHARDS].try_send(Work::begin()) {
        Ok(()) => "it comes",
        Err(mpsc::error::TrySendError::Full(work) | mpsc::error::TrySendError::Closed(work)) => {
            work.end(false);
            "too many"
        }
    };
    let router = Router::new().route("/restore/{orchard}", get(order)).route("/health", get(async || "fine"));
    let address = sidelines::serve_http(router).await?;
    sidelines::probe(address);
    ask(&load, address, 6, |random| format!("/restore/{}", random.usize(..ORCHARDS)));
    sidelines::run(&load).await
}

/// People and devices outside whose requests the service counts itself, with regular bursts.
fn ask(
    load: &Load,
    address: SocketAddr,
    burst: u64,
    mut choose: impl FnMut(&mut fastrand::Rng) -> String + Send + 'static,
) {
    let load = load.clone();
    outside(move || async move {
        let mut random = load.random(903);
        sidelines::bursts(&load, secs(15), burst, || {
            let path = choose(&mut random);
            tokio::spawn(async move { peers::request(address, &path, Some(secs(8))).await });
        })
        .await;
        Ok(())
    });
}

/// How an exchange answers a stream.
#[derive(Clone, Copy)]
struct Manner {
    /// Whether the answer begins with the first message, and not at once.
    begins_late: bool,
    /// The exchange ends a stream so long after its first message.
    lifetime: Duration,
}

/// Starts an exchange that takes readings over streams, and is replaced by a new one after a time.
fn exchange(load: &Load) -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    let (began, new_after, mut random) = (Instant::now(), secs(load.size as u64), load.random(1));
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            let mut random = random.fork();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(socket).await?;
                while let Some(request) = connection.accept().await {
                    let (request, respond) = request?;
                    let begins_late = began.elapsed() > new_after;
                    let lifetime = between(&mut random, secs(4), secs(9));
                    tokio::spawn(take_readings(request.into_body(), respond, Manner { begins_late, lifetime }));
                }
                anyhow::Ok(())
            });
        }
    });
    Ok(address)
}

/// Answers each message of a stream until its time is over.
async fn take_readings(
    mut body: h2::RecvStream,
    mut respond: h2::server::SendResponse<Bytes>,
    Manner { begins_late, lifetime }: Manner,
) -> anyhow::Result<()> {
    /// A message of two bytes: it is taken.
    const TAKEN: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
    let head = http::Response::builder().header("content-type", "application/grpc").body(())?;
    let (mut now, mut late) = if begins_late { (None, Some(head)) } else { (Some(head), None) };
    let mut stream = now.take().map(|head| respond.send_response(head, false)).transpose()?;
    let mut end = None;
    while let Some(message) = body.data().await {
        let message = message?;
        body.flow_control().release_capacity(message.len())?;
        if let Some(head) = late.take() {
            stream = Some(respond.send_response(head, false)?);
        }
        let Some(stream) = &mut stream else { break };
        sleep(millis(10 + fastrand::u64(..50))).await;
        stream.send_data(Bytes::from_static(TAKEN), false)?;
        let end = *end.get_or_insert_with(|| Instant::now() + lifetime);
        if Instant::now() > end {
            break;
        }
    }
    if let Some(mut stream) = stream {
        let trailers = [("grpc-status", "0")]
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)));
        stream.send_trailers(trailers.into_iter().collect())?;
    }
    Ok(())
}

/// A reading of a greenhouse, and the work of it.
struct Reading {
    sensor: u32,
    work: Work,
}

/// Sends readings over one stream until that ends. What was not acknowledged stays in `open`.
async fn send_readings(
    channel: Channel,
    readings: &mut mpsc::Receiver<Reading>,
    open: &mut Option<Reading>,
    is_faulty: bool,
) -> anyhow::Result<()> {
    const STREAM: usize = 8;
    let (sender, messages) = mpsc::channel(STREAM);
    let send = async |reading: &Reading| sender.send(HealthCheckRequest { service: reading.sensor.to_string() }).await;
    if open.is_none() {
        *open = readings.recv().await;
    }
    let first = open.as_ref().ok_or_else(|| anyhow::anyhow!("no more readings"))?;
    if !is_faulty {
        // The exchange may wait for it before it answers.
        send(first).await?;
    }
    let mut grpc = Grpc::new(channel);
    grpc.ready().await?;
    let codec = ProstCodec::<HealthCheckRequest, HealthCheckResponse>::default();
    let path = PathAndQuery::from_static("/orchard.Exchange/Report");
    let answers = grpc.streaming(Request::new(ReceiverStream::new(messages)), path, codec).await?;
    if is_faulty {
        send(first).await?;
    }
    let mut answers = answers.into_inner();
    loop {
        timeout(secs(3), answers.message()).await??.ok_or_else(|| anyhow::anyhow!("the stream has ended"))?;
        if let Some(reading) = open.take() {
            reading.work.end(true);
        }
        let reading = tokio::select! {
            reading = readings.recv() => reading.ok_or_else(|| anyhow::anyhow!("no more readings"))?,
            _ = answers.message() => anyhow::bail!("the stream has ended"),
        };
        send(&reading).await?;
        *open = Some(reading);
    }
}

/// Keeps a stream for a greenhouse, and opens a new one when it ends.
async fn run_session(channel: Channel, mut readings: mpsc::Receiver<Reading>, is_faulty: bool) {
    let mut open = None;
    while !readings.is_closed() {
        // What has ended is begun again.
        let _ = send_readings(channel.clone(), &mut readings, &mut open, is_faulty).await;
        sleep(millis(200)).await;
    }
}

/// Tells a weather service every three seconds that somebody wants its forecast, and reads it.
async fn follow_weather(weather: SocketAddr) {
    loop {
        sleep(secs(3)).await;
        let forecast = async {
            let socket = TcpStream::connect(weather).await?;
            socket.readable().await
        };
        // It says something only when the weather changes.
        let _ = timeout(secs(2), forecast).await;
    }
}

async fn readings(load: Load) -> anyhow::Result<()> {
    const GREENHOUSES: usize = 6;
    const QUEUE: usize = 32;
    let channel = Endpoint::new(format!("http://{}", exchange(&load)?))?.connect_lazy();
    let mut houses = Vec::with_capacity(GREENHOUSES);
    for _ in 0..GREENHOUSES {
        let (house, readings) = mpsc::channel(QUEUE); // <- stream-opened-before-first-message
        tokio::spawn(run_session(channel.clone(), readings, load.is_faulty())); // <- stream-opened-before-first-message
        houses.push(house);
    }
    tokio::spawn(follow_weather(peers::partner(|| Answer::Never)?));
    let take = async move |Path((house, sensor)): Path<(usize, u32)>| {
        let reading = Reading { sensor, work: Work::begin() };
        match houses[house % GREENHOUSES].send(reading).await {
            Ok(()) => "taken",
            Err(_) => "no",
        }
    };
    let address = sidelines::serve_http(Router::new().route("/reading/{house}/{sensor}", get(take))).await?; // <- stream-opened-before-first-message
    ask(&load, address, 20, |random| format!("/reading/{}/{}", random.usize(..GREENHOUSES), random.u32(..50)));
    sidelines::run(&load).await
}
