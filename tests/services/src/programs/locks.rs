//! Locks in one order here and in the other there, and locks held while something slow happens.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use futures::StreamExt;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, RwLock};

use super::{Label, Program, Severity, Source, Way, millis};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, outside, spawn};

const SOURCE: Source = Source { file: "programs/locks.rs", text: include_str!("locks.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "axum-lock-order",
        crates: "axum",
        fault: "Two handlers take the same two locks in opposite order.",
        issue: "matrix-org/matrix-rust-sdk#6839",
        way: Way::Deadlock,
        rate_of: "requests",
        rate: 30.0,
        size_of: "per cent of the requests that take the locks the other way round",
        size: 20,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck"],
            names: &[],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 40,
        },
        source: SOURCE,
        run: |load| Box::pin(axum_handlers(load)),
    },
    Program {
        id: "stream-yields-under-lock",
        crates: "async-stream, futures",
        fault: "A stream yields while it holds a lock, and whoever reads it sends each item to a slow partner.",
        issue: "zed-industries/zed#230",
        way: Way::HeldLock,
        rate_of: "updates of the catalogue",
        rate: 10.0,
        size_of: "items that are exported",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "queue", "stuck"],
            names: &["export-catalogue", "update-item"],
            libraries: &[],
            severity: Severity::Warning,
            within: 30,
        },
        source: SOURCE,
        run: |load| Box::pin(stream_under_lock(load)),
    },
    Program {
        id: "reqwest-under-write-lock",
        crates: "reqwest",
        fault: "A token is fetched over the network while the lock around it is held for writing; all readers wait.",
        issue: "neondatabase/neon#12875",
        way: Way::HeldLock,
        rate_of: "requests that need the token",
        rate: 40.0,
        size_of: "requests until the token is fetched again",
        size: 60,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "queue", "stuck"],
            names: &["call-partner"],
            libraries: &[],
            severity: Severity::Warning,
            within: 40,
        },
        source: SOURCE,
        run: |load| Box::pin(token_under_lock(load)),
    },
];

/// What the handlers share.
#[derive(Clone)]
struct Shop {
    stock: Arc<Mutex<i64>>,
    orders: Arc<Mutex<i64>>,
    is_faulty: bool,
}

async fn axum_handlers(load: Load) -> anyhow::Result<()> {
    let stock = Arc::new(Mutex::new(0)); // <- axum-lock-order
    let orders = Arc::new(Mutex::new(0)); // <- axum-lock-order
    let shop = Shop { stock, orders, is_faulty: load.is_faulty() };
    let app = Router::new().route("/buy", get(buy)).route("/refund", get(refund)).with_state(shop);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    outside(move || async move {
        let (mut gaps, mut random) = (load.random(1), load.random(2));
        loop {
            tokio::time::sleep(gap(&mut gaps, load.rate)).await;
            let path = if random.usize(..100) < load.size { "/refund" } else { "/buy" };
            tokio::spawn(peers::request(address, path, None));
        }
    });
    axum::serve(listener, app).await?;
    Ok(())
}

async fn buy(State(shop): State<Shop>) -> &'static str {
    let work = Work::begin();
    let mut stock = shop.stock.lock().await;
    tokio::time::sleep(millis(2)).await;
    *stock -= 1;
    *shop.orders.lock().await += 1;
    work.end(true);
    "bought"
}

async fn refund(State(shop): State<Shop>) -> &'static str {
    let work = Work::begin();
    if shop.is_faulty {
        let mut orders = shop.orders.lock().await;
        tokio::time::sleep(millis(2)).await;
        *orders -= 1;
        *shop.stock.lock().await += 1;
    } else {
        let mut stock = shop.stock.lock().await;
        tokio::time::sleep(millis(2)).await;
        *stock += 1;
        *shop.orders.lock().await -= 1;
    }
    work.end(true);
    "refunded"
}

async fn stream_under_lock(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let partner = peers::partner(move || Answer::After(between(&mut random, millis(250), millis(450))))?;
    let catalogue = Arc::new(Mutex::new((0..load.size).collect::<Vec<_>>())); // <- stream-yields-under-lock
    let (exported, is_faulty) = (Arc::clone(&catalogue), load.is_faulty());
    spawn("export-catalogue", async move {
        loop {
            tokio::time::sleep(millis(1_500)).await;
            let items = items(Arc::clone(&exported), is_faulty);
            let mut items = std::pin::pin!(items);
            while let Some(item) = items.next().await {
                let _ = peers::request(partner, &format!("/items/{item}"), None).await;
            }
        }
    });
    load.arrivals(|number| {
        let catalogue = Arc::clone(&catalogue);
        let work = Work::begin();
        spawn("update-item", async move {
            let mut items = catalogue.lock().await;
            if let Some(first) = items.first_mut() {
                *first = usize::try_from(number).unwrap_or_default();
            }
            work.end(true);
        });
    })
    .await;
    Ok(())
}

/// The items one by one: under the lock, or of a copy.
fn items(catalogue: Arc<Mutex<Vec<usize>>>, is_faulty: bool) -> impl futures::Stream<Item = usize> {
    async_stream::stream! {
        if is_faulty {
            let items = catalogue.lock().await;
            for &item in items.iter() {
                yield item;
            }
        } else {
            let items = catalogue.lock().await.clone();
            for item in items {
                yield item;
            }
        }
    }
}

async fn token_under_lock(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let issuer = peers::partner(move || Answer::After(between(&mut random, millis(700), millis(1_300))))?;
    let client = reqwest::Client::new();
    let token = Arc::new(RwLock::new(0_u64)); // <- reqwest-under-write-lock
    let fetch = move || {
        let request = client.get(format!("http://{issuer}/token")).send();
        async move { request.await.is_ok() }
    };
    let fetch_every = u64::try_from(load.size)?;
    load.arrivals(|number| {
        let (token, fetch, is_faulty) = (Arc::clone(&token), fetch.clone(), load.is_faulty());
        let work = Work::begin();
        spawn("call-partner", async move {
            if number % fetch_every == 0 {
                if is_faulty {
                    let mut token = token.write().await;
                    fetch().await;
                    *token += 1;
                } else {
                    fetch().await;
                    *token.write().await += 1;
                }
            }
            let token = *token.read().await;
            tokio::time::sleep(Duration::from_millis(3 + token % 2)).await;
            work.end(true);
        });
    })
    .await;
    Ok(())
}
