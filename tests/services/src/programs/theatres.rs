//! Theatres: programs that are run for the cues of a show, and servers that sell seats and move now and then.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::channel::Change;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside};

const SOURCE: Source = Source { file: "programs/theatres.rs", text: include_str!("theatres.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "helper-keeps-output-open",
        crates: "tokio, axum",
        fault: "The output of a program is read to its end, and the program has started a helper that keeps it open: the cues behind it wait.",
        issue: "netclaw-dev/netclaw#1887",
        way: Way::Unanswered,
        rate_of: "cues",
        rate: 8.0,
        size_of: "per cent of the cues whose program starts a helper",
        size: 5,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(cues(load)),
    },
    Program {
        id: "unused-channel-takes-no-changes",
        crates: "tonic, axum",
        fault: "A balanced channel takes changes of its servers only when it is called: the task that sends changes to all channels waits for an unused one.",
        issue: "grpc/grpc-rust#1581",
        way: Way::Unanswered,
        rate_of: "seats that are asked for",
        rate: 12.0,
        size_of: "changes that wait for a channel",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &["tonic", "tower"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(seats(load)),
    },
];

/// Runs the program of a cue, and returns what it says.
async fn run_program(script: &str, is_faulty: bool) -> anyhow::Result<String> {
    /// What is still in the pipe when a program ends is read within this time.
    const REST: Duration = millis(200);
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut program = command.spawn()?;
    let mut output = program.stdout.take().context("no output")?;
    let mut said = Vec::new();
    if is_faulty {
        output.read_to_end(&mut said).await?;
        program.wait().await?;
    } else {
        let is_read = tokio::select! {
            read = output.read_to_end(&mut said) => read.is_ok(),
            ended = program.wait() => {
                ended?;
                false
            }
        };
        if is_read {
            program.wait().await?;
        } else {
            // A helper may keep it open for longer.
            let _ = timeout(REST, output.read_to_end(&mut said)).await;
        }
    }
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}

/// A cue, and the work of it.
struct Cue {
    starts_helper: bool,
    work: Work,
}

/// Does the cues of a stage in their order, and tells the desk of each.
async fn do_cues(mut cues: mpsc::Receiver<Cue>, desk: SocketAddr, is_faulty: bool) {
    /// A helper ends by itself after a while.
    const SCRIPTS: [&str; 2] = ["echo light", "sleep 60 & echo fog"];
    while let Some(Cue { starts_helper, work }) = cues.recv().await {
        let said = run_program(SCRIPTS[usize::from(starts_helper)], is_faulty).await;
        let is_told = peers::request(desk, "/done", Some(secs(2))).await.is_ok();
        work.end(is_told && said.is_ok_and(|said| !said.is_empty()));
    }
}

async fn cues(load: Load) -> anyhow::Result<()> {
    const STAGES: usize = 8;
    const QUEUE: usize = 64;
    let mut random = load.random(1);
    let desk = peers::partner(move || Answer::After(between(&mut random, millis(10), millis(100))))?;
    let mut stages = Vec::with_capacity(STAGES);
    for _ in 0..STAGES {
        let (stage, cues) = mpsc::channel(QUEUE); // <- helper-keeps-output-open
        tokio::spawn(do_cues(cues, desk, load.is_faulty())); // <- helper-keeps-output-open
        stages.push(stage);
    }
    let share = load.size;
    let give = async move |Path((stage, number)): Path<(usize, usize)>| {
        let cue = Cue { starts_helper: number % 100 < share, work: Work::begin() };
        match stages[stage % STAGES].try_send(cue) {
            Ok(()) => "noted",
            Err(mpsc::error::TrySendError::Full(cue) | mpsc::error::TrySendError::Closed(cue)) => {
                cue.work.end(false);
                "too many"
            }
        }
    };
    let address = sidelines::serve_http(Router::new().route("/cue/{stage}/{number}", get(give))).await?;
    ask(&load, address, secs(15), 16, |random| format!("/cue/{}/{}", random.usize(..STAGES), random.usize(..10_000)));
    sidelines::run(&load).await
}

/// People outside whose requests the service counts itself, with regular bursts.
fn ask(
    load: &Load,
    address: SocketAddr,
    every: Duration,
    burst: u64,
    mut choose: impl FnMut(&mut fastrand::Rng) -> String + Send + 'static,
) {
    let load = load.clone();
    outside(move || async move {
        let mut random = load.random(903);
        sidelines::bursts(&load, every, burst, || {
            let path = choose(&mut random);
            tokio::spawn(async move { peers::request(address, &path, Some(secs(6))).await });
        })
        .await;
        Ok(())
    });
}

/// One of the servers of a kind, of which only the current one answers.
struct Server {
    number: usize,
    current: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl Health for Server {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if self.current.load(Ordering::Relaxed) != self.number {
            return Err(Status::unavailable("this server has moved"));
        }
        sleep(millis(10 + fastrand::u64(..40))).await;
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("nobody watches"))
    }
}

/// The kinds of servers.
const KINDS: usize = 2;

/// Starts the servers of all kinds and a registry, which says where each kind is whenever it has moved; returns where the registry is.
fn registry(load: &Load) -> anyhow::Result<SocketAddr> {
    const OF_A_KIND: usize = 40;
    let (listener, address) = peers::listener()?;
    let mut random = load.random(1);
    outside(move || async move {
        let (mut kinds, mut currents) = (Vec::new(), Vec::new());
        for _ in 0..KINDS {
            let current = Arc::new(AtomicUsize::new(0));
            let mut addresses = Vec::new();
            for number in 0..OF_A_KIND {
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                addresses.push(listener.local_addr()?);
                let server = HealthServer::new(Server { number, current: Arc::clone(&current) });
                let clients = TcpListenerStream::new(listener);
                tokio::spawn(tonic::transport::Server::builder().add_service(server).serve_with_incoming(clients));
            }
            kinds.push(addresses);
            currents.push(current);
        }
        let (mut socket, _) = TcpListener::from_std(listener)?.accept().await?;
        loop {
            for (kind, (addresses, current)) in kinds.iter().zip(&currents).enumerate() {
                let number = (current.load(Ordering::Relaxed) + 1) % OF_A_KIND;
                socket.write_all(format!("{kind} {}\n", addresses[number]).as_bytes()).await?;
                // The old one answers for a while.
                sleep(millis(300)).await;
                current.store(number, Ordering::Relaxed);
            }
            sleep(between(&mut random, secs(1), secs(3))).await;
        }
    });
    Ok(address)
}

/// Tells the channel of each kind when its server has moved.
async fn follow_registry(
    registry: SocketAddr,
    channels: [mpsc::Sender<Change<SocketAddr, Endpoint>>; KINDS],
) -> anyhow::Result<()> {
    let mut lines = BufReader::new(TcpStream::connect(registry).await?).lines();
    let mut servers: [Option<SocketAddr>; KINDS] = [None; KINDS];
    while let Some(line) = lines.next_line().await? {
        let (kind, server) = line.split_once(' ').context("no kind")?;
        let (kind, server): (usize, SocketAddr) = (kind.parse()?, server.parse()?);
        let endpoint = Endpoint::new(format!("http://{server}"))?;
        channels[kind].send(Change::Insert(server, endpoint)).await?; // <- unused-channel-takes-no-changes
        if let Some(old) = servers[kind].replace(server) {
            channels[kind].send(Change::Remove(old)).await?; // <- unused-channel-takes-no-changes
        }
    }
    Ok(())
}

/// Calls a channel every second, so that it takes its changes.
async fn keep_in_use(channel: Channel) {
    let mut ticks = interval(secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Whether there is an answer does not matter.
        let _ = timeout(secs(1), HealthClient::new(channel.clone()).check(HealthCheckRequest::default())).await;
    }
}

/// Asks for a seat, and asks again if the server has just moved.
async fn seat(channel: Channel) -> bool {
    const ATTEMPTS: usize = 3;
    for _ in 0..ATTEMPTS {
        let call = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.map(|_| ());
        if call.is_ok() {
            return true;
        }
        sleep(millis(250)).await;
    }
    false
}

async fn seats(load: Load) -> anyhow::Result<()> {
    let (seats, changes) = Channel::balance_channel(load.size);
    // Reports are asked for at the end of a month only.
    let (reports, changes_of_reports) = Channel::balance_channel(load.size);
    tokio::spawn(follow_registry(registry(&load)?, [changes, changes_of_reports])); // <- unused-channel-takes-no-changes
    if !load.is_faulty() {
        tokio::spawn(keep_in_use(reports.clone()));
    }
    let mut random = load.random(2);
    let printer = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(150))))?;
    let sell = async move |Path(show): Path<u64>| {
        let work = Work::begin();
        let is_free = timeout(secs(4), seat(seats.clone())).await.unwrap_or(false);
        let is_sold = is_free && peers::request(printer, &format!("/ticket/{show}"), Some(secs(1))).await.is_ok();
        work.end(is_sold);
        if is_sold { Ok("enjoy it") } else { Err(StatusCode::SERVICE_UNAVAILABLE) }
    };
    let report = async move || {
        let answer = timeout(secs(4), HealthClient::new(reports.clone()).check(HealthCheckRequest::default())).await;
        if matches!(answer, Ok(Ok(_))) { Ok("all seats") } else { Err(StatusCode::SERVICE_UNAVAILABLE) }
    };
    let router = Router::new()
        .route("/sell/{show}", get(sell))
        .route("/report", get(report))
        .route("/health", get(async || "fine"));
    let address = sidelines::serve_http(router).await?;
    sidelines::probe(address);
    ask(&load, address, secs(15), 15, |random| format!("/sell/{}", random.u64(..300)));
    sidelines::run(&load).await
}
