//! Shards of long-lived connections, which are handed over and drained while the service runs.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, outside, spawn};

const SOURCE: Source = Source { file: "programs/shards.rs", text: include_str!("shards.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[Program {
    id: "drain-waits-for-silent-sessions",
    crates: "tokio-util",
    fault: "A session notices only between two lines that its shard is being drained, so silent sessions never end.",
    issue: "tokio-rs/axum#3003",
    way: Way::Stragglers,
    rate_of: "lines, of all sessions",
    rate: 40.0,
    size_of: "seconds between two hand-overs",
    size: 15,
    size_is_capacity: false,
    blocking_threads: None,
    label: Label {
        families: &["stuck"],
        names: &["hand-over-shards", "serve-session"],
        libraries: &[],
        severity: Severity::Warning,
        within: 110,
    },
    source: SOURCE,
    run: |load| Box::pin(shards(load)),
}];

/// A shard and its sessions.
#[derive(Clone, Default)]
struct Shard {
    sessions: TaskTracker, // <- drain-waits-for-silent-sessions
    draining: CancellationToken,
}

/// Answers line by line until the shard is drained.
async fn serve_session(socket: TcpStream, shard: Shard, store: SocketAddr, is_faulty: bool) -> anyhow::Result<()> {
    let mut socket = BufReader::new(socket);
    let mut line = String::new();
    while !shard.draining.is_cancelled() {
        line.clear();
        let read = if is_faulty {
            socket.read_line(&mut line).await?
        } else {
            tokio::select! {
                read = socket.read_line(&mut line) => read?,
                () = shard.draining.cancelled() => break,
            }
        };
        if read == 0 {
            return Ok(());
        }
        let _ = peers::request(store, "/line", Some(secs(3))).await;
        socket.write_all(line.as_bytes()).await?;
    }
    socket.write_all(b"come again\n").await?;
    Ok(socket.shutdown().await?)
}

async fn shards(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    // One line in fifty takes a while, even while the shard is being drained.
    let store = peers::partner(move || match random.u8(..50) {
        0 => Answer::After(secs(2)),
        _ => Answer::After(between(&mut random, millis(5), millis(60))),
    })?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (current, shard) = watch::channel(Shard::default());
    let is_faulty = load.is_faulty();
    spawn("accept-sessions", async move {
        loop {
            let (socket, _) = listener.accept().await?;
            let shard = shard.borrow().clone();
            let session = shard.sessions.track_future(serve_session(socket, shard.clone(), store, is_faulty));
            spawn("serve-session", session);
        }
        #[expect(unreachable_code, reason = "it says what the block returns")]
        anyhow::Ok(())
    });
    let every = secs(u64::try_from(load.size)?);
    spawn("hand-over-shards", async move {
        loop {
            sleep(every).await;
            let old = current.send_replace(Shard::default());
            old.draining.cancel();
            old.sessions.close();
            old.sessions.wait().await;
        }
    });
    let clients = load.clone();
    outside(move || async move {
        for client in 0..CLIENTS {
            tokio::spawn(keep_session(address, client, clients.clone()));
        }
        std::future::pending().await
    });
    sidelines::registration()?;
    sidelines::sweep(&load);
    let rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    // An operator looks at the state once a minute.
    let mut looks = interval(secs(60));
    loop {
        looks.tick().await;
        let (rates, metrics) = (Arc::clone(&rates), metrics.clone());
        spawn("show-state", async move {
            sleep(millis(200)).await;
            metrics.send(**rates.load()).await
        });
    }
}

const CLIENTS: u64 = 40;
/// One in this many sessions sends nothing and only listens.
const ONE_LISTENS_OF: u64 = 8;

/// A client that reconnects after its shard has been drained.
async fn keep_session(address: SocketAddr, client: u64, load: Load) -> anyhow::Result<()> {
    let mut random = load.random(100 + client);
    #[expect(clippy::cast_precision_loss, reason = "there are few")]
    let rate = load.rate / CLIENTS as f64;
    loop {
        let mut socket = BufReader::new(TcpStream::connect(address).await?);
        if client.is_multiple_of(ONE_LISTENS_OF) {
            let _ = socket.read_to_end(&mut Vec::new()).await;
        }
        let mut answer = String::new();
        loop {
            sleep(gap(&mut random, rate)).await;
            let work = Work::begin();
            if socket.write_all(b"line\n").await.is_err() {
                work.end(true);
                break;
            }
            answer.clear();
            let answered = timeout(secs(10), socket.read_line(&mut answer)).await;
            work.end(answered.is_ok());
            if answer != "line\n" {
                break;
            }
        }
        sleep(between(&mut random, millis(50), secs(1))).await;
    }
}
