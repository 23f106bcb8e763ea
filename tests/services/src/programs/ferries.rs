//! Ferries: lines that get a new timetable while people book, and tickets that are mailed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use axum_server::Handle;
use parking_lot::Mutex as SyncMutex;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_retry2::strategy::{ExponentialBackoff, ExponentialFactorBackoff};
use tokio_retry2::{Retry, RetryError};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside};

const SOURCE: Source = Source { file: "programs/ferries.rs", text: include_str!("ferries.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "server-stopped-from-its-own-handler",
        crates: "axum-server, axum",
        fault: "A request for a new timetable waits until its server has ended, and the server until that request is answered.",
        issue: "wvlet/airframe#693",
        way: Way::Deadlock,
        rate_of: "bookings, and people who wait for a departure",
        rate: 10.0,
        size_of: "seconds until the first new timetable",
        size: 8,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(ferries(load)),
    },
    Program {
        id: "mailers-asleep-after-outage",
        crates: "tokio-retry2, axum",
        fault: "The pauses between attempts are powers of 50 ms: after a short outage, all who send mails sleep for two minutes.",
        issue: "djc/tokio-retry#22",
        way: Way::Unanswered,
        rate_of: "tickets",
        rate: 12.0,
        size_of: "seconds until the outage",
        size: 10,
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
        run: |load| Box::pin(tickets(load)),
    },
];

/// How to stop a server, and how it ended.
type Server = (Handle<SocketAddr>, JoinHandle<io::Result<()>>);

/// A line of ferries, which has a server of its own.
struct Line {
    number: usize,
    /// Where that is, while it is open.
    address: watch::Sender<Option<SocketAddr>>,
    server: SyncMutex<Option<Server>>,
    timetables: SocketAddr,
    seats: SocketAddr,
    is_faulty: bool,
}

impl Line {
    /// Opens a server.
    fn open(self: &Arc<Self>) -> anyhow::Result<()> {
        let (listener, address) = peers::listener()?;
        let seats = self.seats;
        let book = async move || match peers::request(seats, "/seat", Some(secs(2))).await {
            Ok(_) => "booked",
            Err(_) => "no",
        };
        let wait = async || {
            sleep(between(&mut fastrand::Rng::new(), secs(1), secs(5))).await;
            "it leaves"
        };
        let line = Arc::clone(self);
        let renew = async move || {
            if line.is_faulty {
                return if line.renew().await.is_ok() { "renewed" } else { "no" };
            }
            tokio::spawn(line.renew());
            "taken"
        };
        let router = Router::new().route("/book", get(book)).route("/wait", get(wait)).route("/timetable", get(renew));
        let handle = Handle::new();
        let server = axum_server::from_tcp(listener)?.handle(handle.clone());
        let served = tokio::spawn(server.serve(router.into_make_service())); // <- server-stopped-from-its-own-handler
        *self.server.lock() = Some((handle, served));
        self.address.send_replace(Some(address));
        Ok(())
    }

    /// Ends the server when its requests are answered, and opens one with the new timetable.
    async fn renew(self: Arc<Self>) -> anyhow::Result<()> {
        // Otherwise somebody else is about to.
        let Some((handle, served)) = self.server.lock().take() else { return Ok(()) };
        self.address.send_replace(None);
        handle.graceful_shutdown((!self.is_faulty).then_some(secs(10)));
        served.await??; // <- server-stopped-from-its-own-handler
        // Without a new one, the old one holds.
        let _ = peers::request(self.timetables, &format!("/line/{}", self.number), Some(secs(3))).await;
        self.open()
    }

    /// Sends a request to the server, as soon as it is open.
    async fn ask(&self, path: &str, patience: Duration) -> anyhow::Result<usize> {
        let open = *self.address.subscribe().wait_for(Option::is_some).await?;
        peers::request(open.context("closed")?, path, Some(patience)).await
    }

    /// Books a seat, if need be with another attempt.
    async fn book(self: Arc<Self>) {
        let work = Work::begin();
        for attempt in 1..5 {
            if self.ask("/book", secs(3)).await.is_ok_and(|length| length > 0) {
                return work.end(true);
            }
            sleep(millis(200) * attempt).await;
        }
        work.end(false);
    }
}

async fn ferries(load: Load) -> anyhow::Result<()> {
    const LINES: usize = 8;
    const EVERY: Duration = secs(4);
    let mut random = load.random(1);
    let timetables = peers::partner(move || Answer::After(between(&mut random, millis(100), millis(600))))?;
    let mut random = load.random(2);
    let seats = peers::partner(move || Answer::After(between(&mut random, millis(30), millis(500))))?;
    let open = |number| {
        let line = Arc::new(Line {
            number,
            address: watch::Sender::new(None), // <- server-stopped-from-its-own-handler
            server: SyncMutex::default(),
            timetables,
            seats,
            is_faulty: load.is_faulty(),
        });
        line.open()?;
        anyhow::Ok(line)
    };
    let lines: Arc<[Arc<Line>]> = (0..LINES).map(open).collect::<anyhow::Result<_>>()?;
    let booked = Arc::clone(&lines);
    let book = async move |Path(line): Path<usize>| {
        tokio::spawn(Arc::clone(&booked[line % LINES]).book()); // <- server-stopped-from-its-own-handler
        "taken"
    };
    let waited = Arc::clone(&lines);
    let wait = async move |Path(line): Path<usize>| match waited[line % LINES].ask("/wait", secs(8)).await {
        Ok(_) => "it leaves",
        Err(_) => "no",
    };
    let renew = async move |Path(line): Path<usize>| {
        let open = *lines[line % LINES].address.borrow();
        match open {
            Some(address) if peers::request(address, "/timetable", None).await.is_ok() => "taken",
            _ => "no",
        }
    };
    let router = Router::new()
        .route("/book/{line}", get(book))
        .route("/wait/{line}", get(wait))
        .route("/timetable/{line}", get(renew));
    let address = sidelines::serve_http(router).await?;
    let first = secs(load.size as u64);
    outside(move || async move {
        sleep(first).await;
        for line in (0..LINES).cycle() {
            tokio::spawn(async move { peers::request(address, &format!("/timetable/{line}"), None).await });
            sleep(EVERY).await;
        }
        Ok(())
    });
    sidelines::visitors(&load, address, secs(15), 20, |random| {
        let kind = if random.f64() < 0.2 { "wait" } else { "book" };
        (format!("/{kind}/{}", random.usize(..LINES)), secs(12))
    });
    sidelines::run(&load).await
}

/// Takes tickets from the queue, and mails each, if need be with some attempts.
async fn mail(tickets: Arc<Mutex<mpsc::Receiver<Work>>>, provider: SocketAddr, is_faulty: bool) {
    const ATTEMPTS: usize = 12;
    loop {
        // Locked only until there is a ticket.
        let Some(work) = tickets.lock().await.recv().await else { return };
        let pauses: Vec<Duration> = if is_faulty {
            ExponentialBackoff::from_millis(50).take(ATTEMPTS).collect()
        } else {
            ExponentialFactorBackoff::from_millis(50, 2.0).max_delay(secs(2)).take(ATTEMPTS).collect()
        };
        let attempt =
            || async move { peers::request(provider, "/mail", Some(millis(800))).await.map_err(RetryError::transient) };
        let sent = Retry::spawn(pauses, attempt).await; // <- mailers-asleep-after-outage
        work.end(sent.is_ok());
    }
}

/// Enters a ticket into the books, and has it mailed.
async fn issue(books: SocketAddr, tickets: mpsc::Sender<Work>) {
    let work = Work::begin();
    if peers::request(books, "/ticket", Some(secs(3))).await.is_err() {
        return work.end(false);
    }
    let _ = tickets.send(work).await; // <- mailers-asleep-after-outage
}

async fn tickets(load: Load) -> anyhow::Result<()> {
    const QUEUE: usize = 150;
    const MAILERS: usize = 8;
    const OUTAGE: Duration = secs(7);
    const EVERY: u64 = 45;
    let (mut random, first, began) = (load.random(1), secs(load.size as u64), Instant::now());
    let provider = peers::partner(move || {
        let since = began.elapsed().checked_sub(first).map(|since| secs(since.as_secs() % EVERY));
        if since.is_some_and(|since| since < OUTAGE) {
            Answer::Never
        } else {
            Answer::After(between(&mut random, millis(50), millis(350)))
        }
    })?;
    let mut random = load.random(2);
    let books = peers::partner(move || Answer::After(between(&mut random, millis(30), millis(300))))?;
    let (ticket, tickets) = mpsc::channel(QUEUE); // <- mailers-asleep-after-outage
    let tickets = Arc::new(Mutex::new(tickets));
    for _ in 0..MAILERS {
        tokio::spawn(mail(Arc::clone(&tickets), provider, load.is_faulty())); // <- mailers-asleep-after-outage
    }
    let take = async move || {
        tokio::spawn(issue(books, ticket.clone())); // <- mailers-asleep-after-outage
        "taken"
    };
    let address = sidelines::serve_http(Router::new().route("/ticket", get(take))).await?;
    sidelines::visitors(&load, address, secs(15), 20, |_| ("/ticket".to_owned(), secs(5)));
    sidelines::run(&load).await
}
