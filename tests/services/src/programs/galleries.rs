//! Galleries: pictures that are taken from the folders of photographers, and captions that many people edit at a time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract;
use axum::routing::get;
use notify::event::{AccessKind, AccessMode, CreateKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout, timeout_at};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, spawn_thread};

const SOURCE: Source = Source { file: "programs/galleries.rs", text: include_str!("galleries.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "folder-watched-with-full-queue",
        crates: "notify, tokio, axum",
        fault: "The task that takes pictures waits for the watcher's thread to add a folder; that thread waits for room in the task's queue.",
        issue: "notify-rs/notify#463",
        way: Way::Blocking,
        rate_of: "uploads",
        rate: 8.0,
        size_of: "pictures of a card",
        size: 200,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label { families: &["blocking"], names: &[], libraries: &[], severity: Severity::Warning, within: 60 },
        source: SOURCE,
        run: |load| Box::pin(pictures(load)),
    },
    Program {
        id: "saved-when-nobody-types",
        crates: "tokio, axum",
        fault: "A caption is saved once nobody has edited it for a second: while many edit it, it is never saved, and whoever waits for that waits on.",
        issue: "openclaw/openclaw#104106",
        way: Way::Unanswered,
        rate_of: "edits, and people who wait for one",
        rate: 24.0,
        size_of: "seconds until a picture is in the news",
        size: 10,
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
        run: |load| Box::pin(captions(load)),
    },
];

/// Whether this is a picture, and not a folder.
fn is_picture(path: &Path) -> bool {
    path.extension().is_some()
}

/// What lies in a folder; nothing if there is no such folder any more.
async fn list(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Ok(mut entries) = tokio::fs::read_dir(folder).await {
        while let Ok(Some(entry)) = entries.next_entry().await {
            found.push(entry.path());
        }
    }
    found
}

/// Watches folders, and reports new folders and pictures that are written to the end. It calls `tell` on a thread of its own.
fn watcher(mut tell: impl FnMut(PathBuf) + Send + 'static) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        let Ok(event) = event else { return };
        let is_new = matches!(
            event.kind,
            EventKind::Create(CreateKind::Folder) | EventKind::Access(AccessKind::Close(AccessMode::Write))
        );
        if is_new {
            event.paths.into_iter().for_each(&mut tell);
        }
    })
}

/// Who waits for which picture.
type Awaited = Arc<Mutex<HashMap<PathBuf, oneshot::Sender<()>>>>;

/// What takes pictures from the folders.
struct Taker {
    watcher: Arc<Mutex<RecommendedWatcher>>,
    has_missed: Arc<AtomicBool>,
    renderer: SocketAddr,
    awaited: Awaited,
    is_faulty: bool,
}

impl Taker {
    /// Has a picture rendered and removes it from its folder, if nobody has done so before.
    async fn take(&self, picture: PathBuf) -> anyhow::Result<()> {
        tokio::fs::read(&picture).await?;
        peers::request(self.renderer, "/render", Some(secs(3))).await?;
        tokio::fs::remove_file(&picture).await?;
        if let Some(awaited) = self.awaited.lock().remove(&picture) {
            // Who uploaded it may be gone.
            let _ = awaited.send(());
        }
        Ok(())
    }

    async fn watch(&self, folder: PathBuf) -> anyhow::Result<()> {
        let watcher = Arc::clone(&self.watcher);
        let watch = move || watcher.lock().watch(&folder, RecursiveMode::NonRecursive);
        if self.is_faulty {
            watch()?; // <- folder-watched-with-full-queue
        } else {
            spawn_blocking(watch).await??;
        }
        Ok(())
    }

    /// Takes the pictures that are found, and watches the folders. If something was missed, it looks for it.
    async fn run(self, root: PathBuf, mut found: mpsc::Receiver<PathBuf>) {
        let (mut folders, mut waiting) = (HashSet::new(), VecDeque::from([root]));
        loop {
            let next = match waiting.pop_front() {
                Some(path) => Some(path),
                None => found.recv().await,
            };
            let Some(path) = next else { return };
            if is_picture(&path) {
                // What cannot be rendered stays where it is.
                let _ = self.take(path).await;
            } else if folders.insert(path.clone()) {
                // Whoever made the folder may have removed it again.
                let _ = self.watch(path.clone()).await;
                waiting.extend(list(&path).await);
            }
            if waiting.is_empty() && found.is_empty() && self.has_missed.swap(false, Ordering::Relaxed) {
                for folder in &folders {
                    waiting.extend(list(folder).await);
                }
            }
        }
    }
}

/// A photographer who copies a card every twelve seconds, and in between makes a folder for an album.
fn photographer(load: &Load, root: &Path) {
    const EVERY: Duration = secs(12);
    const ALBUM: usize = 30;
    /// So many albums are left.
    const KEPT: usize = 4;
    let (root, pictures) = (root.to_owned(), load.size);
    spawn_thread("photographer", move || {
        let copy = |card: usize| -> io::Result<()> {
            let album = root.join(format!("album-{card}"));
            for picture in 0..pictures {
                if picture == pictures / 3 {
                    fs::create_dir_all(&album)?;
                }
                fs::write(root.join(format!("card-{card}-{picture}.jpg")), [0xff; 512])?;
            }
            for picture in 0..ALBUM {
                fs::write(album.join(format!("{picture}.jpg")), [0xff; 512])?;
            }
            if let Some(old) = card.checked_sub(KEPT) {
                fs::remove_dir_all(root.join(format!("album-{old}")))?;
            }
            Ok(())
        };
        for card in 0.. {
            thread::sleep(EVERY);
            // A disk that is full is somebody else's fault.
            let _ = copy(card);
        }
    });
}

async fn pictures(load: Load) -> anyhow::Result<()> {
    const FOUND: usize = 64;
    let mut random = load.random(1);
    let renderer = peers::partner(move || Answer::After(between(&mut random, millis(8), millis(25))))?;
    let root = std::env::temp_dir().join(format!("services-gallery-{}", std::process::id()));
    fs::create_dir_all(&root)?;
    let (tell, found) = mpsc::channel(FOUND);
    let (has_missed, is_faulty) = (Arc::new(AtomicBool::new(false)), load.is_faulty());
    let missed = Arc::clone(&has_missed);
    let watcher = watcher(move |path| {
        if is_faulty {
            // Nobody listens any more when the service ends.
            let _ = tell.blocking_send(path);
        } else if tell.try_send(path).is_err() {
            missed.store(true, Ordering::Relaxed);
        }
    })?;
    let (watcher, awaited) = (Arc::new(Mutex::new(watcher)), Awaited::default());
    let taker = Taker { watcher, has_missed, renderer, awaited: Arc::clone(&awaited), is_faulty };
    tokio::spawn(taker.run(root.clone(), found)); // <- folder-watched-with-full-queue
    photographer(&load, &root);
    let upload = async move |extract::Path(number): extract::Path<u32>| {
        let picture = root.join(format!("upload-{number}.jpg"));
        let (send, taken) = oneshot::channel();
        awaited.lock().insert(picture.clone(), send);
        if tokio::fs::write(&picture, [0xff; 512]).await.is_err() {
            return "no";
        }
        match taken.await {
            Ok(()) => "published",
            Err(_) => "lost",
        }
    };
    let address = sidelines::serve_http(Router::new().route("/upload/{number}", get(upload))).await?;
    sidelines::visitors(&load, address, secs(20), 12, |random| (format!("/upload/{}", random.u32(..)), secs(15)));
    sidelines::run(&load).await
}

/// The caption of a picture: edits of it, and the newest one that is saved.
#[derive(Clone)]
struct Caption {
    edits: mpsc::Sender<u64>,
    newest: Arc<AtomicU64>,
    saved: Arc<watch::Sender<u64>>,
}

/// Saves a caption when nobody has edited it for a while.
async fn save(mut edits: mpsc::Receiver<u64>, saved: Arc<watch::Sender<u64>>, store: SocketAddr, is_faulty: bool) {
    const QUIET: Duration = secs(1);
    const LONGEST: Duration = secs(3);
    while let Some(mut newest) = edits.recv().await {
        let longest = tokio::time::Instant::now() + LONGEST;
        loop {
            let quiet = tokio::time::Instant::now() + QUIET;
            let until = if is_faulty { quiet } else { quiet.min(longest) };
            match timeout_at(until, edits.recv()).await {
                Ok(Some(edit)) => newest = newest.max(edit),
                Ok(None) | Err(_) => break,
            }
        }
        while peers::request(store, "/caption", Some(secs(3))).await.is_err() {
            sleep(secs(1)).await;
        }
        saved.send_replace(newest);
    }
}

/// Tells the subscribers of a picture about an edit once it is saved.
async fn announce(mut saved: watch::Receiver<u64>, edit: u64, subscribers: SocketAddr) {
    let work = Work::begin();
    let is_saved = saved.wait_for(|&saved| saved >= edit).await.is_ok(); // <- saved-when-nobody-types
    let told = peers::request(subscribers, "/news", Some(secs(3))).await;
    work.end(is_saved && told.is_ok());
}

async fn captions(load: Load) -> anyhow::Result<()> {
    const PICTURES: usize = 20;
    /// The picture that gets into the news, and how many of the edits are of it then.
    const NEWS: usize = 3;
    const OF_NEWS: f64 = 0.7;
    /// People wait no longer than this for an edit.
    const PATIENCE: Duration = secs(8);
    let (mut random, mut also) = (load.random(1), load.random(2));
    let store = peers::partner(move || Answer::After(between(&mut random, millis(50), millis(300))))?;
    let subscribers = peers::partner(move || Answer::After(between(&mut also, millis(20), millis(200))))?;
    let mut captions = Vec::with_capacity(PICTURES);
    for _ in 0..PICTURES {
        let (edits, edited) = mpsc::channel(256);
        let saved = Arc::new(watch::Sender::new(0)); // <- saved-when-nobody-types
        tokio::spawn(save(edited, Arc::clone(&saved), store, load.is_faulty())); // <- saved-when-nobody-types
        captions.push(Caption { edits, newest: Arc::default(), saved });
    }
    let watched = captions.clone();
    let edit = async move |extract::Path(picture): extract::Path<usize>| {
        let caption = &captions[picture % PICTURES];
        let edit = caption.newest.fetch_add(1, Ordering::Relaxed) + 1;
        if caption.edits.send(edit).await.is_err() {
            return "no";
        }
        tokio::spawn(announce(caption.saved.subscribe(), edit, subscribers)); // <- saved-when-nobody-types
        "taken"
    };
    let wait = async move |extract::Path(picture): extract::Path<usize>| {
        let mut saved = watched[picture % PICTURES].saved.subscribe();
        match timeout(PATIENCE, saved.changed()).await {
            Ok(_) => "edited",
            Err(_) => "nothing new",
        }
    };
    let router = Router::new().route("/edit/{picture}", get(edit)).route("/wait/{picture}", get(wait));
    let address = sidelines::serve_http(router).await?;
    let news = Instant::now() + secs(load.size as u64);
    sidelines::visitors(&load, address, secs(20), 15, move |random| {
        let is_news = Instant::now() > news && random.f64() < OF_NEWS;
        let picture = if is_news { NEWS } else { random.usize(..PICTURES) };
        let what = if random.f64() < 0.75 { "edit" } else { "wait" };
        (format!("/{what}/{picture}"), secs(12))
    });
    sidelines::run(&load).await
}
