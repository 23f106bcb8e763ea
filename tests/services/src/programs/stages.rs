//! Stages: cameras whose picture and sound are recorded, and products that get the path of their category.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::Buf as _;
use futures::StreamExt as _;
use futures::future::{BoxFuture, FutureExt as _};
use parking_lot::Mutex as SyncMutex;
use quick_cache::sync::Cache;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside};

const SOURCE: Source = Source { file: "programs/stages.rs", text: include_str!("stages.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "recorder-waits-for-muted-sound",
        crates: "tokio-util",
        fault: "A recorder takes picture and sound in turn from two bounded queues: while a camera is mute, the other fills, and nobody reads on.",
        issue: "mattias800/prosper#2905",
        way: Way::Deadlock,
        rate_of: "pictures of a camera",
        rate: 15.0,
        size_of: "seconds until the first camera is mute",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(recordings(load)),
    },
    Program {
        id: "category-below-itself",
        crates: "quick_cache, axum",
        fault: "The path of a category is loaded from the path of its parent in the same cache: once there is a cycle, a load waits for itself.",
        issue: "dust-tt/dust#8813",
        way: Way::Deadlock,
        rate_of: "products",
        rate: 14.0,
        size_of: "seconds until a category is moved below itself",
        size: 15,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["stuck", "queue"],
            names: &[],
            libraries: &["axum", "quick_cache"],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(products(load)),
    },
];

/// The picture or the sound of a moment, for as many milliseconds from the start.
type Packet = (u64, Work);

/// Reads what a camera sends, and puts it into the queue of its kind.
async fn receive(
    socket: TcpStream,
    pictures: mpsc::Sender<Packet>,
    sounds: mpsc::Sender<Packet>,
) -> anyhow::Result<()> {
    let mut frames = FramedRead::new(socket, LengthDelimitedCodec::new());
    while let Some(frame) = timeout(secs(30), frames.next()).await? {
        let mut frame = frame?;
        let (kind, at) = (frame.try_get_u8()?, frame.try_get_u64()?);
        let queue = if kind == b'p' { &pictures } else { &sounds };
        queue.send((at, Work::begin())).await?;
    }
    Ok(())
}

/// Takes from a queue. A camera counts as mute when no sound has come for this long, until there is some again.
async fn next(queue: &mut mpsc::Receiver<Packet>, is_mute: &mut bool, patience: Option<Duration>) -> Option<Packet> {
    let packet = match patience {
        None => queue.recv().await,
        Some(_) if *is_mute => queue.try_recv().ok(),
        Some(patience) => timeout(patience, queue.recv()).await.unwrap_or_default(),
    };
    *is_mute = packet.is_none();
    packet
}

/// Writes picture and sound in the order of their times, in parts of some seconds.
async fn record(
    mut pictures: mpsc::Receiver<Packet>,
    mut sounds: mpsc::Receiver<Packet>,
    store: SocketAddr,
    patience: Option<Duration>,
) {
    const PART: usize = 100;
    let (mut picture, mut sound, mut part) = (None, None, Vec::with_capacity(PART));
    let mut is_mute = false;
    loop {
        // Without both it is not known which is first.
        if picture.is_none() {
            picture = next(&mut pictures, &mut false, patience).await;
        }
        if sound.is_none() {
            sound = next(&mut sounds, &mut is_mute, patience).await;
        }
        let earlier = match (&picture, &sound) {
            (None, None) if pictures.is_closed() => break,
            (None, None) => None,
            (Some((seen, _)), Some((heard, _))) if heard < seen => sound.take(),
            (Some(_), _) => picture.take(),
            (None, _) => sound.take(),
        };
        part.extend(earlier.map(|(_, work)| work));
        if part.len() == PART {
            let is_stored = peers::request(store, "/part", Some(secs(3))).await.is_ok();
            part.drain(..).for_each(|work: Work| work.end(is_stored));
        }
    }
}

/// A camera, which sends sound with each second picture, and nothing but pictures while it is mute.
async fn film(recorder: SocketAddr, every: Duration, mute: std::ops::Range<u64>) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(recorder).await?;
    let (began, mut ticks) = (Instant::now(), interval(every));
    for number in 0_u64.. {
        ticks.tick().await;
        let at = u64::try_from(began.elapsed().as_millis())?;
        let is_heard = number % 2 == 0 && !mute.contains(&(at / 1_000));
        for (kind, length) in [(b'p', 900_u32), (b's', 100)].into_iter().take(if is_heard { 2 } else { 1 }) {
            let mut frame = (9 + length).to_be_bytes().to_vec();
            frame.push(kind);
            frame.extend_from_slice(&at.to_be_bytes());
            frame.resize(frame.len() + length as usize, 0);
            timeout(secs(15), socket.write_all(&frame)).await??;
        }
    }
    Ok(())
}

async fn recordings(load: Load) -> anyhow::Result<()> {
    const CAMERAS: u64 = 8;
    const QUEUE: usize = 60;
    let mut random = load.random(1);
    let store = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(300))))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (recorder, first, every) = (listener.local_addr()?, load.size as u64, secs(1).div_f64(load.rate));
    outside(move || async move {
        for camera in 0..CAMERAS {
            tokio::spawn(async move {
                loop {
                    // Three of them are never mute.
                    let from = if camera % 3 == 2 { u64::MAX - 20 } else { first + 8 * camera };
                    let _ = film(recorder, every, from..from + 20).await;
                    sleep(secs(3)).await;
                }
            });
        }
        std::future::pending().await
    });
    let patience = (!load.is_faulty()).then_some(millis(400));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (picture, pictures) = mpsc::channel(QUEUE); // <- recorder-waits-for-muted-sound
            let (sound, sounds) = mpsc::channel(QUEUE); // <- recorder-waits-for-muted-sound
            tokio::spawn(receive(socket, picture, sound)); // <- recorder-waits-for-muted-sound
            tokio::spawn(record(pictures, sounds, store, patience)); // <- recorder-waits-for-muted-sound
        }
    });
    sidelines::run(&load).await
}

const CATEGORIES: usize = 24;

/// The categories of products, each below another one.
struct Categories {
    parents: SyncMutex<Vec<usize>>,
    store: SocketAddr,
    paths: Cache<usize, Arc<str>>,
    rows: Cache<usize, usize>,
}

impl Categories {
    /// Reads from the store below which category one is.
    async fn parent(&self, category: usize) -> anyhow::Result<usize> {
        peers::request(self.store, &format!("/category/{category}"), Some(secs(3))).await?;
        Ok(self.parents.lock()[category])
    }

    /// The path to a category, which begins with the path to the one above it.
    fn path(&self, category: usize) -> BoxFuture<'_, anyhow::Result<Arc<str>>> {
        let load = async move {
            Ok(match self.parent(category).await? {
                parent if parent == category => Arc::from("all"),
                parent => format!("{}/{category}", self.path(parent).await?).into(),
            })
        };
        async move { self.paths.get_or_insert_async(&category, load).await }.boxed()
    }

    /// The same, put together from rows, of which none waits for another.
    async fn path_of_rows(&self, category: usize) -> anyhow::Result<Arc<str>> {
        let mut above = vec![category];
        loop {
            let last = above[above.len() - 1];
            let parent = self.rows.get_or_insert_async(&last, self.parent(last)).await?;
            if parent == last {
                let names: Vec<_> = above.iter().rev().map(usize::to_string).collect();
                return Ok(names.join("/").into());
            }
            if above.contains(&parent) {
                return Ok("unsorted".into());
            }
            above.push(parent);
        }
    }

    fn forget(&self, category: usize) {
        self.paths.remove(&category);
        self.rows.remove(&category);
    }
}

/// Takes products from a queue that several workers share, and puts each into the index below its category.
async fn index_products(
    products: Arc<Mutex<mpsc::Receiver<(usize, Work)>>>,
    categories: Arc<Categories>,
    search: SocketAddr,
    is_faulty: bool,
) {
    loop {
        // Locked only until there is a product.
        let Some((category, work)) = products.lock().await.recv().await else { return };
        let path = if is_faulty { categories.path(category).await } else { categories.path_of_rows(category).await };
        let indexed = match path {
            Ok(path) => peers::request(search, &format!("/index/{path}"), Some(secs(3))).await,
            Err(error) => Err(error),
        };
        work.end(indexed.is_ok());
    }
}

async fn products(load: Load) -> anyhow::Result<()> {
    const WORKERS: usize = 8;
    const QUEUE: usize = 300;
    let mut random = load.random(1);
    let store = peers::partner(move || Answer::After(between(&mut random, millis(10), millis(120))))?;
    let mut random = load.random(2);
    let search = peers::partner(move || Answer::After(between(&mut random, millis(30), millis(350))))?;
    let parents = SyncMutex::new((0..CATEGORIES).map(|category| category / 3).collect());
    let categories = Arc::new(Categories { parents, store, paths: Cache::new(1_000), rows: Cache::new(1_000) });
    let (product, products) = mpsc::channel::<(usize, Work)>(QUEUE); // <- category-below-itself
    let (products, is_faulty) = (Arc::new(Mutex::new(products)), load.is_faulty());
    for _ in 0..WORKERS {
        let (products, categories) = (Arc::clone(&products), Arc::clone(&categories));
        tokio::spawn(index_products(products, categories, search, is_faulty)); // <- category-below-itself
    }
    let (mut random, edited, first) = (load.random(3), Arc::clone(&categories), secs(load.size as u64));
    tokio::spawn(async move {
        const MOVED: usize = 2;
        let (began, mut is_moved) = (Instant::now(), false);
        loop {
            sleep(secs(5)).await;
            edited.forget(random.usize(..CATEGORIES));
            if !is_moved && began.elapsed() >= first {
                is_moved = true;
                // Below the first of those that are below it.
                edited.parents.lock()[MOVED] = 3 * MOVED + 1;
                edited.forget(MOVED);
                edited.forget(3 * MOVED + 1);
            }
        }
    });
    let take = async move |Path(category): Path<usize>| {
        let _ = product.send((category % CATEGORIES, Work::begin())).await;
        "taken"
    };
    let address = sidelines::serve_http(Router::new().route("/product/{category}", get(take))).await?;
    sidelines::visitors(&load, address, secs(10), 20, |random| {
        (format!("/product/{}", random.usize(..CATEGORIES)), secs(5))
    });
    sidelines::run(&load).await
}
