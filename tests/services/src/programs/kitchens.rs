//! Kitchens: cards of dishes that are kept for a while, and orders that are cooked again if they fail.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::{StreamExt as _, stream};
use moka::future::Cache;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::PollSender;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, between, spawn};

const SOURCE: Source = Source { file: "programs/kitchens.rs", text: include_str!("kitchens.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "evicted-card-compressed-in-listener",
        crates: "moka, flate2, axum",
        fault: "A card that leaves the cache is compressed in the cache's eviction listener, which runs in the request that needs the room.",
        issue: "opensearch-project/OpenSearch#22545",
        way: Way::Blocking,
        rate_of: "requests for a card",
        rate: 16.0,
        size_of: "kilobytes of a card",
        size: 600,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &[],
            libraries: &["moka", "axum"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(cards(load)),
    },
    Program {
        id: "burnt-orders-back-into-first-queue",
        crates: "tokio-util, futures, axum",
        fault: "A stage puts failed orders into the bounded queue of the stage before it: once all queues are full, each stage waits for the next.",
        issue: "lanrat/czds#3",
        way: Way::Deadlock,
        rate_of: "orders, without those that come at once",
        rate: 12.0,
        size_of: "orders that come at once",
        size: 120,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["route-orders", "cook-orders"],
            libraries: &["axum", "tokio-util"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(orders(load)),
    },
];

/// The cards that are not in the cache any more.
type Shelf = Arc<Mutex<HashMap<u32, Bytes>>>;

/// Compresses a card as well as possible.
fn compress(card: &[u8]) -> io::Result<Bytes> {
    let mut out = GzEncoder::new(Vec::new(), Compression::best());
    out.write_all(card)?;
    Ok(out.finish()?.into())
}

/// Puts a card on the shelf.
fn put_away(shelf: &Shelf, dish: u32, card: &[u8]) {
    // Without it there is only the card that the office has.
    if let Ok(compressed) = compress(card) {
        shelf.lock().insert(dish, compressed);
    }
}

/// A cache whose evicted cards get onto the shelf.
fn cache(shelf: &Shelf, is_faulty: bool) -> Cache<u32, Bytes> {
    const CARDS: u64 = 100;
    const QUEUE: usize = 64;
    let builder = Cache::builder().max_capacity(CARDS);
    let shelf = Arc::clone(shelf);
    if is_faulty {
        return builder.eviction_listener(move |dish, card: Bytes, _| put_away(&shelf, *dish, &card)).build(); // <- evicted-card-compressed-in-listener
    }
    let (evict, mut evicted) = mpsc::channel::<(u32, Bytes)>(QUEUE);
    spawn("put-cards-away", async move {
        while let Some((dish, card)) = evicted.recv().await {
            let shelf = Arc::clone(&shelf);
            // The next card may fit.
            let _ = spawn_blocking(move || put_away(&shelf, dish, &card)).await;
        }
    });
    let listener = move |dish: Arc<u32>, card, _| {
        // What does not fit into the queue is not kept.
        let _ = evict.try_send((*dish, card));
    };
    builder.eviction_listener(listener).build()
}

async fn cards(load: Load) -> anyhow::Result<()> {
    const DISHES: u32 = 300;
    let [mut of_office, mut of_text] = [1, 2].map(|purpose| load.random(purpose));
    let office = peers::partner(move || Answer::After(between(&mut of_office, millis(15), millis(120))))?;
    let text: Arc<[u8]> = (0..load.size * 1_000).map(|_| of_text.u8(b'a'..=b'p')).collect();
    let shelf = Shelf::default();
    let cache = cache(&shelf, load.is_faulty());
    let card = async move |Path(dish): Path<u32>| {
        let fetch = async move {
            peers::request(office, &format!("/dish/{dish}"), Some(secs(3))).await?;
            anyhow::Ok(Bytes::from([format!("{dish}: ").as_bytes(), &text].concat()))
        };
        cache.try_get_with(dish, fetch).await.map_err(|_| StatusCode::BAD_GATEWAY) // <- evicted-card-compressed-in-listener
    };
    let printed = async move |Path(dish): Path<u32>| shelf.lock().get(&dish).cloned().unwrap_or_default();
    let router = Router::new()
        .route("/card/{dish}", get(card)) // <- evicted-card-compressed-in-listener
        .route("/printed/{dish}", get(printed))
        .route("/health", get(async || "fine"));
    let address = sidelines::serve_http(router).await?;
    sidelines::probe(address);
    sidelines::visitors(&load, address, secs(15), 10, |random| {
        let dish = random.u32(..DISHES);
        let path = if random.u32(..10) == 0 { format!("/printed/{dish}") } else { format!("/card/{dish}") };
        (path, secs(5))
    });
    sidelines::run(&load).await
}

/// A dish that somebody waits for.
struct Order {
    dish: u32,
    attempts: u32,
    done: oneshot::Sender<u32>,
}

/// Has a dish cooked, and returns the order if that takes too long.
async fn cook(stove: SocketAddr, order: Order) -> Result<(), Order> {
    if peers::request(stove, &format!("/cook/{}", order.dish), Some(millis(700))).await.is_err() {
        return Err(order);
    }
    // The guest may be gone.
    let _ = order.done.send(order.attempts);
    Ok(())
}

/// Where failed orders go.
enum Again {
    /// To all others, when there is room.
    WithOthers(mpsc::Sender<Order>),
    /// To a queue of their own, if there is room.
    Apart(mpsc::Sender<Order>),
}

/// Cooks some orders side by side, and has those that fail cooked again.
async fn cook_orders(stove: SocketAddr, orders: mpsc::Receiver<Order>, again: Again) -> anyhow::Result<()> {
    const AT_ONCE: usize = 10;
    const ATTEMPTS: u32 = 4;
    let orders = ReceiverStream::new(orders);
    let mut cooked = pin!(orders.map(|order| cook(stove, order)).buffer_unordered(AT_ONCE));
    while let Some(outcome) = cooked.next().await {
        let Err(mut order) = outcome else { continue };
        order.attempts += 1;
        if order.attempts == ATTEMPTS {
            continue;
        }
        match &again {
            Again::WithOthers(orders) => orders.send(order).await?, // <- burnt-orders-back-into-first-queue
            // The guest is told that there is none.
            Again::Apart(orders) => drop(orders.try_send(order)),
        }
    }
    Ok(())
}

async fn orders(load: Load) -> anyhow::Result<()> {
    const DISHES: u32 = 60;
    let mut random = load.random(1);
    // Some dishes are burnt.
    let stove = peers::partner(move || {
        let is_burnt = random.u32(..100) < 10;
        if is_burnt { Answer::Never } else { Answer::After(between(&mut random, millis(80), millis(300))) }
    })?;
    let (order, ordered) = mpsc::channel(32); // <- burnt-orders-back-into-first-queue
    let (route, routed) = mpsc::channel(16); // <- burnt-orders-back-into-first-queue
    let (repeat, repeated) = mpsc::channel(512);
    let again = if load.is_faulty() { Again::WithOthers(order.clone()) } else { Again::Apart(repeat) };
    spawn("cook-orders", cook_orders(stove, routed, again));
    let orders = stream::select(ReceiverStream::new(ordered), ReceiverStream::new(repeated));
    spawn("route-orders", orders.map(Ok).forward(PollSender::new(route)));
    let take = async move |Path(dish): Path<u32>| {
        let (done, is_done) = oneshot::channel(); // <- burnt-orders-back-into-first-queue
        let new = Order { dish, attempts: 0, done };
        order.send(new).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?; // <- burnt-orders-back-into-first-queue
        is_done.await.map(|attempts| attempts.to_string()).map_err(|_| StatusCode::GONE)
    };
    let router = Router::new()
        .route("/order/{dish}", get(take)) // <- burnt-orders-back-into-first-queue
        .route("/health", get(async || "fine"));
    let address = sidelines::serve_http(router).await?;
    sidelines::probe(address);
    let burst = load.size as u64;
    sidelines::visitors(&load, address, secs(15), burst, |random| {
        (format!("/order/{}", random.u32(..DISHES)), secs(10))
    });
    sidelines::run(&load).await
}
