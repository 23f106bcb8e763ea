//! Depots: orders whose invoices are booked in their order, and stocks that are asked over compressed sessions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_compression::tokio::bufread::GzipDecoder;
use async_compression::tokio::write::GzipEncoder;
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use tokio_util::codec::{Framed, LinesCodec};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside};

const SOURCE: Source = Source { file: "programs/depots.rs", text: include_str!("depots.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "rejected-invoice-sent-again",
        crates: "tokio, axum, tokio-util",
        fault: "An invoice that the accounts reject for good is sent again for ever, and everything behind it in the outbox waits.",
        issue: "PocketShell-io/pocketshell#1602",
        way: Way::Backlog,
        rate_of: "orders",
        rate: 8.0,
        size_of: "orders of a thousand from a customer whose invoices are rejected",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 90,
        },
        source: SOURCE,
        run: |load| Box::pin(orders(load)),
    },
    Program {
        id: "question-stays-in-encoder",
        crates: "async-compression, axum",
        fault: "A session does not flush a question if another one follows, but waits for its answer before it takes the other.",
        issue: "openssh-rust/openssh-sftp-client#155",
        way: Way::Unanswered,
        rate_of: "questions",
        rate: 8.0,
        size_of: "warehouses",
        size: 5,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 80,
        },
        source: SOURCE,
        run: |load| Box::pin(stocks(load)),
    },
];

/// A customer whose invoices the accounts reject.
const UNKNOWN: u64 = 4_711;

/// Starts the accounts, and returns their address: they book one invoice after the other, are busy now and then, and reject some for good.
fn accounts(load: &Load) -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    let mut random = load.random(1);
    outside(move || async move {
        let (socket, _) = TcpListener::from_std(listener)?.accept().await?;
        let mut lines = Framed::new(socket, LinesCodec::new());
        while let Some(line) = lines.next().await {
            let customer: u64 = line?.trim_start_matches("invoice ").parse()?;
            sleep(between(&mut random, millis(15), millis(50))).await;
            let answer = match random.u8(..100) {
                0..3 => "busy",
                _ if customer == UNKNOWN => "rejected",
                _ => "booked",
            };
            lines.send(answer).await?;
        }
        Ok(())
    });
    Ok(address)
}

/// What waits in the outbox, and who wants to know when it has been booked.
struct Invoice {
    customer: u64,
    booked: oneshot::Sender<bool>,
}

/// Sends the invoices in their order, each until it is booked.
async fn send_invoices(
    mut outbox: mpsc::UnboundedReceiver<Invoice>,
    accounts: SocketAddr,
    is_faulty: bool,
) -> anyhow::Result<()> {
    const LONGEST_PAUSE: Duration = secs(5);
    let mut lines = Framed::new(TcpStream::connect(accounts).await?, LinesCodec::new());
    while let Some(Invoice { customer, booked }) = outbox.recv().await {
        let mut pause = millis(100);
        let is_booked = loop {
            lines.send(format!("invoice {customer}")).await?;
            match lines.next().await.context("the accounts are gone")??.as_str() {
                "booked" => break true,
                // It would be rejected each time; somebody has to look at it.
                "rejected" if !is_faulty => break false,
                _ => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        };
        // The order may be gone.
        let _ = booked.send(is_booked);
    }
    Ok(())
}

/// Takes the money for an order, and hands the goods out when its invoice has been booked.
async fn place_order(
    customer: u64,
    partners: [SocketAddr; 2],
    outbox: mpsc::UnboundedSender<Invoice>,
    work: Work,
) -> anyhow::Result<()> {
    let [till, ramp] = partners;
    peers::request(till, &format!("/pay/{customer}"), Some(secs(5))).await?;
    let (booked, is_booked) = oneshot::channel(); // <- rejected-invoice-sent-again
    outbox.send(Invoice { customer, booked })?;
    let is_booked = is_booked.await?;
    if is_booked {
        peers::request(ramp, &format!("/hand-out/{customer}"), Some(secs(5))).await?;
    }
    work.end(is_booked);
    Ok(())
}

async fn orders(load: Load) -> anyhow::Result<()> {
    const UNKNOWN_AFTER: Duration = secs(20);
    let mut random = load.random(2);
    let till = peers::partner(move || Answer::After(between(&mut random, millis(50), millis(600))))?;
    let mut random = load.random(3);
    let ramp = peers::partner(move || Answer::After(between(&mut random, millis(100), millis(2_500))))?;
    let (outbox, queue) = mpsc::unbounded_channel(); // <- rejected-invoice-sent-again
    tokio::spawn(send_invoices(queue, accounts(&load)?, load.is_faulty())); // <- rejected-invoice-sent-again
    let order = async move |Path(customer): Path<u64>| {
        let placing = place_order(customer, [till, ramp], outbox.clone(), Work::begin());
        tokio::spawn(placing); // <- rejected-invoice-sent-again
        "taken"
    };
    let address = sidelines::serve_http(Router::new().route("/order/{customer}", get(order))).await?;
    let (began, rejected) = (Instant::now(), load.size);
    sidelines::visitors(&load, address, secs(15), 40, move |random| {
        let is_rejected = began.elapsed() > UNKNOWN_AFTER && random.usize(..1_000) < rejected;
        let customer = if is_rejected { UNKNOWN } else { random.u64(..4_000) };
        (format!("/order/{customer}"), secs(10))
    });
    sidelines::run(&load).await
}

/// Starts a warehouse that answers compressed questions in their order, and returns its address.
fn warehouse(mut random: fastrand::Rng) -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    outside(move || async move {
        let (mut socket, _) = TcpListener::from_std(listener)?.accept().await?;
        let (reader, mut writer) = socket.split();
        let mut questions = BufReader::new(GzipDecoder::new(BufReader::new(reader))).lines();
        while let Some(question) = questions.next_line().await? {
            sleep(between(&mut random, millis(10), millis(60))).await;
            writer.write_all(format!("{question}: 12\n").as_bytes()).await?;
        }
        Ok(())
    });
    Ok(address)
}

/// A question to a warehouse, and who wants to know the answer.
struct Question {
    article: u64,
    answer: oneshot::Sender<String>,
}

/// Keeps a session with a warehouse, and asks it one question after the other.
async fn keep_session(
    warehouse: SocketAddr,
    mut questions: mpsc::Receiver<Question>,
    is_faulty: bool,
) -> anyhow::Result<()> {
    let (reader, writer) = TcpStream::connect(warehouse).await?.into_split();
    let (mut answers, mut writer) = (BufReader::new(reader).lines(), GzipEncoder::new(writer));
    while let Some(Question { article, answer }) = questions.recv().await {
        writer.write_all(format!("stock of {article}\n").as_bytes()).await?;
        // The next question would take this one along.
        let is_flushed_later = is_faulty && !questions.is_empty();
        if !is_flushed_later {
            writer.flush().await?;
        }
        let line = answers.next_line().await?.context("the warehouse is gone")?;
        // Whoever asked may have left.
        let _ = answer.send(line);
    }
    Ok(())
}

async fn stocks(load: Load) -> anyhow::Result<()> {
    let mut sessions = Vec::new();
    for number in 0..load.size {
        let warehouse = warehouse(load.random(10 + number as u64))?;
        let (question, questions) = mpsc::channel(16); // <- question-stays-in-encoder
        tokio::spawn(keep_session(warehouse, questions, load.is_faulty())); // <- question-stays-in-encoder
        sessions.push(question);
    }
    let sessions = Arc::new(sessions);
    let ask = async move |Path((warehouse, article)): Path<(usize, u64)>| {
        let (answer, answered) = oneshot::channel(); // <- question-stays-in-encoder
        let session = sessions.get(warehouse).context("an unknown warehouse");
        let asked = async { anyhow::Ok(session?.send(Question { article, answer }).await?) };
        match asked.await {
            Ok(()) => answered.await.unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    };
    let address = sidelines::serve_http(Router::new().route("/stock/{warehouse}/{article}", get(ask))).await?;
    let warehouses = load.size;
    sidelines::visitors(&load, address, secs(20), 25, move |random| {
        // Most goods are in the first ones.
        let warehouse = random.usize(..warehouses).min(random.usize(..warehouses));
        (format!("/stock/{warehouse}/{}", random.u32(..9_000)), secs(30))
    });
    sidelines::run(&load).await
}
