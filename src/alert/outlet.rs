//! A sink behind a bounded queue and a thread of its own: one that is slow, or gone, never holds up a diagnosis.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::oneshot;

use super::event::{Event, Summary};
use super::sink::Sink;

/// Events that may wait for a sink. A run has a handful a minute: a sink that is so far behind has stopped taking any.
const WAITING: usize = 10_000;

/// The near end of a sink.
pub(super) struct Outlet {
    name: String,
    events: SyncSender<Arc<Event>>,
    summary: Arc<OnceLock<Arc<Summary>>>,
    thread: JoinHandle<()>,
    done: oneshot::Receiver<io::Result<()>>,
    progress: Arc<Progress>,
    /// Whether the reader has left, as far as that can be known without writing.
    reader_left: Arc<AtomicBool>,
    put: AtomicU64,
    lost: AtomicU64,
    /// What the sink has taken, and then given up.
    given_up: Arc<AtomicU64>,
}

/// How far a sink is.
#[derive(Debug, Default)]
struct Progress {
    taken: AtomicU64,
    has_failed: AtomicBool,
}

/// How a sink ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// What the user knows it by.
    pub(super) name: String,
    /// How many events it did not take in time.
    pub(super) lost: u64,
    /// How many events it had still to take when it was given up, if it was; the summary is missing then too.
    pub(super) unwritten: Option<u64>,
    /// Why it stopped before the end of the run, if it did.
    pub(super) error: Option<io::Error>,
}

impl Outlet {
    /// Starts a sink; `reader_left` becomes true when nobody is there any more to read what it writes.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn start(name: String, mut sink: Box<dyn Sink>, reader_left: Arc<AtomicBool>) -> io::Result<Self> {
        let (events, waiting) = sync_channel(WAITING);
        let (result, done) = oneshot::channel();
        let (summary, progress) = (Arc::new(OnceLock::new()), Arc::new(Progress::default()));
        let (last, theirs) = (Arc::clone(&summary), Arc::clone(&progress));
        let given_up = sink.lost();
        let thread = thread::Builder::new().name("sink".to_owned()).spawn(move || {
            let served = serve(&mut *sink, &waiting, &last, &theirs.taken);
            let is_failure = |error: &io::Error| error.kind() != io::ErrorKind::BrokenPipe;
            theirs.has_failed.store(served.as_ref().is_err_and(is_failure), Ordering::SeqCst);
            // It may have been given up.
            let _ = result.send(served);
        })?;
        let (put, lost) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { name, events, summary, thread, done, progress, reader_left, put, lost, given_up })
    }

    /// Hands over an event, unless the sink has ended or is hopelessly behind.
    pub(super) fn put(&self, event: &Arc<Event>) {
        match self.events.try_send(Arc::clone(event)) {
            Ok(()) => self.put.fetch_add(1, Ordering::Relaxed),
            Err(TrySendError::Full(_)) => self.lost.fetch_add(1, Ordering::Relaxed),
            Err(TrySendError::Disconnected(_)) => 0,
        };
    }

    /// What the user knows it by, and how many events it did not take in time or gave up.
    pub(super) fn lost(&self) -> (String, u64) {
        (self.name.clone(), self.lost.load(Ordering::Relaxed) + self.given_up.load(Ordering::Relaxed))
    }

    /// Whether the sink takes nothing any more, or nobody reads what it writes.
    pub(super) fn is_closed(&self) -> bool {
        self.thread.is_finished() || self.reader_left.load(Ordering::SeqCst)
    }

    /// Whether the sink has ended by an error, as opposed to a reader that has left.
    pub(super) fn has_failed(&self) -> bool {
        self.progress.has_failed.load(Ordering::SeqCst)
    }

    /// Hands over the summary and lets no more events follow. The sink still writes what waits for it.
    pub(super) fn close(self, summary: &Arc<Summary>) -> Closing {
        // Nobody else sets it.
        let _ = self.summary.set(Arc::clone(summary));
        let (put, lost) = (self.put.into_inner(), self.lost.into_inner());
        Closing { name: self.name, put, lost, done: self.done, progress: self.progress }
    }
}

/// A sink that writes what is left.
pub(super) struct Closing {
    name: String,
    put: u64,
    lost: u64,
    done: oneshot::Receiver<io::Result<()>>,
    progress: Arc<Progress>,
}

impl Closing {
    /// Waits until the sink has ended, or is given up.
    pub(super) async fn wait(mut self, give_up: impl Future<Output = ()>) -> Ended {
        let result = tokio::select! {
            biased;
            result = &mut self.done => Some(result.unwrap_or_else(|_| Err(io::Error::other("its thread panicked")))),
            () = give_up => None,
        };
        let left = self.put.saturating_sub(self.progress.taken.load(Ordering::SeqCst));
        let unwritten = result.is_none().then_some(left);
        Ended { name: self.name, lost: self.lost, unwritten, error: result.and_then(Result::err) }
    }
}

fn serve(
    sink: &mut dyn Sink,
    events: &Receiver<Arc<Event>>,
    summary: &OnceLock<Arc<Summary>>,
    taken: &AtomicU64,
) -> io::Result<()> {
    loop {
        let event = match sink.due() {
            Some(due) => events.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match event {
            Ok(event) => {
                sink.take(&event)?;
                taken.fetch_add(1, Ordering::SeqCst);
            }
            Err(RecvTimeoutError::Timeout) => sink.on_due(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    summary.get().map_or(Ok(()), |summary| sink.finish(summary))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::mpsc;
    use std::time::SystemTime;

    use super::*;
    use crate::alert::event::{EventKind, Others};
    use crate::report::Severity;

    /// A sink that takes nothing until it is released.
    struct Stalled {
        go: mpsc::Receiver<()>,
        taken: mpsc::Sender<&'static str>,
    }

    impl Sink for Stalled {
        fn take(&mut self, _: &Event) -> io::Result<()> {
            self.go.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            self.taken.send("event").map_err(io::Error::other)
        }

        fn finish(&mut self, _: &Summary) -> io::Result<()> {
            self.taken.send("summary").map_err(io::Error::other)
        }
    }

    fn stalled() -> (mpsc::Sender<()>, mpsc::Receiver<&'static str>, Outlet) {
        let ((go, waits), (sender, taken)) = (mpsc::channel(), mpsc::channel());
        let sink = Stalled { go: waits, taken: sender };
        (go, taken, Outlet::start("test".to_owned(), Box::new(sink), Arc::default()).expect("a thread"))
    }

    fn event() -> Arc<Event> {
        Arc::new(Event { target: "t".to_owned(), at: SystemTime::UNIX_EPOCH, kind: EventKind::Hello })
    }

    fn summary() -> Arc<Summary> {
        Arc::new(Summary {
            targets: Vec::new(),
            noun: "targets",
            fail_on: Severity::Warning,
            is_verdict: true,
            others: Others::default(),
        })
    }

    #[tokio::test]
    async fn a_sink_that_is_behind_costs_events_but_no_time_and_gets_its_summary() {
        let (go, taken, outlet) = stalled();
        for _ in 0..WAITING + 50 {
            outlet.put(&event());
        }
        let closing = outlet.close(&summary());
        (0..WAITING + 50).for_each(|_| go.send(()).expect("it waits"));
        let ended = closing.wait(pending()).await;
        assert!((49..=50).contains(&ended.lost), "one event may be with the sink: {}", ended.lost);
        assert!(ended.error.is_none());
        let taken: Vec<_> = taken.iter().collect();
        assert_eq!(
            (taken.len(), taken.last()),
            (WAITING + 51 - usize::try_from(ended.lost).unwrap(), Some(&"summary"))
        );
    }

    #[tokio::test]
    async fn a_sink_whose_reader_left_is_noticed() {
        let (go, _taken, outlet) = stalled();
        drop(go);
        outlet.put(&event());
        while !outlet.is_closed() {
            thread::yield_now();
        }
        outlet.put(&event());
        let ended = outlet.close(&summary()).wait(pending()).await;
        assert_eq!((ended.lost, ended.error.map(|error| error.kind())), (0, Some(io::ErrorKind::BrokenPipe)));
    }

    #[tokio::test]
    async fn a_sink_that_hangs_is_given_up_and_what_it_did_not_write_is_counted() {
        let (_go, _taken, outlet) = stalled();
        (0..3).for_each(|_| outlet.put(&event()));
        let ended = outlet.close(&summary()).wait(ready(())).await;
        assert_eq!((ended.unwritten, ended.lost, ended.error.is_none()), (Some(3), 0, true));
    }

    #[test]
    fn a_reader_that_left_closes_the_outlet_and_is_no_failure() {
        let (_go, _taken, mut outlet) = stalled();
        assert!(!outlet.is_closed());
        outlet.reader_left = Arc::new(AtomicBool::new(true));
        assert!(outlet.is_closed() && !outlet.has_failed());
    }
}
