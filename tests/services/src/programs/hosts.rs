//! Hosts of other things: a thread that watches files, an engine that stays on its thread, programs that are run, and a feed of settings.

use std::cell::Cell;
use std::net::SocketAddr;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Builder, LocalSet};
use tokio::time::sleep;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, spawn, spawn_thread};

const SOURCE: Source = Source { file: "programs/hosts.rs", text: include_str!("hosts.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "crossbeam-recv-on-worker",
        crates: "crossbeam-channel, axum",
        fault: "A task takes what a thread finds from a synchronous channel, and blocks its worker while nothing comes.",
        issue: "crossbeam-rs/crossbeam#902",
        way: Way::Blocking,
        rate_of: "requests",
        rate: 15.0,
        size_of: "changed files in ten seconds",
        size: 5,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &["apply-changes"],
            libraries: &[],
            severity: Severity::Warning,
            within: 40,
        },
        source: SOURCE,
        run: |load| Box::pin(files(load)),
    },
    Program {
        id: "local-tasks-run-with-queries-only",
        crates: "tokio",
        fault: "A local set is driven only while a query runs on it: exports that were spawned there stand still when there are no queries.",
        issue: "tokio-rs/tokio#7022",
        way: Way::Undriven,
        rate_of: "queries by day",
        rate: 15.0,
        size_of: "steps of an export",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue", "blocking"],
            names: &["request-export", "export-table"],
            libraries: &[],
            severity: Severity::Warning,
            within: 70,
        },
        source: SOURCE,
        run: |load| Box::pin(engine(load)),
    },
    Program {
        id: "converter-output-not-read",
        crates: "tokio",
        fault: "A program's end is awaited before its output is read: if there is more than a pipe holds, the program never ends.",
        issue: "multikernel/sandlock#149",
        way: Way::Stragglers,
        rate_of: "documents",
        rate: 5.0,
        size_of: "per cent of the documents that are long",
        size: 7,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["convert-document"],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(documents(load)),
    },
    Program {
        id: "settings-feed-closed",
        crates: "tokio",
        fault: "A loop selects between readings and new settings; when nobody can send settings any more, that branch is always ready.",
        issue: "lance0/xfr#131",
        way: Way::Spin,
        rate_of: "readings",
        rate: 30.0,
        size_of: "seconds until the last settings have come",
        size: 20,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["spin"],
            names: &["collect-readings"],
            libraries: &[],
            severity: Severity::Warning,
            within: 55,
        },
        source: SOURCE,
        run: |load| Box::pin(readings(load)),
    },
];

/// Applies a change that was found.
async fn apply(index: SocketAddr, file: u64, work: Work) {
    let applied = peers::request(index, &format!("/file/{file}"), Some(secs(3))).await;
    work.end(applied.is_ok());
}

async fn files(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let index = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(150))))?;
    #[expect(clippy::cast_precision_loss, reason = "there are few")]
    let (changes, mut random) = (load.size as f64 / 10.0, load.random(2));
    let mut wait = move || thread::sleep(gap(&mut random, changes).clamp(millis(300), secs(5)));
    if load.is_faulty() {
        let (change, found) = crossbeam_channel::unbounded();
        spawn_thread("watch-files", move || {
            for file in 0.. {
                wait();
                // The service may be gone.
                let _ = change.send((file, Work::begin()));
            }
        });
        spawn("apply-changes", async move {
            while let Ok((file, work)) = found.recv() {
                apply(index, file, work).await;
            }
        });
    } else {
        let (change, mut found) = mpsc::unbounded_channel();
        spawn_thread("watch-files", move || {
            for file in 0.. {
                wait();
                // The service may be gone.
                let _ = change.send((file, Work::begin()));
            }
        });
        spawn("apply-changes", async move {
            while let Some((file, work)) = found.recv().await {
                apply(index, file, work).await;
            }
        });
    }
    let page = async move |Path(file): Path<u64>| {
        let found = peers::request(index, "/page", Some(secs(2))).await;
        found.map_or_else(|error| error.to_string(), |length| (file + length as u64).to_string())
    };
    let address = sidelines::serve_http(Router::new().route("/page/{file}", get(page))).await?;
    sidelines::visitors(&load, address, secs(10), 10, |random| (format!("/page/{}", random.u64(..100)), secs(20)));
    sidelines::run(&load).await
}

/// What the engine is asked for.
enum Asked {
    Query(oneshot::Sender<u64>),
    Export(oneshot::Sender<u64>),
}

/// An engine that cannot leave its thread.
#[derive(Clone)]
struct Engine {
    rows: Rc<Cell<u64>>,
    steps: usize,
}

impl Engine {
    async fn query(self, answer: oneshot::Sender<u64>) {
        sleep(millis(25)).await;
        self.rows.set(self.rows.get() + 1);
        // Who asked may be gone.
        let _ = answer.send(self.rows.get());
    }

    async fn export(self, answer: oneshot::Sender<u64>) {
        for _ in 0..self.steps {
            sleep(millis(120)).await;
        }
        // Who asked may be gone.
        let _ = answer.send(self.rows.get());
    }
}

/// Runs queries one by one, and exports beside them.
async fn run_engine(engine: Engine, mut asked: mpsc::Receiver<Asked>, is_faulty: bool) -> anyhow::Result<()> {
    let local = LocalSet::new();
    let take = async {
        while let Some(asked) = asked.recv().await {
            match asked {
                Asked::Query(answer) if is_faulty => local.run_until(engine.clone().query(answer)).await,
                Asked::Query(answer) => engine.clone().query(answer).await,
                Asked::Export(answer) => {
                    let export = engine.clone().export(answer);
                    drop(Builder::new().name("export-table").spawn_local_on(export, &local)?);
                }
            }
        }
        anyhow::Ok(())
    };
    if is_faulty { take.await } else { local.run_until(take).await }
}

async fn engine(load: Load) -> anyhow::Result<()> {
    const DAY: Duration = secs(20);
    let (ask, asked) = mpsc::channel(64); // <- local-tasks-run-with-queries-only
    sidelines::registration()?;
    sidelines::sweep(&load);
    let rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    let (queries, mut random, began) = (ask.clone(), load.random(1), Instant::now());
    let rate = load.rate;
    spawn("take-queries", async move {
        // At night there are none.
        while began.elapsed() < DAY {
            sleep(gap(&mut random, rate)).await;
            let queries = queries.clone();
            let work = Work::begin();
            spawn("run-query", async move {
                let (answer, answered) = oneshot::channel();
                queries.send(Asked::Query(answer)).await?;
                work.end(answered.await.is_ok());
                anyhow::Ok(())
            });
        }
    });
    let mut random = load.random(2);
    spawn("take-exports", async move {
        loop {
            sleep(gap(&mut random, 1.2)).await;
            let (ask, metrics, rates) = (ask.clone(), metrics.clone(), Arc::clone(&rates));
            let work = Work::begin();
            spawn("request-export", async move {
                let (answer, answered) = oneshot::channel();
                ask.send(Asked::Export(answer)).await?;
                work.end(answered.await.is_ok());
                let _ = metrics.try_send(**rates.load());
                anyhow::Ok(())
            });
        }
    });
    run_engine(Engine { rows: Rc::default(), steps: load.size }, asked, load.is_faulty()).await
}

/// Runs a converter, which writes so many bytes.
async fn convert(bytes: usize, is_faulty: bool) -> anyhow::Result<usize> {
    let mut converter = Command::new("head");
    converter.args(["-c", &bytes.to_string(), "/dev/zero"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut converter = converter.kill_on_drop(true).spawn()?;
    if !is_faulty {
        return Ok(converter.wait_with_output().await?.stdout.len());
    }
    let ended = converter.wait().await?;
    anyhow::ensure!(ended.success(), "the document cannot be converted");
    let mut converted = Vec::new();
    if let Some(mut output) = converter.stdout.take() {
        output.read_to_end(&mut converted).await?;
    }
    Ok(converted.len())
}

async fn documents(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let archive = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(400))))?;
    sidelines::registration()?;
    sidelines::sweep(&load);
    let rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    let (mut random, is_faulty, long) = (load.random(2), load.is_faulty(), load.size);
    sidelines::bursts(&load, secs(15), 8, || {
        let (metrics, rates) = (metrics.clone(), Arc::clone(&rates));
        let bytes = if random.usize(..100) < long { 300_000 } else { random.usize(1_000..30_000) };
        let work = Work::begin();
        spawn("convert-document", async move {
            let converted = convert(bytes, is_faulty).await?;
            let archived = peers::request(archive, "/document", Some(secs(5))).await;
            work.end(archived.is_ok() && converted == bytes);
            let _ = metrics.try_send(**rates.load());
            anyhow::Ok(())
        });
    })
    .await;
    Ok(())
}

/// Collects readings, and turns to new settings when there are any.
async fn collect_readings(
    mut readings: mpsc::Receiver<(u64, Work)>,
    mut settings: watch::Receiver<u64>,
    store: SocketAddr,
    is_faulty: bool,
) {
    let (mut batch, mut scale, mut may_change) = (Vec::new(), 1, true);
    loop {
        tokio::select! {
            changed = settings.changed(), if may_change => {
                // Repaired, settings that nobody can change any more are not waited for.
                may_change = is_faulty || changed.is_ok();
                scale = *settings.borrow_and_update();
            }
            reading = readings.recv() => {
                let Some((reading, work)) = reading else { return };
                batch.push((reading * scale, work));
                if batch.len() < 20 {
                    continue;
                }
                let stored = peers::request(store, "/readings", Some(secs(3))).await;
                batch.drain(..).for_each(|(_, work)| work.end(stored.is_ok()));
            }
        }
    }
}

async fn readings(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let store = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(150))))?;
    let (settings, changed) = watch::channel(1);
    let (reading, readings) = mpsc::channel(256);
    let collecting = collect_readings(readings, changed, store, load.is_faulty());
    spawn("collect-readings", collecting); // <- settings-feed-closed
    let last = u64::try_from(load.size)?;
    spawn("follow-settings", async move {
        for second in 0..last {
            sleep(secs(1)).await;
            if second % 5 == 0 {
                settings.send(second)?;
            }
        }
        // The other side says that there will be no more.
        anyhow::Ok(())
    });
    sidelines::registration()?;
    sidelines::sweep(&load);
    let metrics = sidelines::metrics(&load)?;
    sidelines::bursts(&load, secs(10), 30, || {
        let (reading, metrics) = (reading.clone(), metrics.clone());
        let work = Work::begin();
        spawn("take-reading", async move {
            let _ = metrics.try_send(1);
            reading.send((7, work)).await
        });
    })
    .await;
    Ok(())
}
