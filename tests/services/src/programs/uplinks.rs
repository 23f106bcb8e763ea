//! Uplinks and control: reports over QUIC, a configuration that is loaded while requests run, and an actor with two mailboxes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig};
use tokio::sync::{Mutex, Notify, Semaphore, mpsc, oneshot};
use tokio::time::{interval, sleep};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside, spawn};

const SOURCE: Source = Source { file: "programs/uplinks.rs", text: include_str!("uplinks.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "quic-permit-lost-on-error",
        crates: "quinn",
        fault: "A permit is returned by hand after each report, but not if the report fails: once all permits are lost, nothing is sent.",
        issue: "anza-xyz/agave#10478",
        way: Way::Permits,
        rate_of: "reports",
        rate: 20.0,
        size_of: "reports at a time",
        size: 20,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "stuck", "queue"],
            names: &["send-report"],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(reports(load)),
    },
    Program {
        id: "reload-misses-last-request",
        crates: "axum, arc-swap",
        fault: "A reload checks for running requests, logs that, and then waits for the last one; if it ended in between, it waits forever.",
        issue: "containerd/ttrpc-rust#227",
        way: Way::LostWaker,
        rate_of: "requests",
        rate: 25.0,
        size_of: "seconds between reloads",
        size: 4,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "contention", "queue"],
            names: &["reload-settings"],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(reloads(load)),
    },
    Program {
        id: "import-starves-remote-calls",
        crates: "tokio",
        fault: "An actor reads its local mailbox first: while an import fills it, calls from other nodes are not answered.",
        issue: "paxsonsa/murmer-rs#6",
        way: Way::Backlog,
        rate_of: "calls from other nodes",
        rate: 6.0,
        size_of: "rows that the local mailbox holds",
        size: 16,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["call-remote", "run-actor"],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(mailboxes(load)),
    },
];

/// Starts a collector that takes reports over QUIC and refuses some after a while, and returns how to connect to it.
fn collector(mut random: fastrand::Rng) -> anyhow::Result<(SocketAddr, ClientConfig)> {
    const REFUSES_AFTER: Duration = secs(12);
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let certificate: CertificateDer<'static> = issued.cert.der().clone();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let server = ServerConfig::with_single_cert(vec![certificate.clone()], key)?;
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate)?;
    let client = ClientConfig::with_root_certificates(Arc::new(trusted))?;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    outside(move || async move {
        let runtime = Arc::new(quinn::TokioRuntime);
        let endpoint = Endpoint::new(quinn::EndpointConfig::default(), Some(server), socket, runtime)?;
        let began = Instant::now();
        while let Some(incoming) = endpoint.accept().await {
            let connection = incoming.await?;
            while let Ok((mut answer, mut report)) = connection.accept_bi().await {
                let refuses = began.elapsed() > REFUSES_AFTER && random.u8(..100) < 6;
                let length = between(&mut random, millis(30), millis(250));
                tokio::spawn(async move {
                    report.read_to_end(4_096).await?;
                    sleep(length).await;
                    if refuses {
                        answer.reset(7_u8.into())?;
                    } else {
                        answer.write_all(b"ok").await?;
                        answer.finish()?;
                    }
                    anyhow::Ok(())
                });
            }
        }
        Ok(())
    });
    Ok((address, client))
}

async fn send_report(connection: Connection) -> anyhow::Result<usize> {
    let (mut report, mut answer) = connection.open_bi().await?;
    report.write_all(&[7; 512]).await?;
    report.finish()?;
    Ok(answer.read_to_end(64).await?.len())
}

async fn reports(load: Load) -> anyhow::Result<()> {
    let (address, config) = collector(load.random(1))?;
    let mut endpoint = Endpoint::client("127.0.0.1:0".parse()?)?;
    endpoint.set_default_client_config(config);
    let connection = endpoint.connect(address, "localhost")?.await?;
    let permits = Arc::new(Semaphore::new(load.size)); // <- quic-permit-lost-on-error
    sidelines::registration()?;
    sidelines::sweep(&load);
    let rates = sidelines::rates(&load)?;
    let metrics = sidelines::metrics(&load)?;
    let is_faulty = load.is_faulty();
    sidelines::bursts(&load, secs(10), 25, || {
        let (connection, permits, metrics) = (connection.clone(), Arc::clone(&permits), metrics.clone());
        let rates = Arc::clone(&rates);
        let work = Work::begin();
        spawn("send-report", async move {
            let permit = permits.acquire().await?;
            if is_faulty {
                permit.forget();
                let length = send_report(connection).await?;
                permits.add_permits(1);
                work.end(length > 0);
            } else {
                let length = send_report(connection).await;
                drop(permit);
                work.end(length.is_ok());
            }
            let _ = metrics.try_send(**rates.load());
            anyhow::Ok(())
        });
    })
    .await;
    Ok(())
}

/// Settings, and the number of requests that use them.
struct Settings {
    version: u64,
    active: AtomicU64,
    last_ended: Notify,
}

impl Settings {
    fn new(version: u64) -> Self {
        Self { version, active: AtomicU64::new(0), last_ended: Notify::new() } // <- reload-misses-last-request
    }

    fn end_request(&self) {
        if self.active.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.last_ended.notify_waiters();
        }
    }

    /// Writes to the journal, then waits until no request uses these settings any more.
    async fn drain(&self, journal: SocketAddr, is_faulty: bool) {
        loop {
            let ended = self.last_ended.notified();
            if self.active.load(Ordering::SeqCst) == 0 {
                return;
            }
            let _ = peers::request(journal, "/draining", Some(secs(1))).await;
            if is_faulty {
                self.last_ended.notified().await;
            } else {
                ended.await;
            }
        }
    }
}

async fn reloads(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let journal = peers::partner(move || Answer::After(between(&mut random, millis(30), millis(90))))?;
    let mut random = load.random(2);
    let shop = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(110))))?;
    let settings = Arc::new(ArcSwap::from_pointee(Settings::new(0)));
    let price = async move |State(settings): State<Arc<ArcSwap<Settings>>>| {
        let settings = settings.load_full();
        settings.active.fetch_add(1, Ordering::SeqCst);
        let _ = peers::request(shop, "/price", Some(secs(2))).await;
        settings.end_request();
        settings.version.to_string()
    };
    let router = Router::new().route("/price", get(price)).with_state(Arc::clone(&settings));
    let address = sidelines::serve_http(router).await?;
    sidelines::visitors(&load, address, secs(15), 10, |_| ("/price".to_owned(), secs(10)));
    sidelines::registration()?;
    sidelines::sweep(&load);
    let metrics = sidelines::metrics(&load)?;
    let one_at_a_time = Arc::new(Mutex::new(())); // <- reload-misses-last-request
    let is_faulty = load.is_faulty();
    let mut ticks = interval(secs(u64::try_from(load.size)?));
    for version in 1.. {
        ticks.tick().await;
        let (settings, alone) = (Arc::clone(&settings), Arc::clone(&one_at_a_time));
        let metrics = metrics.clone();
        let work = Work::begin();
        spawn("reload-settings", async move {
            let _alone = alone.lock().await;
            let old = settings.swap(Arc::new(Settings::new(version)));
            old.drain(journal, is_faulty).await;
            work.end(true);
            let _ = metrics.try_send(version);
        });
    }
    Ok(())
}

/// A call from another node, with the channel for its answer.
type Call = (u64, oneshot::Sender<u64>);

/// Handles rows and calls until both mailboxes are closed.
async fn run_actor(mut rows: mpsc::Receiver<u64>, mut calls: mpsc::Receiver<Call>, is_faulty: bool) {
    let mut sum = 0;
    loop {
        let (row, call) = if is_faulty {
            tokio::select! {
                biased;
                Some(row) = rows.recv() => (Some(row), None),
                Some(call) = calls.recv() => (None, Some(call)),
                else => return,
            }
        } else {
            tokio::select! {
                Some(row) = rows.recv() => (Some(row), None),
                Some(call) = calls.recv() => (None, Some(call)),
                else => return,
            }
        };
        // To the disk.
        sleep(millis(8)).await;
        sum += row.unwrap_or_default();
        if let Some((account, answer)) = call {
            // The caller may be gone.
            let _ = answer.send(sum + account);
        }
    }
}

async fn mailboxes(load: Load) -> anyhow::Result<()> {
    const IMPORT_AFTER: Duration = secs(20);
    const ROWS: u64 = 5_000;
    let (row, rows) = mpsc::channel(load.size);
    let (call, calls) = mpsc::channel::<Call>(256); // <- import-starves-remote-calls
    spawn("run-actor", run_actor(rows, calls, load.is_faulty()));
    for part in 0..3 {
        let row = row.clone();
        spawn("import-rows", async move {
            sleep(IMPORT_AFTER).await;
            for number in 0..ROWS {
                row.send(number * 3 + part).await?;
            }
            anyhow::Ok(())
        });
    }
    let mut locally = load.clone();
    locally.rate = 12.0;
    spawn("book-locally", async move {
        sidelines::bursts(&locally, secs(10), 8, || {
            // Another node handles what does not fit.
            let _ = row.try_send(1);
        })
        .await;
    });
    sidelines::registration()?;
    sidelines::sweep(&load);
    let metrics = sidelines::metrics(&load)?;
    sidelines::bursts(&load, secs(10), 6, || {
        let (call, metrics) = (call.clone(), metrics.clone());
        let work = Work::begin();
        spawn("call-remote", async move {
            let (answer, answered) = oneshot::channel();
            call.send((7, answer)).await?;
            let _ = metrics.try_send(answered.await?);
            work.end(true);
            anyhow::Ok(())
        });
    })
    .await;
    Ok(())
}
