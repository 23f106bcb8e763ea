//! Queues that a service fills itself, keeps open, or takes from under a lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{Mutex, RwLock, Semaphore, broadcast, mpsc};
use tokio::time::{interval, sleep, timeout};

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, spawn};

const SOURCE: Source = Source { file: "programs/queues.rs", text: include_str!("queues.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "crawler-feeds-own-queue",
        crates: "async-channel",
        fault: "Workers put the links that they find into the bounded queue that they take from: once it is full, all wait to send.",
        issue: "build-trust/ockam#1947",
        way: Way::Deadlock,
        rate_of: "seeds",
        rate: 10.0,
        size_of: "pages that the queue holds",
        size: 48,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["fetch-pages", "add-seed"],
            libraries: &["async-channel"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(crawl(load)),
    },
    Program {
        id: "import-keeps-own-sender",
        crates: "kanal",
        fault: "An import with a progress report keeps a sender of its own queue: its workers wait for more rows, and it waits for them.",
        issue: "risingwavelabs/risingwave#5822",
        way: Way::Stragglers,
        rate_of: "imports",
        rate: 1.5,
        size_of: "rows that the queue holds",
        size: 16,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["import-file", "parse-rows"],
            libraries: &["kanal"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(imports(load)),
    },
    Program {
        id: "workers-share-receiver",
        crates: "tokio",
        fault: "Workers share a receiver behind a lock, whose guard lives as long as the job: one works, and the queue grows.",
        issue: "rust-lang/book#3651",
        way: Way::Backlog,
        rate_of: "uploads",
        rate: 18.0,
        size_of: "uploads that the queue holds",
        size: 64,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "queue", "stuck"],
            names: &["accept-upload", "resize-images"],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(uploads(load)),
    },
    Program {
        id: "ledger-locked-while-sending",
        crates: "tokio",
        fault: "A handler sends to a bounded channel with the ledger locked, and the receiver needs the ledger.",
        issue: "nearai/ironclaw#905",
        way: Way::Deadlock,
        rate_of: "transfers",
        rate: 20.0,
        size_of: "entries that the channel holds",
        size: 24,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "contention", "queue"],
            names: &["book-transfer", "post-entries"],
            libraries: &[],
            severity: Severity::Warning,
            within: 65,
        },
        source: SOURCE,
        run: |load| Box::pin(transfers(load)),
    },
];

async fn crawl(load: Load) -> anyhow::Result<()> {
    const WORKERS: u64 = 4;
    const INDEX_PAGE_AT: u64 = 220;
    let mut random = load.random(1);
    let web = peers::partner(move || Answer::After(between(&mut random, millis(10), millis(30))))?;
    let (pages, queued) =
        if load.is_faulty() { async_channel::bounded(load.size) } else { async_channel::unbounded::<usize>() };
    for worker in 0..WORKERS {
        let (pages, queued, mut random) = (pages.clone(), queued.clone(), load.random(10 + worker));
        spawn("fetch-pages", async move {
            while let Ok(links) = queued.recv().await {
                let work = Work::begin();
                let fetched = peers::request(web, "/page", Some(secs(5))).await;
                for _ in 0..links {
                    // A page has no new link, one or two; fewer than one on average.
                    let found = [0, 0, 1, 1, 2][random.usize(..5)];
                    if pages.send(found).await.is_err() {
                        return;
                    }
                }
                work.end(fetched.is_ok());
            }
        });
    }
    load.arrivals(|number| {
        let links = if number % INDEX_PAGE_AT == INDEX_PAGE_AT - 1 { 150 } else { 1 };
        let pages = pages.clone();
        spawn("add-seed", async move { pages.send(links).await });
    })
    .await;
    Ok(())
}

async fn imports(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    load.arrivals(|number| {
        let (size, keeps_sender) = (load.size, load.is_faulty() && number % 4 == 2);
        let row = between(&mut random, millis(4), millis(12));
        let work = Work::begin();
        spawn("import-file", async move {
            let imported = import(size, row, keeps_sender).await;
            work.end(imported == 80);
        });
    })
    .await;
    Ok(())
}

/// Parses 80 rows with three workers, and says how many there were.
async fn import(size: usize, row: Duration, keeps_sender: bool) -> u64 {
    let (rows, queued) = kanal::bounded_async(size);
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let queued = queued.clone();
            spawn("parse-rows", async move {
                let mut parsed = 0_u64;
                while queued.recv().await.is_ok() {
                    sleep(row).await;
                    parsed += 1;
                }
                parsed
            })
        })
        .collect();
    let progress = keeps_sender.then(|| rows.clone());
    for number in 0..80 {
        let _ = rows.send(number).await;
    }
    drop(rows);
    let parsed = join_all(workers).await.into_iter().flatten().sum();
    drop(progress);
    parsed
}

async fn uploads(load: Load) -> anyhow::Result<()> {
    beside(&load)?;
    let (upload, uploads) = mpsc::channel::<(Duration, Work)>(load.size); // <- workers-share-receiver
    let uploads = Arc::new(Mutex::new(uploads)); // <- workers-share-receiver
    for _ in 0..6 {
        let (uploads, is_faulty) = (Arc::clone(&uploads), load.is_faulty());
        spawn("resize-images", async move {
            if is_faulty {
                while let Some((takes, work)) = uploads.lock().await.recv().await {
                    sleep(takes).await;
                    work.end(true);
                }
            } else {
                loop {
                    let taken = uploads.lock().await.recv().await;
                    let Some((takes, work)) = taken else { break };
                    sleep(takes).await;
                    work.end(true);
                }
            }
        });
    }
    let mut random = load.random(1);
    load.arrivals(|_| {
        let upload = upload.clone();
        let takes = between(&mut random, millis(60), millis(140));
        let work = Work::begin();
        spawn("accept-upload", async move { upload.send((takes, work)).await.is_ok() });
    })
    .await;
    Ok(())
}

/// What else the service does, which is well and not quiet: it polls, limits, broadcasts, locks and runs into timeouts.
fn beside(load: &Load) -> anyhow::Result<()> {
    let mut random = load.random(2);
    let stock = peers::partner(move || match random.usize(..20) {
        0 => Answer::After(secs(1)),
        _ => Answer::After(between(&mut random, millis(5), millis(40))),
    })?;
    spawn("poll-sensor", async move {
        let mut ticks = interval(millis(25));
        loop {
            ticks.tick().await;
            let _ = peers::request(stock, "/sensor", Some(millis(200))).await;
        }
    });
    let exports = Arc::new(Semaphore::new(3));
    let mut arrivals = load.clone();
    arrivals.rate = 8.0;
    let mut lengths = load.random(3);
    spawn("take-exports", async move {
        arrivals
            .arrivals(|_| {
                let (exports, length) = (Arc::clone(&exports), between(&mut lengths, millis(150), millis(350)));
                spawn("write-export", async move {
                    let _slot = exports.acquire().await;
                    sleep(length).await;
                });
            })
            .await;
    });
    let (ticker, _) = broadcast::channel::<u64>(8);
    for reader in 0..5_u64 {
        let mut ticks = ticker.subscribe();
        spawn("read-ticks", async move {
            while !matches!(ticks.recv().await, Err(broadcast::error::RecvError::Closed)) {
                // One of them cannot follow, and misses some.
                sleep(millis(4 + 60 * (reader / 4))).await;
            }
        });
    }
    let tariffs = Arc::new(RwLock::new(HashMap::from([(7_u64, 3.2_f64)])));
    let changed = Arc::clone(&tariffs);
    spawn("refresh-tariffs", async move {
        for number in 0.. {
            sleep(secs(2)).await;
            let mut tariffs = changed.write().await;
            sleep(millis(120)).await;
            tariffs.insert(number % 16, 3.2);
        }
    });
    spawn("publish-ticks", async move {
        for tick in 0.. {
            sleep(millis(20)).await;
            let _ = ticker.send(tick);
            let tariffs = Arc::clone(&tariffs);
            spawn("price-tick", async move {
                let price = tariffs.read().await.get(&7).copied();
                timeout(millis(100), sleep(millis(tick % 30))).await.is_ok() && price.is_some()
            });
        }
    });
    Ok(())
}

/// Accounts and what they hold.
type Ledger = Mutex<HashMap<u64, i64>>;

async fn transfers(load: Load) -> anyhow::Result<()> {
    const DAY: Duration = secs(25);
    let mut random = load.random(1);
    let archive = peers::partner(move || Answer::After(between(&mut random, millis(8), millis(20))))?;
    let ledger = Arc::new(Ledger::default()); // <- ledger-locked-while-sending
    let (entry, mut entries) = mpsc::channel::<u64>(load.size); // <- ledger-locked-while-sending
    let known = Arc::clone(&ledger);
    spawn("post-entries", async move {
        while let Some(account) = entries.recv().await {
            let _balance = known.lock().await.get(&account).copied();
            // What the archive does not take is posted with the next balance.
            let _ = peers::request(archive, "/entry", Some(secs(2))).await;
        }
    });
    let is_faulty = load.is_faulty();
    let book = move |account: u64| {
        let (ledger, entry) = (Arc::clone(&ledger), entry.clone());
        let work = Work::begin();
        spawn("book-transfer", async move {
            let mut accounts = ledger.lock().await;
            *accounts.entry(account % 64).or_default() += 1;
            let held = if is_faulty {
                Some(accounts)
            } else {
                drop(accounts);
                None
            };
            let sent = entry.send(account % 64).await;
            drop(held);
            work.end(sent.is_ok());
        });
    };
    let closing = book.clone();
    spawn("close-days", async move {
        loop {
            sleep(DAY).await;
            (0..60).for_each(&closing);
        }
    });
    load.arrivals(book).await;
    Ok(())
}
