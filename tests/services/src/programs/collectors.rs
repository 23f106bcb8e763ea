//! Collectors: pages that are fetched within a quota, orders in an embedded database, and logs that are followed.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract;
use axum::routing::get;
use leaky_bucket::RateLimiter;
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition};
use tokio::fs::{self, File};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, spawn, spawn_thread};

const SOURCE: Source = Source { file: "programs/collectors.rs", text: include_str!("collectors.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "one-quota-for-all-hosts",
        crates: "leaky-bucket, axum",
        fault: "A crawler keeps to what one host allows, but counts the pages of all hosts together: more are found than it may fetch.",
        issue: "motosan-dev/sage-agent#44",
        way: Way::Backlog,
        rate_of: "pages",
        rate: 7.0,
        size_of: "pages a second that a host allows",
        size: 6,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["queue", "contention", "stuck"],
            names: &["fetch-page"],
            libraries: &["leaky-bucket"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(crawl(load)),
    },
    Program {
        id: "redb-write-open-across-call",
        crates: "redb, axum",
        fault: "An import calls a partner with its write transaction open: orders that begin theirs block both workers, and no answer comes.",
        issue: "cocoindex-io/cocoindex#2424",
        way: Way::Blocking,
        rate_of: "orders",
        rate: 15.0,
        size_of: "seconds until the first import",
        size: 20,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &["import-prices"],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(orders(load)),
    },
    Program {
        id: "rotated-log-read-without-pause",
        crates: "tokio",
        fault: "After a rotation, a shipper reads the old log until a last line that is never written, without a pause at its end.",
        issue: "Dark-Alex-17/managarr#62",
        way: Way::Spin,
        rate_of: "lines",
        rate: 40.0,
        size_of: "seconds until the first rotation",
        size: 15,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["spin"],
            names: &["follow-log"],
            libraries: &["fs/file.rs"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(logs(load)),
    },
];

async fn crawl(load: Load) -> anyhow::Result<()> {
    const HOSTS: usize = 6;
    const SITEMAP_EVERY: Duration = secs(15);
    const SITEMAP: usize = 60;
    let mut random = load.random(1);
    let web = peers::partner(move || Answer::After(between(&mut random, millis(30), millis(400))))?;
    let quota = || {
        let mut quota = RateLimiter::builder();
        Arc::new(quota.max(40).initial(40).refill(load.size).interval(secs(1)).build()) // <- one-quota-for-all-hosts
    };
    let quotas = if load.is_faulty() { vec![quota(); HOSTS] } else { (0..HOSTS).map(|_| quota()).collect() };
    let take = async move |extract::Path((host, pages)): extract::Path<(usize, usize)>| {
        for page in 0..pages {
            let (quota, work) = (Arc::clone(&quotas[host % HOSTS]), Work::begin());
            spawn("fetch-page", async move {
                quota.acquire_one().await;
                let fetched = peers::request(web, &format!("/host/{host}/{page}"), Some(secs(5))).await;
                work.end(fetched.is_ok());
            });
        }
        "taken"
    };
    let address = sidelines::serve_http(Router::new().route("/pages/{host}/{pages}", get(take))).await?;
    let mut next = Instant::now() + SITEMAP_EVERY;
    sidelines::visitors(&load, address, secs(10), 5, move |random| {
        let is_sitemap = Instant::now() > next;
        if is_sitemap {
            next += SITEMAP_EVERY;
        }
        (format!("/pages/{}/{}", random.usize(..HOSTS), if is_sitemap { SITEMAP } else { 1 }), secs(5))
    });
    sidelines::run(&load).await
}

const ORDERS: TableDefinition<'_, u64, u64> = TableDefinition::new("orders");
const PRICES: TableDefinition<'_, u64, u64> = TableDefinition::new("prices");

/// A database in this process, which one writes at a time.
struct Shop {
    database: Database,
    next: AtomicU64,
    supplier: SocketAddr,
}

impl Shop {
    /// Books an order at its price.
    fn book(&self, article: u64) -> anyhow::Result<u64> {
        let order = self.next.fetch_add(1, Ordering::Relaxed);
        let write = self.database.begin_write()?;
        let price = write.open_table(PRICES)?.get(article)?.map_or(10, |price| price.value());
        write.open_table(ORDERS)?.insert(order, price)?;
        write.commit()?;
        Ok(order)
    }

    async fn ask_for_price(&self, article: u64) -> anyhow::Result<u64> {
        Ok(peers::request(self.supplier, &format!("/price/{article}"), Some(secs(3))).await? as u64)
    }

    /// Imports the prices of some articles, in one transaction that is open from the first to the last.
    async fn import_as_they_come(&self, articles: u64) -> anyhow::Result<()> {
        let write = self.database.begin_write()?;
        for article in 0..articles {
            let price = self.ask_for_price(article).await?;
            write.open_table(PRICES)?.insert(article, price)?;
        }
        Ok(write.commit()?)
    }

    /// Imports the prices of some articles, in one transaction once all of them are there.
    async fn import_at_once(self: &Arc<Self>, articles: u64) -> anyhow::Result<()> {
        let mut prices = Vec::new();
        for article in 0..articles {
            prices.push((article, self.ask_for_price(article).await?));
        }
        let shop = Arc::clone(self);
        spawn_blocking(move || {
            let write = shop.database.begin_write()?;
            for (article, price) in prices {
                write.open_table(PRICES)?.insert(article, price)?;
            }
            Ok(write.commit()?)
        })
        .await?
    }
}

async fn orders(load: Load) -> anyhow::Result<()> {
    const IMPORT_EVERY: Duration = secs(15);
    const ARTICLES: u64 = 12;
    let mut random = load.random(1);
    let supplier = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(150))))?;
    let database = Database::builder().create_with_backend(InMemoryBackend::new())?;
    let shop = Arc::new(Shop { database, next: AtomicU64::new(0), supplier });
    let (imported, is_faulty, first) = (Arc::clone(&shop), load.is_faulty(), secs(u64::try_from(load.size)?));
    spawn("import-prices", async move {
        sleep(first).await;
        loop {
            let work = Work::begin();
            let prices = if is_faulty {
                imported.import_as_they_come(ARTICLES).await
            } else {
                imported.import_at_once(ARTICLES).await
            };
            work.end(prices.is_ok());
            sleep(IMPORT_EVERY).await;
        }
    });
    let checked = Arc::clone(&shop);
    spawn("count-orders", async move {
        loop {
            sleep(secs(5)).await;
            let shop = Arc::clone(&checked);
            let count = spawn_blocking(move || {
                let table = shop.database.begin_read()?.open_table(ORDERS)?;
                anyhow::Ok(table.len()?)
            });
            // There is no table before the first order.
            let _ = count.await;
        }
    });
    let order = async move |extract::Path(article): extract::Path<u64>| {
        let shop = Arc::clone(&shop);
        let booked = if is_faulty {
            shop.book(article) // <- redb-write-open-across-call
        } else {
            spawn_blocking(move || shop.book(article)).await.unwrap_or_else(|error| Err(error.into()))
        };
        booked.map_or_else(|error| error.to_string(), |order| order.to_string())
    };
    let address = sidelines::serve_http(Router::new().route("/order/{article}", get(order))).await?;
    sidelines::visitors(&load, address, secs(10), 15, |random| {
        (format!("/order/{}", random.u64(..ARTICLES)), secs(10))
    });
    sidelines::run(&load).await
}

/// Follows a log, also when it is rotated.
async fn follow(log: PathBuf, lines: mpsc::Sender<(String, Work)>, is_faulty: bool) -> anyhow::Result<()> {
    const LAST: &str = "-- end of log --";
    loop {
        let Ok(file) = File::open(&log).await else {
            sleep(millis(250)).await;
            continue;
        };
        let opened = file.metadata().await?.ino();
        let (mut file, mut line) = (BufReader::new(file), String::new());
        while line.trim_end() != LAST {
            line.clear();
            if file.read_line(&mut line).await? > 0 {
                lines.send((line.clone(), Work::begin())).await?;
                continue;
            }
            let current = fs::metadata(&log).await.map(|log| log.ino());
            match current {
                Ok(current) if current == opened => sleep(millis(250)).await,
                // It has been rotated, and has no more lines.
                _ if !is_faulty => break,
                _ => {}
            }
        }
    }
}

/// Ships lines in batches, every second or when there are enough.
async fn ship(mut lines: mpsc::Receiver<(String, Work)>, store: SocketAddr) {
    const MOST: usize = 100;
    let (mut batch, mut ticks) = (Vec::with_capacity(MOST), interval(secs(1)));
    loop {
        let is_due = tokio::select! {
            _ = ticks.tick() => !batch.is_empty(),
            received = lines.recv_many(&mut batch, MOST) => match received {
                0 => return,
                _ => batch.len() >= MOST,
            },
        };
        if is_due {
            let bytes: usize = batch.iter().map(|(line, _)| line.len()).sum();
            let stored = peers::request(store, &format!("/lines/{bytes}"), Some(secs(3))).await;
            batch.drain(..).for_each(|(_, work)| work.end(stored.is_ok()));
        }
    }
}

/// Writes lines to the logs of three applications, and rotates the first of them.
fn write_logs(load: &Load, folder: &Path, logs: &[PathBuf]) -> io::Result<()> {
    const ROTATED_EVERY: Duration = secs(20);
    let (mut random, rate, logs, rotated) = (load.random(2), load.rate, logs.to_vec(), folder.join("rotated.log"));
    let mut files: Vec<_> = logs.iter().map(std::fs::File::create).collect::<io::Result<_>>()?;
    let mut next = Instant::now() + secs(load.size as u64);
    spawn_thread("applications", move || {
        loop {
            thread::sleep(gap(&mut random, rate));
            if Instant::now() > next {
                next += ROTATED_EVERY;
                let renewed = std::fs::rename(&logs[0], &rotated).and_then(|()| std::fs::File::create(&logs[0]));
                if let Ok(file) = renewed {
                    files[0] = file;
                }
            }
            let file = random.usize(..files.len());
            // A disk that is full is somebody else's fault.
            let _ =
                files[file].write_all(b"GET /basket 200 in 17 ms, seen from a browser that says it is another one\n");
        }
    });
    Ok(())
}

async fn logs(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let store = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(200))))?;
    let folder = std::env::temp_dir().join(format!("services-logs-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let logs = ["billing.log", "basket.log", "search.log"].map(|name| folder.join(name));
    write_logs(&load, &folder, &logs)?;
    let (line, lines) = mpsc::channel(1_000);
    for log in logs {
        spawn("follow-log", follow(log, line.clone(), load.is_faulty()));
    }
    spawn("ship-lines", ship(lines, store));
    sidelines::run(&load).await
}
