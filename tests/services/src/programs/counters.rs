//! Counters: displays that wait for the next order, and orders that come with a photograph over bad lines.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::post;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::service::{Load, Work, between, outside};

const SOURCE: Source = Source { file: "programs/counters.rs", text: include_str!("counters.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "watch-cloned-in-each-round",
        crates: "tokio",
        fault: "A session clones the receiver of a watch channel in each round: the clone has seen nothing yet, and its wait ends at once.",
        issue: "Roblox/studio-rust-mcp-server#45",
        way: Way::Spin,
        rate_of: "orders",
        rate: 3.0,
        size_of: "displays",
        size: 8,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label { families: &["spin"], names: &[], libraries: &[], severity: Severity::Warning, within: 75 },
        source: SOURCE,
        run: |load| Box::pin(displays(load)),
    },
    Program {
        id: "connection-taken-before-body",
        crates: "fast_pool, axum",
        fault: "An extractor takes a pooled connection before the body of the request is read: phones on bad lines hold all of them.",
        issue: "ujeenet/rustango#989",
        way: Way::Pool,
        rate_of: "orders",
        rate: 18.0,
        size_of: "connections of the pool",
        size: 8,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["contention", "queue", "stuck"],
            names: &[],
            libraries: &["fast_pool", "axum"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(photographs(load)),
    },
];

/// An order that has to be shown to somebody.
struct Order {
    number: u64,
    work: Work,
}

/// The orders that nobody has taken yet.
struct Board {
    orders: Mutex<VecDeque<Order>>,
    changed: watch::Sender<u64>,
    waiter: watch::Receiver<u64>,
    is_faulty: bool,
}

impl Board {
    fn add(&self) {
        self.changed.send_modify(|number| {
            *number += 1;
            self.orders.lock().push_back(Order { number: *number, work: Work::begin() });
        });
    }

    /// Waits for an order that nobody else takes.
    async fn next(&self) -> anyhow::Result<Order> {
        let mut waiter = self.waiter.clone();
        loop {
            if self.is_faulty {
                waiter = self.waiter.clone();
            } else {
                waiter.mark_unchanged();
            }
            let order = self.orders.lock().pop_front();
            match order {
                Some(order) => return Ok(order),
                None => waiter.changed().await?,
            }
        }
    }
}

/// Tells a display the next order whenever it asks, or after a while that there is none.
async fn serve_display(socket: TcpStream, board: Arc<Board>) -> anyhow::Result<()> {
    const PATIENCE: Duration = secs(20);
    let (reader, mut writer) = socket.into_split();
    let mut asked = BufReader::new(reader).lines();
    while asked.next_line().await?.is_some() {
        match timeout(PATIENCE, board.next()).await {
            Ok(order) => {
                let order = order?;
                writer.write_all(format!("{}\n", order.number).as_bytes()).await?;
                order.work.end(true);
            }
            Err(_) => writer.write_all(b"none\n").await?,
        }
    }
    Ok(())
}

/// A display from outside, that asks again when its order is done.
async fn show(board: SocketAddr, mut random: fastrand::Rng) -> anyhow::Result<()> {
    let mut socket = BufReader::new(TcpStream::connect(board).await?);
    let mut line = String::new();
    loop {
        socket.write_all(b"next\n").await?;
        line.clear();
        anyhow::ensure!(socket.read_line(&mut line).await? > 0, "closed");
        if line != "none\n" {
            sleep(between(&mut random, millis(300), millis(1_200))).await;
        }
    }
}

async fn displays(load: Load) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, clients) = (listener.local_addr()?, load.clone());
    outside(move || async move {
        let mut random = clients.random(1);
        for _ in 0..clients.size {
            tokio::spawn(show(address, random.fork()));
        }
        std::future::pending().await
    });
    let (changed, waiter) = watch::channel(0);
    let board = Arc::new(Board { orders: Mutex::default(), changed, waiter, is_faulty: load.is_faulty() });
    let shown = Arc::clone(&board);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve_display(socket, Arc::clone(&shown))); // <- watch-cloned-in-each-round
        }
    });
    sidelines::bursts(&load, secs(25), 10, || board.add()).await;
    Ok(())
}

/// A connection to a database that needs no network.
struct Database;

/// Makes connections, in a few milliseconds each.
struct Connector;

impl fast_pool::Manager for Connector {
    type Connection = Database;
    type Error = String;

    async fn connect(&self) -> Result<Database, String> {
        sleep(millis(5)).await;
        Ok(Database)
    }

    async fn check(&self, _: &mut Database) -> Result<(), String> {
        Ok(())
    }
}

type Pool = fast_pool::Pool<Connector>;

/// A connection for as long as a request runs.
struct Borrowed(fast_pool::ConnectionGuard<Connector>);

impl Borrowed {
    async fn from_pool(pool: &Pool) -> Result<Self, StatusCode> {
        pool.get().await.map(Self).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    }

    /// Stores an order with its photograph.
    async fn store(&self, photograph: &Bytes) -> String {
        let _database: &Database = &self.0;
        sleep(between(&mut fastrand::Rng::new(), millis(30), millis(90))).await;
        format!("stored {} bytes", photograph.len())
    }
}

impl FromRequestParts<Pool> for Borrowed {
    type Rejection = StatusCode;

    async fn from_request_parts(_: &mut Parts, pool: &Pool) -> Result<Self, StatusCode> {
        Self::from_pool(pool).await
    }
}

/// Sends an order whose photograph goes out in pieces with a pause after each.
async fn send_order(address: SocketAddr, pause: Duration) -> anyhow::Result<()> {
    const PIECES: usize = 12;
    const PIECE: [u8; 1_024] = [7; 1_024];
    let mut socket = TcpStream::connect(address).await?;
    let length = PIECES * PIECE.len();
    let head =
        format!("POST /order HTTP/1.1\r\nhost: counter\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    for _ in 0..PIECES {
        socket.write_all(&PIECE).await?;
        sleep(pause).await;
    }
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "not stored");
    Ok(())
}

/// Phones from outside, some of them on bad lines.
async fn phones(load: Load, address: SocketAddr) -> anyhow::Result<()> {
    let mut random = load.random(1);
    sidelines::bursts(&load, secs(15), 20, || {
        let is_bad = random.f64() < 0.12;
        let pause = if is_bad { between(&mut random, millis(700), millis(2_000)) } else { millis(2) };
        let work = Work::begin();
        tokio::spawn(async move {
            let sent = timeout(secs(40), send_order(address, pause)).await;
            work.end(matches!(sent, Ok(Ok(()))));
        });
    })
    .await;
    Ok(())
}

async fn photographs(load: Load) -> anyhow::Result<()> {
    let pool = Pool::new(Connector);
    pool.set_max_open(u64::try_from(load.size)?);
    pool.set_timeout_wait(Some(secs(8)));
    let order = if load.is_faulty() {
        post(async |database: Borrowed, photograph: Bytes| database.store(&photograph).await)
    } else {
        post(async |State(pool): State<Pool>, photograph: Bytes| {
            let database = Borrowed::from_pool(&pool).await?;
            Ok::<_, StatusCode>(database.store(&photograph).await)
        })
    };
    let address = sidelines::serve_http(Router::new().route("/order", order).with_state(pool)).await?;
    let clients = load.clone();
    outside(move || phones(clients, address));
    sidelines::run(&load).await
}
