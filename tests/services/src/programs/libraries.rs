//! Libraries: shelves that are opened as their branches want them, scanned pages that are fetched ahead, and a journal of loans.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, process};

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use futures::{StreamExt as _, stream};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, outside};

const SOURCE: Source = Source { file: "programs/libraries.rs", text: include_str!("libraries.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "status-wakes-its-controller",
        crates: "tokio, serde_json, axum",
        fault: "A controller notes when it has looked at each branch; each note is a change of the state that it waits for, so it looks again at once.",
        issue: "keikoproj/instance-manager#234",
        way: Way::Spin,
        rate_of: "wishes of branches",
        rate: 4.0,
        size_of: "branches",
        size: 12,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label { families: &["spin"], names: &[], libraries: &[], severity: Severity::Warning, within: 60 },
        source: SOURCE,
        run: |load| Box::pin(shelves(load)),
    },
    Program {
        id: "prefetch-claims-whole-book",
        crates: "tokio, futures, parking_lot, axum",
        fault: "A prefetch marks all pages of a book as on their way before it fetches the first: who wants a later one waits for all before it.",
        issue: "kunobi-ninja/kache#613",
        way: Way::Backlog,
        rate_of: "pages that are read",
        rate: 15.0,
        size_of: "pages of a book",
        size: 1_600,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "stuck", "contention"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(pages(load)),
    },
    Program {
        id: "journal-locked-on-worker",
        crates: "tokio, axum",
        fault: "A handler waits on its worker for the lock of a file, which another program keeps for more than a second while it copies the file.",
        issue: "prefix-dev/rip#126",
        way: Way::Blocking,
        rate_of: "loans",
        rate: 10.0,
        size_of: "milliseconds that a copy takes at least, and at most half as many more",
        size: 1_200,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["blocking"],
            names: &[],
            libraries: &["axum"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(loans(load)),
    },
];

/// The shelves of a branch, and when somebody looked whether they are as they should be.
#[derive(Debug, Clone, Default, Serialize)]
struct Branch {
    wanted: u32,
    open: u32,
    looked_at: u128,
}

/// What the controller has found and done.
struct Status {
    branch: usize,
    open: u32,
    looked_at: u128,
}

/// Opens and closes shelves until each branch has what it wants, and reports that.
async fn control(
    mut branches: watch::Receiver<Vec<Branch>>,
    statuses: mpsc::Sender<Status>,
    porters: SocketAddr,
) -> anyhow::Result<()> {
    const AT_LATEST: Duration = secs(10);
    let began = Instant::now();
    loop {
        // Without a change it looks again after a while.
        if let Ok(changed) = timeout(AT_LATEST, branches.changed()).await {
            changed?;
        }
        let now = branches.borrow_and_update().clone();
        for (branch, state) in now.iter().enumerate() {
            let is_moved = state.open == state.wanted
                || peers::request(porters, &format!("/move/{branch}"), Some(secs(2))).await.is_ok();
            let open = if is_moved { state.wanted } else { state.open };
            statuses.send(Status { branch, open, looked_at: began.elapsed().as_millis() }).await?;
        }
    }
}

/// Writes reports of the controller into the state.
async fn write_statuses(branches: watch::Sender<Vec<Branch>>, mut statuses: mpsc::Receiver<Status>, is_faulty: bool) {
    while let Some(Status { branch, open, looked_at }) = statuses.recv().await {
        branches.send_if_modified(|branches| {
            let branch = &mut branches[branch];
            let is_news = branch.open != open;
            (branch.open, branch.looked_at) = (open, looked_at);
            is_news || is_faulty
        });
    }
}

/// Sends the state to the head office every five seconds.
async fn report(branches: watch::Receiver<Vec<Branch>>, office: SocketAddr) {
    loop {
        sleep(secs(5)).await;
        let report = serde_json::to_string(&*branches.borrow()).unwrap_or_default();
        // The next report says all that this one does.
        let _ = peers::request(office, &format!("/report/{}", report.len()), Some(secs(2))).await;
    }
}

async fn shelves(load: Load) -> anyhow::Result<()> {
    let [porters, office] = [1, 2].map(|purpose| {
        let mut random = load.random(purpose);
        peers::partner(move || Answer::After(between(&mut random, millis(10), millis(40))))
    });
    let (branches, state) = watch::channel(vec![Branch::default(); load.size]);
    let (statuses, reported) = mpsc::channel(32);
    tokio::spawn(control(state.clone(), statuses, porters?)); // <- status-wakes-its-controller
    tokio::spawn(write_statuses(branches.clone(), reported, load.is_faulty())); // <- status-wakes-its-controller
    tokio::spawn(report(state, office?));
    let wish = async move |Path((branch, shelves)): Path<(usize, u32)>| {
        let mut state = branches.subscribe();
        branches.send_modify(|branches| branches[branch].wanted = shelves);
        // Somebody else may want something else meanwhile.
        let is_so = |branches: &Vec<Branch>| branches[branch].open == shelves || branches[branch].wanted != shelves;
        match timeout(secs(4), state.wait_for(is_so)).await {
            Ok(_) => "they are open",
            Err(_) => "they will be",
        }
    };
    let address = sidelines::serve_http(Router::new().route("/wish/{branch}/{shelves}", get(wish))).await?;
    let count = load.size;
    sidelines::visitors(&load, address, secs(15), 12, move |random| {
        (format!("/wish/{}/{}", random.usize(..count), random.u32(1..40)), secs(5))
    });
    sidelines::run(&load).await
}

/// Where a page is: on its way, with what its end is awaited by, or here.
enum Place {
    Coming(watch::Receiver<bool>),
    Here,
}

/// A page of a book.
type Page = (u64, usize);

/// What is to be done about a page that somebody wants.
enum Claim {
    /// Whoever asked has to fetch it.
    Fetch(watch::Sender<bool>),
    /// It is on its way.
    Wait(watch::Receiver<bool>),
    Nothing,
}

/// The pages that were fetched lately.
struct Pages {
    places: Mutex<HashMap<Page, Place>>,
    archive: SocketAddr,
    is_faulty: bool,
}

impl Pages {
    fn claim(&self, page: Page) -> Claim {
        let mut places = self.places.lock();
        match places.get(&page) {
            Some(Place::Here) => Claim::Nothing,
            Some(Place::Coming(is_here)) => Claim::Wait(is_here.clone()),
            None => {
                let (done, is_here) = watch::channel(false); // <- prefetch-claims-whole-book
                places.insert(page, Place::Coming(is_here));
                Claim::Fetch(done)
            }
        }
    }

    /// Fetches a page that was claimed.
    async fn fetch(&self, page: Page, done: watch::Sender<bool>) -> bool {
        let path = format!("/scan/{}/{}", page.0, page.1);
        let is_fetched = peers::request(self.archive, &path, Some(secs(3))).await.is_ok();
        if is_fetched {
            self.places.lock().insert(page, Place::Here);
            done.send_replace(true);
        } else {
            self.places.lock().remove(&page);
        }
        is_fetched
    }

    /// Shows a page to a reader.
    async fn show(self: Arc<Self>, page: Page, screens: SocketAddr) {
        let work = Work::begin();
        let is_here = match self.claim(page) {
            Claim::Fetch(done) => self.fetch(page, done).await,
            Claim::Wait(mut is_here) => is_here.wait_for(|&is_here| is_here).await.is_ok(), // <- prefetch-claims-whole-book
            Claim::Nothing => true,
        };
        work.end(is_here && peers::request(screens, "/screen", Some(secs(2))).await.is_ok());
    }

    /// Fetches all pages of a book ahead, some at a time.
    async fn prefetch(&self, book: u64, count: usize) {
        const AT_ONCE: usize = 6;
        self.places.lock().retain(|&(other, _), _| other + 1 >= book);
        let take = |number| match self.claim((book, number)) {
            Claim::Fetch(done) => Some(((book, number), done)),
            Claim::Wait(_) | Claim::Nothing => None,
        };
        let fetch = async |(page, done)| self.fetch(page, done).await;
        if self.is_faulty {
            let claimed: Vec<_> = (0..count).filter_map(take).collect();
            stream::iter(claimed).map(fetch).buffer_unordered(AT_ONCE).for_each(async |_| ()).await;
        } else {
            stream::iter((0..count).filter_map(take)).map(fetch).buffer_unordered(AT_ONCE).for_each(async |_| ()).await;
        }
    }
}

/// Prefetches a book whenever readers open the next one.
async fn prefetch_books(pages: Arc<Pages>, mut opened: watch::Receiver<u64>, count: usize) {
    while opened.changed().await.is_ok() {
        let book = *opened.borrow_and_update();
        pages.prefetch(book, count).await;
    }
}

async fn pages(load: Load) -> anyhow::Result<()> {
    /// For so long a class of readers reads the same book.
    const READ_FOR: Duration = secs(70);
    let [archive, screens] = [1, 2].map(|purpose| {
        let mut random = load.random(purpose);
        peers::partner(move || Answer::After(between(&mut random, millis(80), millis(250))))
    });
    let pages = Arc::new(Pages { places: Mutex::default(), archive: archive?, is_faulty: load.is_faulty() });
    let (screens, (open, opened)) = (screens?, watch::channel(0));
    tokio::spawn(prefetch_books(Arc::clone(&pages), opened, load.size)); // <- prefetch-claims-whole-book
    let read = async move |Path((book, page)): Path<(u64, usize)>| {
        open.send_if_modified(|opened| {
            *opened < book && {
                *opened = book;
                true
            }
        });
        tokio::spawn(Arc::clone(&pages).show((book, page), screens)); // <- prefetch-claims-whole-book
        "it comes"
    };
    let address = sidelines::serve_http(Router::new().route("/read/{book}/{page}", get(read))).await?;
    let (began, count, clients) = (Instant::now(), load.size, load.clone());
    outside(move || async move {
        let mut random = clients.random(3);
        sidelines::bursts(&clients, secs(15), 20, || {
            // At first they look around in another book.
            let book = 1 + (began.elapsed() + READ_FOR - secs(10)).as_secs() / READ_FOR.as_secs();
            let path = format!("/read/{book}/{}", random.usize(..count));
            tokio::spawn(async move { peers::request(address, &path, Some(secs(5))).await });
        })
        .await;
        Ok(())
    });
    sidelines::run(&load).await
}

/// Writes a loan into the journal, which is locked meanwhile.
fn write_loan(journal: &FilePath, book: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(journal)?;
    file.lock()?;
    writeln!(file, "{book}")?;
    file.unlock()
}

/// Another program, which copies the journal now and then and locks it meanwhile.
fn copies(load: &Load, journal: PathBuf) {
    let (mut random, least) = (load.random(1), millis(load.size as u64));
    outside(move || async move {
        loop {
            sleep(between(&mut random, secs(4), secs(7))).await;
            let file = OpenOptions::new().create(true).append(true).open(&journal)?;
            file.lock()?;
            sleep(between(&mut random, least, least * 3 / 2)).await;
            file.unlock()?;
        }
    });
}

async fn loans(load: Load) -> anyhow::Result<()> {
    let journal = env::temp_dir().join(format!("loans-{}", process::id()));
    copies(&load, journal.clone());
    let mut random = load.random(2);
    let readers = peers::partner(move || Answer::After(between(&mut random, millis(10), millis(120))))?;
    let is_faulty = load.is_faulty();
    let lend = async move |Path(book): Path<u64>| {
        if peers::request(readers, &format!("/reader/{book}"), Some(secs(2))).await.is_err() {
            return Err(StatusCode::BAD_GATEWAY);
        }
        let journal = journal.clone();
        let written = if is_faulty {
            write_loan(&journal, book) // <- journal-locked-on-worker
        } else {
            spawn_blocking(move || write_loan(&journal, book)).await.unwrap_or_else(|error| Err(error.into()))
        };
        written.map(|()| "bring it back").map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    };
    let router = Router::new().route("/lend/{book}", get(lend)).route("/health", get(async || "fine")); // <- journal-locked-on-worker
    let address = sidelines::serve_http(router).await?;
    sidelines::probe(address);
    sidelines::visitors(&load, address, secs(15), 15, |random| (format!("/lend/{}", random.u64(..90_000)), secs(5)));
    sidelines::run(&load).await
}
