//! Shelves: bundles from a store that is asked a few times at once, prices that are remembered, and settings that are read for each answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::routing;
use cached::proc_macro::cached;
use futures::TryStreamExt as _;
use opendal::Operator;
use opendal::layers::ConcurrentLimitLayer;
use opendal::services::Memory;
use poem::listener::TcpAcceptor;
use poem::web::{Data, Path};
use poem::{EndpointExt as _, IntoEndpoint, Route, Server, get, handler};
use tokio::sync::{Notify, RwLock};
use tokio::time::{sleep, timeout};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, between, outside, spawn};

const SOURCE: Source = Source { file: "programs/shelves.rs", text: include_str!("shelves.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "opendal-manifest-kept-open",
        crates: "opendal, axum",
        fault: "A bundle reads its parts while its manifest is still open: as many bundles as the store may serve at once all wait for it.",
        issue: "apache/opendal#7338",
        way: Way::Deadlock,
        rate_of: "requests, without those that come at once",
        rate: 10.0,
        size_of: "reads at a time",
        size: 8,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue", "contention"],
            names: &[],
            libraries: &["axum", "opendal"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(bundles(load)),
    },
    Program {
        id: "cached-locks-all-keys",
        crates: "cached, poem",
        fault: "A cache of prices is locked as a whole while one price is asked for: when the supplier gets slower, everybody waits.",
        issue: "jaemk/cached#158",
        way: Way::HeldLock,
        rate_of: "requests",
        rate: 20.0,
        size_of: "articles",
        size: 150,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue", "contention"],
            names: &[],
            libraries: &["poem", "cached"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(prices(load)),
    },
    Program {
        id: "settings-locked-during-answer",
        crates: "poem, tokio",
        fault: "An assistant keeps the settings locked for reading until its answer is complete: a reload waits for the longest, and all behind it.",
        issue: "librefang/librefang#3564",
        way: Way::HeldLock,
        rate_of: "requests",
        rate: 8.0,
        size_of: "seconds between two reloads",
        size: 20,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "stuck", "queue"],
            names: &["reload-settings"],
            libraries: &["poem"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(assistant(load)),
    },
];

/// A store of manifests and parts, and who looks for viruses in them.
struct Bundles {
    store: Operator,
    scanner: SocketAddr,
    is_faulty: bool,
}

impl Bundles {
    async fn add_part(&self, part: &str) -> anyhow::Result<usize> {
        let bytes = self.store.read(part).await?;
        peers::request(self.scanner, "/scan", Some(secs(3))).await?;
        Ok(bytes.len())
    }

    /// Puts the parts together that the manifest names, and returns how long they are.
    async fn pack(&self) -> anyhow::Result<usize> {
        let mut length = 0;
        if self.is_faulty {
            let mut manifest = self.store.reader("manifest").await?.into_bytes_stream(..).await?;
            while let Some(lines) = manifest.try_next().await? {
                for part in std::str::from_utf8(&lines)?.lines() {
                    length += self.add_part(part).await?;
                }
            }
        } else {
            let manifest = self.store.read("manifest").await?.to_bytes();
            for part in std::str::from_utf8(&manifest)?.lines() {
                length += self.add_part(part).await?;
            }
        }
        Ok(length)
    }
}

async fn bundles(load: Load) -> anyhow::Result<()> {
    const PARTS: usize = 4;
    let store = Operator::new(Memory::default())?.layer(ConcurrentLimitLayer::new(load.size)); // <- opendal-manifest-kept-open
    let parts: Vec<String> = (0..PARTS).map(|part| format!("part-{part}")).collect();
    for part in &parts {
        store.write(part, vec![7; 2_000]).await?;
    }
    store.write("manifest", parts.join("\n")).await?;
    let mut random = load.random(1);
    let scanner = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(80))))?;
    let bundles = Arc::new(Bundles { store, scanner, is_faulty: load.is_faulty() });
    let pack = async |State(bundles): State<Arc<Bundles>>| {
        bundles.pack().await.map_or_else(|error| error.to_string(), |length| length.to_string())
    };
    let upload = async |State(bundles): State<Arc<Bundles>>| {
        bundles
            .store
            .write("upload", vec![7; 2_000])
            .await
            .map_or_else(|error| error.to_string(), |_| "stored".to_owned())
    };
    let router = Router::new()
        .route("/bundle", routing::get(pack))
        .route("/upload", routing::get(upload))
        .route("/health", routing::get(async || "well"))
        .with_state(bundles);
    let address = sidelines::serve_http(router).await?;
    sidelines::visitors(&load, address, secs(10), 20, |random| {
        let path = match random.u8(..10) {
            0 => "/health",
            1..3 => "/upload",
            _ => "/bundle",
        };
        (path.to_owned(), secs(60))
    });
    sidelines::run(&load).await
}

/// Serves HTTP with poem on a free port, and returns its address.
fn serve_poem<E>(routes: E) -> anyhow::Result<SocketAddr>
where
    E: IntoEndpoint + Send + 'static,
    E::Endpoint: 'static,
{
    let (listener, address) = peers::listener()?;
    let acceptor = TcpAcceptor::from_std(listener)?;
    spawn("serve-http", async move { Server::new_with_acceptor(acceptor).run(routes).await });
    Ok(address)
}

#[cached(key = "u64", convert = "{ article }", ttl_secs = 4, sync_writes = true)]
async fn price_in_turn(supplier: SocketAddr, article: u64) -> anyhow::Result<usize> {
    peers::request(supplier, &format!("/price/{article}"), Some(secs(3))).await
}

#[cached(key = "u64", convert = "{ article }", ttl_secs = 4, sync_writes = "by_key", sync_writes_buckets = 512)]
async fn price_by_article(supplier: SocketAddr, article: u64) -> anyhow::Result<usize> {
    peers::request(supplier, &format!("/price/{article}"), Some(secs(3))).await
}

/// Where prices come from.
#[derive(Clone)]
struct Shop {
    supplier: SocketAddr,
    is_faulty: bool,
}

#[handler]
async fn show_price(Data(shop): Data<&Shop>, Path(article): Path<u64>) -> String {
    let price = if shop.is_faulty {
        price_in_turn(shop.supplier, article).await
    } else {
        price_by_article(shop.supplier, article).await
    };
    price.map_or_else(|error| error.to_string(), |price| price.to_string())
}

async fn prices(load: Load) -> anyhow::Result<()> {
    const SLOW_AFTER: Duration = secs(20);
    let (began, mut random) = (Instant::now(), load.random(1));
    let supplier = peers::partner(move || {
        let (least, most) = if began.elapsed() > SLOW_AFTER { (100, 300) } else { (15, 40) };
        Answer::After(between(&mut random, millis(least), millis(most)))
    })?;
    let shop = Shop { supplier, is_faulty: load.is_faulty() };
    let address = serve_poem(Route::new().at("/price/:article", get(show_price)).data(shop))?;
    let articles = u64::try_from(load.size)?;
    sidelines::visitors(&load, address, secs(15), 15, move |random| {
        // Half of the visitors look at the same few articles.
        let article = if random.bool() { random.u64(..10) } else { random.u64(..articles) };
        (format!("/price/{article}"), secs(10))
    });
    sidelines::run(&load).await
}

/// What an operator may change while the service runs.
struct Settings {
    version: u64,
}

/// An assistant: its settings, the model that it asks, and news for those that wait for some.
struct Assistant {
    settings: RwLock<Arc<Settings>>,
    model: SocketAddr,
    news: Notify,
    is_faulty: bool,
}

#[handler]
async fn answer(Data(assistant): Data<&Arc<Assistant>>) -> String {
    let locked = assistant.settings.read().await;
    let settings = Arc::clone(&locked);
    // Repaired, the lock is gone here, and the answer uses the settings as they were.
    let _locked = assistant.is_faulty.then_some(locked);
    match peers::request(assistant.model, &format!("/answer/{}", settings.version), Some(secs(60))).await {
        Ok(length) => length.to_string(),
        Err(error) => error.to_string(),
    }
}

#[handler]
async fn show_version(Data(assistant): Data<&Arc<Assistant>>) -> String {
    assistant.settings.read().await.version.to_string()
}

/// A long poll.
#[handler]
async fn wait_for_news(Data(assistant): Data<&Arc<Assistant>>) -> String {
    timeout(secs(25), assistant.news.notified()).await.is_ok().to_string()
}

async fn assistant(load: Load) -> anyhow::Result<()> {
    const POLLING: usize = 30;
    let mut random = load.random(1);
    let model = peers::partner(move || {
        Answer::After(match random.u8(..100) {
            0..8 => between(&mut random, secs(8), secs(25)),
            8..35 => between(&mut random, millis(500), secs(3)),
            _ => between(&mut random, millis(100), millis(400)),
        })
    })?;
    let settings = RwLock::new(Arc::new(Settings { version: 0 })); // <- settings-locked-during-answer
    let assistant = Arc::new(Assistant { settings, model, news: Notify::new(), is_faulty: load.is_faulty() });
    let (reloaded, every) = (Arc::clone(&assistant), secs(u64::try_from(load.size)?));
    spawn("reload-settings", async move {
        for version in 1.. {
            sleep(every).await;
            *reloaded.settings.write().await = Arc::new(Settings { version });
            // Those that poll hear of every third one.
            if version % 3 == 0 {
                reloaded.news.notify_waiters();
            }
        }
    });
    let routes = Route::new()
        .at("/answer", get(answer))
        .at("/version", get(show_version))
        .at("/news", get(wait_for_news))
        .data(assistant);
    let address = serve_poem(routes)?;
    outside(move || async move {
        let poll = async move || {
            loop {
                // Whatever comes, it asks again.
                let _ = peers::request(address, "/news", Some(secs(40))).await;
            }
        };
        futures::future::join_all((0..POLLING).map(|_| poll())).await;
        Ok(())
    });
    sidelines::visitors(&load, address, secs(15), 10, |random| {
        let path = if random.u8(..100) < 60 { "/answer" } else { "/version" };
        (path.to_owned(), secs(40))
    });
    sidelines::run(&load).await
}
