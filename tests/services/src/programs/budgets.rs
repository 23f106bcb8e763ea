//! Budgets, catalogues, journals and pools: what many share, and one takes in a way that nobody else gets it any more.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use deadpool::managed::{self, Metrics, Object, RecycleError, RecycleResult};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, RwLock, Semaphore};
use tokio::time::{sleep, timeout};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside, spawn};

const SOURCE: Source = Source { file: "programs/budgets.rs", text: include_str!("budgets.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "upload-larger-than-budget",
        crates: "axum, tokio",
        fault: "An upload waits for as much of the memory budget as it is long; one is longer than the budget, and all behind it wait too.",
        issue: "zio/zio#11187",
        way: Way::Permits,
        rate_of: "uploads",
        rate: 12.0,
        size_of: "megabytes of the budget",
        size: 64,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["contention", "stuck", "queue"],
            names: &[],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(uploads(load)),
    },
    Program {
        id: "catalogue-read-twice",
        crates: "tokio",
        fault: "Who has locked the catalogue for reading locks it for reading again; if a writer came in between, all three wait forever.",
        issue: "tari-project/tari#4674",
        way: Way::Deadlock,
        rate_of: "baskets",
        rate: 18.0,
        size_of: "seconds between two updates of the catalogue",
        size: 3,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "contention", "queue"],
            names: &["price-basket", "update-catalogue"],
            libraries: &[],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(baskets(load)),
    },
    Program {
        id: "slow-append-noted-under-same-lock",
        crates: "tokio",
        fault: "A task notes in a journal that its append to it is slow; but the append, which nobody polls meanwhile, has the lock.",
        issue: "Lonami/grammers#282",
        way: Way::Deadlock,
        rate_of: "entries",
        rate: 8.0,
        size_of: "milliseconds until an append is slow",
        size: 500,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "contention", "queue"],
            names: &["append-entry"],
            libraries: &[],
            severity: Severity::Warning,
            within: 65,
        },
        source: SOURCE,
        run: |load| Box::pin(journal(load)),
    },
    Program {
        id: "recycle-ping-unanswered",
        crates: "deadpool",
        fault: "A pool pings a connection before it lends it, without a timeout: once a firewall has forgotten them all, nobody gets one.",
        issue: "r2dbc/r2dbc-pool#227",
        way: Way::Pool,
        rate_of: "queries",
        rate: 14.0,
        size_of: "connections",
        size: 6,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["contention", "stuck", "queue"],
            names: &["load-account"],
            libraries: &["deadpool"],
            severity: Severity::Warning,
            within: 70,
        },
        source: SOURCE,
        run: |load| Box::pin(accounts(load)),
    },
];

/// The memory that uploads may take, in megabytes, and where they go.
struct Budget {
    free: Semaphore,
    all: u32,
    storage: SocketAddr,
    is_faulty: bool,
}

impl Budget {
    async fn take_upload(&self, megabytes: u32) -> anyhow::Result<()> {
        // Repaired, what is longer than the budget takes all of it, and is written to the disk in parts.
        let share = if self.is_faulty { megabytes } else { megabytes.min(self.all) };
        let _share = self.free.acquire_many(share).await?;
        // A megabyte takes some milliseconds.
        sleep(millis(50 + 20 * u64::from(megabytes))).await;
        peers::request(self.storage, "/upload", Some(secs(5))).await?;
        Ok(())
    }
}

async fn uploads(load: Load) -> anyhow::Result<()> {
    const LARGE_AFTER: Duration = secs(25);
    const LARGE_EVERY: Duration = secs(12);
    let mut random = load.random(1);
    let storage = peers::partner(move || Answer::After(between(&mut random, millis(10), millis(150))))?;
    let free = Semaphore::new(load.size); // <- upload-larger-than-budget
    let budget = Arc::new(Budget { free, all: u32::try_from(load.size)?, storage, is_faulty: load.is_faulty() });
    let take = async |State(budget): State<Arc<Budget>>, Path(megabytes): Path<u32>| {
        budget.take_upload(megabytes).await.map_or_else(|error| error.to_string(), |()| "stored".to_owned())
    };
    let address =
        sidelines::serve_http(Router::new().route("/upload/{megabytes}", get(take)).with_state(budget)).await?;
    let (mut next, large) = (Instant::now() + LARGE_AFTER, load.size * 3 / 2);
    sidelines::visitors(&load, address, secs(10), 15, move |random| {
        let is_large = Instant::now() > next;
        if is_large {
            next += LARGE_EVERY;
        }
        let megabytes = if is_large { large } else { random.usize(1..=10) };
        (format!("/upload/{megabytes}"), secs(120))
    });
    sidelines::run(&load).await
}

/// Prices and discounts by article.
type Articles = HashMap<u64, (u64, u64)>;

/// The discount of an article, as other parts of the service ask for it too.
async fn discount(catalogue: &RwLock<Articles>, article: u64) -> u64 {
    catalogue.read().await.get(&article).map_or(0, |&(_, discount)| discount)
}

async fn price(catalogue: &RwLock<Articles>, basket: &[u64], is_faulty: bool) -> u64 {
    let articles = catalogue.read().await;
    let mut sum = 0;
    for &article in basket {
        let (price, known) = articles.get(&article).copied().unwrap_or_default();
        // The rules are evaluated.
        sleep(millis(4)).await;
        sum += price - if is_faulty { discount(catalogue, article).await } else { known };
    }
    sum
}

async fn baskets(load: Load) -> anyhow::Result<()> {
    const ARTICLES: u64 = 500;
    let articles: Articles = (0..ARTICLES).map(|article| (article, (50, 5))).collect();
    let catalogue = Arc::new(RwLock::new(articles)); // <- catalogue-read-twice
    let mut random = load.random(1);
    let shop = peers::partner(move || Answer::After(between(&mut random, millis(30), millis(300))))?;
    let (updated, every) = (Arc::clone(&catalogue), secs(u64::try_from(load.size)?));
    spawn("update-catalogue", async move {
        for version in 0.. {
            sleep(every).await;
            if peers::request(shop, "/articles", Some(secs(2))).await.is_ok() {
                updated.write().await.insert(version % ARTICLES, (60, 4));
            }
        }
    });
    sidelines::registration()?;
    sidelines::sweep(&load);
    let metrics = sidelines::metrics(&load)?;
    let (mut random, is_faulty) = (load.random(2), load.is_faulty());
    sidelines::bursts(&load, secs(10), 15, || {
        let (catalogue, metrics) = (Arc::clone(&catalogue), metrics.clone());
        let basket: Vec<u64> = (0..random.usize(2..12)).map(|_| random.u64(..ARTICLES)).collect();
        let work = Work::begin();
        spawn("price-basket", async move {
            let price = price(&catalogue, &basket, is_faulty).await;
            work.end(price > 0);
            let _ = metrics.try_send(price);
        });
    })
    .await;
    Ok(())
}

/// A journal on a disk.
struct Journal {
    disk: SocketAddr,
    entries: u64,
    slow: u64,
}

/// The journal, and how many appends were slow, for the metrics.
struct Writer {
    journal: Mutex<Journal>,
    slow: AtomicU64,
    patience: Duration,
    is_faulty: bool,
}

impl Writer {
    async fn append(&self) -> anyhow::Result<()> {
        let mut journal = self.journal.lock().await;
        journal.entries += 1;
        peers::request(journal.disk, "/append", Some(secs(5))).await?;
        Ok(())
    }

    /// Appends an entry, and notes if that takes long.
    async fn append_and_watch(&self) -> anyhow::Result<()> {
        let mut append = Box::pin(self.append());
        tokio::select! {
            appended = &mut append => return appended,
            () = sleep(self.patience) => {}
        }
        if self.is_faulty {
            self.journal.lock().await.slow += 1;
        } else {
            self.slow.fetch_add(1, Ordering::Relaxed);
        }
        append.await
    }
}

async fn journal(load: Load) -> anyhow::Result<()> {
    const SLOW_AFTER: Duration = secs(20);
    let (began, mut random) = (Instant::now(), load.random(1));
    // Later, the disk is busy with something else now and then.
    let disk = peers::partner(move || match random.u8(..100) {
        0..3 if began.elapsed() > SLOW_AFTER => Answer::After(millis(900)),
        _ => Answer::After(between(&mut random, millis(20), millis(70))),
    })?;
    let writer = Arc::new(Writer {
        journal: Mutex::new(Journal { disk, entries: 0, slow: 0 }), // <- slow-append-noted-under-same-lock
        slow: AtomicU64::new(0),
        patience: millis(u64::try_from(load.size)?),
        is_faulty: load.is_faulty(),
    });
    let checked = Arc::clone(&writer);
    spawn("check-journal", async move {
        loop {
            sleep(secs(7)).await;
            let mut journal = checked.journal.lock().await;
            journal.slow += checked.slow.swap(0, Ordering::Relaxed);
        }
    });
    sidelines::registration()?;
    sidelines::sweep(&load);
    let rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    load.arrivals(|_| {
        let (writer, metrics, rates) = (Arc::clone(&writer), metrics.clone(), Arc::clone(&rates));
        let work = Work::begin();
        spawn("append-entry", async move {
            work.end(writer.append_and_watch().await.is_ok());
            let _ = metrics.try_send(**rates.load());
        });
    })
    .await;
    Ok(())
}

/// Starts a database that answers line by line; now and then all connections go silent, as if a firewall had forgotten them, and only new
/// ones are answered.
fn database(load: &Load) -> anyhow::Result<SocketAddr> {
    const FORGETS_AFTER: Duration = secs(25);
    const FORGETS_EVERY: Duration = secs(20);
    let (listener, address) = peers::listener()?;
    let load = load.clone();
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        let began = Instant::now();
        let times_forgotten = move || match began.elapsed().checked_sub(FORGETS_AFTER) {
            Some(since) => 1 + since.as_secs() / FORGETS_EVERY.as_secs(),
            None => 0,
        };
        for client in 0.. {
            let (socket, _) = listener.accept().await?;
            let (mut random, known) = (load.random(100 + client), times_forgotten());
            tokio::spawn(async move {
                let (mut socket, mut line) = (BufReader::new(socket), String::new());
                while socket.read_line(&mut line).await? > 0 {
                    if times_forgotten() > known {
                        socket.read_to_end(&mut Vec::new()).await?;
                        break;
                    }
                    if line != "ping\n" {
                        sleep(between(&mut random, millis(40), millis(250))).await;
                    }
                    socket.write_all(b"ok\n").await?;
                    line.clear();
                }
                anyhow::Ok(())
            });
        }
        Ok(())
    });
    Ok(address)
}

/// Asks the database for one line.
async fn ask(connection: &mut BufReader<TcpStream>, question: &[u8]) -> io::Result<()> {
    connection.write_all(question).await?;
    match connection.read_line(&mut String::new()).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

struct Connector {
    database: SocketAddr,
    is_faulty: bool,
}

impl managed::Manager for Connector {
    type Type = BufReader<TcpStream>;
    type Error = io::Error;

    async fn create(&self) -> io::Result<Self::Type> {
        Ok(BufReader::new(TcpStream::connect(self.database).await?))
    }

    async fn recycle(&self, connection: &mut Self::Type, _: &Metrics) -> RecycleResult<io::Error> {
        let ping = ask(connection, b"ping\n");
        if self.is_faulty {
            ping.await?;
        } else {
            timeout(millis(300), ping).await.map_err(|_| RecycleError::message("no answer"))??;
        }
        Ok(())
    }
}

async fn accounts(load: Load) -> anyhow::Result<()> {
    let connector = Connector { database: database(&load)?, is_faulty: load.is_faulty() };
    let pool = managed::Pool::<Connector>::builder(connector).max_size(load.size).build()?; // <- recycle-ping-unanswered
    sidelines::registration()?;
    sidelines::sweep(&load);
    let rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    sidelines::bursts(&load, secs(10), 15, || {
        let (pool, metrics, rates) = (pool.clone(), metrics.clone(), Arc::clone(&rates));
        let work = Work::begin();
        spawn("load-account", async move {
            let mut connection = pool.get().await.map_err(|error| anyhow::anyhow!("{error}"))?;
            let loaded = timeout(secs(2), ask(&mut connection, b"account\n")).await;
            if !matches!(loaded, Ok(Ok(()))) {
                // It may be in the middle of an answer.
                drop(Object::take(connection));
            }
            let _ = metrics.try_send(**rates.load());
            work.end(matches!(loaded, Ok(Ok(()))));
            anyhow::Ok(())
        });
    })
    .await;
    Ok(())
}
