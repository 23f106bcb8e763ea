//! Workshops: jobs for machines that say whether they are ready, and tools that are taken from racks.

use std::collections::HashMap;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use futures::future::ready;
use futures::stream::{self, BoxStream};
use moka::Entry;
use moka::future::Cache;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::time::sleep;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, between, outside, spawn};

const SOURCE: Source = Source { file: "programs/workshops.rs", text: include_str!("workshops.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "machine-watched-after-its-job",
        crates: "tonic, tonic-health, axum",
        fault: "For each job a task watches its machine, and keeps watching when the job is done: the watches take all streams of the connection.",
        issue: "tektoncd/results#624",
        way: Way::Permits,
        rate_of: "jobs",
        rate: 9.0,
        size_of: "streams that a machine allows",
        size: 80,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue", "contention"],
            names: &[],
            libraries: &["tonic", "h2-", "hyper", "tower", "axum"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(jobs(load)),
    },
    Program {
        id: "books-locked-around-racks",
        crates: "moka, tokio, axum",
        fault: "Whoever takes a tool locks the entry of its rack and then the books; who counts them locks the books and then each entry.",
        issue: "jdbi/jdbi#2274",
        way: Way::Deadlock,
        rate_of: "visitors who take a tool or look at the books",
        rate: 14.0,
        size_of: "seconds between two counts",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "contention", "queue"],
            names: &["count-tools"],
            libraries: &["moka", "axum"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(tools(load)),
    },
];

/// What is on a machine: it says once that it is ready, and does its jobs.
struct Machine {
    random: parking_lot::Mutex<fastrand::Rng>,
}

#[tonic::async_trait]
impl Health for Machine {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let length = between(&mut self.random.lock(), millis(150), millis(1_200));
        sleep(length).await;
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let now = stream::once(ready(Ok(HealthCheckResponse { status: ServingStatus::Serving.into() })));
        Ok(Response::new(Box::pin(now.chain(stream::pending()))))
    }
}

/// Starts a machine, and connects to it.
async fn machine(random: fastrand::Rng, streams: u32) -> anyhow::Result<HealthClient<Channel>> {
    const LIMIT: Duration = secs(8);
    let (listener, address) = peers::listener()?;
    outside(move || async move {
        let clients = TcpListenerStream::new(TcpListener::from_std(listener)?);
        let machine = HealthServer::new(Machine { random: parking_lot::Mutex::new(random) });
        let server = Server::builder().max_concurrent_streams(Some(streams));
        { server }.add_service(machine).serve_with_incoming(clients).await?;
        Ok(())
    });
    let endpoint = Endpoint::new(format!("http://{address}"))?.timeout(LIMIT);
    Ok(HealthClient::new(endpoint.connect().await?)) // <- machine-watched-after-its-job
}

/// Tells a job what its machine says about itself.
async fn watch_machine(
    mut machine: HealthClient<Channel>,
    is_ready: watch::Sender<bool>,
    is_faulty: bool,
) -> anyhow::Result<()> {
    let mut news = machine.watch(HealthCheckRequest::default()).await?.into_inner();
    loop {
        let said = if is_faulty {
            news.message().await?
        } else {
            tokio::select! {
                said = news.message() => said?,
                () = is_ready.closed() => break,
            }
        };
        let Some(said) = said else { break };
        if is_ready.send(said.status == i32::from(ServingStatus::Serving)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Has a job done, unless its machine says that it is not ready any more.
async fn do_job(mut machine: HealthClient<Channel>, job: u32, is_faulty: bool) -> anyhow::Result<()> {
    let (state, mut is_ready) = watch::channel(true);
    tokio::spawn(watch_machine(machine.clone(), state, is_faulty)); // <- machine-watched-after-its-job
    let job = machine.check(HealthCheckRequest { service: format!("job {job}") });
    tokio::select! {
        done = job => {
            done?;
            Ok(())
        }
        true = async { is_ready.wait_for(|is_ready| !is_ready).await.is_ok() } => anyhow::bail!("the machine is not ready"),
    }
}

async fn jobs(load: Load) -> anyhow::Result<()> {
    const MACHINES: u64 = 3;
    let mut machines = Vec::new();
    for number in 0..MACHINES {
        machines.push(machine(load.random(10 + number), u32::try_from(load.size)?).await?);
    }
    let mut random = load.random(1);
    let drawings = peers::partner(move || Answer::After(between(&mut random, millis(10), millis(150))))?;
    let (machines, next, is_faulty) = (Arc::new(machines), Arc::new(AtomicUsize::new(0)), load.is_faulty());
    let job = async move |Path(job): Path<u32>| {
        if peers::request(drawings, &format!("/drawing/{job}"), Some(secs(2))).await.is_err() {
            return Err(StatusCode::BAD_GATEWAY);
        }
        let machine = machines[next.fetch_add(1, Ordering::Relaxed) % machines.len()].clone();
        do_job(machine, job, is_faulty).await.map(|()| "done").map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    };
    let router = Router::new().route("/job/{job}", get(job)).route("/health", get(async || "fine")); // <- machine-watched-after-its-job
    let address = sidelines::serve_http(router).await?;
    sidelines::probe(address);
    sidelines::visitors(&load, address, secs(15), 12, |random| (format!("/job/{}", random.u32(..10_000)), secs(6)));
    sidelines::run(&load).await
}

/// How often a tool was taken from each rack since the last count.
#[derive(Default)]
struct Books {
    taken: Mutex<HashMap<u32, u64>>,
}

impl Books {
    async fn note(&self, rack: u32) {
        *self.taken.lock().await.entry(rack).or_default() += 1; // <- books-locked-around-racks
    }

    async fn sum(&self) -> u64 {
        self.taken.lock().await.values().sum()
    }

    /// Has the racks filled up again.
    async fn settle(&self, racks: &Racks, is_faulty: bool) {
        if is_faulty {
            let mut taken = self.taken.lock().await; // <- books-locked-around-racks
            for (&rack, &count) in &*taken {
                racks.fill_up(rack, count).await;
            }
            taken.clear();
        } else {
            let taken = mem::take(&mut *self.taken.lock().await);
            for (rack, count) in taken {
                racks.fill_up(rack, count).await;
            }
        }
    }
}

/// How many tools are in each rack, behind doors that open by themselves.
struct Racks {
    tools: Cache<u32, u64>,
    books: Arc<Books>,
    doors: SocketAddr,
}

impl Racks {
    const FULL: u64 = 500;

    fn count_in(entry: Option<Entry<u32, u64>>) -> u64 {
        entry.map_or(Self::FULL, Entry::into_value)
    }

    /// Takes a tool, and returns how many are left.
    async fn take(&self, rack: u32) -> u64 {
        let take = async move |entry| {
            let count = Self::count_in(entry);
            if peers::request(self.doors, &format!("/open/{rack}"), Some(secs(2))).await.is_err() {
                return count;
            }
            self.books.note(rack).await; // <- books-locked-around-racks
            count.saturating_sub(1)
        };
        self.tools.entry(rack).and_upsert_with(take).await.into_value()
    }

    /// Puts tools back.
    async fn fill_up(&self, rack: u32, more: u64) {
        let fill_up = |entry| ready(Self::count_in(entry) + more);
        self.tools.entry(rack).and_upsert_with(fill_up).await; // <- books-locked-around-racks
    }
}

async fn tools(load: Load) -> anyhow::Result<()> {
    const RACKS: u32 = 40;
    let mut random = load.random(1);
    let doors = peers::partner(move || Answer::After(between(&mut random, millis(80), millis(400))))?;
    let books = Arc::new(Books::default()); // <- books-locked-around-racks
    let racks = Arc::new(Racks { tools: Cache::new(1_000), books: Arc::clone(&books), doors });
    let (counted, settled, every, is_faulty) =
        (Arc::clone(&racks), Arc::clone(&books), secs(load.size as u64), load.is_faulty());
    spawn("count-tools", async move {
        loop {
            sleep(every).await;
            settled.settle(&counted, is_faulty).await;
        }
    });
    let seen = Arc::clone(&racks);
    let take = async move |Path(rack): Path<u32>| racks.take(rack).await.to_string();
    let look = async move |Path(rack): Path<u32>| seen.tools.get(&rack).await.unwrap_or(Racks::FULL).to_string();
    let router = Router::new()
        .route("/take/{rack}", get(take)) // <- books-locked-around-racks
        .route("/look/{rack}", get(look))
        .route("/books", get(async move || books.sum().await.to_string())) // <- books-locked-around-racks
        .route("/health", get(async || "fine"));
    let address = sidelines::serve_http(router).await?;
    sidelines::probe(address);
    sidelines::visitors(&load, address, secs(15), 10, |random| {
        let rack = random.u32(..RACKS);
        let path = match random.u32(..10) {
            0 => "/books".to_owned(),
            1..3 => format!("/look/{rack}"),
            _ => format!("/take/{rack}"),
        };
        (path, secs(8))
    });
    sidelines::run(&load).await
}
