//! The black box: the last minutes of a feed in memory, saved as a recording when somebody asks for it, together with what follows.
//!
//! It stands between a feed and its consumer, and neither waits for the disk.

mod file;
mod keeper;
mod shelf;
#[cfg(test)]
mod tests;
mod window;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::keeper::Keeper;
use self::window::Entry;
use super::{Flusher, RecordError, Recorder, Written};
use crate::feed::Feed;
use crate::feed::queue::Queue;

pub use self::file::Request;
pub use self::shelf::Shelf;

/// Events that may wait for the consumer: as good as none, so that what is kept ends where the consumer is.
const EVENTS: usize = 1;
/// Requests and reports that may wait. There is at most one file at a time.
const WAITING: usize = 16;

/// Recordings that may be on their way to the disk: as long as there are that many, none is begun, for each holds a window until then.
const MOST_CLOSING: usize = 1;

/// How much is kept and recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How far back a recording reaches.
    pub before: Duration,
    /// How long it goes on after the last finding, and at most for as long as both together.
    pub after: Duration,
    /// What it may take in memory, in bytes: the last minutes and what lived at their begin. Of what
    /// follows a finding a recording holds as much at most, and of that what is not written yet is in memory too.
    pub memory: usize,
}

/// What became of a recording, or of the black box.
#[derive(Debug)]
pub enum Report {
    /// It is complete.
    Saved(Written),
    /// It is not, or there is none.
    Failed(RecordError),
    /// What lives in the target takes more memory than there is for it: nothing is kept until it connects again.
    Blind,
}

/// The black box of one feed.
#[derive(Debug)]
pub struct BlackBox {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    reports: mpsc::Receiver<Report>,
    end: Arc<Notify>,
    done: JoinHandle<()>,
}

/// Brings to the disk, whenever it is asked to, what a black box has recorded so far.
#[derive(Debug, Clone)]
pub struct BlackBoxFlusher(Arc<Shared>);

/// What both ends know.
#[derive(Debug, Default)]
struct Shared {
    stage: Mutex<Stage>,
    /// How many recordings are still on their way to the disk.
    closing: AtomicUsize,
}

/// What the black box is doing.
#[derive(Debug, Default)]
enum Stage {
    /// It keeps the last minutes.
    #[default]
    Waiting,
    /// It also writes a recording, which others can flush once it has begun.
    Recording(PathBuf, Option<Flusher>),
    /// It keeps nothing.
    Blind,
}

impl Shared {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts a black box between a feed and its consumer.
///
/// # Panics
/// Outside a Tokio runtime.
#[must_use]
pub fn keep(feed: Feed, target: &str, budget: Budget, shelf: Shelf) -> (Feed, BlackBox) {
    let target = target.to_owned();
    keep_with(feed, budget, move |request, window| file::begin(request, &target, window, shelf.clone()))
}

/// The same with another way to begin a recording.
fn keep_with(
    feed: Feed,
    budget: Budget,
    begin: impl Fn(&Request, Vec<Entry>) -> io::Result<Recorder> + Send + Sync + 'static,
) -> (Feed, BlackBox) {
    let Feed { events: source, wanted } = feed;
    let (sink, events) = Queue::new(EVENTS);
    let ((requests, asked), (told, reports)) = (mpsc::channel(WAITING), mpsc::channel(WAITING));
    let (shared, end) = (Arc::new(Shared::default()), Arc::new(Notify::new()));
    let keeper = Keeper::new(budget, Box::new(begin), Arc::clone(&shared), told);
    let done = tokio::spawn(keeper.run(source, sink, asked, Arc::clone(&end)));
    (Feed { events, wanted }, BlackBox { shared, requests, reports, end, done })
}

impl BlackBox {
    /// Saves the last minutes and what follows, and returns the path of the recording: another one, if one is being written already, which
    /// then goes on for longer. `None` if there can be none now.
    pub fn save(&self, request: Request) -> Option<PathBuf> {
        let mut stage = self.shared.stage();
        let path = match &*stage {
            Stage::Waiting if self.shared.closing.load(Ordering::SeqCst) >= MOST_CLOSING => return None,
            Stage::Waiting => request.path.clone(),
            Stage::Recording(path, _) => path.clone(),
            Stage::Blind => return None,
        };
        self.requests.try_send(request).ok()?;
        if matches!(*stage, Stage::Waiting) {
            *stage = Stage::Recording(path.clone(), None);
        }
        Some(path)
    }

    /// What there is to report, if there is something.
    pub fn report(&mut self) -> Option<Report> {
        self.reports.try_recv().ok()
    }

    /// Brings to the disk, whenever it is asked to, what was recorded so far.
    pub fn flusher(&self) -> BlackBoxFlusher {
        BlackBoxFlusher(Arc::clone(&self.shared))
    }

    /// Ends the feed, and the recording that is being written, and returns the last reports. A disk that takes longer than the limit is not
    /// waited for.
    pub async fn close(mut self, limit: Duration) -> Vec<Report> {
        self.end.notify_one();
        let mut reports = Vec::new();
        let all = async {
            while let Some(report) = self.reports.recv().await {
                reports.push(report);
            }
        };
        let is_done = timeout(limit, all).await.is_ok();
        if !is_done {
            self.done.abort();
        }
        reports
    }
}

impl BlackBoxFlusher {
    /// Waits until what was recorded so far can be read from the file, if there is one.
    pub async fn flush(&self) {
        let flusher = match &*self.0.stage() {
            Stage::Recording(_, flusher) => flusher.clone(),
            Stage::Waiting | Stage::Blind => None,
        };
        if let Some(flusher) = flusher {
            flusher.flush().await;
        }
    }
}
