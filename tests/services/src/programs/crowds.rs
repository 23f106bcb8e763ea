//! Connections and subscriptions that nobody ends when the other side has gone quiet.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers;
use crate::service::{Load, Work, between, gap, outside, spawn};

const SOURCE: Source = Source { file: "programs/crowds.rs", text: include_str!("crowds.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "hyper-half-a-request",
        crates: "hyper, hyper-util",
        fault: "There is no limit to how long the head of a request may take: clients that vanish leave their connections.",
        issue: "hyperium/hyper#3685",
        way: Way::Crowd,
        rate_of: "connections",
        rate: 10.0,
        size_of: "per cent of the clients that vanish",
        size: 30,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &["http-connection"],
            libraries: &[],
            severity: Severity::Info,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(half_a_request(load)),
    },
    Program {
        id: "tonic-watcher-outlives-client",
        crates: "tonic",
        fault: "A watcher notices that its client has left only when it has something to send, which is hardly ever.",
        issue: "MaterializeInc/materialize#35938",
        way: Way::Crowd,
        rate_of: "watchers",
        rate: 3.0,
        size_of: "seconds that a client stays",
        size: 4,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &["watch-forwarder"],
            libraries: &[],
            severity: Severity::Info,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(watchers(load)),
    },
];

async fn half_a_request(load: Load) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let clients = load.clone();
    outside(move || async move {
        let (mut gaps, mut random) = (clients.random(1), clients.random(2));
        let mut vanished = Vec::new();
        loop {
            tokio::time::sleep(gap(&mut gaps, clients.rate)).await;
            if random.usize(..100) < clients.size {
                let mut socket = TcpStream::connect(address).await?;
                socket.write_all(b"GET / HTTP/1.1\r\nhost: serv").await?;
                // It stays open, as a connection does whose other side has lost its network.
                vanished.push(socket);
            } else {
                tokio::spawn(peers::request(address, "/", None));
            }
        }
    });
    loop {
        let (socket, _) = listener.accept().await?;
        let mut server = hyper::server::conn::http1::Builder::new();
        if load.is_faulty() {
            server.header_read_timeout(None);
        } else {
            server.timer(TokioTimer::new()).header_read_timeout(secs(5));
        }
        spawn("http-connection", async move {
            let work = Work::begin();
            let service = service_fn(|_| async {
                tokio::time::sleep(millis(8)).await;
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
            });
            let served = server.serve_connection(TokioIo::new(socket), service).await;
            work.end(served.is_ok());
        });
    }
}

/// Tells subscribers when the state of what they watch changes.
struct Watches {
    state: watch::Sender<i32>,
    is_faulty: bool,
}

type WatchItem = Result<HealthCheckResponse, Status>;

#[tonic::async_trait]
impl Health for Watches {
    type WatchStream = ReceiverStream<WatchItem>;

    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        Ok(tonic::Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<tonic::Response<Self::WatchStream>, Status> {
        let (sender, stream) = mpsc::channel(4);
        spawn("watch-forwarder", forward(self.state.subscribe(), sender, self.is_faulty));
        Ok(tonic::Response::new(ReceiverStream::new(stream)))
    }
}

/// Sends each new state to one subscriber.
async fn forward(mut state: watch::Receiver<i32>, sender: mpsc::Sender<WatchItem>, is_faulty: bool) {
    let work = Work::begin();
    loop {
        let status = *state.borrow_and_update();
        if sender.send(Ok(HealthCheckResponse { status })).await.is_err() {
            break;
        }
        let changed = if is_faulty {
            state.changed().await.is_ok()
        } else {
            tokio::select! {
                changed = state.changed() => changed.is_ok(),
                () = sender.closed() => false,
            }
        };
        if !changed {
            break;
        }
    }
    work.end(true);
}

async fn watchers(load: Load) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let clients = load.clone();
    outside(move || async move {
        let (mut gaps, mut random) = (clients.random(1), clients.random(2));
        let longest = secs(2 * u64::try_from(clients.size)?);
        let channel = tonic::transport::Endpoint::new(format!("http://{address}"))?.connect().await?;
        loop {
            tokio::time::sleep(gap(&mut gaps, clients.rate)).await;
            let stay = between(&mut random, millis(500), longest);
            let mut client = HealthClient::new(channel.clone());
            tokio::spawn(async move {
                let watched = client.watch(HealthCheckRequest::default()).await;
                tokio::time::sleep(stay).await;
                drop(watched);
            });
        }
    });
    let service = Watches { state: watch::Sender::new(ServingStatus::Serving.into()), is_faulty: load.is_faulty() };
    tonic::transport::Server::builder()
        .add_service(HealthServer::new(service))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}
