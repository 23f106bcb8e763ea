//! Registers: what visitors do is written down in an archive, and meters are kept in memory and copied to a disk.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use parking_lot::RwLock;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep, timeout};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, outside};

const SOURCE: Source = Source { file: "programs/registers.rs", text: include_str!("registers.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "audit-row-by-row",
        crates: "csv, tokio-stream, axum",
        fault: "What visitors do is sent to the archive row by row through an unbounded channel: more comes than the archive takes.",
        issue: "librefang/librefang#3580",
        way: Way::Backlog,
        rate_of: "visitors, each of whom does three things",
        rate: 16.0,
        size_of: "milliseconds that the archive takes at least for a batch, and at most half as many more",
        size: 17,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label { families: &["queue"], names: &[], libraries: &[], severity: Severity::Warning, within: 75 },
        source: SOURCE,
        run: |load| Box::pin(audit(load)),
    },
    Program {
        id: "snapshot-holds-sync-lock",
        crates: "parking_lot, serde_json, axum",
        fault: "A blocking job writes all meters to a slow disk under a synchronous lock: who changes one meanwhile blocks a worker.",
        issue: "svix/diom#1197",
        way: Way::Blocking,
        rate_of: "visitors",
        rate: 15.0,
        size_of: "meters",
        size: 16_000,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &[],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(meters(load)),
    },
];

/// Something that a visitor did.
struct Event {
    page: u64,
    what: &'static str,
    work: Work,
}

/// Starts an archive that stores batches and confirms each, and ends each connection after a while.
fn archive(load: &Load) -> anyhow::Result<SocketAddr> {
    const LIFETIME: Duration = secs(20);
    let (listener, address) = peers::listener()?;
    let load = load.clone();
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        let least = millis(load.size as u64);
        for connection in 0.. {
            let (socket, _) = listener.accept().await?;
            let random = load.random(100 + connection);
            tokio::spawn(timeout(LIFETIME, store_batches(socket, least, random)));
        }
        Ok(())
    });
    Ok(address)
}

async fn store_batches(mut socket: TcpStream, least: Duration, mut random: fastrand::Rng) -> anyhow::Result<()> {
    loop {
        let length = socket.read_u32().await?;
        let mut rows = vec![0; usize::try_from(length)?];
        socket.read_exact(&mut rows).await?;
        sleep(between(&mut random, least, least.mul_f64(1.5))).await;
        socket.write_u8(1).await?;
    }
}

/// Writes events as rows, behind their length.
fn message(events: &[Event]) -> anyhow::Result<Vec<u8>> {
    let mut rows = csv::Writer::from_writer(Vec::new());
    for event in events {
        rows.write_record([event.what, &event.page.to_string()])?;
    }
    let rows = rows.into_inner()?;
    let mut message = u32::try_from(rows.len())?.to_be_bytes().to_vec();
    message.extend(rows);
    Ok(message)
}

/// Sends a message to the archive, and waits until it is stored.
async fn store(connection: &mut Option<TcpStream>, archive: SocketAddr, message: &[u8]) -> anyhow::Result<()> {
    timeout(secs(2), async {
        let socket = match connection {
            Some(socket) => socket,
            None => connection.insert(TcpStream::connect(archive).await?),
        };
        socket.write_all(message).await?;
        socket.read_u8().await?;
        Ok(())
    })
    .await?
}

/// Sends all events to the archive, so many at once if there are so many.
async fn keep(events: mpsc::UnboundedReceiver<Event>, archive: SocketAddr, at_once: usize) {
    let batches = UnboundedReceiverStream::new(events).chunks_timeout(at_once, millis(250));
    tokio::pin!(batches);
    let mut connection = None;
    while let Some(batch) = batches.next().await {
        let Ok(message) = message(&batch) else { continue };
        while store(&mut connection, archive, &message).await.is_err() {
            connection = None;
            sleep(millis(100)).await;
        }
        batch.into_iter().for_each(|event| event.work.end(true));
    }
}

async fn audit(load: Load) -> anyhow::Result<()> {
    let at_once = if load.is_faulty() { 1 } else { 200 };
    let (event, events) = mpsc::unbounded_channel(); // <- audit-row-by-row
    tokio::spawn(keep(events, archive(&load)?, at_once)); // <- audit-row-by-row
    let mut random = load.random(1);
    let pages = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(300))))?;
    let show = async move |Path(page): Path<u64>| {
        let note = |what| event.send(Event { page, what, work: Work::begin() }).is_ok();
        note("asked");
        let is_found = peers::request(pages, &format!("/page/{page}"), Some(secs(2))).await.is_ok();
        note(if is_found { "found" } else { "missed" });
        note("left");
        "a page"
    };
    let address = sidelines::serve_http(Router::new().route("/page/{page}", get(show))).await?;
    sidelines::visitors(&load, address, secs(15), 20, |random| (format!("/page/{}", random.u64(..5_000)), secs(5)));
    sidelines::run(&load).await
}

/// A meter, with its last reading.
#[derive(Debug, Clone, Serialize)]
struct Meter {
    name: String,
    reading: u64,
    changes: u64,
}

/// A disk that takes its time for each block.
struct Disk;

impl Write for Disk {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        thread::sleep(millis(12));
        Ok(block.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All meters, in memory.
struct Register(RwLock<BTreeMap<u64, Meter>>);

impl Register {
    fn with_meters(count: u64) -> Self {
        let meter = |number| (number, Meter { name: format!("meter {number}"), reading: 0, changes: 0 });
        Self(RwLock::new((0..count).map(meter).collect()))
    }

    fn reading(&self, number: u64) -> Option<u64> {
        self.0.read().get(&number).map(|meter| meter.reading)
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Meter)) {
        if let Some(meter) = self.0.write().get_mut(&number) {
            meter.changes += 1;
            change(meter);
        }
    }

    /// Writes all meters, locked until the last one is written.
    fn write_at_once(&self, disk: &mut impl Write) -> anyhow::Result<()> {
        Ok(serde_json::to_writer(disk, &*self.0.read())?)
    }

    /// Writes all meters page by page, locked only while a page is copied: what changes meanwhile is in the journal.
    fn write_by_page(&self, disk: &mut impl Write) -> anyhow::Result<()> {
        const PAGE: usize = 400;
        let mut first = 0;
        loop {
            let rest = |meters: &BTreeMap<u64, Meter>| -> BTreeMap<u64, Meter> {
                meters.range(first..).take(PAGE).map(|(number, meter)| (*number, meter.clone())).collect()
            };
            let page = rest(&self.0.read());
            let Some((last, _)) = page.last_key_value() else { return Ok(()) };
            first = last + 1;
            serde_json::to_writer(&mut *disk, &page)?;
        }
    }
}

/// Writes a snapshot every five seconds, in a job that may block.
async fn save(register: Arc<Register>, is_faulty: bool) {
    const BLOCK: usize = 8_192;
    let mut ticks = interval(secs(5));
    loop {
        ticks.tick().await;
        let register = Arc::clone(&register);
        let saved = spawn_blocking(move || {
            let mut disk = BufWriter::with_capacity(BLOCK, Disk);
            if is_faulty {
                register.write_at_once(&mut disk)?
            } else {
                register.write_by_page(&mut disk)?
            }
            anyhow::Ok(disk.flush()?)
        });
        // The next one is complete again.
        let _ = saved.await;
    }
}

/// Takes the readings that come over a connection, and confirms each.
async fn take_readings(mut socket: TcpStream, register: Arc<Register>) -> anyhow::Result<()> {
    loop {
        let number = socket.read_u64().await?;
        let reading = socket.read_u64().await?;
        register.change(number, |meter| meter.reading = reading);
        socket.write_u8(1).await?;
    }
}

/// A line from outside that reads one meter after the other, with pauses.
async fn read_meters(service: SocketAddr, meters: u64, mut random: fastrand::Rng) -> anyhow::Result<()> {
    const RATE: f64 = 0.8;
    let mut socket = TcpStream::connect(service).await?;
    loop {
        sleep(gap(&mut random, RATE)).await;
        let numbers = [random.u64(..meters), random.u64(..10_000)].map(u64::to_be_bytes);
        socket.write_all(numbers.as_flattened()).await?;
        socket.read_u8().await?;
    }
}

async fn meters(load: Load) -> anyhow::Result<()> {
    const LINES: usize = 20;
    let count = load.size as u64;
    let register = Arc::new(Register::with_meters(count));
    tokio::spawn(save(Arc::clone(&register), load.is_faulty()));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (service, mut random) = (listener.local_addr()?, load.random(1));
    outside(move || async move {
        for _ in 0..LINES {
            tokio::spawn(read_meters(service, count, random.fork()));
        }
        std::future::pending().await
    });
    let read = Arc::clone(&register);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(take_readings(socket, Arc::clone(&read))); // <- snapshot-holds-sync-lock
        }
    });
    let shown = Arc::clone(&register);
    let show = async move |Path(number): Path<u64>| shown.reading(number).unwrap_or_default().to_string();
    let rename = async move |Path(number): Path<u64>| {
        register.change(number, |meter| meter.name = format!("renamed {number}"));
        "renamed"
    };
    let router = Router::new().route("/meter/{number}", get(show)).route("/rename/{number}", get(rename));
    let address = sidelines::serve_http(router).await?;
    sidelines::visitors(&load, address, secs(15), 20, move |random| {
        let kind = if random.f64() < 0.3 { "rename" } else { "meter" };
        (format!("/{kind}/{}", random.u64(..count)), millis(700))
    });
    sidelines::run(&load).await
}
