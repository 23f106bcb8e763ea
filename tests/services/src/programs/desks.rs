//! Desks: balances that are asked of a ledger node, and parcels that an actor books with a carrier.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use actix::{
    Actor, ActorFutureExt as _, Addr, AtomicResponse, Context, Handler, Message, ResponseActFuture, WrapFuture as _,
};
use anyhow::Context as _;
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use futures::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::codec::{Framed, LinesCodec};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, between, outside, spawn, spawn_thread};

const SOURCE: Source = Source { file: "programs/desks.rs", text: include_str!("desks.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "session-returned-half-way",
        crates: "deadpool, axum, tokio-util",
        fault: "A client leaves between acquiring and releasing a state: the session goes back to its pool and never answers again.",
        issue: "blockfrost/blockfrost-platform#183",
        way: Way::Unanswered,
        rate_of: "questions",
        rate: 12.0,
        size_of: "sessions",
        size: 8,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "cancellation", "queue", "contention"],
            names: &[],
            libraries: &["axum", "deadpool"],
            severity: Severity::Warning,
            within: 90,
        },
        source: SOURCE,
        run: |load| Box::pin(ledger(load)),
    },
    Program {
        id: "mailbox-waits-for-carrier",
        crates: "actix, axum",
        fault: "An actor takes no message while it calls a carrier, and has no timeout: one call is never answered, and no other message is taken.",
        issue: "AppFlowy-IO/AppFlowy-Cloud#534",
        way: Way::Unanswered,
        rate_of: "parcels",
        rate: 10.0,
        size_of: "calls of a thousand that are never answered",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["print-statement"],
            libraries: &["axum", "actix"],
            severity: Severity::Warning,
            within: 90,
        },
        source: SOURCE,
        run: |load| Box::pin(parcels(load)),
    },
];

/// Starts a ledger node, and returns its address: a session may acquire one state at a time, and has to release it before the next.
fn node(load: &Load) -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    let mut random = load.random(1);
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(answer_session(socket, random.fork()));
        }
    });
    Ok(address)
}

async fn answer_session(socket: TcpStream, mut random: fastrand::Rng) -> anyhow::Result<()> {
    let (mut lines, mut is_acquired) = (Framed::new(socket, LinesCodec::new()), false);
    while let Some(line) = lines.next().await {
        match line?.as_str() {
            // Whoever has a state may not acquire another.
            "acquire" if is_acquired => {}
            "acquire" => {
                is_acquired = true;
                sleep(between(&mut random, millis(5), millis(40))).await;
                lines.send("acquired").await?;
            }
            "release" => is_acquired = false,
            _ => {
                sleep(between(&mut random, millis(20), millis(120))).await;
                lines.send("result 17").await?;
            }
        }
    }
    Ok(())
}

/// A session with the node.
struct Session {
    lines: Framed<TcpStream, LinesCodec>,
    is_acquired: bool,
}

impl Session {
    async fn ask(&mut self, question: &str, start_of_answer: &str) -> anyhow::Result<String> {
        self.lines.send(question).await?;
        loop {
            let line = self.lines.next().await.context("the node is gone")??;
            if line.starts_with(start_of_answer) {
                return Ok(line);
            }
        }
    }

    /// Asks several questions about the same state.
    async fn ask_all(&mut self, questions: &[&str]) -> anyhow::Result<Vec<String>> {
        self.is_acquired = true;
        self.ask("acquire", "acquired").await?;
        let mut answers = Vec::with_capacity(questions.len());
        for question in questions {
            answers.push(self.ask(question, "result").await?);
        }
        self.lines.send("release").await?;
        self.is_acquired = false;
        Ok(answers)
    }
}

/// What opens the sessions of the pool.
struct Connector {
    node: SocketAddr,
    is_faulty: bool,
}

impl managed::Manager for Connector {
    type Type = Session;
    type Error = anyhow::Error;

    async fn create(&self) -> anyhow::Result<Session> {
        let socket = TcpStream::connect(self.node).await?;
        Ok(Session { lines: Framed::new(socket, LinesCodec::new()), is_acquired: false })
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<anyhow::Error> {
        if session.is_acquired && !self.is_faulty {
            return Err(RecycleError::message("it was left half-way"));
        }
        Ok(())
    }
}

type Sessions = managed::Pool<Connector>;

async fn ask_ledger(sessions: &Sessions, questions: &[&str]) -> anyhow::Result<Vec<String>> {
    let mut session = sessions.get().await.map_err(|error| anyhow::anyhow!("{error}"))?;
    session.ask_all(questions).await
}

/// Follows the newest block.
async fn follow_tip(sessions: Sessions) {
    loop {
        // There will be a next time.
        let _ = ask_ledger(&sessions, &["tip"]).await;
        sleep(millis(1_500)).await;
    }
}

async fn ledger(load: Load) -> anyhow::Result<()> {
    const LEAVE_AFTER: Duration = secs(15);
    let connector = Connector { node: node(&load)?, is_faulty: load.is_faulty() };
    let sessions = Sessions::builder(connector).max_size(load.size).build()?; // <- session-returned-half-way
    tokio::spawn(follow_tip(sessions.clone())); // <- session-returned-half-way
    let ask = async move |Path(account): Path<u64>| {
        let questions = [format!("balance {account}"), format!("history {account}")];
        let questions: Vec<_> = questions.iter().map(String::as_str).collect();
        ask_ledger(&sessions, &questions).await.map(|answers| answers.join(", ")).unwrap_or_default()
    };
    let address = sidelines::serve_http(Router::new().route("/account/{account}", get(ask))).await?;
    let began = Instant::now();
    sidelines::visitors(&load, address, secs(12), 12, move |random| {
        // Some look for another account before they have an answer.
        let leaves = began.elapsed() > LEAVE_AFTER && random.u8(..100) < 10;
        let patience = if leaves { between(random, millis(30), millis(140)) } else { secs(10) };
        (format!("/account/{}", random.u32(..90_000)), patience)
    });
    sidelines::run(&load).await
}

/// An actor that books parcels.
struct Desk {
    carrier: SocketAddr,
    booked: u64,
}

impl Actor for Desk {
    type Context = Context<Self>;
}

/// Books a parcel, and then takes the next message.
#[derive(Message)]
#[rtype(result = "anyhow::Result<u64>")]
struct BookInTurn(u64);

impl Handler<BookInTurn> for Desk {
    type Result = AtomicResponse<Self, anyhow::Result<u64>>;

    fn handle(&mut self, BookInTurn(parcel): BookInTurn, _: &mut Context<Self>) -> Self::Result {
        AtomicResponse::new(self.book(parcel, None))
    }
}

/// Books a parcel beside whatever else comes.
#[derive(Message)]
#[rtype(result = "anyhow::Result<u64>")]
struct BookBeside(u64);

impl Handler<BookBeside> for Desk {
    type Result = ResponseActFuture<Self, anyhow::Result<u64>>;

    fn handle(&mut self, BookBeside(parcel): BookBeside, _: &mut Context<Self>) -> Self::Result {
        self.book(parcel, Some(secs(3)))
    }
}

/// Asks how many parcels have been booked.
#[derive(Message)]
#[rtype(result = "u64")]
struct Count;

impl Handler<Count> for Desk {
    type Result = u64;

    fn handle(&mut self, _: Count, _: &mut Context<Self>) -> u64 {
        self.booked
    }
}

impl Desk {
    fn book(&self, parcel: u64, patience: Option<Duration>) -> ResponseActFuture<Self, anyhow::Result<u64>> {
        let carrier = self.carrier;
        let call = async move { peers::request(carrier, &format!("/parcel/{parcel}"), patience).await };
        Box::pin(call.into_actor(self).map(move |booked, desk, _| {
            booked?;
            desk.booked += 1;
            Ok(parcel)
        }))
    }
}

/// Starts the actor on a thread of its own.
async fn open_desk(carrier: SocketAddr) -> anyhow::Result<Addr<Desk>> {
    let (opened, desk) = oneshot::channel();
    spawn_thread("actix", move || {
        actix::System::new().block_on(async move {
            // The service ends if nobody waits for the desk.
            let _ = opened.send(Desk { carrier, booked: 0 }.start());
            std::future::pending::<()>().await;
        });
    });
    Ok(desk.await?)
}

async fn parcels(load: Load) -> anyhow::Result<()> {
    const SILENT_AFTER: Duration = secs(15);
    let (began, mut random, silent) = (Instant::now(), load.random(1), load.size);
    let carrier = peers::partner(move || {
        if began.elapsed() > SILENT_AFTER && random.usize(..1_000) < silent {
            Answer::Never
        } else {
            Answer::After(between(&mut random, millis(10), millis(50)))
        }
    })?;
    let desk = open_desk(carrier).await?;
    let (counted, metrics) = (desk.clone(), sidelines::metrics(&load)?);
    spawn("print-statement", async move {
        while let Ok(count) = counted.send(Count).await {
            let _ = metrics.try_send(count);
            sleep(secs(3)).await;
        }
    });
    let is_faulty = load.is_faulty();
    let book = async move |Path(parcel): Path<u64>| {
        let booked = if is_faulty { desk.send(BookInTurn(parcel)).await } else { desk.send(BookBeside(parcel)).await };
        match booked {
            Ok(Ok(parcel)) => parcel.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        }
    };
    let address = sidelines::serve_http(Router::new().route("/parcel/{parcel}", get(book))).await?;
    sidelines::visitors(&load, address, secs(12), 10, |random| (format!("/parcel/{}", random.u32(..)), secs(30)));
    sidelines::run(&load).await
}
