//! Clients whose connection was made in a runtime that nobody drives any more.

use std::net::SocketAddr;
use std::sync::Arc;

use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::{Label, Program, Severity, Source, Way};
use crate::peers;
use crate::service::{Load, Work, outside, runtime, spawn};

const SOURCE: Source = Source { file: "programs/runtimes.rs", text: include_str!("runtimes.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "tonic-channel-of-start-up",
        crates: "tonic, tower",
        fault: "A channel is connected by a synchronous start-up in a runtime of its own, which is not driven afterwards.",
        issue: "seanmonstar/reqwest#2501",
        way: Way::Undriven,
        rate_of: "calls",
        rate: 10.0,
        size_of: "channels that are made so",
        size: 3,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue", "blocking"],
            names: &["check-quota"],
            libraries: &["tonic", "hyper", "tower"],
            severity: Severity::Warning,
            within: 40,
        },
        source: SOURCE,
        run: |load| Box::pin(tonic_channel(load)),
    },
    Program {
        id: "redis-wrapper-runtime",
        crates: "redis",
        fault: "A synchronous wrapper connects in its own current-thread runtime and hands the connection to the service.",
        issue: "seanmonstar/reqwest#1148",
        way: Way::Undriven,
        rate_of: "look-ups",
        rate: 12.0,
        size_of: "connections that are made so",
        size: 3,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue", "blocking"],
            names: &["rate-limit"],
            libraries: &["redis"],
            severity: Severity::Warning,
            within: 40,
        },
        source: SOURCE,
        run: |load| Box::pin(redis_wrapper(load)),
    },
];

/// Runs a future to its end as a synchronous function would: in a current-thread runtime, which is kept, and on a thread of its own.
async fn in_own_runtime<T: Send + 'static, F>(body: impl FnOnce() -> F + Send + 'static) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let (done, outcome) = tokio::sync::oneshot::channel();
    crate::service::spawn_thread("start-up", move || {
        let own = runtime(&mut tokio::runtime::Builder::new_current_thread());
        let _ = done.send(own.block_on(body()));
        // It lives as long as the process, and nothing drives it.
        loop {
            std::thread::park();
        }
    });
    outcome.await?
}

async fn tonic_channel(load: Load) -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    outside(move || async move {
        let (_, health) = tonic_health::server::health_reporter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let clients = tokio_stream::wrappers::TcpListenerStream::new(listener);
        tonic::transport::Server::builder().add_service(health).serve_with_incoming(clients).await?;
        Ok(())
    });
    let mut channels = Vec::new();
    for _ in 0..load.size {
        channels.push(if load.is_faulty() {
            in_own_runtime(move || connect(address)).await?
        } else {
            connect(address).await?
        });
    }
    let channels = Arc::new(channels);
    let mut random = load.random(1);
    load.arrivals(|_| {
        let channel = channels[random.usize(..channels.len())].clone();
        let work = Work::begin();
        spawn("check-quota", async move {
            let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
            work.end(answer.is_ok());
        });
    })
    .await;
    Ok(())
}

/// Connects, and makes sure with one call.
async fn connect(address: SocketAddr) -> anyhow::Result<Channel> {
    let channel = Endpoint::new(format!("http://{address}"))?.connect().await?;
    HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await?;
    Ok(channel)
}

async fn redis_wrapper(load: Load) -> anyhow::Result<()> {
    let address = peers::key_value_server()?;
    let client = redis::Client::open(format!("redis://{address}/"))?;
    let mut connections = Vec::new();
    for _ in 0..load.size {
        let client = client.clone();
        let connect = move || async move { Ok(client.get_multiplexed_async_connection().await?) };
        connections.push(if load.is_faulty() { in_own_runtime(connect).await? } else { connect().await? });
    }
    let mut random = load.random(1);
    load.arrivals(|_| {
        let mut connection = connections[random.usize(..connections.len())].clone();
        let work = Work::begin();
        spawn("rate-limit", async move {
            let count: redis::RedisResult<i64> = redis::cmd("INCR").arg("hits").query_async(&mut connection).await;
            work.end(count.is_ok());
        });
    })
    .await;
    Ok(())
}
