//! Work that is dropped half-way because somebody's patience ends.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower_http::timeout::TimeoutLayer;

use super::{Label, Program, Severity, Source, Way, millis};
use crate::peers;
use crate::service::{Load, Work, between, gap, outside, spawn};

const SOURCE: Source = Source { file: "programs/cancelled.rs", text: include_str!("cancelled.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "axum-timeout-drops-reports",
        crates: "axum, tower-http, tokio-util",
        fault: "A timeout layer is shorter than the work of many requests, and drops it half-way.",
        issue: "tokio-rs/axum#2610",
        way: Way::Cancelled,
        rate_of: "reports",
        rate: 15.0,
        size_of: "milliseconds of the timeout",
        size: 500,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["cancellation"],
            names: &["build-report"],
            libraries: &[],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(axum_reports(load)),
    },
    Program {
        id: "hyper-client-leaves",
        crates: "hyper, hyper-util",
        fault: "Clients hang up before the answer is there, and the work for it goes with the connection.",
        issue: "hyperium/hyper#2728",
        way: Way::Cancelled,
        rate_of: "searches",
        rate: 14.0,
        size_of: "milliseconds that clients wait",
        size: 400,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["cancellation"],
            names: &["search-index"],
            libraries: &[],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(hyper_searches(load)),
    },
    Program {
        id: "tonic-deadline-drops-work",
        crates: "tonic, tokio-util",
        fault: "Calls carry a deadline that is shorter than the work of many of them; their futures are dropped, and their tasks aborted.",
        issue: "hyperium/tonic#1624",
        way: Way::Cancelled,
        rate_of: "calls",
        rate: 10.0,
        size_of: "milliseconds of the deadline",
        size: 700,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["cancellation"],
            names: &["settle-payment"],
            libraries: &[],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(tonic_payments(load)),
    },
];

/// Clients that ask for one answer each, at the rate of the load.
fn clients(load: &Load, address: std::net::SocketAddr, patience: Option<Duration>) {
    let load = load.clone();
    outside(move || async move {
        let mut gaps = load.random(0xc11e);
        loop {
            tokio::time::sleep(gap(&mut gaps, load.rate)).await;
            tokio::spawn(async move { peers::request(address, "/", patience).await });
        }
    });
}

/// A report: several steps, each of which waits for the database.
async fn build_report(steps: Vec<Duration>) {
    let work = Work::begin();
    for step in steps {
        tokio::time::sleep(step).await;
    }
    work.end(true);
}

/// Steps that take together between a fraction of the limit and nearly twice the limit.
fn steps(random: &mut fastrand::Rng, limit: Duration) -> Vec<Duration> {
    let whole = between(random, limit.mul_f64(0.3), limit.mul_f64(1.9));
    vec![whole / 3; 3]
}

#[derive(Clone)]
struct Reports {
    is_faulty: bool,
    limit: Duration,
    random: Arc<Mutex<fastrand::Rng>>,
}

async fn axum_reports(load: Load) -> anyhow::Result<()> {
    let limit = millis(u64::try_from(load.size)?);
    let random = Arc::new(Mutex::new(load.random(1)));
    let state = Reports { is_faulty: load.is_faulty(), limit, random };
    let timeout = TimeoutLayer::with_status_code(axum::http::StatusCode::GATEWAY_TIMEOUT, limit);
    let app = Router::new().route("/", get(report)).layer(timeout).with_state(state);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    clients(&load, listener.local_addr()?, None);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn report(State(reports): State<Reports>) -> &'static str {
    let steps = steps(&mut reports.random.lock(), reports.limit);
    let report = spawn("build-report", build_report(steps));
    if reports.is_faulty {
        // What the request awaits ends with it.
        let _ = AbortOnDropHandle::new(report).await;
    } else {
        // A report that takes longer is finished all the same, and the client comes back for it.
        let _ = report.await;
    }
    "report"
}

async fn hyper_searches(load: Load) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let patience = millis(u64::try_from(load.size)?);
    clients(&load, listener.local_addr()?, Some(patience));
    let mut random = load.random(1);
    loop {
        let (socket, _) = listener.accept().await?;
        let (steps, is_faulty) = (steps(&mut random, patience), load.is_faulty());
        spawn("http-connection", async move {
            let service = service_fn(move |_| search(steps.clone(), is_faulty));
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await
        });
    }
}

async fn search(steps: Vec<Duration>, is_faulty: bool) -> Result<Response<Full<Bytes>>, Infallible> {
    if is_faulty {
        let mut parts = JoinSet::new();
        // A set that is dropped aborts its tasks.
        let _ = parts.build_task().name("search-index").spawn(build_report(steps));
        while parts.join_next().await.is_some() {}
    } else {
        // The index is searched to the end, and the next client that asks the same is answered at once.
        let _ = spawn("search-index", build_report(steps)).await;
    }
    Ok(Response::new(Full::new(Bytes::from_static(b"found"))))
}

/// Settles a payment when it is asked for its health.
struct Payments {
    is_faulty: bool,
    limit: Duration,
    random: Mutex<fastrand::Rng>,
}

#[tonic::async_trait]
impl Health for Payments {
    type WatchStream = futures::stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        let steps = steps(&mut self.random.lock(), self.limit);
        let settled = spawn("settle-payment", build_report(steps));
        let outcome = if self.is_faulty { AbortOnDropHandle::new(settled).await } else { settled.await };
        outcome.map_err(|error| Status::internal(error.to_string()))?;
        Ok(tonic::Response::new(HealthCheckResponse::default()))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<tonic::Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("it settles payments"))
    }
}

async fn tonic_payments(load: Load) -> anyhow::Result<()> {
    let limit = millis(u64::try_from(load.size)?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let clients = load.clone();
    outside(move || async move {
        let mut gaps = clients.random(1);
        let channel = tonic::transport::Endpoint::new(format!("http://{address}"))?.connect().await?;
        loop {
            tokio::time::sleep(gap(&mut gaps, clients.rate)).await;
            let mut client = HealthClient::new(channel.clone());
            let mut call = Request::new(HealthCheckRequest::default());
            call.set_timeout(limit);
            tokio::spawn(async move { client.check(call).await });
        }
    });
    let payments = Payments { is_faulty: load.is_faulty(), limit, random: Mutex::new(load.random(2)) };
    tonic::transport::Server::builder()
        .add_service(HealthServer::new(payments))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}
