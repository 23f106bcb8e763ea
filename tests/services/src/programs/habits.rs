//! Habits that stop a service under load: a log that must not lose a line, work begun again and again, and retries without a pause.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use backon::{ExponentialBuilder, Retryable as _};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Fuse};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing_appender::non_blocking::NonBlockingBuilder;

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside, spawn};

const SOURCE: Source = Source { file: "programs/habits.rs", text: include_str!("habits.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "log-that-loses-nothing",
        crates: "tracing-appender",
        fault: "A log that loses no line blocks who writes to it while its disk is slow: the workers wait.",
        issue: "tokio-rs/tracing#3238",
        way: Way::Blocking,
        rate_of: "requests",
        rate: 25.0,
        size_of: "milliseconds that a line takes",
        size: 30,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &["serve-request"],
            libraries: &[],
            severity: Severity::Warning,
            within: 40,
        },
        source: SOURCE,
        run: |load| Box::pin(logged_requests(load)),
    },
    Program {
        id: "once-cell-init-cancelled",
        crates: "async-lock, arc-swap",
        fault: "A value is loaded by whoever needs it first, whose timeout is shorter than that; each drops the load and the next begins again.",
        issue: "tokio-rs/tokio#4496",
        way: Way::Timeouts,
        rate_of: "pages",
        rate: 15.0,
        size_of: "milliseconds of a load",
        size: 1_500,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue", "contention", "cancellation"],
            names: &["render-page"],
            libraries: &["async-lock"],
            severity: Severity::Warning,
            within: 70,
        },
        source: SOURCE,
        run: |load| Box::pin(pages(load)),
    },
    Program {
        id: "select-restarts-flush",
        crates: "futures",
        fault: "A loop selects between the next record and the flush of those before, and so drops each flush and begins it again.",
        issue: "freenet/freenet-core#3063",
        way: Way::Unanswered,
        rate_of: "records",
        rate: 40.0,
        size_of: "milliseconds of a flush",
        size: 400,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue", "cancellation"],
            names: &["write-record", "flush-records"],
            libraries: &[],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(records(load)),
    },
    Program {
        id: "retry-without-pause",
        crates: "backon",
        fault: "A consumer whose broker is gone connects again without a pause, for ever.",
        issue: "dahomey-technologies/rustis#66",
        way: Way::Spin,
        rate_of: "orders",
        rate: 15.0,
        size_of: "seconds until the broker is gone",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["spin", "blocking"],
            names: &["consume-events"],
            libraries: &[],
            severity: Severity::Warning,
            within: 35,
        },
        source: SOURCE,
        run: |load| Box::pin(events(load)),
    },
];

/// A disk that takes its time with each line.
struct Disk(Duration);

impl Write for Disk {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        std::thread::sleep(self.0);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn logged_requests(load: Load) -> anyhow::Result<()> {
    let disk = Disk(millis(u64::try_from(load.size)?));
    // Repaired, lines are lost while the disk cannot follow.
    let builder = NonBlockingBuilder::default().buffered_lines_limit(32).lossy(!load.is_faulty());
    let (log, _writes_until_dropped) = builder.finish(disk);
    let mut random = load.random(1);
    load.arrivals(|number| {
        let (mut log, length) = (log.clone(), between(&mut random, millis(5), millis(30)));
        let work = Work::begin();
        spawn("serve-request", async move {
            let began = writeln!(log, "request {number} begins");
            sleep(length).await;
            let ended = writeln!(log, "request {number} ends");
            work.end(began.and(ended).is_ok());
        });
    })
    .await;
    Ok(())
}

/// A catalogue that takes a while to load.
#[derive(Default)]
struct Catalogue {
    items: async_lock::OnceCell<u64>,
}

async fn pages(load: Load) -> anyhow::Result<()> {
    const CHANGES_EVERY: Duration = secs(9);
    let takes = millis(u64::try_from(load.size)?);
    let store = peers::partner(move || Answer::After(takes))?;
    let read = move || async move { peers::request(store, "/catalogue", None).await.map_or(0, |length| length as u64) };
    let current = Arc::new(ArcSwap::from_pointee(Catalogue::default()));
    current.load().items.get_or_init(read).await;
    let (changed, is_faulty) = (Arc::clone(&current), load.is_faulty());
    spawn("refresh-catalogue", async move {
        loop {
            sleep(CHANGES_EVERY).await;
            let next = Catalogue::default();
            if !is_faulty {
                // What there was is used until the next is there.
                next.items.get_or_init(read).await;
            }
            changed.store(Arc::new(next));
        }
    });
    let mut random = load.random(1);
    load.arrivals(|_| {
        let (current, rendering) = (Arc::clone(&current), between(&mut random, millis(10), millis(60)));
        let work = Work::begin();
        spawn("render-page", async move {
            let page = async {
                let catalogue = current.load_full();
                catalogue.items.get_or_init(read).await;
                sleep(rendering).await;
            };
            work.end(timeout(secs(1), page).await.is_ok());
        });
    })
    .await;
    Ok(())
}

/// A record and who waits until it is kept.
type Record = oneshot::Sender<()>;

async fn records(load: Load) -> anyhow::Result<()> {
    let takes = millis(u64::try_from(load.size)?);
    let mut random = load.random(2);
    let store = peers::partner(move || Answer::After(between(&mut random, takes * 3 / 4, takes)))?;
    let (record, records) = mpsc::channel::<Record>(256);
    let is_faulty = load.is_faulty();
    spawn("flush-records", async move {
        if is_faulty { flush_anew(records, store).await } else { flush_on(records, store).await }
    });
    load.arrivals(|_| {
        let record = record.clone();
        let work = Work::begin();
        spawn("write-record", async move {
            let (kept, is_kept) = oneshot::channel(); // <- select-restarts-flush
            let sent = record.send(kept).await.is_ok();
            work.end(sent && is_kept.await.is_ok());
        });
    })
    .await;
    Ok(())
}

/// Says that they are kept, to those who still want to know.
fn release(batch: Vec<Record>) {
    for record in batch {
        let _ = record.send(());
    }
}

async fn flush_anew(mut records: mpsc::Receiver<Record>, store: SocketAddr) {
    let mut batch: Vec<Record> = Vec::new();
    loop {
        tokio::select! {
            record = records.recv() => match record {
                Some(record) => batch.push(record),
                None => return,
            },
            kept = peers::request(store, "/records", None), if !batch.is_empty() => if kept.is_ok() {
                release(std::mem::take(&mut batch));
            },
        }
    }
}

async fn flush_on(mut records: mpsc::Receiver<Record>, store: SocketAddr) {
    let mut batch: Vec<Record> = Vec::new();
    let mut flush: Fuse<BoxFuture<'_, Vec<Record>>> = Fuse::terminated();
    let mut is_flushing = false;
    loop {
        if !is_flushing && !batch.is_empty() {
            let flushed = std::mem::take(&mut batch);
            let request = peers::request(store, "/records", None);
            flush = request.map(|_| flushed).boxed().fuse();
            is_flushing = true;
        }
        tokio::select! {
            record = records.recv() => match record {
                Some(record) => batch.push(record),
                None => return,
            },
            kept = &mut flush, if is_flushing => {
                is_flushing = false;
                release(kept);
            }
        }
    }
}

async fn events(load: Load) -> anyhow::Result<()> {
    let (listener, broker) = peers::listener()?;
    let stays = secs(u64::try_from(load.size)?);
    outside(move || async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let accepted = timeout(stays, listener.accept()).await??;
        sleep(stays).await;
        drop((accepted, listener));
        std::future::pending().await
    });
    let is_faulty = load.is_faulty();
    spawn("consume-events", async move {
        let connect = || TcpStream::connect(broker);
        let later = ExponentialBuilder::default().with_jitter().with_min_delay(millis(20));
        let later = later.with_max_delay(millis(500)).without_max_times();
        loop {
            let connected = if is_faulty { connect().await } else { connect.retry(later).sleep(sleep).await };
            if let Ok(mut socket) = connected {
                // Until the broker is gone.
                let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
            }
        }
    });
    let mut random = load.random(1);
    load.arrivals(|_| {
        let length = between(&mut random, millis(5), millis(25));
        let work = Work::begin();
        spawn("place-order", async move {
            sleep(length).await;
            work.end(true);
        });
    })
    .await;
    Ok(())
}
