//! Work in rounds: an index that is built together, clerks that are renewed, texts in batches, and exports in their order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::{Barrier, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_stream::wrappers::ReceiverStream;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, spawn};

const SOURCE: Source = Source { file: "programs/rounds.rs", text: include_str!("rounds.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "barrier-misses-a-builder",
        crates: "tokio",
        fault: "The builders of an index meet at a barrier after each round; one ends on an error, and the others wait for it forever.",
        issue: "h2oai/datatable#2521",
        way: Way::Deadlock,
        rate_of: "queries",
        rate: 8.0,
        size_of: "builders",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "contention", "queue"],
            names: &["build-shard", "query-fresh"],
            libraries: &[],
            severity: Severity::Warning,
            within: 80,
        },
        source: SOURCE,
        run: |load| Box::pin(index(load)),
    },
    Program {
        id: "clerk-reports-while-desk-waits",
        crates: "ractor",
        fault: "A desk waits for its old clerk to stop; the clerk calls the desk before it stops, and waits for the answer.",
        issue: "tqwewe/kameo#335",
        way: Way::Unanswered,
        rate_of: "tickets",
        rate: 20.0,
        size_of: "seconds between two clerks",
        size: 8,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["sell-ticket"],
            libraries: &["ractor"],
            severity: Severity::Warning,
            within: 50,
        },
        source: SOURCE,
        run: |load| Box::pin(desk(load)),
    },
    Program {
        id: "batch-waits-to-be-full",
        crates: "tokio",
        fault: "Texts are sent in full batches only: in the evening, when few come, they wait for minutes.",
        issue: "turbolytics/sql-flow#89",
        way: Way::Unanswered,
        rate_of: "texts while there are many",
        rate: 25.0,
        size_of: "texts in a batch",
        size: 32,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["embed-text", "run-batches"],
            libraries: &[],
            severity: Severity::Warning,
            within: 95,
        },
        source: SOURCE,
        run: |load| Box::pin(batches(load)),
    },
    Program {
        id: "exports-in-their-order",
        crates: "futures, tokio-stream",
        fault: "Exports run side by side, but end in their order: behind each long one all places are taken by those that are done.",
        issue: "gadget-inc/silo#382",
        way: Way::Backlog,
        rate_of: "exports",
        rate: 12.0,
        size_of: "exports at a time",
        size: 16,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &["request-export", "run-exports"],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(exports(load)),
    },
];

/// Fetches the pages of a shard.
async fn fetch_shard(storage: SocketAddr) -> anyhow::Result<()> {
    for _ in 0..3 {
        peers::request(storage, "/page", Some(secs(2))).await?;
    }
    Ok(())
}

/// Builds one shard in each round; the last builder of a round publishes the version.
async fn build_shard(
    storage: SocketAddr,
    all: Arc<Barrier>,
    version: watch::Sender<u64>,
    is_faulty: bool,
) -> anyhow::Result<()> {
    loop {
        let shard = fetch_shard(storage).await;
        if is_faulty {
            shard?;
        }
        // A shard that cannot be fetched stays as it was.
        if all.wait().await.is_leader() {
            version.send_modify(|version| *version += 1);
        }
        sleep(millis(500)).await;
    }
}

async fn index(load: Load) -> anyhow::Result<()> {
    const FAILS_AFTER: Duration = secs(20);
    let began = Instant::now();
    let mut random = load.random(1);
    // Later, one page in forty does not come.
    let storage = peers::partner(move || match random.u8(..40) {
        0 if began.elapsed() > FAILS_AFTER => Answer::Never,
        _ => Answer::After(between(&mut random, millis(80), millis(900))),
    })?;
    let all = Arc::new(Barrier::new(load.size)); // <- barrier-misses-a-builder
    let version = watch::Sender::new(0);
    for _ in 0..load.size {
        spawn("build-shard", build_shard(storage, Arc::clone(&all), version.clone(), load.is_faulty()));
    }
    sidelines::registration()?;
    sidelines::sweep(&load);
    let rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    sidelines::bursts(&load, secs(15), 15, || {
        let (mut next, metrics, rates) = (version.subscribe(), metrics.clone(), Arc::clone(&rates));
        let work = Work::begin();
        spawn("query-fresh", async move {
            // It must see what was written just now, so the current version is too old.
            work.end(next.changed().await.is_ok());
            let _ = metrics.try_send(**rates.load());
        });
    })
    .await;
    Ok(())
}

/// Sells tickets until another clerk comes.
struct Clerk;

struct ClerkState {
    desk: ActorRef<DeskMessage>,
    sold: u64,
    is_faulty: bool,
}

/// Sells a ticket, and answers with its number.
struct Sell(RpcReplyPort<u64>);

impl Actor for Clerk {
    type Msg = Sell;
    type State = ClerkState;
    type Arguments = ClerkState;

    async fn pre_start(&self, _: ActorRef<Sell>, state: ClerkState) -> Result<ClerkState, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<Sell>,
        Sell(reply): Sell,
        state: &mut ClerkState,
    ) -> Result<(), ActorProcessingErr> {
        sleep(millis(5)).await;
        state.sold += 1;
        // The customer may be gone.
        let _ = reply.send(state.sold);
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Sell>, state: &mut ClerkState) -> Result<(), ActorProcessingErr> {
        if state.is_faulty {
            ractor::call!(state.desk, DeskMessage::Report, state.sold)?;
        } else {
            state.desk.cast(DeskMessage::Note(state.sold))?;
        }
        Ok(())
    }
}

/// Has one clerk at a time, and adds up what they sold.
struct Desk {
    is_faulty: bool,
}

struct DeskState {
    clerk: ActorRef<Sell>,
    sold: u64,
}

enum DeskMessage {
    Serve(RpcReplyPort<u64>),
    Renew,
    Report(u64, RpcReplyPort<u64>),
    Note(u64),
}

impl Desk {
    async fn hire(&self, desk: ActorRef<DeskMessage>) -> Result<ActorRef<Sell>, ActorProcessingErr> {
        let state = ClerkState { desk, sold: 0, is_faulty: self.is_faulty };
        Ok(Actor::spawn(None, Clerk, state).await?.0)
    }
}

impl Actor for Desk {
    type Msg = DeskMessage;
    type State = DeskState;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<DeskMessage>, (): ()) -> Result<DeskState, ActorProcessingErr> {
        Ok(DeskState { clerk: self.hire(myself).await?, sold: 0 })
    }

    async fn handle(
        &self,
        myself: ActorRef<DeskMessage>,
        message: DeskMessage,
        state: &mut DeskState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            DeskMessage::Serve(reply) => state.clerk.cast(Sell(reply))?,
            DeskMessage::Renew => {
                let old = std::mem::replace(&mut state.clerk, self.hire(myself).await?);
                // Those in its queue are served first.
                old.drain_and_wait(None).await?;
            }
            DeskMessage::Report(sold, reply) => {
                state.sold += sold;
                reply.send(state.sold)?;
            }
            DeskMessage::Note(sold) => state.sold += sold,
        }
        Ok(())
    }
}

async fn desk(load: Load) -> anyhow::Result<()> {
    let (desk, _) = Actor::spawn(None, Desk { is_faulty: load.is_faulty() }, ()).await?;
    let (renewed, every) = (desk.clone(), secs(u64::try_from(load.size)?));
    spawn("renew-clerk", async move {
        loop {
            sleep(every).await;
            renewed.cast(DeskMessage::Renew)?;
        }
        #[expect(unreachable_code, reason = "it says what the block returns")]
        anyhow::Ok(())
    });
    sidelines::registration()?;
    let metrics = sidelines::metrics(&load)?;
    sidelines::bursts(&load, secs(10), 20, || {
        let (desk, metrics) = (desk.clone(), metrics.clone());
        let work = Work::begin();
        spawn("sell-ticket", async move {
            let sold = ractor::call!(desk, DeskMessage::Serve);
            work.end(sold.is_ok());
            let _ = metrics.try_send(1);
        });
    })
    .await;
    Ok(())
}

/// A text, of which only the number is of interest, and the channel for what the model says to it.
type Text = (u64, oneshot::Sender<u64>);

/// Waits for as many texts as a batch takes, or, repaired, until the first of them has waited for two seconds.
async fn collect_batch(texts: &mut mpsc::Receiver<Text>, most: usize, is_faulty: bool) -> Vec<Text> {
    let mut batch = Vec::with_capacity(most);
    batch.extend(texts.recv().await);
    let until = Instant::now() + secs(2);
    while batch.len() < most {
        let next = texts.recv();
        let Ok(Some(text)) = (if is_faulty { Ok(next.await) } else { timeout_at(until, next).await }) else { break };
        batch.push(text);
    }
    batch
}

async fn batches(load: Load) -> anyhow::Result<()> {
    /// After so many texts it is evening; the last batch of the day is not full.
    const BY_DAY: u64 = 620;
    /// In the evening there is one text where there were so many.
    const ONE_OF: f64 = 125.0;
    let mut random = load.random(1);
    let model = peers::partner(move || Answer::After(between(&mut random, millis(150), millis(400))))?;
    let (text, mut texts) = mpsc::channel::<Text>(256); // <- batch-waits-to-be-full
    let (most, is_faulty) = (load.size, load.is_faulty());
    spawn("run-batches", async move {
        loop {
            let batch = collect_batch(&mut texts, most, is_faulty).await;
            let _ = peers::request(model, "/embed", Some(secs(10))).await;
            for (number, answer) in batch {
                // Who asked may be gone.
                let _ = answer.send(number * 3);
            }
        }
    });
    sidelines::registration()?;
    sidelines::sweep(&load);
    let rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    let mut random = load.random(2);
    for number in 0.. {
        let factor = if number < BY_DAY { 1.0 } else { 1.0 / ONE_OF };
        // Even in the evening there is one every twelve seconds.
        sleep(gap(&mut random, load.rate * factor).min(secs(12))).await;
        let (text, metrics, rates) = (text.clone(), metrics.clone(), Arc::clone(&rates));
        let work = Work::begin();
        spawn("embed-text", async move {
            let (answer, answered) = oneshot::channel();
            text.send((number, answer)).await?;
            let _ = metrics.try_send(answered.await? + **rates.load());
            work.end(true);
            anyhow::Ok(())
        });
    }
    Ok(())
}

/// Runs so many exports at a time, and answers those who asked.
async fn run_exports(
    exports: mpsc::Receiver<oneshot::Sender<usize>>,
    warehouse: SocketAddr,
    at_once: usize,
    is_faulty: bool,
) {
    let running = ReceiverStream::new(exports).map(async |answer| {
        let length = peers::request(warehouse, "/export", Some(secs(30))).await;
        (answer, length.unwrap_or_default())
    });
    let tell = async |(answer, length): (oneshot::Sender<usize>, usize)| {
        // Who asked may be gone.
        let _ = answer.send(length);
    };
    if is_faulty {
        running.buffered(at_once).for_each(tell).await;
    } else {
        running.buffer_unordered(at_once).for_each(tell).await;
    }
}

async fn exports(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    // Of a hundred exports, three are long.
    let warehouse = peers::partner(move || match random.u8(..100) {
        0..3 => Answer::After(between(&mut random, secs(8), secs(14))),
        _ => Answer::After(between(&mut random, millis(40), millis(150))),
    })?;
    let (export, asked) = mpsc::channel(32); // <- exports-in-their-order
    spawn("run-exports", run_exports(asked, warehouse, load.size, load.is_faulty()));
    sidelines::registration()?;
    sidelines::sweep(&load);
    let metrics = sidelines::metrics(&load)?;
    sidelines::bursts(&load, secs(12), 20, || {
        let (export, metrics) = (export.clone(), metrics.clone());
        let work = Work::begin();
        spawn("request-export", async move {
            let (answer, answered) = oneshot::channel();
            export.send(answer).await?;
            work.end(answered.await? > 0);
            let _ = metrics.try_send(1);
            anyhow::Ok(())
        });
    })
    .await;
    Ok(())
}
