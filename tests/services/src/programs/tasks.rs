//! Tasks that nobody ends, that wait for permits of their own parents, or that begin to wait after what they wait for.

use std::sync::Arc;
use std::time::Duration;

use async_recursion::async_recursion;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use futures::future::join_all;
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, spawn};

const SOURCE: Source = Source { file: "programs/tasks.rs", text: include_str!("tasks.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "heartbeat-outlives-session",
        crates: "tokio-util",
        fault: "Each session spawns a heartbeat, and ends without cancelling its token: the heartbeats never stop.",
        issue: "icewind1991/steam-vent#16",
        way: Way::Crowd,
        rate_of: "sessions",
        rate: 3.0,
        size_of: "seconds that a session lasts",
        size: 5,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck"],
            names: &["session-heartbeat"],
            libraries: &[],
            severity: Severity::Info,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(sessions(load)),
    },
    Program {
        id: "tree-walk-holds-permits",
        crates: "async-recursion",
        fault: "A copy of a tree holds its permit while it waits for its folders, each of which needs one: parents take them all.",
        issue: "spkenv/spk#805",
        way: Way::Permits,
        rate_of: "copies",
        rate: 1.5,
        size_of: "folders that may be open",
        size: 8,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "contention", "queue"],
            names: &["copy-tree"],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(copies(load)),
    },
    Program {
        id: "notified-before-it-waits",
        crates: "dashmap",
        fault: "A request for a tile that is being rendered checks its quota before it waits, and misses the only notification.",
        issue: "containerd/ttrpc-rust#227",
        way: Way::Stragglers,
        rate_of: "tiles asked for",
        rate: 30.0,
        size_of: "tiles that are asked for",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &["serve-tile"],
            libraries: &[],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(tiles(load)),
    },
];

async fn sessions(load: Load) -> anyhow::Result<()> {
    let presence = peers::partner(|| Answer::After(millis(3)))?;
    let lasts = secs(u64::try_from(load.size)?);
    let mut random = load.random(1);
    load.arrivals(|_| {
        let is_faulty = load.is_faulty();
        let length = between(&mut random, lasts / 2, lasts * 3 / 2);
        spawn("serve-session", async move {
            let token = CancellationToken::new();
            spawn("session-heartbeat", heartbeat(token.clone(), presence, Work::begin()));
            let ends_heartbeat = (!is_faulty).then(|| token.drop_guard());
            sleep(length).await;
            drop(ends_heartbeat);
        });
    })
    .await;
    Ok(())
}

async fn heartbeat(token: CancellationToken, presence: std::net::SocketAddr, work: Work) {
    let beat = async {
        loop {
            sleep(secs(1)).await;
            // One that is missed is made up for by the next.
            let _ = peers::request(presence, "/alive", Some(secs(1))).await;
        }
    };
    token.run_until_cancelled(beat).await;
    work.end(true);
}

/// Copies of trees, three folders in each folder and three levels deep.
#[derive(Clone)]
struct Copier {
    open: Arc<Semaphore>,
    is_faulty: bool,
}

impl Copier {
    #[async_recursion]
    async fn copy(&self, depth: u32, takes: Duration) -> u64 {
        let Ok(open) = self.open.acquire().await else { return 0 };
        sleep(takes).await;
        let kept = self.is_faulty.then_some(open);
        if depth == 0 {
            return 1;
        }
        let folders = (0..3_u32).map(|folder| self.copy(depth - 1, takes + millis(u64::from(folder))));
        let copied: u64 = join_all(folders).await.into_iter().sum();
        drop(kept);
        copied + 1
    }
}

async fn copies(load: Load) -> anyhow::Result<()> {
    let open = Arc::new(Semaphore::new(load.size)); // <- tree-walk-holds-permits
    let copier = Copier { open, is_faulty: load.is_faulty() };
    let mut random = load.random(1);
    load.arrivals(|_| {
        let (copier, takes) = (copier.clone(), between(&mut random, millis(30), millis(90)));
        let work = Work::begin();
        spawn("copy-tree", async move { work.end(copier.copy(2, takes).await == 13) });
    })
    .await;
    Ok(())
}

/// A tile: being rendered, with the notification of its end, or rendered.
#[derive(Clone)]
enum Tile {
    Rendering(Arc<Notify>),
    Rendered,
}

async fn tiles(load: Load) -> anyhow::Result<()> {
    const KEPT: Duration = secs(2);
    let tiles = Arc::new(DashMap::<usize, Tile>::new());
    let mut random = load.random(1);
    load.arrivals(|_| {
        let (tiles, key, is_faulty) = (Arc::clone(&tiles), random.usize(..load.size), load.is_faulty());
        let (renders, quota) =
            (between(&mut random, millis(100), millis(200)), between(&mut random, millis(20), millis(60)));
        let work = Work::begin();
        spawn("serve-tile", async move {
            let found = match tiles.entry(key) {
                Entry::Occupied(found) => Some(found.get().clone()),
                Entry::Vacant(place) => {
                    let there = Arc::new(Notify::new()); // <- notified-before-it-waits
                    place.insert(Tile::Rendering(there));
                    None
                }
            };
            match found {
                Some(Tile::Rendered) => sleep(quota).await,
                Some(Tile::Rendering(there)) => {
                    // Repaired, it is notified of what happens while it checks its quota.
                    let notified = (!is_faulty).then(|| Arc::clone(&there).notified_owned());
                    sleep(quota).await;
                    match notified {
                        Some(notified) => notified.await,
                        None => there.notified().await,
                    }
                }
                None => render(&tiles, key, renders, KEPT).await,
            }
            work.end(true);
        });
    })
    .await;
    Ok(())
}

async fn render(tiles: &Arc<DashMap<usize, Tile>>, key: usize, takes: Duration, kept: Duration) {
    sleep(takes).await;
    if let Some(Tile::Rendering(there)) = tiles.insert(key, Tile::Rendered) {
        there.notify_waiters();
    }
    let tiles = Arc::clone(tiles);
    spawn("forget-tile", async move {
        sleep(kept).await;
        tiles.remove(&key);
    });
}
