//! Answers that stop coming on a connection that many requests share.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use redis::aio::MultiplexedConnection;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::Endpoint;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers;
use crate::service::{Load, Work, gap, outside, spawn};

const SOURCE: Source = Source { file: "programs/answers.rs", text: include_str!("answers.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "redis-xread-on-shared-connection",
        crates: "redis",
        fault: "A stream is read with XREAD BLOCK on the connection that all look-ups share: nothing behind it is answered.",
        issue: "redis-rs/redis-rs#453",
        way: Way::Unanswered,
        rate_of: "look-ups",
        rate: 20.0,
        size_of: "seconds until the stream is read",
        size: 8,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["session-lookup", "event-stream"],
            libraries: &["redis"],
            severity: Severity::Warning,
            within: 40,
        },
        source: SOURCE,
        run: |load| Box::pin(redis_stream(load)),
    },
    Program {
        id: "tonic-sends-before-it-returns",
        crates: "tonic",
        fault: "A handler fills its bounded channel before it returns the stream that drains it: long lists never come.",
        issue: "hyperium/tonic#532",
        way: Way::Stragglers,
        rate_of: "calls",
        rate: 15.0,
        size_of: "messages that the channel holds",
        size: 16,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &["tonic", "hyper", "h2-"],
            severity: Severity::Warning,
            within: 55,
        },
        source: SOURCE,
        run: |load| Box::pin(tonic_lists(load)),
    },
    Program {
        id: "tonic-call-without-deadline",
        crates: "tonic, tower",
        fault: "A server takes every call and leaves some unanswered; the calls have no deadline, and the requests that make them stay.",
        issue: "MystenLabs/hashi#810",
        way: Way::Stragglers,
        rate_of: "requests",
        rate: 15.0,
        size_of: "calls of which one is left unanswered",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["book-order"],
            libraries: &["tonic", "hyper", "tower"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(tonic_calls(load)),
    },
];

async fn redis_stream(load: Load) -> anyhow::Result<()> {
    let address = peers::key_value_server()?;
    let client = redis::Client::open(format!("redis://{address}/"))?;
    let shared = client.get_multiplexed_async_connection().await?;
    let for_stream = if load.is_faulty() { shared.clone() } else { client.get_multiplexed_async_connection().await? };
    let delay = secs(u64::try_from(load.size)?);
    spawn("event-stream", async move {
        tokio::time::sleep(delay).await;
        read_events(for_stream).await
    });
    load.arrivals(|_| {
        let mut connection = shared.clone();
        let work = Work::begin();
        spawn("session-lookup", async move {
            let session: redis::RedisResult<String> =
                redis::cmd("GET").arg("session").query_async(&mut connection).await;
            work.end(session.is_ok());
        });
    })
    .await;
    Ok(())
}

async fn read_events(mut connection: MultiplexedConnection) -> redis::RedisResult<()> {
    loop {
        let mut read = redis::cmd("XREAD");
        read.arg("BLOCK").arg(0).arg("STREAMS").arg("events").arg("$");
        let _: redis::Value = read.query_async(&mut connection).await?;
    }
}

/// A service that lists what is healthy, as many items as the name of the request says.
struct Lists {
    capacity: usize,
    is_faulty: bool,
}

#[tonic::async_trait]
impl Health for Lists {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let count: usize = request.get_ref().service.parse().map_err(|_| Status::invalid_argument("no number"))?;
        let (sender, list) = tokio::sync::mpsc::channel(self.capacity);
        let fill = async move {
            for _ in 0..count {
                tokio::time::sleep(millis(1)).await;
                let item = HealthCheckResponse { status: ServingStatus::Serving.into() };
                if sender.send(Ok(item)).await.is_err() {
                    break;
                }
            }
        };
        if self.is_faulty {
            fill.await;
        } else {
            spawn("fill-list", fill);
        }
        Ok(Response::new(ReceiverStream::new(list)))
    }
}

async fn tonic_lists(load: Load) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let clients = load.clone();
    outside(move || async move {
        let channel = Endpoint::new(format!("http://{address}"))?.connect().await?;
        let (mut gaps, mut random) = (clients.random(1), clients.random(2));
        loop {
            tokio::time::sleep(gap(&mut gaps, clients.rate)).await;
            let most = if random.usize(..15) == 0 { clients.size * 3 } else { clients.size };
            let (mut client, count) =
                (HealthClient::new(channel.clone()), random.usize(most - clients.size / 2..=most));
            tokio::spawn(async move {
                let work = Work::begin();
                let service = count.to_string();
                let list = client.watch(HealthCheckRequest { service }).await;
                if let Ok(list) = list {
                    work.end(list.into_inner().count().await == count);
                }
            });
        }
    });
    let service = Lists { capacity: load.size, is_faulty: load.is_faulty() };
    tonic::transport::Server::builder()
        .add_service(HealthServer::new(service))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}

/// A service that answers after some time, and in its faulty form leaves one call in so many unanswered.
struct Stock {
    left_out: usize,
    is_faulty: bool,
    calls: AtomicUsize,
}

#[tonic::async_trait]
impl Health for Stock {
    type WatchStream = ReceiverStream<Result<HealthCheckResponse, Status>>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.is_faulty && number % self.left_out == self.left_out - 1 {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(millis(10 + number as u64 % 7 * 5)).await;
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("nobody watches"))
    }
}

async fn tonic_calls(load: Load) -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let stock = Stock { left_out: load.size, is_faulty: load.is_faulty(), calls: AtomicUsize::new(0) };
    outside(move || async move {
        let clients = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener)?);
        tonic::transport::Server::builder().add_service(HealthServer::new(stock)).serve_with_incoming(clients).await?;
        Ok(())
    });
    let channel = Endpoint::new(format!("http://{address}"))?.connect().await?;
    load.arrivals(|_| {
        let channel = channel.clone();
        let work = Work::begin();
        spawn("book-order", async move {
            let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
            work.end(answer.is_ok());
        });
    })
    .await;
    Ok(())
}
