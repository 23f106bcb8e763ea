//! Clinics: monitors that send what they measure, pumps that get new firmware, and events that are checked before they are stored.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::{Buf as _, Bytes, BytesMut};
use fancy_regex::{Regex, RegexBuilder};
use futures::{SinkExt as _, Stream, StreamExt as _};
use pin_project_lite::pin_project;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, interval_at, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{accept_async, client_async};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside};

const SOURCE: Source = Source { file: "programs/clinics.rs", text: include_str!("clinics.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "stream-pending-after-skipped-message",
        crates: "tokio-tungstenite, pin-project-lite, futures",
        fault: "A stream skips a message and returns that it is pending, though nothing was told to wake it: no pulse is read any more.",
        issue: "snapview/tokio-tungstenite#206",
        way: Way::LostWaker,
        rate_of: "doses, and people who wait for an alarm",
        rate: 10.0,
        size_of: "seconds between two messages that are no pulse",
        size: 9,
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
        run: |load| Box::pin(monitors(load)),
    },
    Program {
        id: "write-interest-never-taken-back",
        crates: "tokio, bytes",
        fault: "A session that once could not write at once waits for its socket to be writable ever after, which it is at once, every time.",
        issue: "Dooskington/grubbnet#12",
        way: Way::Spin,
        rate_of: "questions of pumps",
        rate: 20.0,
        size_of: "seconds until the first firmware",
        size: 8,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label { families: &["spin"], names: &[], libraries: &[], severity: Severity::Warning, within: 75 },
        source: SOURCE,
        run: |load| Box::pin(pumps(load)),
    },
    Program {
        id: "rule-backtracks-on-worker",
        crates: "fancy-regex, axum",
        fault: "A rule for what is private takes exponential time on long titles that do not match it in the end, and its worker with it.",
        issue: "ActivityWatch/aw-server-rust#598",
        way: Way::Blocking,
        rate_of: "events",
        rate: 12.0,
        size_of: "seconds until long titles come",
        size: 10,
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
        run: |load| Box::pin(events(load)),
    },
];

pin_project! {
    /// The pulse of a patient, out of everything that a monitor sends.
    struct Pulse<S> {
        #[pin]
        messages: S,
        is_faulty: bool,
    }
}

impl<S: Stream<Item = Result<Message, tungstenite::Error>>> Stream for Pulse<S> {
    type Item = u64;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<u64>> {
        let mut this = self.project();
        loop {
            let Some(Ok(message)) = ready!(this.messages.as_mut().poll_next(context)) else {
                return Poll::Ready(None);
            };
            let pulse = message.to_text().ok().and_then(|text| text.strip_prefix("pulse ")?.parse().ok());
            if pulse.is_some() {
                return Poll::Ready(pulse);
            }
            if *this.is_faulty {
                return Poll::Pending; // <- stream-pending-after-skipped-message
            }
        }
    }
}

/// Reads the pulse from a monitor, and connects again whenever that ends.
async fn follow(monitor: SocketAddr, bed: usize, pulse: Arc<watch::Sender<u64>>, is_faulty: bool) {
    loop {
        let connect = async {
            let socket = TcpStream::connect(monitor).await?;
            anyhow::Ok(client_async(format!("ws://{monitor}/bed/{bed}"), socket).await?.0)
        };
        if let Ok(Ok(messages)) = timeout(secs(3), connect).await {
            let mut pulses = Pulse { messages, is_faulty };
            while let Some(beats) = pulses.next().await {
                pulse.send_replace(beats);
            }
        }
        sleep(secs(1)).await;
    }
}

/// Gives a dose after the next pulse, unless the pharmacy says no.
async fn give(mut pulse: watch::Receiver<u64>, pharmacy: SocketAddr) {
    let work = Work::begin();
    pulse.mark_unchanged();
    let is_known = pulse.changed().await.is_ok(); // <- stream-pending-after-skipped-message
    let given = peers::request(pharmacy, "/dose", Some(secs(3))).await;
    work.end(is_known && given.is_ok());
}

/// Measures the pulse of a patient, and tells now and then that all is well.
async fn measure(socket: TcpStream, mut random: fastrand::Rng, is_seldom: bool, well: Duration) -> anyhow::Result<()> {
    let mut session = accept_async(socket).await?;
    let (least, most) = if is_seldom { (secs(2), secs(8)) } else { (millis(200), millis(1_200)) };
    let mut well = interval(between(&mut random, well, 2 * well));
    well.reset();
    loop {
        let next = Instant::now() + between(&mut random, least, most);
        let message = tokio::select! {
            () = sleep_until(next) => format!("pulse {}", random.u64(50..150)),
            _ = well.tick() => "all well".to_owned(),
        };
        timeout(secs(10), session.send(Message::text(message))).await??;
    }
}

/// Starts the monitors, some of which measure seldom.
fn monitor(load: &Load) -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    let load = load.clone();
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        for bed in 0.. {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(measure(socket, load.random(300 + bed), bed % 4 == 3, secs(load.size as u64)));
        }
        Ok(())
    });
    Ok(address)
}

async fn monitors(load: Load) -> anyhow::Result<()> {
    const BEDS: usize = 12;
    /// People wait no longer than this for an alarm.
    const PATIENCE: Duration = secs(10);
    let monitor = monitor(&load)?;
    let mut random = load.random(1);
    let pharmacy = peers::partner(move || Answer::After(between(&mut random, millis(40), millis(400))))?;
    let mut beds = Vec::with_capacity(BEDS);
    for bed in 0..BEDS {
        let pulse = Arc::new(watch::Sender::new(0)); // <- stream-pending-after-skipped-message
        tokio::spawn(follow(monitor, bed, Arc::clone(&pulse), load.is_faulty())); // <- stream-pending-after-skipped-message
        beds.push(pulse);
    }
    let watched = beds.clone();
    let dose = async move |Path(bed): Path<usize>| {
        tokio::spawn(give(beds[bed % BEDS].subscribe(), pharmacy)); // <- stream-pending-after-skipped-message
        "taken"
    };
    let alarm = async move |Path((bed, limit)): Path<(usize, u64)>| {
        let mut pulse = watched[bed % BEDS].subscribe();
        match timeout(PATIENCE, pulse.wait_for(|&beats| beats > limit)).await {
            Ok(_) => "come",
            Err(_) => "all is well",
        }
    };
    let router = Router::new().route("/dose/{bed}", get(dose)).route("/alarm/{bed}/{limit}", get(alarm));
    let address = sidelines::serve_http(router).await?;
    sidelines::visitors(&load, address, secs(15), 20, |random| {
        let bed = random.usize(..BEDS);
        let path =
            if random.f64() < 0.8 { format!("/dose/{bed}") } else { format!("/alarm/{bed}/{}", random.u64(120..155)) };
        (path, secs(12))
    });
    sidelines::run(&load).await
}

/// What a session waits for.
enum Event {
    Firmware(Option<Bytes>),
    Readable,
    Writable,
}

/// Waits until there is something to do for a session.
async fn next_event(socket: &TcpStream, firmware: &mut mpsc::Receiver<Bytes>, is_writing: bool) -> Event {
    poll_fn(|context| {
        if let Poll::Ready(part) = firmware.poll_recv(context) {
            return Poll::Ready(Event::Firmware(part));
        }
        if socket.poll_read_ready(context).is_ready() {
            return Poll::Ready(Event::Readable);
        }
        if is_writing && socket.poll_write_ready(context).is_ready() {
            return Poll::Ready(Event::Writable); // <- write-interest-never-taken-back
        }
        Poll::Pending
    })
    .await
}

/// Answers a pump's questions, and hands new firmware on to it.
async fn serve(socket: TcpStream, mut firmware: mpsc::Receiver<Bytes>, is_faulty: bool) -> io::Result<()> {
    let (mut out, mut questions, mut is_writing) = (BytesMut::new(), [0; 64], false);
    loop {
        match next_event(&socket, &mut firmware, is_writing).await {
            Event::Firmware(Some(part)) => out.extend_from_slice(&part),
            Event::Firmware(None) => return Ok(()),
            Event::Readable => match socket.try_read(&mut questions) {
                Ok(0) => return Ok(()),
                Ok(read) => out.extend(questions[..read].iter().map(|_| b'a')),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            },
            Event::Writable => {}
        }
        while !out.is_empty() {
            match socket.try_write(&out) {
                Ok(written) => out.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    is_writing = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        if !is_faulty && out.is_empty() {
            is_writing = false;
        }
    }
}

/// A pump, which asks again and again, and takes firmware in between.
async fn pump(hub: SocketAddr, every: Duration) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(hub).await?;
    let (mut ticks, mut read, mut asked) = (interval(every), vec![0; 64 * 1_024], Vec::new());
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                asked.push(Work::begin());
                timeout(secs(10), socket.write_all(b"q")).await??;
            }
            length = socket.read(&mut read) => {
                let length = length?;
                anyhow::ensure!(length > 0, "closed");
                let answers = read[..length].iter().filter(|&&byte| byte == b'a').count();
                asked.drain(..answers.min(asked.len())).for_each(|work| work.end(true));
                // It is slow to store what it gets.
                sleep(millis(2)).await;
            }
        }
    }
}

async fn pumps(load: Load) -> anyhow::Result<()> {
    const PUMPS: usize = 40;
    /// Those of the model that gets new firmware.
    const OLD: [usize; 4] = [0, 13, 26, 39];
    const FIRMWARE: usize = 12 * 1_024 * 1_024;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (hub, every) = (listener.local_addr()?, secs(1).mul_f64(PUMPS as f64 / load.rate));
    outside(move || async move {
        for number in 0..PUMPS {
            tokio::spawn(async move {
                sleep(every.mul_f64(number as f64 / PUMPS as f64)).await;
                loop {
                    let _ = pump(hub, every).await;
                    sleep(secs(1)).await;
                }
            });
        }
        std::future::pending().await
    });
    let is_faulty = load.is_faulty();
    let (connected, mut connections) = mpsc::channel::<mpsc::Sender<Bytes>>(16);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (send, firmware) = mpsc::channel(4);
            tokio::spawn(serve(socket, firmware, is_faulty)); // <- write-interest-never-taken-back
            if connected.send(send).await.is_err() {
                return;
            }
        }
    });
    let (firmware, first) = (Bytes::from(vec![0; FIRMWARE]), Instant::now() + secs(load.size as u64));
    tokio::spawn(async move {
        let (mut rollout, mut turns, mut sessions) = (interval_at(first, secs(6)), OLD.into_iter().cycle(), Vec::new());
        loop {
            tokio::select! {
                session = connections.recv() => match session {
                    Some(session) => sessions.push(session),
                    None => return,
                },
                _ = rollout.tick() => {
                    if let Some(session) = turns.next().and_then(|pump| sessions.get(pump)) {
                        // Who is gone gets nothing.
                        let _ = session.send(firmware.clone()).await;
                    }
                }
            }
        }
    });
    sidelines::run(&load).await
}

/// The rules for which titles are private; a rule that takes too many steps holds.
fn rules(steps: usize) -> anyhow::Result<Vec<Regex>> {
    let rules = ["(?i)secret(?!-santa)", r"(?i)^(?:\w+[.]?)+(?<=budget)$", "(?i)(?<!un)paid"];
    let build = |rule| Ok(RegexBuilder::new(rule).backtrack_limit(steps).build()?);
    rules.into_iter().map(build).collect()
}

async fn events(load: Load) -> anyhow::Result<()> {
    const LONG: f64 = 0.04;
    let rules = Arc::new(rules(if load.is_faulty() { 20_000_000 } else { 20_000 })?);
    let mut random = load.random(1);
    let store = peers::partner(move || Answer::After(between(&mut random, millis(10), millis(120))))?;
    let take = async move |Path(title): Path<String>| {
        let is_private = rules.iter().any(|rule| rule.is_match(&title).unwrap_or(true)); // <- rule-backtracks-on-worker
        let path = if is_private { "/private" } else { "/public" };
        match peers::request(store, path, Some(secs(3))).await {
            Ok(_) => "stored",
            Err(_) => "no",
        }
    };
    let address = sidelines::serve_http(Router::new().route("/event/{title}", get(take))).await?;
    let first = Instant::now() + secs(load.size as u64);
    sidelines::visitors(&load, address, secs(15), 20, move |random| {
        let is_long = random.f64() < LONG && Instant::now() > first;
        let words = if is_long { random.usize(5..8) } else { random.usize(1..3) };
        let title: Vec<_> = (0..words).map(|_| ["ward", "round", "notes", "budget"][random.usize(..4)]).collect();
        (format!("/event/{}", title.join(".")), secs(10))
    });
    sidelines::run(&load).await
}
