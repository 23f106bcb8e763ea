//! Deliveries: webhooks that are tried again, jobs that are lent for a time, and records that come in partitions.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, interval, sleep, sleep_until};
use tokio_util::codec::{Framed, FramedRead, FramedWrite, LengthDelimitedCodec, LinesCodec};
use tokio_util::task::AbortOnDropHandle;
use tokio_util::time::DelayQueue;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside, spawn};

const SOURCE: Source = Source { file: "programs/deliveries.rs", text: include_str!("deliveries.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "retries-end-when-none-is-left",
        crates: "tokio-util, axum",
        fault: "The task that wakes failed deliveries for their next attempt ends when none is left, and later ones wait forever.",
        issue: "tokio-rs/tokio#3407",
        way: Way::Stragglers,
        rate_of: "events",
        rate: 12.0,
        size_of: "retries left over from the last run",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["deliver-webhook", "wake-retries"],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(webhooks(load)),
    },
    Program {
        id: "lease-renewed-between-stages-only",
        crates: "tokio-util, async-channel",
        fault: "A job's lease is renewed between its stages only: jobs with one long stage are stopped and begun again, for ever.",
        issue: "OrlojHQ/orloj#110",
        way: Way::Cancelled,
        rate_of: "jobs",
        rate: 4.0,
        size_of: "workers",
        size: 8,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["cancellation"],
            names: &["run-job"],
            libraries: &[],
            severity: Severity::Warning,
            within: 90,
        },
        source: SOURCE,
        run: |load| Box::pin(jobs(load)),
    },
    Program {
        id: "one-partition-stops-all",
        crates: "prost, tokio-util",
        fault: "A call without a timeout is never answered: its partition's channel fills, and the reader of all partitions waits for it.",
        issue: "PostHog/posthog#67940",
        way: Way::Backlog,
        rate_of: "records",
        rate: 30.0,
        size_of: "records that the channel of a partition holds",
        size: 32,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &["read-broker", "consume-partition"],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(partitions(load)),
    },
];

/// Deliveries that wait for their next attempt.
#[derive(Default)]
struct Retries {
    waiting: Mutex<DelayQueue<oneshot::Sender<()>>>,
    added: Notify,
}

impl Retries {
    /// Adds a delivery, and returns what tells it that its time has come.
    fn add(&self, delay: Duration) -> oneshot::Receiver<()> {
        let (wake, woken) = oneshot::channel();
        self.waiting.lock().insert(wake, delay);
        self.added.notify_one();
        woken
    }

    /// Wakes each delivery when its time has come.
    async fn wake(&self, is_faulty: bool) {
        loop {
            match poll_fn(|context| self.waiting.lock().poll_expired(context)).await {
                // The delivery may be gone.
                Some(due) => drop(due.into_inner().send(())),
                None if is_faulty => return,
                None => self.added.notified().await,
            }
        }
    }
}

/// Delivers an event, in several attempts if it has to be.
async fn deliver(subscriber: SocketAddr, retries: &Retries, first: Option<Duration>) -> anyhow::Result<()> {
    const ATTEMPTS: u32 = 5;
    if let Some(delay) = first {
        retries.add(delay).await?;
    }
    for attempt in 0..ATTEMPTS {
        if peers::request(subscriber, "/hook", Some(millis(1_500))).await.is_ok() {
            return Ok(());
        }
        retries.add(secs(2) * 2_u32.pow(attempt)).await?;
    }
    anyhow::bail!("nobody takes the event")
}

async fn webhooks(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let subscriber = peers::partner(move || match random.u8(..100) {
        0..6 => Answer::Never,
        _ => Answer::After(between(&mut random, millis(20), millis(250))),
    })?;
    let retries = Arc::new(Retries::default());
    let deliver = move |retries: &Arc<Retries>, first| {
        let (retries, work) = (Arc::clone(retries), Work::begin());
        spawn("deliver-webhook", async move { work.end(deliver(subscriber, &retries, first).await.is_ok()) });
    };
    let mut random = load.random(2);
    for _ in 0..load.size {
        deliver(&retries, Some(between(&mut random, secs(1), secs(15))));
    }
    let (woken, is_faulty) = (Arc::clone(&retries), load.is_faulty());
    spawn("wake-retries", async move {
        // What is left over has been added by then.
        sleep(millis(200)).await;
        woken.wake(is_faulty).await;
    });
    let take = async move || {
        deliver(&retries, None);
        "taken"
    };
    let address = sidelines::serve_http(Router::new().route("/event", get(take))).await?;
    sidelines::visitors(&load, address, secs(15), 20, |_| ("/event".to_owned(), secs(5)));
    sidelines::run(&load).await
}

/// A job as the queue has it.
struct Job {
    stages: u32,
    is_long: bool,
    /// When its user will cancel it.
    cancelled: Option<Instant>,
    work: Work,
}

/// Starts a queue that lends jobs, and returns its address: a job that is not renewed in time is lent to somebody else.
fn job_queue(load: &Load) -> anyhow::Result<SocketAddr> {
    let (listener, address) = peers::listener()?;
    let load = load.clone();
    outside(move || async move {
        let listener = TcpListener::from_std(listener)?;
        let (add, jobs) = async_channel::unbounded();
        tokio::spawn(accept_workers(listener, add.clone(), jobs));
        let mut random = load.random(1);
        sidelines::bursts(&load, secs(20), 10, || {
            let cancelled = (random.u8(..100) < 6).then(|| between(&mut random, millis(100), secs(3)));
            let job = Job {
                stages: random.u32(2..5),
                is_long: random.u8(..100) < 8,
                cancelled: cancelled.map(|after| Instant::now() + after),
                work: Work::begin(),
            };
            // The channel has no bound and is never closed.
            let _ = add.try_send(job);
        })
        .await;
        Ok(())
    });
    Ok(address)
}

async fn accept_workers(
    listener: TcpListener,
    again: async_channel::Sender<Job>,
    jobs: async_channel::Receiver<Job>,
) -> anyhow::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(lend_jobs(socket, again.clone(), jobs.clone()));
    }
}

async fn lend_jobs(
    socket: TcpStream,
    again: async_channel::Sender<Job>,
    jobs: async_channel::Receiver<Job>,
) -> anyhow::Result<()> {
    const LEASE: Duration = secs(3);
    const NEVER: Duration = secs(86_400);
    let mut lines = Framed::new(socket, LinesCodec::new());
    while let Some(line) = lines.next().await {
        // Whatever else comes belongs to a lease that has ended.
        if line? != "take" {
            continue;
        }
        let job = jobs.recv().await?;
        lines.send(format!("job {} {}", job.stages, u8::from(job.is_long))).await?;
        let mut ends = Instant::now() + LEASE;
        let cancelled = job.cancelled.unwrap_or_else(|| Instant::now() + NEVER);
        loop {
            tokio::select! {
                line = lines.next() => match line.context("the worker is gone")??.as_str() {
                    "renew" => ends = Instant::now() + LEASE,
                    "done" => { job.work.end(true); break }
                    other => anyhow::bail!("unknown line {other}"),
                },
                () = sleep_until(cancelled) => { lines.send("stop").await?; job.work.end(true); break }
                () = sleep_until(ends) => { lines.send("stop").await?; again.try_send(job)?; break }
            }
        }
    }
    Ok(())
}

/// Runs a job, and reports each stage that is done.
async fn run_job(
    stages: u32,
    is_long: bool,
    partners: [SocketAddr; 2],
    progress: mpsc::Sender<()>,
) -> anyhow::Result<()> {
    let [tools, encoder] = partners;
    for _ in 0..stages {
        peers::request(tools, "/stage", Some(secs(5))).await?;
        progress.send(()).await?;
    }
    if is_long {
        peers::request(encoder, "/encode", Some(secs(20))).await?;
    }
    Ok(())
}

/// Takes one job after the other from the queue, and runs each until it is done, or the queue wants it stopped.
async fn work_for(queue: SocketAddr, partners: [SocketAddr; 2], is_faulty: bool) -> anyhow::Result<()> {
    let mut lines = Framed::new(TcpStream::connect(queue).await?, LinesCodec::new());
    loop {
        lines.send("take").await?;
        let (stages, is_long) = loop {
            let line = lines.next().await.context("the queue is gone")??;
            // Other lines are about a job that was done in the meantime.
            if let ["job", stages, is_long] = *line.split(' ').collect::<Vec<_>>() {
                break (stages.parse()?, is_long == "1");
            }
        };
        let (progress, mut done) = mpsc::channel(4);
        let mut job = AbortOnDropHandle::new(spawn("run-job", run_job(stages, is_long, partners, progress)));
        let mut ticks = interval(secs(1));
        loop {
            tokio::select! {
                ended = &mut job => { ended??; lines.send("done").await?; break }
                Some(()) = done.recv() => lines.send("renew").await?,
                _ = ticks.tick(), if !is_faulty => lines.send("renew").await?,
                // Its user has cancelled it, or somebody else has it now.
                stop = lines.next() => { stop.context("the queue is gone")??; break }
            }
        }
    }
}

async fn jobs(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(2);
    let tools = peers::partner(move || Answer::After(between(&mut random, millis(50), millis(250))))?;
    let mut random = load.random(3);
    let encoder = peers::partner(move || Answer::After(between(&mut random, millis(4_000), millis(6_000))))?;
    let (queue, is_faulty) = (job_queue(&load)?, load.is_faulty());
    for _ in 0..load.size {
        spawn("work-for-queue", work_for(queue, [tools, encoder], is_faulty));
    }
    sidelines::run(&load).await
}

/// What a producer has published.
#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(uint32, tag = "1")]
    partition: u32,
    #[prost(uint64, tag = "2")]
    offset: u64,
    #[prost(bytes = "vec", tag = "3")]
    value: Vec<u8>,
}

const PARTITIONS: u32 = 6;

/// Starts a broker for one consumer, and returns its address: so many records may be on their way without having been acknowledged.
fn broker(load: &Load) -> anyhow::Result<SocketAddr> {
    const WINDOW: usize = 256;
    let (listener, address) = peers::listener()?;
    let load = load.clone();
    outside(move || async move {
        let (socket, _) = TcpListener::from_std(listener)?.accept().await?;
        let (reader, writer) = socket.into_split();
        let mut acknowledged = FramedRead::new(reader, LengthDelimitedCodec::new());
        let mut records = FramedWrite::new(writer, LengthDelimitedCodec::new());
        let window = Arc::new(Semaphore::new(WINDOW));
        let returned = Arc::clone(&window);
        tokio::spawn(async move {
            while let Some(Ok(_)) = acknowledged.next().await {
                returned.add_permits(1);
            }
        });
        let (publish, mut published) = mpsc::unbounded_channel::<Record>();
        tokio::spawn(async move {
            while let Some(record) = published.recv().await {
                window.acquire().await?.forget();
                records.send(Bytes::from(record.encode_to_vec())).await?;
            }
            anyhow::Ok(())
        });
        let (mut random, mut offset) = (load.random(1), 0);
        sidelines::bursts(&load, secs(15), 40, || {
            offset += 1;
            let (partition, value) = (random.u32(..PARTITIONS), vec![7; random.usize(40..400)]);
            // The consumer may be gone.
            let _ = publish.send(Record { partition, offset, value });
        })
        .await;
        Ok(())
    });
    Ok(address)
}

/// Books the records of one partition in their order.
async fn consume(
    mut records: mpsc::Receiver<(Record, Work)>,
    acknowledge: mpsc::Sender<u64>,
    warehouse: SocketAddr,
    is_faulty: bool,
) {
    let patience = (!is_faulty).then_some(secs(2));
    while let Some((record, work)) = records.recv().await {
        while peers::request(warehouse, &format!("/stock/{}", record.value.len()), patience).await.is_err() {
            sleep(millis(200)).await;
        }
        work.end(true);
        if acknowledge.send(record.offset).await.is_err() {
            return;
        }
    }
}

async fn partitions(load: Load) -> anyhow::Result<()> {
    const SILENT_AFTER: Duration = secs(20);
    let (began, mut random) = (Instant::now(), load.random(2));
    let warehouse = peers::partner(move || match random.u16(..1_000) {
        0..5 if began.elapsed() > SILENT_AFTER => Answer::Never,
        _ => Answer::After(between(&mut random, millis(30), millis(120))),
    })?;
    let (reader, writer) = TcpStream::connect(broker(&load)?).await?.into_split();
    let (acknowledge, mut booked) = mpsc::channel::<u64>(64);
    spawn("acknowledge-records", async move {
        let mut frames = FramedWrite::new(writer, LengthDelimitedCodec::new());
        while let Some(offset) = booked.recv().await {
            frames.send(Bytes::copy_from_slice(&offset.to_be_bytes())).await?;
        }
        anyhow::Ok(())
    });
    let mut partitions = Vec::new();
    for _ in 0..PARTITIONS {
        let (deliver, delivered) = mpsc::channel(load.size); // <- one-partition-stops-all
        spawn("consume-partition", consume(delivered, acknowledge.clone(), warehouse, load.is_faulty()));
        partitions.push(deliver);
    }
    spawn("read-broker", async move {
        let mut frames = FramedRead::new(reader, LengthDelimitedCodec::new());
        while let Some(frame) = frames.next().await {
            let record = Record::decode(frame?)?;
            let partition = partitions.get(record.partition as usize).context("an unknown partition")?;
            partition.send((record, Work::begin())).await?;
        }
        anyhow::Ok(())
    });
    sidelines::run(&load).await
}
