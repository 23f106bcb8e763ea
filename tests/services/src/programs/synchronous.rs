//! Synchronous work and synchronous locks where they do not belong: on the workers, or in a pool that is too small for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rayon::prelude::*;

use super::{Label, Program, Severity, Source, Way, millis};
use crate::service::{Load, Work, between, spawn, spawn_thread};

const SOURCE: Source = Source { file: "programs/synchronous.rs", text: include_str!("synchronous.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "parking-lot-around-slow-write",
        crates: "parking_lot, flume",
        fault: "Each request writes to a slow disk under a synchronous lock, on the worker threads.",
        issue: "milvus-io/talon#115",
        way: Way::Blocking,
        rate_of: "requests",
        rate: 20.0,
        size_of: "milliseconds of a write",
        size: 30,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &["append-audit"],
            libraries: &[],
            severity: Severity::Warning,
            within: 30,
        },
        source: SOURCE,
        run: |load| Box::pin(slow_writes(load)),
    },
    Program {
        id: "rayon-on-worker",
        crates: "rayon",
        fault: "A parallel iterator is run to its end inside an async function: the worker waits for it.",
        issue: "smg-project/smg#1693",
        way: Way::Blocking,
        rate_of: "pictures",
        rate: 5.0,
        size_of: "milliseconds of a picture",
        size: 40,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &["scale-picture"],
            libraries: &[],
            severity: Severity::Warning,
            within: 30,
        },
        source: SOURCE,
        run: |load| Box::pin(pictures(load)),
    },
    Program {
        id: "rayon-under-mutex",
        crates: "rayon, parking_lot, tracing",
        fault: "A parallel iterator runs under a lock that other jobs of its pool take: a thread steals such a job and waits for itself.",
        issue: "rayon-rs/rayon#592",
        way: Way::ForeignSpan,
        rate_of: "batches",
        rate: 4.0,
        size_of: "parts of a batch",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["score-batch"],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(batches(load)),
    },
];

/// A disk that takes its time.
#[derive(Clone, Copy)]
struct Disk(Duration);

impl Disk {
    fn append(self) {
        std::thread::sleep(self.0);
    }
}

async fn slow_writes(load: Load) -> anyhow::Result<()> {
    let disk = Disk(millis(u64::try_from(load.size)?));
    let log = Arc::new(Mutex::new(disk));
    let (records, written) = flume::bounded::<tokio::sync::oneshot::Sender<()>>(1_024);
    spawn_thread("audit-writer", move || {
        while let Ok(first) = written.recv() {
            // One write for all that have come meanwhile.
            let all: Vec<_> = std::iter::once(first).chain(written.drain()).collect();
            disk.append();
            for done in all {
                let _ = done.send(());
            }
        }
    });
    load.arrivals(|_| {
        let (log, records, is_faulty) = (Arc::clone(&log), records.clone(), load.is_faulty());
        let work = Work::begin();
        spawn("append-audit", async move {
            if is_faulty {
                log.lock().append();
                return work.end(true);
            }
            let (done, written) = tokio::sync::oneshot::channel();
            let sent = records.send_async(done).await.is_ok();
            work.end(sent && written.await.is_ok());
        });
    })
    .await;
    Ok(())
}

/// Keeps the processor at work for so long.
fn compute(work: Duration) -> u64 {
    let end = Instant::now() + work;
    let mut digest = 0x9e37_79b9_7f4a_7c15_u64;
    while Instant::now() < end {
        for word in 0..512_u64 {
            digest = (digest ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17);
        }
    }
    std::hint::black_box(digest)
}

async fn pictures(load: Load) -> anyhow::Result<()> {
    // One thread for computing leaves a core for everything else.
    let threads = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(1).build()?);
    let part = millis(u64::try_from(load.size)?) / 8;
    load.arrivals(|_| {
        let (threads, is_faulty) = (Arc::clone(&threads), load.is_faulty());
        let work = Work::begin();
        spawn("scale-picture", async move {
            let scale = move || (0..8).into_par_iter().map(|_| compute(part)).reduce(|| 0, |one, other| one ^ other);
            if is_faulty {
                threads.install(scale);
                return work.end(true);
            }
            let (done, scaled) = tokio::sync::oneshot::channel();
            threads.spawn(move || {
                let _ = done.send(scale());
            });
            work.end(scaled.await.is_ok());
        });
    })
    .await;
    Ok(())
}

/// A model that scores batches, part by part.
struct Model {
    weights: Mutex<Vec<u64>>,
    is_faulty: bool,
}

impl Model {
    /// Scores each part: it is read from a disk meanwhile.
    fn score(&self, parts: usize, reading: Duration) -> u64 {
        let weigh = |weights: &[u64]| {
            let part = |part: usize| {
                std::thread::sleep(reading);
                weights[part % weights.len()]
            };
            (0..parts).into_par_iter().map(part).sum()
        };
        if self.is_faulty {
            weigh(&self.weights.lock())
        } else {
            let weights = self.weights.lock().clone();
            weigh(&weights)
        }
    }
}

async fn batches(load: Load) -> anyhow::Result<()> {
    let threads = Arc::new(rayon::ThreadPoolBuilder::new().num_threads(4).build()?);
    let model = Arc::new(Model { weights: Mutex::new(vec![3; 16]), is_faulty: load.is_faulty() });
    let mut random = load.random(1);
    load.arrivals(|number| {
        let (threads, model, parts) = (Arc::clone(&threads), Arc::clone(&model), load.size);
        let longest = if number % 30 == 29 { millis(900) } else { millis(3) };
        let reading = between(&mut random, longest / 3, longest);
        let work = Work::begin();
        spawn("score-batch", async move {
            // What is logged on the other thread belongs to this task.
            let span = tracing::Span::current();
            let (done, score) = futures::channel::oneshot::channel();
            threads.spawn(move || {
                let _entered = span.enter();
                let _ = done.send(model.score(parts, reading));
            });
            work.end(score.await.is_ok());
        });
    })
    .await;
    Ok(())
}
