//! Feeds: an exchange whose events are handed round, and a broker that waits for acknowledgements.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Instant, interval_at, sleep};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers;
use crate::service::{Load, Work, between, outside, spawn};

const SOURCE: Source = Source { file: "programs/feeds.rs", text: include_str!("feeds.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "settlement-ends-when-it-lags",
        crates: "tokio",
        fault: "The task that settles orders ends when it has lagged behind a burst of events, and later orders wait forever.",
        issue: "theinterfold/interfold#1648",
        way: Way::Unanswered,
        rate_of: "orders",
        rate: 8.0,
        size_of: "events that the feed keeps",
        size: 128,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["place-order"],
            libraries: &[],
            severity: Severity::Warning,
            within: 70,
        },
        source: SOURCE,
        run: |load| Box::pin(orders(load)),
    },
    Program {
        id: "second-delivery-not-acknowledged",
        crates: "parking_lot, tokio",
        fault: "What a broker delivers twice is skipped and not acknowledged; once its window is full, it delivers nothing.",
        issue: "asim/nitro-plugins#235",
        way: Way::Unanswered,
        rate_of: "calls",
        rate: 15.0,
        size_of: "deliveries without an acknowledgement that the broker allows",
        size: 16,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["call-pricing", "consume-replies"],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(calls(load)),
    },
];

/// Those who wait for an answer, by number.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>>;

/// Writes the lines that are sent to it.
async fn write_lines(mut writer: OwnedWriteHalf, mut lines: mpsc::Receiver<String>) -> anyhow::Result<()> {
    while let Some(line) = lines.recv().await {
        writer.write_all(line.as_bytes()).await?;
    }
    Ok(())
}

/// Starts an exchange for one client: it tells prices, confirms each order after seconds, and repeats its last confirmations if asked to.
fn exchange(load: &Load) -> anyhow::Result<SocketAddr> {
    const CALM: Duration = secs(20);
    const REPEATS: usize = 50;
    let (listener, address) = peers::listener()?;
    let mut random = load.random(20);
    outside(move || async move {
        let (reader, writer) = TcpListener::from_std(listener)?.accept().await?.0.into_split();
        let (line, lines) = mpsc::channel(4_096);
        tokio::spawn(write_lines(writer, lines));
        let prices = line.clone();
        tokio::spawn(async move {
            let mut bursts = interval_at(Instant::now() + CALM, secs(12));
            loop {
                bursts.tick().await;
                for _ in 0..600 {
                    prices.send("price\n".to_owned()).await?;
                }
            }
            #[expect(unreachable_code, reason = "it says what the block returns")]
            anyhow::Ok(())
        });
        let confirmed: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let mut asked = BufReader::new(reader).lines();
        while let Some(order) = asked.next_line().await? {
            if order == "repeat" {
                let lines: Vec<_> = confirmed.lock().iter().cloned().collect();
                for confirmation in lines {
                    line.send(confirmation).await?;
                }
                continue;
            }
            let (length, line, confirmed) =
                (between(&mut random, secs(1), secs(4)), line.clone(), Arc::clone(&confirmed));
            tokio::spawn(async move {
                sleep(length).await;
                let confirmation = format!("{order}\n");
                {
                    let mut last = confirmed.lock();
                    last.push_back(confirmation.clone());
                    if last.len() > REPEATS {
                        last.pop_front();
                    }
                }
                line.send(confirmation).await
            });
        }
        Ok(())
    });
    Ok(address)
}

/// Books what happens, and tells those who wait for it.
async fn settle_orders(
    mut events: broadcast::Receiver<String>,
    waiting: Waiting,
    line: mpsc::Sender<String>,
    is_faulty: bool,
) -> anyhow::Result<()> {
    let mut has_missed = false;
    loop {
        match events.recv().await {
            Ok(event) => {
                // To the disk.
                sleep(millis(1)).await;
                let settled = event.parse().ok().and_then(|number| waiting.lock().remove(&number));
                // Whoever placed it may be gone.
                let _ = settled.map(|settled| settled.send(()));
            }
            Err(RecvError::Lagged(_)) if !is_faulty => has_missed = true,
            Err(_) => return Ok(()),
        }
        // Not before it has caught up, or it would lag behind the repetition too.
        if has_missed && events.is_empty() {
            line.send("repeat\n".to_owned()).await?;
            has_missed = false;
        }
    }
}

async fn orders(load: Load) -> anyhow::Result<()> {
    let (reader, writer) = TcpStream::connect(exchange(&load)?).await?.into_split();
    let (line, lines) = mpsc::channel(64);
    spawn("write-exchange", write_lines(writer, lines));
    let (event, _) = broadcast::channel(load.size); // <- settlement-ends-when-it-lags
    let waiting = Waiting::default();
    spawn("settle-orders", settle_orders(event.subscribe(), Arc::clone(&waiting), line.clone(), load.is_faulty()));
    let metrics = sidelines::metrics(&load)?;
    let (mut prices, counted) = (event.subscribe(), metrics.clone());
    spawn("count-prices", async move {
        // It need not see all of them.
        while !matches!(prices.recv().await, Err(RecvError::Closed)) {
            let _ = counted.try_send(1);
        }
    });
    spawn("read-exchange", async move {
        let mut events = BufReader::new(reader).lines();
        while let Some(read) = events.next_line().await? {
            event.send(read)?;
        }
        anyhow::Ok(())
    });
    sidelines::registration()?;
    sidelines::sweep(&load);
    load.arrivals(|number| {
        let (waiting, line) = (Arc::clone(&waiting), line.clone());
        let work = Work::begin();
        spawn("place-order", async move {
            let (settled, confirmed) = oneshot::channel();
            waiting.lock().insert(number, settled);
            line.send(format!("{number}\n")).await?;
            work.end(confirmed.await.is_ok());
            anyhow::Ok(())
        });
    })
    .await;
    Ok(())
}

/// Starts a broker for one client: it answers each call, one in ten twice, and stops delivering while too much is not acknowledged.
fn broker(load: &Load) -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    let (mut random, window) = (load.random(20), load.size);
    outside(move || async move {
        let (reader, mut writer) = TcpListener::from_std(listener)?.accept().await?.0.into_split();
        let mut lines = BufReader::new(reader).lines();
        let (ready, mut answers) = mpsc::unbounded_channel();
        let (mut queue, mut open) = (VecDeque::new(), 0_usize);
        loop {
            tokio::select! {
                line = lines.next_line() => match line? {
                    None => return Ok(()),
                    Some(line) if line == "ack" => open = open.saturating_sub(1),
                    Some(call) => {
                        let (ready, length) = (ready.clone(), between(&mut random, millis(20), millis(250)));
                        let times = if random.u8(..10) == 0 { 2 } else { 1 };
                        tokio::spawn(async move {
                            for _ in 0..times {
                                sleep(length).await;
                                let _ = ready.send(format!("{call}\n"));
                            }
                        });
                    }
                },
                Some(answer) = answers.recv() => queue.push_back(answer),
            }
            while open < window
                && let Some(answer) = queue.pop_front()
            {
                writer.write_all(answer.as_bytes()).await?;
                open += 1;
            }
        }
    });
    Ok(address)
}

async fn calls(load: Load) -> anyhow::Result<()> {
    let (reader, writer) = TcpStream::connect(broker(&load)?).await?.into_split();
    let (line, lines) = mpsc::channel(64);
    spawn("write-broker", write_lines(writer, lines));
    let waiting = Waiting::default();
    let (callers, acknowledge, is_faulty) = (Arc::clone(&waiting), line.clone(), load.is_faulty());
    spawn("consume-replies", async move {
        let mut replies = BufReader::new(reader).lines();
        while let Some(reply) = replies.next_line().await? {
            let caller = callers.lock().remove(&reply.parse()?);
            if caller.is_none() && is_faulty {
                // It was delivered before.
                continue;
            }
            // The caller may be gone.
            let _ = caller.map(|caller| caller.send(()));
            acknowledge.send("ack\n".to_owned()).await?;
        }
        anyhow::Ok(())
    });
    sidelines::registration()?;
    sidelines::sweep(&load);
    let rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    load.arrivals(|number| {
        let (waiting, line, metrics, rates) = (Arc::clone(&waiting), line.clone(), metrics.clone(), Arc::clone(&rates));
        let work = Work::begin();
        spawn("call-pricing", async move {
            let (caller, replied) = oneshot::channel();
            waiting.lock().insert(number, caller);
            line.send(format!("{number}\n")).await?;
            work.end(replied.await.is_ok());
            let _ = metrics.try_send(**rates.load());
            anyhow::Ok(())
        });
    })
    .await;
    Ok(())
}
