//! Harbours: where ships are, what is written about their containers, and how pictures of them get to a store.

use std::collections::HashMap;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_stream::try_stream;
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use futures::{Stream, TryStreamExt as _};
use parking_lot::Mutex;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside, spawn};

const SOURCE: Source = Source { file: "programs/harbours.rs", text: include_str!("harbours.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "areas-looked-up-in-actor",
        crates: "ractor, axum",
        fault: "An actor asks a map for the area of each position, one after the other: when the map gets slower, its mailbox only grows.",
        issue: "celluloid/celluloid#146",
        way: Way::Backlog,
        rate_of: "positions, and people who look for a ship",
        rate: 24.0,
        size_of: "seconds until the map gets slower",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &[],
            libraries: &["ractor", "axum"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(positions(load)),
    },
    Program {
        id: "papers-streamed-from-connection",
        crates: "sqlx, async-stream, axum",
        fault: "Rows go from a pooled connection straight into the body of an answer: whoever reads slowly keeps the connection.",
        issue: "Equal-Vote/bettervoting#1424",
        way: Way::Pool,
        rate_of: "questions about a container",
        rate: 16.0,
        size_of: "connections of the pool",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "queue", "stuck"],
            names: &[],
            libraries: &["sqlx-core", "axum"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(papers(load)),
    },
    Program {
        id: "uploads-end-with-their-key",
        crates: "tokio, arc-swap, axum",
        fault: "With each new key a new session takes the place of the old one, and the uploads of the old one are dropped half-way.",
        issue: "istio/istio#21330",
        way: Way::Cancelled,
        rate_of: "uploads",
        rate: 4.0,
        size_of: "seconds that a key is valid",
        size: 4,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["cancellation"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(uploads(load)),
    },
];

/// Asks the map in which area a ship is.
async fn is_in_harbour(map: SocketAddr, ship: u32) -> bool {
    peers::request(map, &format!("/area/{ship}"), Some(secs(2))).await.is_ok()
}

/// A ship whose area has to be looked up, and the chart that wants to know it.
struct Sighting {
    ship: u32,
    chart: ActorRef<ChartMessage>,
    work: Work,
}

/// Looks areas up for a chart.
struct Pilot {
    map: SocketAddr,
}

impl Actor for Pilot {
    type Msg = Sighting;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Sighting>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Sighting>,
        Sighting { ship, chart, work }: Sighting,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        let is_known = is_in_harbour(self.map, ship).await;
        chart.cast(ChartMessage::Known(ship, is_known, work))?;
        Ok(())
    }
}

/// Knows where the ships are.
struct Chart {
    map: SocketAddr,
    is_faulty: bool,
}

#[derive(Default)]
struct ChartState {
    pilots: Vec<ActorRef<Sighting>>,
    sightings: HashMap<u32, u64>,
}

impl ChartState {
    fn note(&mut self, ship: u32, is_known: bool, work: Work) {
        *self.sightings.entry(ship).or_default() += 1;
        work.end(is_known);
    }
}

enum ChartMessage {
    Seen(u32, Work),
    Known(u32, bool, Work),
    Where(u32, RpcReplyPort<u64>),
}

impl Actor for Chart {
    type Msg = ChartMessage;
    type State = ChartState;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<ChartMessage>, (): ()) -> Result<ChartState, ActorProcessingErr> {
        const PILOTS: usize = 6;
        let mut state = ChartState::default();
        while !self.is_faulty && state.pilots.len() < PILOTS {
            state.pilots.push(Actor::spawn(None, Pilot { map: self.map }, ()).await?.0);
        }
        Ok(state)
    }

    async fn handle(
        &self,
        chart: ActorRef<ChartMessage>,
        message: ChartMessage,
        state: &mut ChartState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ChartMessage::Seen(ship, work) if self.is_faulty => {
                let is_known = is_in_harbour(self.map, ship).await; // <- areas-looked-up-in-actor
                state.note(ship, is_known, work);
            }
            ChartMessage::Seen(ship, work) => {
                let pilot = &state.pilots[ship as usize % state.pilots.len()];
                pilot.cast(Sighting { ship, chart, work })?;
            }
            ChartMessage::Known(ship, is_known, work) => state.note(ship, is_known, work),
            ChartMessage::Where(ship, reply) => {
                // Who asked may be gone.
                let _ = reply.send(state.sightings.get(&ship).copied().unwrap_or_default());
            }
        }
        Ok(())
    }
}

async fn positions(load: Load) -> anyhow::Result<()> {
    const SHIPS: u32 = 300;
    let (began, slow_after, mut random) = (Instant::now(), secs(load.size as u64), load.random(1));
    let map = peers::partner(move || {
        let is_slow = began.elapsed() > slow_after;
        let (least, most) = if is_slow { (millis(55), millis(95)) } else { (millis(8), millis(25)) };
        Answer::After(between(&mut random, least, most))
    })?;
    let (chart, _) = Actor::spawn(None, Chart { map, is_faulty: load.is_faulty() }, ()).await?; // <- areas-looked-up-in-actor
    let told = chart.clone();
    let seen = async move |Path(ship): Path<u32>| match told.cast(ChartMessage::Seen(ship, Work::begin())) {
        Ok(()) => "noted",
        Err(_) => "closed",
    };
    let find = async move |Path(ship): Path<u32>| {
        let sightings = ractor::call!(chart, ChartMessage::Where, ship); // <- areas-looked-up-in-actor
        sightings.map(|count| count.to_string()).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    };
    let router = Router::new()
        .route("/seen/{ship}", get(seen))
        .route("/where/{ship}", get(find)) // <- areas-looked-up-in-actor
        .route("/health", get(async || "fine"));
    let address = sidelines::serve_http(router).await?;
    sidelines::probe(address);
    sidelines::visitors(&load, address, secs(15), 20, |random| {
        let ship = random.u32(..SHIPS);
        let path = if random.u32(..4) == 0 { format!("/where/{ship}") } else { format!("/seen/{ship}") };
        (path, secs(10))
    });
    sidelines::run(&load).await
}

/// All papers, as they come from one query.
fn all_at_once(pool: SqlitePool) -> impl Stream<Item = sqlx::Result<String>> + Send {
    try_stream! {
        let mut papers = sqlx::query_scalar::<_, String>("SELECT text FROM papers ORDER BY id").fetch(&pool); // <- papers-streamed-from-connection
        while let Some(text) = papers.try_next().await? {
            yield text;
        }
    }
}

/// All papers, some at a time.
fn by_pages(pool: SqlitePool) -> impl Stream<Item = sqlx::Result<String>> + Send {
    const PAGE: &str = "SELECT id, text FROM papers WHERE id > ? ORDER BY id LIMIT 40";
    try_stream! {
        let mut last = 0;
        loop {
            let page: Vec<(i64, String)> = sqlx::query_as(PAGE).bind(last).fetch_all(&pool).await?;
            let Some(&(newest, _)) = page.last() else { break };
            last = newest;
            for (_, text) in page {
                yield text;
            }
        }
    }
}

/// Downloads all papers from outside, and pauses after each part that it has read.
async fn download(harbour: SocketAddr, pause: Duration) -> anyhow::Result<()> {
    const PART: usize = 64 * 1_024;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(u32::try_from(PART)?)?;
    let mut socket = socket.connect(harbour).await?;
    socket.write_all(b"GET /papers HTTP/1.1\r\nhost: harbour\r\nconnection: close\r\n\r\n").await?;
    let (mut part, mut length) = (vec![0; PART], 0);
    loop {
        let read = socket.read(&mut part).await?;
        length += read;
        if read == 0 {
            break;
        }
        sleep(pause).await;
    }
    anyhow::ensure!(length > PART, "no papers");
    Ok(())
}

/// Customs offices outside, some of which are on a slow line.
fn customs(harbour: SocketAddr) {
    const FIRST_SLOW: u32 = 5;
    outside(move || async move {
        for office in 0.. {
            sleep(secs(2)).await;
            let pause = if office < FIRST_SLOW || office % 8 == 0 { Duration::ZERO } else { millis(80) };
            let work = Work::begin();
            tokio::spawn(async move { work.end(download(harbour, pause).await.is_ok()) });
        }
        Ok(())
    });
}

async fn papers(load: Load) -> anyhow::Result<()> {
    const CONTAINERS: u32 = 3_000;
    const PATIENCE: Duration = secs(5);
    const FILL: &str = "WITH RECURSIVE ids(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM ids WHERE id < 3000)
        INSERT INTO papers SELECT id, hex(zeroblob(2000)) FROM ids";
    let options: SqliteConnectOptions = "sqlite::memory:".parse()?;
    let connections = u32::try_from(load.size)?;
    // The database lives as long as one connection does.
    let lasting = SqlitePoolOptions::new().idle_timeout(None).max_lifetime(None).acquire_timeout(PATIENCE);
    let pool = lasting.min_connections(connections).max_connections(connections).connect_with(options).await?; // <- papers-streamed-from-connection
    sqlx::query("CREATE TABLE papers (id INTEGER PRIMARY KEY, text TEXT)").execute(&pool).await?;
    sqlx::query(FILL).execute(&pool).await?;
    let (shared, is_faulty) = (pool.clone(), load.is_faulty());
    let export = async move || {
        if is_faulty { Body::from_stream(all_at_once(shared)) } else { Body::from_stream(by_pages(shared)) }
    };
    let look_up = async move |Path(container): Path<u32>| {
        let query = sqlx::query_scalar::<_, String>("SELECT substr(text, 1, 40) FROM papers WHERE id = ?");
        let found = query.bind(container).fetch_optional(&pool).await; // <- papers-streamed-from-connection
        found.map(|text| text.unwrap_or_else(|| "unknown".to_owned())).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    };
    let router = Router::new()
        .route("/papers", get(export))
        .route("/container/{id}", get(look_up)) // <- papers-streamed-from-connection
        .route("/health", get(async || "fine"));
    let address = sidelines::serve_http(router).await?;
    sidelines::probe(address);
    customs(address);
    sidelines::visitors(&load, address, secs(12), 15, |random| {
        (format!("/container/{}", random.u32(1..CONTAINERS)), secs(4))
    });
    sidelines::run(&load).await
}

/// A session with the store, for as long as its key is valid, and the uploads that began in it.
#[derive(Default)]
struct Session {
    uploads: Mutex<JoinSet<()>>,
}

impl Session {
    /// Begins an upload, and forgets those that have ended.
    fn begin(&self, upload: impl Future<Output = ()> + Send + 'static) {
        let mut uploads = self.uploads.lock();
        while uploads.try_join_next().is_some() {}
        uploads.spawn(upload); // <- uploads-end-with-their-key
    }
}

/// The way to the store, whose session is replaced from time to time.
struct Uplink {
    session: ArcSwap<Session>,
    store: SocketAddr,
}

impl Uplink {
    /// Uploads the pictures of a container, from the start if that ends too early.
    async fn upload(&self, pictures: u32) -> bool {
        const ATTEMPTS: usize = 5;
        for _ in 0..ATTEMPTS {
            let ((done, is_done), store) = (oneshot::channel(), self.store);
            self.session.load().begin(async move {
                for picture in 0..pictures {
                    while peers::request(store, &format!("/picture/{picture}"), Some(secs(3))).await.is_err() {
                        sleep(millis(200)).await;
                    }
                }
                // Nobody has to know.
                let _ = done.send(());
            });
            if is_done.await.is_ok() {
                return true;
            }
        }
        false
    }

    /// Fetches a new key before the old one ends, and begins a session with it.
    async fn renew(&self, vault: SocketAddr, every: Duration, is_faulty: bool) {
        const FIRST: Duration = secs(12);
        sleep(FIRST).await;
        loop {
            sleep(every).await;
            if peers::request(vault, "/key", Some(secs(1))).await.is_err() {
                // The old one is good for a little longer.
                continue;
            }
            let old = self.session.swap(Arc::default());
            if !is_faulty {
                let mut uploads = mem::take(&mut *old.uploads.lock());
                spawn("drain-session", async move { while uploads.join_next().await.is_some() {} });
            }
        }
    }
}

async fn uploads(load: Load) -> anyhow::Result<()> {
    let [mut of_store, mut of_vault, mut random] = [1, 2, 3].map(|purpose| load.random(purpose));
    let store = peers::partner(move || Answer::After(between(&mut of_store, millis(120), millis(480))))?;
    let vault = peers::partner(move || Answer::After(between(&mut of_vault, millis(20), millis(200))))?;
    let uplink = Arc::new(Uplink { session: ArcSwap::default(), store });
    let (renewed, every, is_faulty) = (Arc::clone(&uplink), secs(load.size as u64), load.is_faulty());
    spawn("renew-key", async move { renewed.renew(vault, every, is_faulty).await });
    let begin = async move |Path(pictures): Path<u32>| {
        spawn("upload-pictures", async move {
            let work = Work::begin();
            work.end(uplink.upload(pictures).await);
        });
        "begun"
    };
    let router = Router::new().route("/upload/{pictures}", get(begin)).route("/health", get(async || "fine"));
    let address = sidelines::serve_http(router).await?;
    sidelines::probe(address);
    sidelines::visitors(&load, address, secs(20), 4, move |_| (format!("/upload/{}", random.u32(4..=20)), secs(5)));
    sidelines::run(&load).await
}
