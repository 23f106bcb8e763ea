//! Renewals: a connection that is made anew, workers that get new settings, and indexes that follow their shops.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex as SyncMutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside, spawn};

const SOURCE: Source = Source { file: "programs/renewals.rs", text: include_str!("renewals.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "open-calls-outlive-connection",
        crates: "tokio-util, axum",
        fault: "Calls that are open when their connection ends stay in the table of open calls, and their callers wait for good.",
        issue: "wboayue/rust-ibapi#816",
        way: Way::Stragglers,
        rate_of: "payments",
        rate: 14.0,
        size_of: "seconds that a connection lasts",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 70,
        },
        source: SOURCE,
        run: |load| Box::pin(payments(load)),
    },
    Program {
        id: "old-workers-never-counted-out",
        crates: "tokio-util, async-channel, axum",
        fault: "New settings wait for the tracker of the old workers, which was not closed: it never ends, and no new workers begin.",
        issue: "macro-inc/macro#5206",
        way: Way::Unanswered,
        rate_of: "jobs",
        rate: 12.0,
        size_of: "seconds between new settings",
        size: 18,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["apply-settings"],
            libraries: &["axum", "task_tracker", "async-channel"],
            severity: Severity::Warning,
            within: 80,
        },
        source: SOURCE,
        run: |load| Box::pin(generations(load)),
    },
    Program {
        id: "rebuild-aborted-by-each-change",
        crates: "axum",
        fault: "Each change aborts the running rebuild of a shop's index and begins it again: where changes are frequent, hardly one ends.",
        issue: "pikax/verter#96",
        way: Way::Cancelled,
        rate_of: "changes and searches",
        rate: 10.0,
        size_of: "pages that a rebuild reads",
        size: 10,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["cancellation"],
            names: &["rebuild-index"],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(indexes(load)),
    },
];

/// A call of the ledger, and who waits for its answer.
struct Call {
    account: u64,
    reply: oneshot::Sender<u64>,
}

type Frames = Framed<TcpStream, LengthDelimitedCodec>;

/// The calls that have been sent and not answered.
#[derive(Default)]
struct Open {
    calls: HashMap<u64, oneshot::Sender<u64>>,
    last: u64,
}

impl Open {
    /// Sends calls and takes answers, for as long as the connection lasts; returns whether there are no more calls.
    async fn exchange(&mut self, frames: &mut Frames, calls: &mut mpsc::Receiver<Call>) -> anyhow::Result<bool> {
        loop {
            tokio::select! {
                call = calls.recv() => {
                    let Some(call) = call else { return Ok(true) };
                    self.last += 1;
                    self.calls.insert(self.last, call.reply);
                    let mut frame = BytesMut::with_capacity(16);
                    frame.put_u64(self.last);
                    frame.put_u64(call.account);
                    frames.send(frame.freeze()).await?;
                }
                answer = frames.next() => {
                    let Some(answer) = answer else { return Ok(false) };
                    let mut answer = answer?;
                    let (number, balance) = (answer.try_get_u64()?, answer.try_get_u64()?);
                    if let Some(reply) = self.calls.remove(&number) {
                        // Who has asked may have lost patience.
                        let _ = reply.send(balance);
                    }
                }
            }
        }
    }
}

/// Keeps a connection to the ledger, and makes a new one whenever it ends.
async fn keep_connected(ledger: SocketAddr, mut calls: mpsc::Receiver<Call>, is_faulty: bool) {
    let (mut open, mut pause) = (Open::default(), millis(100));
    loop {
        if let Ok(Ok(socket)) = timeout(secs(2), TcpStream::connect(ledger)).await {
            pause = millis(100);
            let mut frames = Framed::new(socket, LengthDelimitedCodec::new());
            if let Ok(true) = open.exchange(&mut frames, &mut calls).await {
                return;
            }
            if !is_faulty {
                open.calls.clear();
            }
        }
        sleep(pause).await;
        pause = (2 * pause).min(secs(2));
    }
}

/// Asks the ledger.
async fn ask(calls: &mpsc::Sender<Call>, account: u64) -> anyhow::Result<u64> {
    let (reply, answer) = oneshot::channel(); // <- open-calls-outlive-connection
    calls.send(Call { account, reply }).await?;
    Ok(answer.await?)
}

/// Books a payment; what was asked on a connection that has ended is asked again.
async fn pay(calls: mpsc::Sender<Call>, account: u64, work: Work) {
    for attempt in 0..4 {
        if ask(&calls, account).await.is_ok() {
            return work.end(true);
        }
        sleep(millis(200) * (1 << attempt)).await;
    }
    work.end(false);
}

/// Starts a ledger, before which something ends each connection after a while.
fn ledger(load: &Load) -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    let load = load.clone();
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        for connection in 0.. {
            let (socket, _) = listener.accept().await?;
            let (mut random, end) = (load.random(100 + connection), Instant::now() + secs(load.size as u64));
            tokio::spawn(async move {
                let (mut answers, mut calls) = Framed::new(socket, LengthDelimitedCodec::new()).split();
                let (answer, mut answered) = mpsc::channel::<Bytes>(64);
                loop {
                    tokio::select! {
                        call = calls.next() => {
                            let Some(Ok(call)) = call else { break };
                            let (answer, length) = (answer.clone(), between(&mut random, millis(50), millis(1_300)));
                            tokio::spawn(async move {
                                sleep(length).await;
                                answer.send(call.freeze()).await
                            });
                        }
                        Some(call) = answered.recv() => answers.send(call).await?,
                        () = sleep_until(end) => break,
                    }
                }
                anyhow::Ok(())
            });
        }
        Ok(())
    });
    Ok(address)
}

async fn payments(load: Load) -> anyhow::Result<()> {
    let ledger = ledger(&load)?;
    let (calls, called) = mpsc::channel(256);
    tokio::spawn(keep_connected(ledger, called, load.is_faulty()));
    let take = async move |Path(account): Path<u64>| {
        tokio::spawn(pay(calls.clone(), account, Work::begin())); // <- open-calls-outlive-connection
        "taken"
    };
    let address = sidelines::serve_http(Router::new().route("/pay/{account}", get(take))).await?;
    sidelines::visitors(&load, address, secs(15), 20, |random| (format!("/pay/{}", random.u64(..1_000)), secs(5)));
    sidelines::run(&load).await
}

/// What a worker has to do, and for how long.
type Job = (Duration, Work);

/// Does jobs until its generation is called off.
async fn work_off(jobs: async_channel::Receiver<Job>, off: CancellationToken) {
    loop {
        let job = tokio::select! {
            () = off.cancelled() => return,
            job = jobs.recv() => job,
        };
        let Ok((length, work)) = job else { return };
        // A step of a job is not interrupted.
        sleep(length).await;
        work.end(true);
    }
}

/// Starts as many workers as the settings say, and others in their place when these change.
async fn apply_settings(jobs: async_channel::Receiver<Job>, mut settings: watch::Receiver<usize>, is_faulty: bool) {
    const PATIENCE: Duration = secs(15);
    loop {
        let (off, tracker) = (CancellationToken::new(), TaskTracker::new()); // <- old-workers-never-counted-out
        let count = *settings.borrow_and_update();
        for _ in 0..count {
            tracker.spawn(work_off(jobs.clone(), off.clone())); // <- old-workers-never-counted-out
        }
        if settings.changed().await.is_err() {
            return;
        }
        off.cancel();
        if is_faulty {
            tracker.wait().await;
        } else {
            tracker.close();
            // Those with a long job may end later, beside the new ones.
            let _ = timeout(PATIENCE, tracker.wait()).await;
        }
    }
}

async fn generations(load: Load) -> anyhow::Result<()> {
    const QUEUE: usize = 200;
    let (job, jobs) = async_channel::bounded(QUEUE);
    let (set, settings) = watch::channel(8_usize);
    spawn("apply-settings", apply_settings(jobs, settings, load.is_faulty()));
    let take = async move |Path(length): Path<u64>| match job.send((millis(length), Work::begin())).await {
        Ok(()) => "taken",
        Err(_) => "no",
    };
    let change = async move |Path(workers): Path<usize>| {
        set.send_replace(workers.clamp(6, 12));
        "set"
    };
    let router = Router::new().route("/job/{length}", get(take)).route("/workers/{count}", get(change));
    let address = sidelines::serve_http(router).await?;
    let every = secs(load.size as u64);
    outside(move || async move {
        for count in [9, 8, 10, 7].into_iter().cycle() {
            sleep(every).await;
            let _ = peers::request(address, &format!("/workers/{count}"), Some(secs(5))).await;
        }
        Ok(())
    });
    // Few jobs are long.
    sidelines::visitors(&load, address, secs(10), 20, |random| {
        let length = if random.f64() < 0.02 { random.u64(3_000..7_000) } else { random.u64(50..500) };
        (format!("/job/{length}"), secs(5))
    });
    sidelines::run(&load).await
}

const SHOPS: usize = 12;

/// The indexes of some shops, which are rebuilt from pages of a catalogue.
struct Indexes {
    catalogue: SocketAddr,
    pages: usize,
    running: SyncMutex<HashMap<usize, AbortHandle>>,
    changed: Vec<Notify>,
}

impl Indexes {
    async fn rebuild(&self, shop: usize) {
        let work = Work::begin();
        for page in 0..self.pages {
            if peers::request(self.catalogue, &format!("/{shop}/{page}"), Some(secs(3))).await.is_err() {
                return work.end(false);
            }
        }
        work.end(true);
    }

    /// Stops what runs for a shop, and begins again.
    fn begin_again(self: &Arc<Self>, shop: usize) {
        let indexes = Arc::clone(self);
        let rebuild = spawn("rebuild-index", async move { indexes.rebuild(shop).await });
        if let Some(earlier) = self.running.lock().insert(shop, rebuild.abort_handle()) {
            earlier.abort();
        }
    }

    /// Rebuilds the index of a shop after changes, for as long as the shop is open.
    async fn follow(self: Arc<Self>, shop: usize) {
        loop {
            self.changed[shop].notified().await;
            // More changes come together, and those that come during the rebuild are for the next one.
            sleep(millis(250)).await;
            self.rebuild(shop).await;
        }
    }

    /// Follows a shop, or follows it anew after it was moved, which stops its rebuild half-way.
    fn open(self: &Arc<Self>, shop: usize) {
        let followed = spawn("follow-shop", Arc::clone(self).follow(shop));
        if let Some(earlier) = self.running.lock().insert(shop, followed.abort_handle()) {
            earlier.abort();
        }
        self.changed[shop].notify_one();
    }
}

async fn indexes(load: Load) -> anyhow::Result<()> {
    const BUSY: usize = 4;
    const MOVED_EVERY: Duration = secs(25);
    let mut random = load.random(1);
    let catalogue = peers::partner(move || Answer::After(between(&mut random, millis(80), millis(600))))?;
    let changed = std::iter::repeat_with(Notify::new).take(SHOPS).collect();
    let indexes = Arc::new(Indexes { catalogue, pages: load.size, running: SyncMutex::default(), changed });
    let is_faulty = load.is_faulty();
    if !is_faulty {
        (0..SHOPS).for_each(|shop| indexes.open(shop));
        let moved = Arc::clone(&indexes);
        spawn("move-shops", async move {
            for shop in (0..SHOPS).cycle() {
                sleep(MOVED_EVERY).await;
                moved.open(shop);
            }
        });
    }
    let change = async move |Path(shop): Path<usize>| {
        if is_faulty {
            indexes.begin_again(shop % SHOPS);
        } else {
            indexes.changed[shop % SHOPS].notify_one();
        }
        "noted"
    };
    let search = async || {
        sleep(between(&mut fastrand::Rng::new(), millis(5), millis(60))).await;
        "17 articles"
    };
    let router = Router::new().route("/change/{shop}", get(change)).route("/search/{shop}", get(search));
    let address = sidelines::serve_http(router).await?;
    // Four of the shops are busy.
    sidelines::visitors(&load, address, secs(10), 20, |random| {
        let shop = if random.f64() < 0.75 { random.usize(..BUSY) } else { random.usize(BUSY..SHOPS) };
        (format!("/{}/{shop}", if random.f64() < 0.5 { "change" } else { "search" }), secs(5))
    });
    sidelines::run(&load).await
}
