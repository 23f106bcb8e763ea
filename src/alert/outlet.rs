//! A sink behind a bounded queue and a thread of its own: one that is slow, or gone, never holds up a diagnosis.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use super::event::{Event, Summary};
use super::sink::Sink;

/// Events that may wait for a sink. A run has a handful a minute: a sink that is so far behind has stopped taking any.
const WAITING: usize = 10_000;

/// The near end of a sink.
pub(super) struct Outlet {
    name: String,
    events: SyncSender<Arc<Event>>,
    summary: Arc<OnceLock<Arc<Summary>>>,
    thread: JoinHandle<io::Result<()>>,
    lost: AtomicU64,
}

/// How a sink ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// What the user knows it by.
    pub(super) name: String,
    /// How many events it did not take in time.
    pub(super) lost: u64,
    /// Why it stopped before the end of the run, if it did.
    pub(super) error: Option<io::Error>,
}

impl Outlet {
    /// Starts a sink.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn start(name: String, mut sink: Box<dyn Sink>) -> io::Result<Self> {
        let (events, waiting) = sync_channel(WAITING);
        let summary = Arc::new(OnceLock::new());
        let last = Arc::clone(&summary);
        let thread =
            thread::Builder::new().name("sink".to_owned()).spawn(move || serve(&mut *sink, &waiting, &last))?;
        Ok(Self { name, events, summary, thread, lost: AtomicU64::new(0) })
    }

    /// Hands over an event, unless the sink has ended or is hopelessly behind.
    pub(super) fn put(&self, event: &Arc<Event>) {
        if let Err(TrySendError::Full(_)) = self.events.try_send(Arc::clone(event)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the sink takes nothing any more.
    pub(super) fn is_closed(&self) -> bool {
        self.thread.is_finished()
    }

    /// Hands over the summary and lets no more events follow. The sink still writes what waits for it.
    pub(super) fn close(self, summary: &Arc<Summary>) -> Closing {
        // Nobody else sets it.
        let _ = self.summary.set(Arc::clone(summary));
        Closing { name: self.name, lost: self.lost.into_inner(), thread: self.thread }
    }
}

/// A sink that writes what is left.
pub(super) struct Closing {
    name: String,
    lost: u64,
    thread: JoinHandle<io::Result<()>>,
}

impl Closing {
    /// Waits until the sink has ended.
    pub(super) fn wait(self) -> Ended {
        let result = self.thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread panicked")));
        Ended { name: self.name, lost: self.lost, error: result.err() }
    }
}

fn serve(sink: &mut dyn Sink, events: &Receiver<Arc<Event>>, summary: &OnceLock<Arc<Summary>>) -> io::Result<()> {
    for event in events {
        sink.take(&event)?;
    }
    summary.get().map_or(Ok(()), |summary| sink.finish(summary))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::SystemTime;

    use super::*;
    use crate::alert::event::EventKind;

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
        (go, taken, Outlet::start("test".to_owned(), Box::new(sink)).expect("a thread"))
    }

    fn event() -> Arc<Event> {
        Arc::new(Event { target: "t".to_owned(), at: SystemTime::UNIX_EPOCH, kind: EventKind::Hello })
    }

    fn summary() -> Arc<Summary> {
        Arc::new(Summary { targets: Vec::new(), exit_code: 0, is_verdict: true })
    }

    #[test]
    fn a_sink_that_is_behind_costs_events_but_no_time_and_gets_its_summary() {
        let (go, taken, outlet) = stalled();
        for _ in 0..WAITING + 50 {
            outlet.put(&event());
        }
        let closing = outlet.close(&summary());
        (0..WAITING + 50).for_each(|_| go.send(()).expect("it waits"));
        let ended = closing.wait();
        assert!((49..=50).contains(&ended.lost), "one event may be with the sink: {}", ended.lost);
        assert!(ended.error.is_none());
        let taken: Vec<_> = taken.iter().collect();
        assert_eq!(
            (taken.len(), taken.last()),
            (WAITING + 51 - usize::try_from(ended.lost).unwrap(), Some(&"summary"))
        );
    }

    #[test]
    fn a_sink_whose_reader_left_is_noticed() {
        let (go, _taken, outlet) = stalled();
        drop(go);
        outlet.put(&event());
        while !outlet.is_closed() {
            thread::yield_now();
        }
        outlet.put(&event());
        let ended = outlet.close(&summary()).wait();
        assert_eq!((ended.lost, ended.error.map(|error| error.kind())), (0, Some(io::ErrorKind::BrokenPipe)));
    }
}
