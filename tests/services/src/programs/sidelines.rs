//! The healthy parts that the services share: an HTTP front, metrics, a registration, exchange rates, a sweep, and bursts of visitors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{interval, sleep, timeout};

use super::{millis, secs};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, outside, spawn};

/// Serves HTTP on a free port, and returns its address.
pub(super) async fn serve_http(router: Router) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    spawn("serve-http", async move { axum::serve(listener, router).await });
    Ok(address)
}

/// Flushes counters to a collector every five seconds.
pub(super) fn metrics(load: &Load) -> anyhow::Result<mpsc::Sender<u64>> {
    const MOST: usize = 200;
    let mut random = load.random(900);
    let collector = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(250))))?;
    let (count, mut counted) = mpsc::channel(1_024);
    spawn("flush-metrics", async move {
        let mut batch: Vec<u64> = Vec::with_capacity(MOST);
        let mut ticks = interval(secs(5));
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    // Counters that cannot be flushed are dropped.
                    let _ = peers::request(collector, "/metrics", Some(secs(2))).await;
                    batch.clear();
                }
                received = counted.recv_many(&mut batch, MOST) => if received == 0 { break },
            }
        }
    });
    Ok(count)
}

/// Keeps a connection to a registry alive with a ping every three seconds.
pub(super) fn registration() -> anyhow::Result<()> {
    let (listener, address) = peers::listener()?;
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (mut socket, _) = listener.accept().await?;
            tokio::spawn(async move {
                let (mut reader, mut writer) = socket.split();
                tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    });
    spawn("keep-registration", async move {
        while keep_alive(address).await.is_err() {
            sleep(secs(1)).await;
        }
    });
    Ok(())
}

async fn keep_alive(registry: SocketAddr) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(registry).await?;
    let mut pong = [0_u8; 4];
    loop {
        socket.write_all(b"ping").await?;
        timeout(secs(2), socket.read_exact(&mut pong)).await??;
        sleep(secs(3)).await;
    }
}

/// Refreshes exchange rates every four seconds, and counts the refreshes.
pub(super) fn rates(load: &Load) -> anyhow::Result<Arc<ArcSwap<u64>>> {
    let mut random = load.random(901);
    let bank = peers::partner(move || Answer::After(between(&mut random, millis(50), millis(400))))?;
    let rates = Arc::new(ArcSwap::from_pointee(0));
    let fetched = Arc::clone(&rates);
    spawn("refresh-rates", async move {
        for version in 1.. {
            if peers::request(bank, "/rates", Some(secs(2))).await.is_ok() {
                fetched.store(Arc::new(version));
            }
            sleep(secs(4)).await;
        }
    });
    Ok(rates)
}

/// Every eight seconds, removes expired entries from twelve partitions and writes the index in a blocking job.
pub(super) fn sweep(load: &Load) {
    let mut random = load.random(902);
    spawn("sweep-expired", async move {
        loop {
            sleep(secs(8)).await;
            let mut partitions = JoinSet::new();
            for _ in 0..12 {
                let length = between(&mut random, millis(50), millis(900));
                partitions.spawn(async move { sleep(length).await });
            }
            while partitions.join_next().await.is_some() {}
            let _ = spawn_blocking(|| thread::sleep(millis(80))).await;
        }
    });
}

/// Runs all of these parts for as long as the service runs, for one whose requests come from outside.
pub(super) async fn run(load: &Load) -> anyhow::Result<()> {
    registration()?;
    sweep(load);
    let rates = rates(load)?;
    let metrics = metrics(load)?;
    loop {
        sleep(secs(1)).await;
        let _ = metrics.try_send(**rates.load());
    }
}

/// Calls `arrive` at random times, and for a burst at fixed intervals.
pub(super) async fn bursts(load: &Load, every: Duration, burst: u64, mut arrive: impl FnMut()) {
    let mut random = load.random(0xb1);
    let mut next = Instant::now() + every;
    loop {
        sleep(gap(&mut random, load.rate)).await;
        arrive();
        if Instant::now() > next {
            next += every;
            (0..burst).for_each(|_| arrive());
        }
    }
}

/// Visitors from outside, with regular bursts: `choose` returns the path and the timeout of each request.
pub(super) fn visitors(
    load: &Load,
    address: SocketAddr,
    every: Duration,
    burst: u64,
    mut choose: impl FnMut(&mut fastrand::Rng) -> (String, Duration) + Send + 'static,
) {
    let load = load.clone();
    outside(move || async move {
        let mut random = load.random(903);
        bursts(&load, every, burst, || {
            let (path, patience) = choose(&mut random);
            let work = Work::begin();
            tokio::spawn(async move {
                let answer = peers::request(address, &path, Some(patience)).await;
                work.end(answer.is_ok_and(|length| length > 0));
            });
        })
        .await;
        Ok(())
    });
}

/// A load balancer from outside that asks for `/health` every two seconds.
pub(super) fn probe(address: SocketAddr) {
    outside(move || async move {
        loop {
            sleep(secs(2)).await;
            let _ = peers::request(address, "/health", Some(secs(1))).await;
        }
    });
}
