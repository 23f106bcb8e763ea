//! Studios: renders that customers are told about, feeds whose episodes are downloaded, and conversions that hold a lease.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use dashmap::DashMap;
use futures::executor::block_on;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, gap, outside};

const SOURCE: Source = Source { file: "programs/studios.rs", text: include_str!("studios.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "done-sent-before-subscribed",
        crates: "tokio, axum, dashmap",
        fault: "A watch channel drops what is sent while nobody subscribes: a customer who subscribes after the render waits forever.",
        issue: "tokio-rs/tokio#7228",
        way: Way::Stragglers,
        rate_of: "renders",
        rate: 6.0,
        size_of: "milliseconds that a customer's address takes at most",
        size: 600,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(renders(load)),
    },
    Program {
        id: "empty-set-joined-in-a-loop",
        crates: "tokio",
        fault: "A loop selects between the next episode and the end of a download: while none runs, that branch is ready at once, every time.",
        issue: "bitcoin-dev-project/sim-ln#182",
        way: Way::Spin,
        rate_of: "episodes",
        rate: 1.5,
        size_of: "downloads at once",
        size: 8,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["spin", "blocking"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(downloads(load)),
    },
    Program {
        id: "lease-returned-in-drop",
        crates: "axum, futures",
        fault: "A lease that is dropped blocks its worker until the lock server answers; if nobody else watches the sockets, no answer comes.",
        issue: "mullvad/mullvadvpn-app#5931",
        way: Way::Blocking,
        rate_of: "conversions",
        rate: 10.0,
        size_of: "documents of a thousand that are damaged",
        size: 60,
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
        run: |load| Box::pin(conversions(load)),
    },
];

/// How far a render is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Queued,
    Scene(u32),
    Done,
}

/// A render, and who wants to know how far it is.
struct Render {
    progress: watch::Sender<Progress>,
    is_faulty: bool,
}

impl Render {
    fn set(&self, progress: Progress) {
        if self.is_faulty {
            // There may be nobody who wants to know.
            let _ = self.progress.send(progress);
        } else {
            self.progress.send_replace(progress);
        }
    }

    async fn run(self: Arc<Self>, scenes: u32, farm: SocketAddr) {
        for scene in 0..scenes {
            self.set(Progress::Scene(scene));
            // A scene that cannot be rendered stays black.
            let _ = peers::request(farm, &format!("/scene/{scene}"), Some(secs(10))).await;
        }
        self.set(Progress::Done);
    }
}

/// What the handlers know.
struct Studio {
    /// The last render of each customer.
    renders: DashMap<u64, Arc<Render>>,
    farm: SocketAddr,
    addresses: SocketAddr,
    mails: SocketAddr,
    is_faulty: bool,
}

impl Studio {
    /// Sends a mail to a customer when a render is done.
    async fn tell(self: Arc<Self>, customer: u64, render: Arc<Render>, work: Work) {
        let address = peers::request(self.addresses, &format!("/address/{customer}"), Some(secs(5))).await;
        let mut progress = render.progress.subscribe();
        let is_done = progress.wait_for(|progress| *progress == Progress::Done).await.is_ok();
        let mail = peers::request(self.mails, &format!("/mail/{customer}"), Some(secs(5))).await;
        work.end(address.is_ok() && is_done && mail.is_ok());
    }

    fn order(self: Arc<Self>, customer: u64, scenes: u32) {
        let render = Arc::new(Render { progress: watch::Sender::new(Progress::Queued), is_faulty: self.is_faulty });
        self.renders.insert(customer, Arc::clone(&render));
        tokio::spawn(Arc::clone(&render).run(scenes, self.farm));
        tokio::spawn(self.tell(customer, render, Work::begin())); // <- done-sent-before-subscribed
    }

    /// Waits until a customer's render is further, but not for long.
    async fn follow(&self, customer: u64) -> String {
        let render = self.renders.get(&customer).map(|render| Arc::clone(&render));
        let Some(render) = render else { return "none".to_owned() };
        let mut progress = render.progress.subscribe();
        let _ = timeout(secs(20), progress.changed()).await;
        let progress = *progress.borrow();
        format!("{progress:?}")
    }
}

/// Clients that follow the renders of their customers, of whom some leave before there is news.
fn followers(load: &Load, address: SocketAddr, customers: u64) {
    let load = load.clone();
    outside(move || async move {
        let mut random = load.random(7);
        loop {
            sleep(gap(&mut random, 2.0)).await;
            let (path, patience) =
                (format!("/follow/{}", random.u64(..customers)), between(&mut random, secs(1), secs(30)));
            tokio::spawn(async move { peers::request(address, &path, Some(patience)).await });
        }
    });
}

async fn renders(load: Load) -> anyhow::Result<()> {
    const CUSTOMERS: u64 = 120;
    let mut random = load.random(1);
    let farm = peers::partner(move || Answer::After(between(&mut random, millis(60), millis(500))))?;
    let (mut random, most) = (load.random(2), millis(u64::try_from(load.size)?));
    let addresses = peers::partner(move || Answer::After(between(&mut random, most / 6, most)))?;
    let mut random = load.random(3);
    let mails = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(120))))?;
    let is_faulty = load.is_faulty();
    let studio = Arc::new(Studio { renders: DashMap::new(), farm, addresses, mails, is_faulty });
    let order = async |State(studio): State<Arc<Studio>>, Path((customer, scenes)): Path<(u64, u32)>| {
        studio.order(customer, scenes);
        "taken"
    };
    let follow = async |State(studio): State<Arc<Studio>>, Path(customer): Path<u64>| studio.follow(customer).await;
    let router = Router::new()
        .route("/order/{customer}/{scenes}", get(order))
        .route("/follow/{customer}", get(follow))
        .with_state(studio);
    let address = sidelines::serve_http(router).await?;
    followers(&load, address, CUSTOMERS);
    sidelines::visitors(&load, address, secs(15), 12, |random| {
        // A few films are long.
        let scenes = if random.u8(..100) < 4 { random.u32(20..90) } else { random.u32(1..4) };
        (format!("/order/{}/{scenes}", random.u64(..CUSTOMERS)), secs(10))
    });
    sidelines::run(&load).await
}

/// Downloads episodes, so many at once.
async fn download(
    mut episodes: mpsc::Receiver<(u64, Work)>,
    host: SocketAddr,
    metrics: mpsc::Sender<u64>,
    most: usize,
    is_faulty: bool,
) {
    let (mut running, mut bytes) = (JoinSet::new(), 0);
    let mut report = interval(secs(10));
    loop {
        tokio::select! {
            episode = episodes.recv(), if running.len() < most => {
                let Some((episode, work)) = episode else { return };
                running.spawn(async move {
                    let got = peers::request(host, &format!("/episode/{episode}"), Some(secs(8))).await;
                    work.end(got.is_ok());
                    got.unwrap_or_default() as u64
                });
            }
            ended = running.join_next(), if is_faulty || !running.is_empty() => {
                if let Some(Ok(got)) = ended {
                    bytes += got;
                }
            }
            _ = report.tick() => {
                let _ = metrics.try_send(std::mem::take(&mut bytes));
            }
        }
    }
}

async fn downloads(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(1);
    let host = peers::partner(move || Answer::After(between(&mut random, millis(100), millis(900))))?;
    let (episode, episodes) = mpsc::channel(64);
    sidelines::registration()?;
    sidelines::sweep(&load);
    let metrics = sidelines::metrics(&load)?;
    tokio::spawn(download(episodes, host, metrics, load.size, load.is_faulty())); // <- empty-set-joined-in-a-loop
    let mut number = 0;
    // Feeds are looked at from time to time, and mostly have nothing new.
    sidelines::bursts(&load, secs(20), 15, || {
        number += 1;
        let work = Work::begin();
        if let Err(full) = episode.try_send((number, work)) {
            full.into_inner().1.end(false);
        }
    })
    .await;
    Ok(())
}

/// A lease of a document from the lock server.
struct Lease {
    locks: SocketAddr,
    document: u64,
    is_held: bool,
    is_faulty: bool,
}

impl Lease {
    async fn take(locks: SocketAddr, document: u64, is_faulty: bool) -> anyhow::Result<Self> {
        peers::request(locks, &format!("/lock/{document}"), Some(secs(5))).await?;
        Ok(Self { locks, document, is_held: true, is_faulty })
    }

    async fn give_back(mut self) -> anyhow::Result<()> {
        unlock(self.locks, self.document).await?;
        self.is_held = false;
        Ok(())
    }
}

async fn unlock(locks: SocketAddr, document: u64) -> anyhow::Result<usize> {
    peers::request(locks, &format!("/unlock/{document}"), Some(secs(5))).await
}

impl Drop for Lease {
    /// Gives the lease back if the conversion has failed, or whoever wanted it has left.
    fn drop(&mut self) {
        if !self.is_held {
            return;
        }
        let unlocking = unlock(self.locks, self.document);
        if self.is_faulty {
            // The lock server will take it back some day anyway.
            let _ = block_on(unlocking);
        } else {
            tokio::spawn(unlocking);
        }
    }
}

async fn conversions(load: Load) -> anyhow::Result<()> {
    const DAMAGED_AFTER: Duration = secs(20);
    const IMPATIENCE: Duration = millis(350);
    let mut random = load.random(1);
    let locks = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(250))))?;
    let mut random = load.random(2);
    let engine = peers::partner(move || Answer::After(between(&mut random, millis(50), millis(400))))?;
    let (damaged, is_faulty) = (u64::try_from(load.size.min(999))?, load.is_faulty());
    let convert = async move |document: u64| {
        let lease = Lease::take(locks, document, is_faulty).await?;
        let length = peers::request(engine, &format!("/convert/{document}"), Some(secs(5))).await?;
        anyhow::ensure!(document >= damaged, "the document is damaged");
        lease.give_back().await?;
        anyhow::Ok(length.to_string())
    };
    let answer =
        async move |Path(document): Path<u64>| convert(document).await.unwrap_or_else(|error| error.to_string());
    let address = sidelines::serve_http(Router::new().route("/convert/{document}", get(answer))).await?;
    let began = Instant::now();
    sidelines::visitors(&load, address, secs(15), 10, move |random| {
        let is_easy = began.elapsed() < DAMAGED_AFTER;
        let number = if is_easy { random.u64(damaged..1_000) } else { random.u64(..1_000) };
        let leaves = !is_easy && random.u8(..100) < 2;
        (format!("/convert/{number}"), if leaves { IMPATIENCE } else { secs(10) })
    });
    sidelines::run(&load).await
}
