//! Agencies: jobs of which each customer may have a few at a time, and events whose senders have to prove who they are.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use futures::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::time::DelayQueue;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between};

const SOURCE: Source = Source { file: "programs/agencies.rs", text: include_str!("agencies.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "put-back-with-its-old-time",
        crates: "tokio-util, axum",
        fault: "A job whose customer has as many as allowed is put back with its own time, which has passed: it is taken out again at once.",
        issue: "bug-ops/zeph#1519",
        way: Way::Spin,
        rate_of: "jobs of small customers",
        rate: 6.0,
        size_of: "jobs that a large customer brings at once",
        size: 15,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["spin", "blocking"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(jobs(load)),
    },
    Program {
        id: "failed-keys-asked-for-in-turn",
        crates: "tokio, axum",
        fault: "Whoever waits for the keys of a sender asks for them again when that has failed: where nobody answers, each adds its own timeout.",
        issue: "apache/airflow#73472",
        way: Way::Backlog,
        rate_of: "events",
        rate: 20.0,
        size_of: "seconds until some senders do not answer",
        size: 10,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "queue", "stuck"],
            names: &[],
            libraries: &["once_cell"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(events(load)),
    },
];

/// A job that is to be run at a time.
struct Job {
    customer: u32,
    due: Instant,
    work: Work,
}

impl Job {
    fn new(customer: u32, delay: Duration) -> Self {
        Self { customer, due: Instant::now() + delay, work: Work::begin() }
    }

    /// Has it done, and returns whose it was.
    async fn run(self, partner: SocketAddr) -> u32 {
        let done = peers::request(partner, "/job", Some(secs(5))).await;
        self.work.end(done.is_ok());
        self.customer
    }
}

/// Runs jobs when they are due, but no more than `most` of a customer at a time.
async fn schedule(mut jobs: mpsc::Receiver<Job>, most: usize, partner: SocketAddr, is_faulty: bool) {
    let (mut due, mut running) = (DelayQueue::new(), JoinSet::new());
    let mut counts: HashMap<u32, usize> = HashMap::new();
    let mut parked: HashMap<u32, VecDeque<Job>> = HashMap::new();
    loop {
        let job = tokio::select! {
            job = jobs.recv() => {
                let Some(job) = job else { return };
                let when = job.due;
                due.insert_at(job, when);
                continue;
            }
            Some(job) = due.next() => job.into_inner(),
            Some(Ok(customer)) = running.join_next() => {
                *counts.entry(customer).or_default() -= 1;
                match parked.get_mut(&customer).and_then(VecDeque::pop_front) {
                    Some(job) => job,
                    None => continue,
                }
            }
        };
        let count = counts.entry(job.customer).or_default();
        if *count < most {
            *count += 1;
            running.spawn(job.run(partner));
        } else if is_faulty {
            let when = job.due;
            due.insert_at(job, when);
        } else {
            parked.entry(job.customer).or_default().push_back(job);
        }
    }
}

/// Brings the jobs of a large customer, every ten seconds.
async fn bring(jobs: mpsc::Sender<Job>, count: usize, mut random: fastrand::Rng) {
    const LARGE: u32 = 0;
    loop {
        sleep(secs(10)).await;
        for _ in 0..count {
            let delay = between(&mut random, millis(0), millis(800));
            if jobs.send(Job::new(LARGE, delay)).await.is_err() {
                return;
            }
        }
    }
}

async fn jobs(load: Load) -> anyhow::Result<()> {
    const MOST: usize = 3;
    const CUSTOMERS: u32 = 40;
    let mut random = load.random(1);
    let partner = peers::partner(move || Answer::After(between(&mut random, millis(600), millis(1_600))))?;
    let (send, receive) = mpsc::channel(256);
    tokio::spawn(schedule(receive, MOST, partner, load.is_faulty())); // <- put-back-with-its-old-time
    tokio::spawn(bring(send.clone(), load.size, load.random(2)));
    let take = async move |Path((customer, delay)): Path<(u32, u64)>| {
        let sent = send.send(Job::new(customer, millis(delay))).await;
        if sent.is_ok() { "taken" } else { "no" }
    };
    let address = sidelines::serve_http(Router::new().route("/job/{customer}/{delay}", get(take))).await?;
    sidelines::visitors(&load, address, secs(15), 12, |random| {
        (format!("/job/{}/{}", random.u32(1..CUSTOMERS), random.u32(200..6_000)), secs(5))
    });
    sidelines::run(&load).await
}

/// The keys of a sender, or that they could not be had.
struct Keys {
    are_known: bool,
    until: Instant,
}

impl Keys {
    /// Keys are good for a while; where there were none, they are asked for again sooner.
    fn new(are_known: bool) -> Self {
        Self { are_known, until: Instant::now() + if are_known { secs(12) } else { secs(5) } }
    }
}

/// The keys of all senders, as far as events have come from them.
struct KeyRing {
    cells: Mutex<HashMap<usize, Arc<OnceCell<Keys>>>>,
    senders: Vec<SocketAddr>,
    is_faulty: bool,
}

impl KeyRing {
    /// Where the keys of a sender are, or will be.
    fn cell(&self, sender: usize) -> Arc<OnceCell<Keys>> {
        let mut cells = self.cells.lock();
        let cell = cells.entry(sender).or_insert_with(|| Arc::new(OnceCell::new())); // <- failed-keys-asked-for-in-turn
        if cell.get().is_some_and(|keys| keys.until < Instant::now()) {
            *cell = Arc::new(OnceCell::new()); // <- failed-keys-asked-for-in-turn
        }
        Arc::clone(cell)
    }

    async fn ask(&self, sender: usize) -> anyhow::Result<usize> {
        peers::request(self.senders[sender], "/keys", Some(secs(2))).await
    }

    /// Whether the keys of a sender are known, for which it may be asked.
    async fn are_known(&self, sender: usize) -> bool {
        let cell = self.cell(sender);
        if self.is_faulty {
            let keys = cell.get_or_try_init(async || self.ask(sender).await.map(|_| Keys::new(true))); // <- failed-keys-asked-for-in-turn
            keys.await.is_ok()
        } else {
            cell.get_or_init(async || Keys::new(self.ask(sender).await.is_ok())).await.are_known
        }
    }
}

/// Hands an event on, or puts it aside if nobody knows whether it is from its sender.
async fn check(ring: Arc<KeyRing>, sender: usize, inbox: SocketAddr) {
    let work = Work::begin();
    let path = if ring.are_known(sender).await { "/event" } else { "/aside" };
    work.end(peers::request(inbox, path, Some(secs(3))).await.is_ok());
}

async fn events(load: Load) -> anyhow::Result<()> {
    const SENDERS: usize = 12;
    /// Every so many senders, one does not answer later.
    const SILENT: usize = 4;
    let (began, silent_after) = (Instant::now(), secs(load.size as u64));
    let mut senders = Vec::with_capacity(SENDERS);
    for sender in 0..SENDERS {
        let mut random = load.random(100 + sender as u64);
        senders.push(peers::partner(move || {
            if sender % SILENT == 1 && began.elapsed() > silent_after {
                Answer::Never
            } else {
                Answer::After(between(&mut random, millis(50), millis(500)))
            }
        })?);
    }
    let mut random = load.random(1);
    let inbox = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(250))))?;
    let ring = Arc::new(KeyRing { cells: Mutex::default(), senders, is_faulty: load.is_faulty() });
    let take = async move |Path(sender): Path<usize>| {
        tokio::spawn(check(Arc::clone(&ring), sender % SENDERS, inbox)); // <- failed-keys-asked-for-in-turn
        "taken"
    };
    let address = sidelines::serve_http(Router::new().route("/event/{sender}", get(take))).await?;
    sidelines::visitors(&load, address, secs(15), 24, |random| {
        (format!("/event/{}", random.usize(..SENDERS)), secs(5))
    });
    sidelines::run(&load).await
}
