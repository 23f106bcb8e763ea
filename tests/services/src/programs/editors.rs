//! Editors: exports that can be cancelled, filters that users write, and programs that count what is in files.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use fancy_regex::{Regex, RegexBuilder};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::{Label, Program, Severity, Source, Way, millis, secs, sidelines};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between};

const SOURCE: Source = Source { file: "programs/editors.rs", text: include_str!("editors.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "cancel-stops-all-exports",
        crates: "tokio-util, axum",
        fault: "All exports share a cancellation token: who cancels one stops all others half-way, and they begin again.",
        issue: "Growth-Circle/cadis#390",
        way: Way::Cancelled,
        rate_of: "exports and cancellations",
        rate: 6.0,
        size_of: "pages of a part",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["cancellation"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(exports(load)),
    },
    Program {
        id: "filter-backtracks-on-worker",
        crates: "fancy-regex",
        fault: "Filters that users write are matched on the worker: one of them backtracks for a second when a message nearly matches.",
        issue: "zed-industries/zed#44120",
        way: Way::Blocking,
        rate_of: "messages",
        rate: 12.0,
        size_of: "thousands of steps that a filter may go back",
        size: 40_000,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label { families: &["blocking"], names: &[], libraries: &[], severity: Severity::Warning, within: 75 },
        source: SOURCE,
        run: |load| Box::pin(messages(load)),
    },
    Program {
        id: "program-waits-for-input",
        crates: "tokio, axum",
        fault: "A program that is given no file reads its input, which is open and which nobody writes to: it never ends and keeps its turn.",
        issue: "openai/codex#9369",
        way: Way::Permits,
        rate_of: "requests",
        rate: 8.0,
        size_of: "programs at a time",
        size: 6,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["contention", "stuck", "queue"],
            names: &[],
            libraries: &[],
            severity: Severity::Warning,
            within: 75,
        },
        source: SOURCE,
        run: |load| Box::pin(counts(load)),
    },
];

/// Exports that run, and what stops them.
struct Exports {
    renderer: SocketAddr,
    pages: usize,
    all: Mutex<CancellationToken>,
    own: Mutex<HashMap<u64, CancellationToken>>,
    is_faulty: bool,
}

impl Exports {
    /// What stops an export.
    fn token(&self, export: u64) -> CancellationToken {
        let all = self.all.lock().clone();
        if self.is_faulty {
            return all;
        }
        let own = all.child_token();
        self.own.lock().insert(export, own.clone());
        own
    }

    fn cancel(&self, export: u64) {
        if self.is_faulty {
            let mut all = self.all.lock();
            all.cancel();
            *all = CancellationToken::new();
        } else if let Some(own) = self.own.lock().remove(&export) {
            own.cancel();
        }
    }

    async fn render_part(self: Arc<Self>) -> anyhow::Result<()> {
        for page in 0..self.pages {
            peers::request(self.renderer, &format!("/{page}"), Some(secs(5))).await?;
        }
        Ok(())
    }

    /// Renders the parts of an export side by side; where it cannot be told who was cancelled, all begin again.
    async fn export(self: Arc<Self>, export: u64) {
        const PARTS: usize = 3;
        const ATTEMPTS: usize = 4;
        let work = Work::begin();
        for _ in 0..ATTEMPTS {
            let (token, mut parts) = (self.token(export), JoinSet::new());
            for _ in 0..PARTS {
                parts.spawn(Arc::clone(&self).render_part()); // <- cancel-stops-all-exports
            }
            let rendered = token.run_until_cancelled(async { while parts.join_next().await.is_some() {} }).await;
            self.own.lock().remove(&export);
            if rendered.is_some() || !self.is_faulty {
                return work.end(true);
            }
        }
        work.end(false);
    }
}

async fn exports(load: Load) -> anyhow::Result<()> {
    const CANCELLED: f64 = 0.1;
    let mut random = load.random(1);
    let renderer = peers::partner(move || Answer::After(between(&mut random, millis(100), millis(600))))?;
    let exports = Arc::new(Exports {
        renderer,
        pages: load.size,
        all: Mutex::default(),
        own: Mutex::default(),
        is_faulty: load.is_faulty(),
    });
    let cancelled = Arc::clone(&exports);
    let begin = async move |Path(export): Path<u64>| {
        tokio::spawn(Arc::clone(&exports).export(export)); // <- cancel-stops-all-exports
        "begun"
    };
    let cancel = async move |Path(export): Path<u64>| {
        cancelled.cancel(export);
        "cancelled"
    };
    let router = Router::new().route("/export/{number}", get(begin)).route("/cancel/{number}", get(cancel));
    let address = sidelines::serve_http(router).await?;
    let mut last = 0_u64;
    sidelines::visitors(&load, address, secs(20), 6, move |random| {
        if random.f64() < CANCELLED {
            (format!("/cancel/{}", last.saturating_sub(random.u64(..20))), secs(5))
        } else {
            last += 1;
            (format!("/export/{last}"), secs(5))
        }
    });
    sidelines::run(&load).await
}

/// Filters as users write them; the third one is for messages that end with the word before.
const FILTERS: [&str; 4] = [r"(?i)\b(?:urgent|asap)\b", r"\b(\w+) \1\b", r"^(?:(\w+)[ ,]?)+\1$", r"(?<!not )ready"];

/// Messages as users write them, and one at which they laugh.
const MESSAGES: [&str; 4] = ["this is urgent, please", "the the report", "not ready, but soon", "ready"];
const LAUGHTER: &str = "hahahahahahahahahahahahahahahahahahaha?";

/// How many of the filters match; one that has to go back too often does not.
fn matching(filters: &[Regex], message: &str) -> usize {
    filters.iter().filter(|filter| matches!(filter.is_match(message), Ok(true))).count()
}

/// Tells those whose filters match about a message.
async fn deliver(message: &'static str, filters: Arc<[Regex]>, mailer: SocketAddr, is_faulty: bool) {
    let work = Work::begin();
    let count = if is_faulty {
        matching(&filters, message)
    } else {
        spawn_blocking(move || matching(&filters, message)).await.unwrap_or_default()
    };
    for _ in 0..count {
        if peers::request(mailer, "/mail", Some(secs(5))).await.is_err() {
            return work.end(false);
        }
    }
    work.end(true);
}

async fn messages(load: Load) -> anyhow::Result<()> {
    const LAUGHS: f64 = 0.05;
    let mut random = load.random(1);
    let mailer = peers::partner(move || Answer::After(between(&mut random, millis(20), millis(200))))?;
    let is_faulty = load.is_faulty();
    let limit = if is_faulty { load.size * 1_000 } else { load.size * 20 };
    let build = |&filter: &&str| RegexBuilder::new(filter).backtrack_limit(limit).build();
    let filters: Arc<[Regex]> = FILTERS.iter().map(build).collect::<Result<_, _>>()?;
    let mut random = load.random(2);
    load.arrivals(|_| {
        let message = if random.f64() < LAUGHS { LAUGHTER } else { MESSAGES[random.usize(..MESSAGES.len())] };
        tokio::spawn(deliver(message, Arc::clone(&filters), mailer, is_faulty)); // <- filter-backtracks-on-worker
    })
    .await;
    Ok(())
}

/// Counts the bytes of a text or, if there is none, of files.
async fn count_bytes(text: Option<Vec<u8>>, files: &[&str], is_faulty: bool) -> anyhow::Result<u64> {
    let mut command = Command::new("wc");
    command.arg("-c").args(files).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut program = command.spawn()?;
    let (mut input, output) = (program.stdin.take(), program.stdout.take());
    if let Some(text) = text
        && let Some(mut input) = input.take()
    {
        input.write_all(&text).await?;
    }
    // Repaired, an input to which nobody writes is closed before the program is waited for.
    let _open = input.filter(|_| is_faulty);
    let mut counted = String::new();
    if let Some(mut output) = output {
        output.read_to_string(&mut counted).await?;
    }
    program.wait().await?;
    let total = counted.lines().last().and_then(|line| line.split_whitespace().next());
    Ok(total.unwrap_or_default().parse()?)
}

/// Counts when it is its turn.
async fn count(turns: Arc<Semaphore>, text: Option<Vec<u8>>, files: &[&str], is_faulty: bool) {
    let work = Work::begin();
    let Ok(_turn) = turns.acquire().await else { return work.end(false) };
    work.end(count_bytes(text, files, is_faulty).await.is_ok());
}

async fn counts(load: Load) -> anyhow::Result<()> {
    const FILES: [&str; 3] = ["/proc/uptime", "/proc/meminfo", "/proc/loadavg"];
    let (turns, is_faulty) = (Arc::new(Semaphore::new(load.size)), load.is_faulty()); // <- program-waits-for-input
    let also = Arc::clone(&turns);
    let count_text = async move |Path(length): Path<usize>| {
        let text = Some(vec![b'a'; length]);
        tokio::spawn(count(Arc::clone(&also), text, &[], is_faulty)); // <- program-waits-for-input
        "taken"
    };
    let count_files = async move |Path(files): Path<usize>| {
        let files = &FILES[..files.min(FILES.len())];
        tokio::spawn(count(Arc::clone(&turns), None, files, is_faulty)); // <- program-waits-for-input
        "taken"
    };
    let router = Router::new().route("/text/{length}", get(count_text)).route("/files/{count}", get(count_files));
    let address = sidelines::serve_http(router).await?;
    // Few folders are empty.
    sidelines::visitors(&load, address, secs(15), 12, |random| {
        let path = match random.u8(..100) {
            0..40 => format!("/text/{}", random.usize(1..20_000)),
            40..46 => "/files/0".to_owned(),
            _ => format!("/files/{}", random.usize(1..=3)),
        };
        (path, secs(5))
    });
    sidelines::run(&load).await
}
