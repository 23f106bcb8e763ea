//! Pools of connections: asked for a second one while one is held, held over slow work, or never given back.

use std::convert::Infallible;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, RecycleResult};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, spawn};

const SOURCE: Source = Source { file: "programs/pools.rs", text: include_str!("pools.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "sqlx-pool-inside-transaction",
        crates: "sqlx",
        fault: "Inside a transaction one query takes the pool and not the transaction: it waits for a second connection.",
        issue: "launchbadge/sqlx#2276",
        way: Way::Pool,
        rate_of: "orders",
        rate: 25.0,
        size_of: "connections of the pool",
        size: 5,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "queue", "stuck"],
            names: &["place-order"],
            libraries: &["sqlx-core"],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(sqlx_transactions(load)),
    },
    Program {
        id: "deadpool-held-over-upload",
        crates: "deadpool",
        fault: "A pooled connection is kept during an upload; others give up waiting for it and try again.",
        issue: "mozilla-services/syncstorage-rs#973",
        way: Way::Pool,
        rate_of: "exports",
        rate: 10.0,
        size_of: "connections of the pool",
        size: 4,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["contention", "queue", "stuck"],
            names: &["export-invoice"],
            libraries: &["deadpool"],
            severity: Severity::Warning,
            within: 30,
        },
        source: SOURCE,
        run: |load| Box::pin(deadpool_exports(load)),
    },
    Program {
        id: "bb8-listeners-keep-connections",
        crates: "bb8",
        fault: "Each listener keeps a pooled connection for good, until every request waits for its timeout.",
        issue: "djc/bb8#67",
        way: Way::Timeouts,
        rate_of: "look-ups",
        rate: 12.0,
        size_of: "connections of the pool",
        size: 8,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue", "contention"],
            names: &["price-lookup", "price-listener"],
            libraries: &["bb8"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(bb8_listeners(load)),
    },
];

async fn sqlx_transactions(load: Load) -> anyhow::Result<()> {
    // In memory and shared: it lives as long as one connection does.
    let options: SqliteConnectOptions = "sqlite::memory:".parse()?;
    let connections = u32::try_from(load.size)?;
    let lasting = SqlitePoolOptions::new().idle_timeout(None).max_lifetime(None);
    let pool = lasting.min_connections(connections).max_connections(connections).connect_with(options).await?;
    sqlx::query("CREATE TABLE stock (item INTEGER PRIMARY KEY, count INTEGER)").execute(&pool).await?;
    sqlx::query("INSERT INTO stock VALUES (1, 500)").execute(&pool).await?;
    let mut random = load.random(1);
    load.arrivals(|_| {
        let (pool, is_faulty) = (pool.clone(), load.is_faulty());
        let pricing = between(&mut random, millis(20), millis(70));
        let work = Work::begin();
        spawn("place-order", async move {
            let placed = place_order(&pool, pricing, is_faulty).await;
            work.end(placed.is_ok());
        });
    })
    .await;
    Ok(())
}

async fn place_order(pool: &SqlitePool, pricing: Duration, is_faulty: bool) -> sqlx::Result<()> {
    const STOCK: &str = "SELECT count FROM stock WHERE item = 1";
    let mut transaction = pool.begin().await?;
    let _: i64 = sqlx::query_scalar(STOCK).fetch_one(&mut *transaction).await?;
    tokio::time::sleep(pricing).await;
    let query = sqlx::query_scalar::<_, i64>(STOCK);
    if is_faulty {
        query.fetch_one(pool).await?
    } else {
        query.fetch_one(&mut *transaction).await?
    };
    transaction.commit().await
}

/// A connection to a database that needs no network.
struct Connection;

/// Makes connections, in a few milliseconds each.
struct Connector;

impl managed::Manager for Connector {
    type Type = Connection;
    type Error = Infallible;

    async fn create(&self) -> Result<Connection, Infallible> {
        tokio::time::sleep(millis(5)).await;
        Ok(Connection)
    }

    async fn recycle(&self, _: &mut Connection, _: &Metrics) -> RecycleResult<Infallible> {
        Ok(())
    }
}

impl bb8::ManageConnection for Connector {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self) -> Result<Connection, Infallible> {
        tokio::time::sleep(millis(5)).await;
        Ok(Connection)
    }

    async fn is_valid(&self, _: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

impl Connection {
    async fn query(&mut self) {
        tokio::time::sleep(millis(12)).await;
    }

    /// What is said on this connection, one by one; here nothing for long.
    async fn notifications(&mut self) {
        self.query().await;
        loop {
            tokio::time::sleep(secs(45)).await;
        }
    }
}

async fn deadpool_exports(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let archive = peers::partner(move || Answer::After(between(&mut random, millis(600), millis(1_000))))?;
    let pool = managed::Pool::<Connector>::builder(Connector)
        .max_size(load.size)
        .wait_timeout(Some(millis(400)))
        .runtime(Runtime::Tokio1)
        .build()?;
    load.arrivals(|_| {
        let (pool, is_faulty) = (pool.clone(), load.is_faulty());
        let work = Work::begin();
        spawn("export-invoice", async move {
            for _ in 0..3 {
                let Ok(mut connection) = pool.get().await else { continue };
                connection.query().await;
                let held = is_faulty.then_some(connection);
                let uploaded = peers::request(archive, "/upload", None).await;
                drop(held);
                work.end(uploaded.is_ok());
                return;
            }
            work.end(false);
        });
    })
    .await;
    Ok(())
}

async fn bb8_listeners(load: Load) -> anyhow::Result<()> {
    const LISTENER_EVERY: u64 = 20;
    let connections = u32::try_from(load.size)?;
    let listeners = u64::try_from(load.size)? + 2;
    let pool = bb8::Pool::builder().max_size(connections).connection_timeout(secs(10)).build(Connector).await?;
    load.arrivals(|number| {
        if number % LISTENER_EVERY == 0 && number / LISTENER_EVERY < listeners {
            spawn("price-listener", listen(pool.clone(), load.is_faulty()));
        }
        let pool = pool.clone();
        let work = Work::begin();
        spawn("price-lookup", async move {
            let connection = pool.get().await;
            let went_well = connection.is_ok();
            if let Ok(mut connection) = connection {
                connection.query().await;
            }
            work.end(went_well);
        });
    })
    .await;
    Ok(())
}

/// Listens for as long as the process lives, on a connection of the pool, or, as it should, on one of its own.
async fn listen(pool: bb8::Pool<Connector>, is_faulty: bool) {
    if is_faulty {
        if let Ok(mut connection) = pool.get().await {
            connection.notifications().await;
        }
    } else {
        let Ok(mut connection) = pool.dedicated_connection().await;
        connection.notifications().await;
    }
}
