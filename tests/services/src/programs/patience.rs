//! Services with many intended waits: a chat with long polls, jobs of very different lengths, and a settlement that locks the books.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_stream::wrappers::BroadcastStream;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, outside, spawn};

const SOURCE: Source = Source { file: "programs/patience.rs", text: include_str!("patience.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "chat-forwarder-outlives-client",
        crates: "axum, futures, tokio-stream",
        fault: "When a client leaves, the chat drops the handle of the task that forwards a room to it, and the task keeps running.",
        issue: "mofa-org/mofa#964",
        way: Way::Crowd,
        rate_of: "messages",
        rate: 6.0,
        size_of: "clients",
        size: 90,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &["forward-room"],
            libraries: &[],
            severity: Severity::Info,
            within: 90,
        },
        source: SOURCE,
        run: |load| Box::pin(chat(load)),
    },
    Program {
        id: "job-workers-not-restarted",
        crates: "tokio",
        fault: "A worker whose job fails ends and is not restarted: fewer and fewer are left, and the queue stays full.",
        issue: "ret2shell/ret2shell#112",
        way: Way::Backlog,
        rate_of: "jobs, without those that come at once",
        rate: 6.0,
        size_of: "workers",
        size: 20,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck", "contention"],
            names: &["submit-job", "run-jobs"],
            libraries: &[],
            severity: Severity::Warning,
            within: 100,
        },
        source: SOURCE,
        run: |load| Box::pin(jobs(load)),
    },
    Program {
        id: "settlement-keeps-books-locked",
        crates: "axum, tokio",
        fault: "A settlement locks the books and calls the bank without a timeout; one call is never answered.",
        issue: "rainlanguage/raindex#1599",
        way: Way::HeldLock,
        rate_of: "payments",
        rate: 14.0,
        size_of: "seconds between settlements",
        size: 20,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "stuck", "queue"],
            names: &["take-payment", "settle-day"],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 80,
        },
        source: SOURCE,
        run: |load| Box::pin(settlements(load)),
    },
];

const ROOMS: usize = 12;

/// The rooms of the chat.
#[derive(Clone)]
struct Chat {
    rooms: Arc<Vec<broadcast::Sender<Arc<str>>>>,
    is_faulty: bool,
}

async fn join_room(chat: Chat, room: usize, socket: WebSocket) {
    let (mut sink, mut incoming) = socket.split();
    let (outbox, mut messages) = mpsc::channel::<Message>(32);
    let writer = spawn("write-messages", async move {
        while let Some(message) = messages.recv().await {
            if sink.send(message).await.is_err() {
                return;
            }
        }
    });
    let (mut room, forwarded) = (chat.rooms[room % ROOMS].subscribe(), outbox.clone());
    let forwarder = spawn("forward-room", async move {
        while let Ok(message) = room.recv().await {
            // The client may be slow, or gone.
            let _ = forwarded.try_send(Message::text(&*message));
        }
    });
    let mut heartbeat = interval(secs(5));
    loop {
        tokio::select! {
            message = timeout(secs(20), incoming.next()) => match message {
                Ok(Some(Ok(_))) => {}
                _ => break,
            },
            _ = heartbeat.tick() => if outbox.try_send(Message::Ping("".into())).is_err() { break },
        }
    }
    writer.abort();
    if !chat.is_faulty {
        forwarder.abort();
    }
}

async fn chat(load: Load) -> anyhow::Result<()> {
    let rooms = Arc::new((0..ROOMS).map(|_| broadcast::channel(64).0).collect::<Vec<_>>());
    let chat = Chat { rooms: Arc::clone(&rooms), is_faulty: load.is_faulty() };
    let upgrade = async |State(chat): State<Chat>, Path(room): Path<usize>, upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(move |socket| join_room(chat, room, socket)).into_response()
    };
    let events = async |State(chat): State<Chat>, Path(room): Path<usize>| {
        let messages = BroadcastStream::new(chat.rooms[room % ROOMS].subscribe());
        let events = messages.map(|message| Ok::<_, Infallible>(Event::default().data(&*message.unwrap_or_default())));
        Sse::new(events).keep_alive(KeepAlive::default())
    };
    // Nobody speaks in one room: polling it always times out.
    let poll = async |State(chat): State<Chat>| {
        let mut lobby = chat.rooms[ROOMS - 1].subscribe();
        timeout(secs(25), lobby.recv()).await.is_ok().to_string()
    };
    let router = Router::new()
        .route("/room/{room}", get(upgrade))
        .route("/events/{room}", get(events))
        .route("/poll", get(poll))
        .with_state(chat);
    let address = sidelines::serve_http(router).await?;
    sidelines::registration()?;
    let metrics = sidelines::metrics(&load)?;
    let clients = load.clone();
    outside(move || async move {
        for client in 0..clients.size {
            tokio::spawn(stay_in_chat(address, client, clients.random(100 + client as u64)));
        }
        std::future::pending().await
    });
    let mut random = load.random(1);
    sidelines::bursts(&load, secs(15), 10, || {
        let room = random.usize(..ROOMS - 1);
        let work = Work::begin();
        // There may be nobody in it.
        let _ = rooms[room].send("is anybody here?".into());
        let _ = metrics.try_send(1);
        work.end(true);
    })
    .await;
    Ok(())
}

/// A client that connects, stays for a while, disconnects without closing, and comes back; of ten, six talk, two listen and two poll.
async fn stay_in_chat(address: SocketAddr, client: usize, mut random: fastrand::Rng) -> anyhow::Result<()> {
    sleep(between(&mut random, millis(100), secs(8))).await;
    loop {
        let stay = between(&mut random, secs(8), secs(50));
        match client % 10 {
            0..6 => {
                let socket = TcpStream::connect(address).await?;
                let room = format!("ws://{address}/room/{client}");
                let (mut session, _) = tokio_tungstenite::client_async(room, socket).await?;
                let _ = timeout(stay, async { while let Some(Ok(_)) = session.next().await {} }).await;
            }
            6 | 7 => drop(peers::request(address, &format!("/events/{client}"), Some(stay)).await),
            _ => drop(peers::request(address, "/poll", Some(secs(40))).await),
        }
        sleep(gap(&mut random, 1.0)).await;
    }
}

/// How long a job takes: most are short, and some take a minute.
fn length_of_job(random: &mut fastrand::Rng) -> Duration {
    match random.u8(..100) {
        0..2 => between(random, secs(15), secs(60)),
        2..10 => between(random, secs(2), secs(5)),
        _ => between(random, millis(100), millis(500)),
    }
}

/// Jobs that wait to be done.
type Jobs = Arc<Mutex<mpsc::Receiver<(Duration, bool, Work)>>>;

async fn run_jobs(jobs: Jobs) -> anyhow::Result<()> {
    loop {
        let job = jobs.lock().await.recv().await;
        let Some((length, fails, work)) = job else { return Ok(()) };
        sleep(length).await;
        work.end(!fails);
        anyhow::ensure!(!fails, "the job is not well-formed");
    }
}

async fn jobs(load: Load) -> anyhow::Result<()> {
    let (job, jobs) = mpsc::channel(32); // <- job-workers-not-restarted
    let jobs: Jobs = Arc::new(Mutex::new(jobs));
    let (workers, is_faulty) = (load.size, load.is_faulty());
    spawn("supervise-workers", async move {
        let start = |jobs: &Jobs| {
            let jobs = Arc::clone(jobs);
            async move { spawn("run-jobs", run_jobs(jobs)).await }
        };
        let mut running: JoinSet<_> = (0..workers).map(|_| start(&jobs)).collect();
        while running.join_next().await.is_some() {
            if !is_faulty {
                sleep(millis(300)).await;
                running.spawn(start(&jobs));
            }
        }
    });
    sidelines::registration()?;
    sidelines::sweep(&load);
    let rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    let mut random = load.random(1);
    sidelines::bursts(&load, secs(20), 40, || {
        let (job, metrics, rates) = (job.clone(), metrics.clone(), Arc::clone(&rates));
        let (length, fails) = (length_of_job(&mut random), random.u8(..100) < 5);
        let work = Work::begin();
        spawn("submit-job", async move {
            job.send((length, fails, work)).await?;
            let _ = metrics.try_send(**rates.load());
            anyhow::Ok(())
        });
    })
    .await;
    Ok(())
}

/// The balance of all accounts.
type Books = Arc<Mutex<i64>>;

async fn settlements(load: Load) -> anyhow::Result<()> {
    let (began, every) = (Instant::now(), secs(u64::try_from(load.size)?));
    let is_dead = load.is_faulty();
    let mut settled = 0;
    let bank = peers::partner(move || {
        settled += 1;
        // The second settlement is never answered.
        if settled == 2 { Answer::Never } else { Answer::After(millis(1_800)) }
    })?;
    let books = Books::default(); // <- settlement-keeps-books-locked
    // One of three nodes leads; the others stand by.
    let leader = Arc::new(Mutex::new(()));
    for node in 0..3_u64 {
        let (leader, books) = (Arc::clone(&leader), Arc::clone(&books));
        spawn("settle-day", async move {
            sleep(millis(100 * node)).await;
            let _leads = leader.lock().await;
            loop {
                sleep(every).await;
                let mut books = books.lock().await;
                let patience = (!is_dead).then_some(secs(3));
                let _ = peers::request(bank, "/settle", patience).await;
                *books = 0;
            }
        });
    }
    let balance = async |State(books): State<Books>| books.lock().await.to_string();
    let address =
        sidelines::serve_http(Router::new().route("/balance", get(balance)).with_state(Arc::clone(&books))).await?;
    let mut asked = load.clone();
    asked.rate = 5.0;
    sidelines::visitors(&asked, address, secs(10), 10, |_| ("/balance".to_owned(), secs(30)));
    sidelines::registration()?;
    sidelines::sweep(&load);
    let metrics = sidelines::metrics(&load)?;
    let mut random = load.random(1);
    sidelines::bursts(&load, secs(10), 15, || {
        let (books, metrics) = (Arc::clone(&books), metrics.clone());
        let check = between(&mut random, millis(10), millis(120));
        let work = Work::begin();
        spawn("take-payment", async move {
            sleep(check).await;
            *books.lock().await += 7;
            let _ = metrics.try_send(began.elapsed().as_secs());
            work.end(true);
        });
    })
    .await;
    Ok(())
}
