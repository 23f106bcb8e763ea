//! Errands: mails that are handed to a mail server, and reports whose place is looked up before they are stored.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use futures::{SinkExt as _, StreamExt as _};
use lettre::message::Mailbox;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::codec::{Framed, LinesCodec};
use tokio_util::time::DelayQueue;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, outside, spawn};

const SOURCE: Source = Source { file: "programs/errands.rs", text: include_str!("errands.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "lettre-answer-never-comes",
        crates: "lettre, axum",
        fault: "The timeout of a mail client holds for connecting only: each mail whose acceptance is never answered keeps its slot for good.",
        issue: "lettre/lettre#1027",
        way: Way::Stragglers,
        rate_of: "requests",
        rate: 10.0,
        size_of: "deliveries at a time",
        size: 6,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue", "contention"],
            names: &["deliver-mail", "dispatch-mails"],
            libraries: &["axum", "lettre"],
            severity: Severity::Warning,
            within: 80,
        },
        source: SOURCE,
        run: |load| Box::pin(mails(load)),
    },
    Program {
        id: "slot-reserved-before-lookup",
        crates: "tokio, tokio-util, futures",
        fault: "A session reserves a slot of the queue and then looks up where its device is, without a timeout: each silence takes a slot.",
        issue: "tokio-rs/tokio#7709",
        way: Way::Permits,
        rate_of: "reports",
        rate: 15.0,
        size_of: "slots of the queue",
        size: 24,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck", "contention"],
            names: &["serve-device"],
            libraries: &[],
            severity: Severity::Warning,
            within: 80,
        },
        source: SOURCE,
        run: |load| Box::pin(reports(load)),
    },
];

/// Starts a mail server that asks for patience with one mail of ten, and later leaves some unanswered after it has read them.
fn mail_server(load: &Load) -> anyhow::Result<SocketAddr> {
    const SILENT_AFTER: Duration = secs(15);
    let (listener, address) = peers::listener()?;
    let load = load.clone();
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        let began = Instant::now();
        for client in 0.. {
            let (socket, _) = listener.accept().await?;
            let mut random = load.random(100 + client);
            let (is_silent, is_busy) = (began.elapsed() > SILENT_AFTER && random.u8(..100) < 10, random.u8(..100) < 10);
            tokio::spawn(async move {
                let (mut socket, mut line, mut in_mail) = (BufReader::new(socket), String::new(), false);
                socket.write_all(b"220 mail\r\n").await?;
                while socket.read_line(&mut line).await? > 0 {
                    let answer: &[u8] = match line.trim_end() {
                        "." if is_silent => {
                            socket.read_to_end(&mut Vec::new()).await?;
                            break;
                        }
                        "." => {
                            sleep(between(&mut random, millis(50), millis(300))).await;
                            in_mail = false;
                            if is_busy { b"451 try again\r\n" } else { b"250 queued\r\n" }
                        }
                        _ if in_mail => b"",
                        "DATA" => {
                            in_mail = true;
                            b"354 go on\r\n"
                        }
                        _ => b"250 mail\r\n",
                    };
                    socket.write_all(answer).await?;
                    line.clear();
                }
                anyhow::Ok(())
            });
        }
        Ok(())
    });
    Ok(address)
}

/// Sends a mail, and returns whether that has to be tried again.
async fn deliver(server: SocketAddr, is_faulty: bool) -> anyhow::Result<bool> {
    let mailer = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.ip().to_string())
        .port(server.port())
        .timeout(Some(secs(4)))
        .build();
    let shop: Mailbox = "shop@example.com".parse()?;
    let mail =
        Message::builder().from(shop.clone()).to(shop).subject("Welcome").body("It is good to have you.".to_owned())?;
    let sent = mailer.send(mail);
    if is_faulty {
        return Ok(sent.await.is_err());
    }
    Ok(!matches!(timeout(secs(4), sent).await, Ok(Ok(_))))
}

async fn mails(load: Load) -> anyhow::Result<()> {
    const MOST_TRIALS: u32 = 3;
    let server = mail_server(&load)?;
    let (mail, mut mails) = mpsc::channel::<u32>(32); // <- lettre-answer-never-comes
    let slots = Arc::new(Semaphore::new(load.size)); // <- lettre-answer-never-comes
    let (again, is_faulty) = (mail.downgrade(), load.is_faulty());
    spawn("dispatch-mails", async move {
        while let Some(trials) = mails.recv().await {
            let slot = Arc::clone(&slots).acquire_owned().await?;
            let again = again.clone();
            spawn("deliver-mail", async move {
                let has_failed = deliver(server, is_faulty).await?;
                drop(slot);
                if has_failed && trials < MOST_TRIALS {
                    sleep(secs(3)).await;
                    if let Some(again) = again.upgrade() {
                        again.send(trials + 1).await?;
                    }
                }
                anyhow::Ok(())
            });
        }
        anyhow::Ok(())
    });
    let sign_up = async |State(mail): State<mpsc::Sender<u32>>| match mail.send(1).await {
        Ok(()) => "welcome",
        Err(_) => "closed",
    };
    let router =
        Router::new().route("/sign-up", get(sign_up)).route("/terms", get(async || "be kind")).with_state(mail);
    let address = sidelines::serve_http(router).await?;
    sidelines::visitors(&load, address, secs(12), 10, |random| {
        let path = if random.u8(..100) < 40 { "/sign-up" } else { "/terms" };
        (path.to_owned(), secs(30))
    });
    sidelines::run(&load).await
}

/// Where devices are asked for, and the queue of what is to be stored.
#[derive(Clone)]
struct Intake {
    places: SocketAddr,
    queue: mpsc::Sender<u64>,
    is_faulty: bool,
}

impl Intake {
    /// Takes a report: looks up where its device is, and hands it on to be stored.
    async fn take(&self, report: u64) -> anyhow::Result<()> {
        if self.is_faulty {
            let slot = self.queue.reserve().await?;
            peers::request(self.places, "/place", None).await?;
            slot.send(report);
        } else {
            // A report whose place is not known is stored without.
            let _ = peers::request(self.places, "/place", Some(secs(2))).await;
            self.queue.send(report).await?;
        }
        Ok(())
    }
}

async fn serve_device(socket: TcpStream, intake: Intake) -> anyhow::Result<()> {
    let mut lines = Framed::new(socket, LinesCodec::new_with_max_length(200));
    while let Some(line) = lines.next().await {
        intake.take(line?.parse()?).await?;
        lines.send("taken").await?;
    }
    Ok(())
}

/// Stores reports in batches, and those that came twice within ten seconds once.
async fn store_reports(mut queue: mpsc::Receiver<u64>, storage: SocketAddr) {
    let (mut batch, mut recent) = (Vec::new(), DelayQueue::new());
    loop {
        tokio::select! {
            Some(_) = recent.next() => {}
            count = queue.recv_many(&mut batch, 50) => {
                if count == 0 {
                    return;
                }
                for report in batch.drain(..) {
                    recent.insert(report, secs(10));
                }
                // What cannot be stored now is sent again by its device.
                let _ = peers::request(storage, "/reports", Some(secs(5))).await;
            }
        }
    }
}

/// A device that sends a report now and then, and connects again if it is not taken.
async fn device(address: SocketAddr, device: u64, load: Load) -> anyhow::Result<()> {
    let mut random = load.random(100 + device);
    #[expect(clippy::cast_precision_loss, reason = "there are few")]
    let rate = load.rate / DEVICES as f64;
    loop {
        let mut socket = BufReader::new(TcpStream::connect(address).await?);
        loop {
            sleep(gap(&mut random, rate)).await;
            let (report, mut answer) = (format!("{}\n", random.u32(..)), String::new());
            let work = Work::begin();
            socket.write_all(report.as_bytes()).await?;
            let taken = timeout(secs(20), socket.read_line(&mut answer)).await;
            let is_taken = matches!(taken, Ok(Ok(1..)));
            work.end(is_taken);
            if !is_taken {
                break;
            }
        }
    }
}

const DEVICES: u64 = 60;

async fn reports(load: Load) -> anyhow::Result<()> {
    const SILENT_AFTER: Duration = secs(15);
    let (began, mut random) = (Instant::now(), load.random(1));
    // Later, some questions are never answered.
    let places = peers::partner(move || match random.u8(..100) {
        0..7 if began.elapsed() > SILENT_AFTER => Answer::Never,
        _ => Answer::After(between(&mut random, millis(20), millis(200))),
    })?;
    let mut random = load.random(2);
    // A compaction now and then makes a write slow.
    let storage = peers::partner(move || match random.u8(..100) {
        0..4 => Answer::After(millis(2_500)),
        _ => Answer::After(between(&mut random, millis(50), millis(300))),
    })?;
    let (queue, queued) = mpsc::channel(load.size); // <- slot-reserved-before-lookup
    spawn("store-reports", store_reports(queued, storage));
    let intake = Intake { places, queue, is_faulty: load.is_faulty() };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, devices) = (listener.local_addr()?, load.clone());
    outside(move || async move {
        for number in 0..DEVICES {
            tokio::spawn(device(address, number, devices.clone()));
        }
        std::future::pending().await
    });
    sidelines::registration()?;
    sidelines::sweep(&load);
    let _rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    loop {
        let (socket, _) = listener.accept().await?;
        let _ = metrics.try_send(1);
        spawn("serve-device", serve_device(socket, intake.clone()));
    }
}
