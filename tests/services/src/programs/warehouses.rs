//! Warehouses: a stock that is compared with a supplier's, parcels that need a tariff, and labels that are printed by workers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use crossfire::{MAsyncRx, mpmc};
use deadpool::Runtime;
use deadpool::managed::{self, Metrics, RecycleResult};
use event_listener::Event;
use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside};

const SOURCE: Source = Source { file: "programs/warehouses.rs", text: include_str!("warehouses.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "stock-compared-all-at-once",
        crates: "deadpool, futures, axum",
        fault: "A comparison of the stock joins the futures of all articles: whoever wants a connection then queues behind all of them.",
        issue: "open-metadata/OpenMetadata#31582",
        way: Way::Pool,
        rate_of: "questions",
        rate: 15.0,
        size_of: "articles",
        size: 2_000,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "queue", "stuck"],
            names: &[],
            libraries: &["deadpool", "axum"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(stock(load)),
    },
    Program {
        id: "one-of-those-who-wait-is-woken",
        crates: "event-listener, axum",
        fault: "Whoever has loaded a tariff wakes one of those who wait for it: if there are more, the others wait forever.",
        issue: "graphql-java/java-dataloader#20",
        way: Way::Stragglers,
        rate_of: "parcels",
        rate: 14.0,
        size_of: "carriers",
        size: 24,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(parcels(load)),
    },
    Program {
        id: "all-printers-wait-for-first-answer",
        crates: "crossfire, axum",
        fault: "A server of templates is silent while the service starts; calls to it have no timeout, and every worker is in one for good.",
        issue: "deeplethe/utopia#124",
        way: Way::Unanswered,
        rate_of: "labels",
        rate: 12.0,
        size_of: "workers",
        size: 8,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(labels(load)),
    },
];

/// A connection to a database that needs no network.
struct Database;

impl Database {
    async fn query(&mut self, length: Duration) {
        sleep(length).await;
    }
}

/// Makes connections, in a few milliseconds each.
struct Connector;

impl managed::Manager for Connector {
    type Type = Database;
    type Error = Infallible;

    async fn create(&self) -> Result<Database, Infallible> {
        sleep(millis(5)).await;
        Ok(Database)
    }

    async fn recycle(&self, _: &mut Database, _: &Metrics) -> RecycleResult<Infallible> {
        Ok(())
    }
}

type Pool = managed::Pool<Connector>;

/// Compares one article with what the supplier has sent.
async fn compare(pool: Pool, length: Duration) -> bool {
    let Ok(mut database) = pool.get().await else { return false }; // <- stock-compared-all-at-once
    database.query(length).await;
    true
}

/// Compares all articles every fifteen seconds.
async fn compare_all(pool: Pool, articles: usize, mut random: fastrand::Rng, is_faulty: bool) {
    const EVERY: Duration = secs(15);
    // The others are for those who ask.
    const AT_ONCE: usize = 6;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let comparisons: Vec<_> =
            (0..articles).map(|_| compare(pool.clone(), between(&mut random, millis(30), millis(50)))).collect();
        let compared: Vec<bool> = if is_faulty {
            join_all(comparisons).await
        } else {
            stream::iter(comparisons).buffer_unordered(AT_ONCE).collect().await
        };
        let work = Work::begin();
        work.end(compared.into_iter().all(|is_done| is_done));
    }
}

async fn stock(load: Load) -> anyhow::Result<()> {
    const CONNECTIONS: usize = 10;
    let pool =
        Pool::builder(Connector).max_size(CONNECTIONS).wait_timeout(Some(secs(10))).runtime(Runtime::Tokio1).build()?;
    let comparison = compare_all(pool.clone(), load.size, load.random(1), load.is_faulty());
    tokio::spawn(comparison); // <- stock-compared-all-at-once
    let mut random = load.random(2);
    let prices = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(200))))?;
    let ask = async move |Path(article): Path<u64>| {
        let length = between(&mut fastrand::Rng::new(), millis(30), millis(90));
        match pool.get().await {
            Ok(mut database) => database.query(length).await,
            Err(_) => return "no",
        }
        match peers::request(prices, &format!("/price/{article}"), Some(secs(1))).await {
            Ok(_) => "some are left",
            Err(_) => "ask again",
        }
    };
    let address = sidelines::serve_http(Router::new().route("/stock/{article}", get(ask))).await?;
    sidelines::visitors(&load, address, secs(20), 20, |random| (format!("/stock/{}", random.u64(..2_000)), secs(2)));
    sidelines::run(&load).await
}

/// What a carrier takes, as soon as that is known; nothing if it could not be loaded.
struct Tariff {
    since: Instant,
    price: OnceLock<Option<u64>>,
    is_known: Event,
}

/// The tariffs of all carriers, each of which is loaded once at a time.
struct Tariffs {
    known: Mutex<HashMap<u64, Arc<Tariff>>>,
    carriers: SocketAddr,
    is_faulty: bool,
}

impl Tariffs {
    /// The tariff of a carrier, and whether who asks has to load it.
    fn find(&self, carrier: u64) -> (Arc<Tariff>, bool) {
        const LASTING: Duration = secs(3);
        let mut known = self.known.lock();
        if let Some(tariff) = known.get(&carrier).filter(|tariff| tariff.since.elapsed() < LASTING) {
            return (Arc::clone(tariff), false);
        }
        let tariff = Arc::new(Tariff { since: Instant::now(), price: OnceLock::new(), is_known: Event::new() });
        known.insert(carrier, Arc::clone(&tariff));
        (tariff, true)
    }

    /// What a carrier takes for a parcel.
    async fn price(&self, carrier: u64) -> Option<u64> {
        let (tariff, has_to_load) = self.find(carrier);
        if has_to_load {
            let loaded = peers::request(self.carriers, &format!("/tariff/{carrier}"), Some(secs(2))).await;
            let price = *tariff.price.get_or_init(|| loaded.is_ok().then_some(carrier));
            tariff.is_known.notify(if self.is_faulty { 1 } else { usize::MAX });
            return price;
        }
        loop {
            let is_known = tariff.is_known.listen();
            if let Some(&price) = tariff.price.get() {
                return price;
            }
            is_known.await; // <- one-of-those-who-wait-is-woken
        }
    }

    /// Hands a parcel over to its carrier.
    async fn ship(self: Arc<Self>, carrier: u64) {
        let work = Work::begin();
        let Some(price) = self.price(carrier).await else { return work.end(false) };
        let shipped = peers::request(self.carriers, &format!("/parcel/{carrier}/{price}"), Some(secs(3))).await;
        work.end(shipped.is_ok());
    }
}

async fn parcels(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let carriers = peers::partner(move || Answer::After(between(&mut random, millis(200), millis(900))))?;
    let tariffs = Arc::new(Tariffs { known: Mutex::default(), carriers, is_faulty: load.is_faulty() });
    let take = async move |Path(carrier): Path<u64>| {
        tokio::spawn(Arc::clone(&tariffs).ship(carrier)); // <- one-of-those-who-wait-is-woken
        "taken"
    };
    let address = sidelines::serve_http(Router::new().route("/parcel/{carrier}", get(take))).await?;
    let carriers = load.size as f64;
    sidelines::visitors(&load, address, secs(15), 20, move |random| {
        // Some carriers are asked for more often than others.
        let carrier = random.f64().powi(2) * carriers;
        (format!("/parcel/{}", carrier.floor()), secs(5))
    });
    sidelines::run(&load).await
}

/// A label that somebody waits for.
struct Order {
    parcel: u64,
    work: Work,
}

/// Takes labels from the queue, fetches the template of each, prints it, and counts it.
async fn print(
    queue: MAsyncRx<mpmc::Array<Order>>,
    templates: SocketAddr,
    printed: watch::Sender<u64>,
    is_faulty: bool,
) {
    const ATTEMPTS: usize = 10;
    let patience = (!is_faulty).then_some(secs(1));
    while let Ok(order) = queue.recv().await {
        let mut is_fetched = false;
        for _ in 0..ATTEMPTS {
            let path = format!("/template/{}", order.parcel % 8);
            is_fetched = peers::request(templates, &path, patience).await.is_ok_and(|length| length > 0);
            if is_fetched {
                break;
            }
            sleep(millis(300)).await;
        }
        sleep(millis(30)).await;
        printed.send_modify(|count| *count += 1);
        order.work.end(is_fetched);
    }
}

async fn labels(load: Load) -> anyhow::Result<()> {
    const QUEUE: usize = 150;
    const SILENCE: Duration = secs(4);
    const STATIONS: u64 = 12;
    let (mut random, began) = (load.random(1), Instant::now());
    let templates = peers::partner(move || {
        let is_silent = began.elapsed() < SILENCE;
        if is_silent { Answer::Never } else { Answer::After(between(&mut random, millis(30), millis(250))) }
    })?;
    let (orders, queue) = mpmc::bounded_async(QUEUE); // <- all-printers-wait-for-first-answer
    let (count, printed) = watch::channel(0);
    for _ in 0..load.size {
        let printer = print(queue.clone(), templates, count.clone(), load.is_faulty());
        tokio::spawn(printer); // <- all-printers-wait-for-first-answer
    }
    let order = async move |Path(parcel): Path<u64>| {
        let work = Work::begin();
        // The order is not lost if the queue is full: whoever has packed the parcel asks again.
        match timeout(secs(2), orders.send(Order { parcel, work })).await {
            Ok(Ok(())) => "ordered",
            _ => "busy",
        }
    };
    let wait = async move |Path(station): Path<u64>| {
        let mut printed = printed.clone();
        let wanted = *printed.borrow() + 20 * (1 + station);
        match timeout(secs(25), printed.wait_for(|&count| count >= wanted)).await {
            Ok(_) => "take them",
            Err(_) => "nothing yet",
        }
    };
    let router = Router::new()
        .route("/label/{parcel}", get(order))
        .route("/wait/{station}", get(wait))
        .route("/health", get(async || "fine"));
    let address = sidelines::serve_http(router).await?;
    sidelines::probe(address);
    outside(move || async move {
        for station in 0..STATIONS {
            tokio::spawn(async move {
                loop {
                    let _ = peers::request(address, &format!("/wait/{station}"), None).await;
                    sleep(millis(500)).await;
                }
            });
        }
        std::future::pending().await
    });
    sidelines::visitors(&load, address, secs(20), 20, |random| (format!("/label/{}", random.u64(..9_000)), secs(5)));
    sidelines::run(&load).await
}
