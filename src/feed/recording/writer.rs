//! The recorder: takes what arrives, and a thread of its own writes it, so that a slow disk does not hold the feed back.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;
use std::{fs, io};

use mcap::{McapError, McapResult};
use prost::bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

use crate::feed::{Arrived, Ended, FeedEvent, Status};

use super::log::{Log, TooDense};
use super::messages::{Topic, encode, log_time};
use super::{MESSAGE_LIMIT, RecordError};

/// How much may wait for the disk, in units of [`UNIT`]: 64 MiB.
const QUEUE_UNITS: u32 = 64 * 1024;

/// One unit of what waits for the disk, in bytes; the least that a message counts.
const UNIT: usize = 1024;

/// How long the feed is held back when so much waits that no more may.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a recording that was closed properly holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// How many updates.
    pub updates: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// What writing a recording came to.
pub(super) type Outcome = Result<Written, RecordError>;

/// A recording that is being written. Dropping it closes the file too, but nobody hears whether that went well.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    jobs: Arc<mpsc::Sender<Job>>,
    budget: Arc<Semaphore>,
    patience: Duration,
    outcome: oneshot::Receiver<Outcome>,
    size: Arc<AtomicU64>,
    is_over: bool,
}

/// Brings to the disk what was recorded so far. It does not keep the recording going.
#[derive(Debug, Clone)]
pub struct Flusher {
    jobs: Weak<mpsc::Sender<Job>>,
    size: Arc<AtomicU64>,
}

/// What the writing thread is to do.
enum Job {
    Write(Message),
    Flush(oneshot::Sender<()>),
}

/// One message on its way to the disk.
struct Message {
    topic: Topic,
    log_time: u64,
    bytes: Bytes,
    is_live: bool,
    _place: OwnedSemaphorePermit,
    truncated: Option<String>,
}

impl Flusher {
    /// The size of the file, in bytes, as it was when something was last brought to the disk.
    pub fn bytes(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// Waits until what was recorded so far can be read from the file, or the recording has ended.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        let sent = self.jobs.upgrade().is_some_and(|jobs| jobs.send(Job::Flush(done)).is_ok());
        if sent {
            // A recording that fails meanwhile leaves what it has.
            let _ = flushed.await;
        }
    }
}

impl Recorder {
    /// Creates the file and starts to write it. `target` is what the user called the target.
    ///
    /// # Errors
    /// The file exists, or cannot be created.
    pub fn create(path: impl Into<PathBuf>, target: &str) -> Result<Self, RecordError> {
        let path = path.into();
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => RecordError::Exists { path: path.clone() },
            _ => RecordError::Create { path: path.clone(), source },
        };
        let log = Log::create(&path, target).map_err(failed)?;
        Self::start(log, &path, PATIENCE).map_err(failed)
    }

    fn start(log: Log, path: &Path, patience: Duration) -> io::Result<Self> {
        Self::spawn(|| Ok(log), |outcome| outcome, path, patience)
    }

    /// Starts to write what `open` begins, and hands to `close` what it came to: both on the thread that writes, so that nobody else waits
    /// for the disk.
    pub(super) fn spawn(
        open: impl FnOnce() -> Result<Log, RecordError> + Send + 'static,
        close: impl FnOnce(Outcome) -> Outcome + Send + 'static,
        path: &Path,
        patience: Duration,
    ) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let (done, outcome) = oneshot::channel();
        let (file, size) = (path.to_owned(), Arc::new(AtomicU64::new(0)));
        let known = Arc::clone(&size);
        thread::Builder::new().name("recorder".to_owned()).spawn(move || {
            let outcome = close(open().and_then(|log| write(log, &queue, &file, &known)));
            // What waits is given up first, so that whoever waits for a place finds the recording over.
            drop(queue);
            // Nobody may be listening any more.
            let _ = done.send(outcome);
        })?;
        let budget = Arc::new(Semaphore::new(QUEUE_UNITS as usize));
        let jobs = Arc::new(jobs);
        Ok(Self { path: path.to_owned(), jobs, budget, patience, outcome, size, is_over: false })
    }

    /// Brings to the disk, whenever it is asked to, what was recorded so far.
    pub fn flusher(&self) -> Flusher {
        Flusher { jobs: Arc::downgrade(&self.jobs), size: Arc::clone(&self.size) }
    }

    /// Records what arrived. `Quiet` is left out: a replay measures it again. Waits while too much waits for the disk already.
    ///
    /// # Errors
    /// The recording has ended: the file cannot be written, the disk took nothing for 5 s while 64 MiB waited for it, or the message is
    /// larger than a recording can hold. What was recorded before stays playable; nothing is left out in between. After an error every
    /// further call fails with [`RecordError::Over`].
    pub async fn record(&mut self, arrived: &Arrived) -> Result<(), RecordError> {
        if self.is_over {
            return Err(RecordError::Over);
        }
        let result = self.try_record(arrived).await;
        self.is_over = result.is_err();
        result
    }

    async fn try_record(&mut self, arrived: &Arrived) -> Result<(), RecordError> {
        let truncated = match &arrived.event {
            FeedEvent::Ended(Ended::Truncated { reason }) => Some(reason.clone()),
            _ => None,
        };
        let (topic, bytes) = match encode(&arrived.event) {
            Some(message) => message,
            None if truncated.is_some() => (Topic::End, Bytes::new()),
            None => return Ok(()),
        };
        if bytes.len() > MESSAGE_LIMIT {
            return Err(RecordError::TooLarge { path: self.path.clone(), bytes: bytes.len() });
        }
        let place = self.place_for(bytes.len()).await?;
        let is_live = matches!(arrived.event, FeedEvent::Status(Status::Live));
        let message = Message { topic, log_time: log_time(arrived.at), bytes, is_live, _place: place, truncated };
        match self.jobs.send(Job::Write(message)) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure().await),
        }
    }

    /// Waits until so many bytes may wait for the disk. A message that is larger than the queue waits until it is empty.
    async fn place_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, RecordError> {
        let units = u32::try_from(bytes / UNIT + 1).unwrap_or(QUEUE_UNITS).min(QUEUE_UNITS);
        match timeout(self.patience, Arc::clone(&self.budget).acquire_many_owned(units)).await {
            Ok(Ok(place)) => Ok(place),
            // The semaphore is never closed.
            Ok(Err(_)) => Err(RecordError::Over),
            Err(_) => Err(RecordError::TooSlow {
                path: self.path.clone(),
                queued_bytes: (QUEUE_UNITS as usize - self.budget.available_permits()) * UNIT,
                waited: self.patience,
            }),
        }
    }

    /// Why the writing thread has ended.
    async fn failure(&mut self) -> RecordError {
        match (&mut self.outcome).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) | Err(_) => RecordError::Over,
        }
    }

    /// Waits until the thread that writes has ended, which it does once the disk has taken or refused what waits.
    pub(super) async fn wait(self) {
        let Self { jobs, outcome, .. } = self;
        drop(jobs);
        // How it ended was said before.
        let _ = outcome.await;
    }

    /// Writes what waits, then the index and the summary, and closes the file.
    ///
    /// # Errors
    /// The file cannot be written, or the recording had ended before.
    pub async fn finish(self) -> Result<Written, RecordError> {
        if self.is_over {
            return Err(RecordError::Over);
        }
        let Self { jobs, outcome, .. } = self;
        drop(jobs);
        outcome.await.unwrap_or(Err(RecordError::Over))
    }
}

/// The writing thread: until there will be no more jobs.
fn write(mut log: Log, queue: &mpsc::Receiver<Job>, path: &Path, size: &AtomicU64) -> Result<Written, RecordError> {
    let mut truncated = None;
    let measure = || size.store(fs::metadata(path).map_or(0, |it| it.len()), Ordering::Relaxed);
    let written = write_all(&mut log, queue, &mut truncated, &measure);
    let updates = log.updates();
    match written.and_then(|()| log.finish(truncated)) {
        Ok(()) => Ok(Written { path: path.to_owned(), updates, bytes: fs::metadata(path).map_or(0, |it| it.len()) }),
        Err(error) => Err(ended(&error, path.to_owned(), updates)),
    }
}

fn write_all(
    log: &mut Log,
    queue: &mpsc::Receiver<Job>,
    truncated: &mut Option<String>,
    measure: &dyn Fn(),
) -> McapResult<()> {
    loop {
        measure();
        let job = match log.flush_due() {
            Some(due) => queue.recv_timeout(due),
            None => queue.recv().map_err(RecvTimeoutError::from),
        };
        match job {
            Ok(Job::Write(Message { truncated: Some(reason), .. })) => *truncated = Some(reason),
            Ok(Job::Write(it)) => log.record(it.topic, it.log_time, &it.bytes, it.is_live)?,
            Ok(Job::Flush(done)) => {
                log.flush()?;
                // Nobody may be waiting any more.
                let _ = done.send(());
            }
            Err(RecvTimeoutError::Timeout) => log.flush()?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

pub(super) fn ended(error: &McapError, path: PathBuf, updates: u64) -> RecordError {
    let dense = match error {
        McapError::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref::<TooDense>()),
        _ => None,
    };
    match (dense, error) {
        (Some(TooDense(bytes)), _) => RecordError::TooDense { path, updates, bytes: *bytes },
        (None, McapError::Io(error)) => RecordError::Write { path, updates, reason: error.to_string() },
        (None, other) => RecordError::Write { path, updates, reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Seek, SeekFrom, Write};
    use std::time::SystemTime;

    use super::*;
    use crate::feed::recording::log::Form;

    /// A disk that holds so many bytes.
    struct Small {
        written: Cursor<Vec<u8>>,
        capacity: usize,
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.written.get_ref().len() + bytes.len() > self.capacity {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Small {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.written.seek(to)
        }
    }

    fn status(reason: &str) -> Arrived {
        let status = Status::Lost { reason: reason.to_owned(), retry_at: SystemTime::UNIX_EPOCH };
        Arrived { at: SystemTime::now(), event: FeedEvent::Status(status) }
    }

    /// Text that zstd cannot make smaller than half.
    fn noise(bytes: usize, mut seed: u64) -> String {
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + (seed >> 60) as u8)
        };
        (0..bytes).map(|_| next()).collect()
    }

    #[tokio::test]
    async fn what_was_recorded_can_be_read_while_more_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("open");
        let mut recorder = Recorder::create(&path, "target").unwrap();
        let flusher = recorder.flusher();
        let events = || crate::feed::recording::Events::open(&path).unwrap().count();
        recorder.record(&status("first")).await.unwrap();
        flusher.flush().await;
        assert_eq!(events(), 2, "the status, and that it breaks off there");
        recorder.record(&status("second")).await.unwrap();
        flusher.flush().await;
        assert_eq!(events(), 3);
        recorder.finish().await.unwrap();
        flusher.flush().await;
        assert_eq!(events(), 3, "the two statuses and the end");
    }

    #[tokio::test]
    async fn a_full_disk_ends_the_recording_with_its_reason() {
        let disk = Small { written: Cursor::default(), capacity: 2_000_000 };
        let log = Log::begin(Box::new(disk), Box::new(|| Ok(())), "target", SystemTime::now(), Form::Long).unwrap();
        let mut recorder = Recorder::start(log, Path::new("full"), PATIENCE).unwrap();
        let error = loop {
            if let Err(error) = recorder.record(&status(&noise(700_000, 1))).await {
                break error;
            }
        };
        assert!(matches!(error, RecordError::Write { .. }), "{error:?}");
        assert!(error.to_string().contains("full ended early") && error.to_string().contains("space"), "{error}");
        assert!(matches!(recorder.record(&status("next")).await, Err(RecordError::Over)));
        assert!(matches!(recorder.finish().await, Err(RecordError::Over)));
    }

    #[tokio::test]
    async fn a_disk_that_is_full_at_the_end_is_reported() {
        let disk = Small { written: Cursor::default(), capacity: 100_000 };
        let log = Log::begin(Box::new(disk), Box::new(|| Ok(())), "target", SystemTime::now(), Form::Long).unwrap();
        let mut recorder = Recorder::start(log, Path::new("full"), PATIENCE).unwrap();
        recorder.record(&status(&noise(300_000, 2))).await.unwrap();
        assert!(matches!(recorder.finish().await, Err(RecordError::Write { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_takes_nothing_holds_the_feed_back_for_five_seconds() {
        let disk = Small { written: Cursor::default(), capacity: usize::MAX };
        let (go_on, wait) = mpsc::channel();
        let sync = move || wait.recv().map_err(io::Error::other);
        // For the header; what comes after it hangs.
        go_on.send(()).unwrap();
        let log = Log::begin(Box::new(disk), Box::new(sync), "target", SystemTime::now(), Form::Long).unwrap();
        let mut recorder = Recorder::start(log, Path::new("slow"), PATIENCE).unwrap();
        let later =
            |n: u64| Arrived { at: SystemTime::now() + Duration::from_secs(5 * n), ..status(&noise(1_000_000, n)) };
        let begun = tokio::time::Instant::now();
        let mut taken = 0;
        let error = loop {
            match recorder.record(&later(taken)).await {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, RecordError::TooSlow { .. }), "{error:?}");
        assert_eq!(begun.elapsed(), PATIENCE);
        // The queue, and the few that were written before the first flush.
        assert!((64..=80).contains(&taken), "{taken}");
        drop(go_on);
    }
}
