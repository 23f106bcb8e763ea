//! Passes events on, keeps the last of them, and feeds the recording that is being written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::file::Request;
use super::window::{Entry, Window};
use super::{Budget, Report, Shared, Stage};
use crate::feed::Arrived;
use crate::feed::queue::Queue;
use crate::feed::recording::{RecordError, Recorder};

/// As good as for ever: clocks cannot count as far as users can write.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Begins a recording with what the window has.
pub(super) type Begin = Box<dyn Fn(&Request, Vec<Entry>) -> io::Result<Recorder> + Send + Sync>;

/// The far end of a black box.
pub(super) struct Keeper {
    budget: Budget,
    begin: Begin,
    window: Window,
    writing: Option<Writing>,
    /// Recordings that are on their way to the disk.
    closing: JoinSet<()>,
    shared: Arc<Shared>,
    reports: mpsc::Sender<Report>,
}

/// A recording that is being written.
struct Writing {
    recorder: Recorder,
    /// Until when it goes on, by arrival times and by our clock: a target that says nothing does not keep it open.
    until: SystemTime,
    due: Instant,
    /// The same at most, however many findings follow.
    last: (SystemTime, Instant),
    /// How many bytes may follow.
    left: usize,
}

impl Keeper {
    pub(super) fn new(budget: Budget, begin: Begin, shared: Arc<Shared>, reports: mpsc::Sender<Report>) -> Self {
        let budget = Budget { before: budget.before.min(LONGEST), after: budget.after.min(LONGEST), ..budget };
        let window = Window::new(budget.before, budget.memory);
        Self { budget, begin, window, writing: None, closing: JoinSet::new(), shared, reports }
    }

    /// Passes events on until the feed ends, nobody listens or the end is asked for; then ends what is being written.
    pub(super) async fn run(
        mut self,
        source: mpsc::Receiver<Arrived>,
        sink: Queue,
        mut requests: mpsc::Receiver<Request>,
        end: Arc<Notify>,
    ) {
        let mut asked = std::pin::pin!(end.notified());
        self.pass_on(source, sink, &mut requests, asked.as_mut()).await;
        // The consumer may still be at the last event, and decide that it is to be saved.
        tokio::select! {
            biased;
            Some(request) = requests.recv(), if self.writing.is_none() => self.save(request),
            () = &mut asked => {}
        }
        self.finish();
        while self.closing.join_next().await.is_some() {}
    }

    async fn pass_on(
        &mut self,
        mut source: mpsc::Receiver<Arrived>,
        mut sink: Queue,
        requests: &mut mpsc::Receiver<Request>,
        mut asked: Pin<&mut Notified<'_>>,
    ) {
        let mut closed = std::pin::pin!(sink.closed());
        loop {
            let next = tokio::select! {
                biased;
                () = &mut asked => return,
                Some(request) = requests.recv() => {
                    self.save(request);
                    continue;
                }
                () = self.time_is_up() => {
                    self.finish();
                    continue;
                }
                () = &mut closed => return,
                next = source.recv() => next,
            };
            let Some(arrived) = next else { return };
            self.take(&arrived).await;
            let mut sending = std::pin::pin!(sink.send(arrived));
            let is_sent = loop {
                tokio::select! {
                    biased;
                    () = &mut asked => return,
                    Some(request) = requests.recv() => self.save(request),
                    sent = &mut sending => break sent.is_ok(),
                }
            };
            if !is_sent {
                return;
            }
        }
    }

    /// Takes in what arrived.
    async fn take(&mut self, arrived: &Arrived) {
        if self.writing.as_ref().is_some_and(|writing| arrived.at > writing.until) {
            self.finish();
        }
        let size = self.window.take(arrived);
        self.note_blindness();
        let Some(writing) = &mut self.writing else { return };
        let recorded = writing.recorder.record(arrived).await;
        let is_full = size >= writing.left;
        writing.left = writing.left.saturating_sub(size);
        if let Err(error) = recorded {
            // A disk that hangs still has what it was given.
            let is_stuck = matches!(error, RecordError::TooSlow { .. });
            if let Some(Writing { recorder, .. }) = self.writing.take().filter(|_| is_stuck) {
                self.close(recorder.wait(), |()| None);
            }
            self.end_with(Report::Failed(error));
        } else if is_full {
            self.finish();
        }
    }

    /// Begins a recording, or lets the one that is being written go on for longer.
    fn save(&mut self, request: Request) {
        let (now, Budget { before, after, memory }) = (Instant::now(), self.budget);
        if let Some(writing) = &mut self.writing {
            let (last, due) = writing.last;
            writing.until = last.min(writing.until.max(later(request.at, after)));
            writing.due = due.min(now + after);
            return;
        }
        let is_new = matches!(&*self.shared.stage(), Stage::Recording(path, _) if *path == request.path);
        if !is_new {
            // The recording that was to go on for it has ended meanwhile, and shows what was found.
            return;
        }
        if self.window.is_blind() {
            return self.end_with(Report::Blind);
        }
        match (self.begin)(&request, self.window.events()) {
            Ok(recorder) => {
                let flusher = recorder.flusher();
                let most = before.saturating_add(after);
                self.writing = Some(Writing {
                    recorder,
                    until: later(request.at, after),
                    due: now + after,
                    last: (later(request.at, most), now + most),
                    left: memory,
                });
                *self.shared.stage() = Stage::Recording(request.path, Some(flusher));
            }
            Err(source) => self.end_with(Report::Failed(RecordError::Create { path: request.path, source })),
        }
    }

    /// Resolves when the recording has gone on for long enough.
    async fn time_is_up(&self) {
        match &self.writing {
            Some(writing) => sleep_until(writing.due).await,
            None => std::future::pending().await,
        }
    }

    /// Ends the recording; what is left of it is written without anybody waiting for that.
    fn finish(&mut self) {
        let Some(Writing { recorder, .. }) = self.writing.take() else { return };
        // It counts as closing before another one can be asked for.
        self.close(recorder.finish(), |outcome| Some(outcome.map_or_else(Report::Failed, Report::Saved)));
        *self.shared.stage() = Stage::Waiting;
    }

    /// Lets a recording get to the disk, and reports what there is to report then.
    fn close<T: Send>(
        &mut self,
        end: impl Future<Output = T> + Send + 'static,
        report: impl FnOnce(T) -> Option<Report> + Send + 'static,
    ) {
        self.shared.closing.fetch_add(1, Ordering::SeqCst);
        let (shared, reports) = (Arc::clone(&self.shared), self.reports.clone());
        self.closing.spawn(async move {
            let report = report(end.await);
            shared.closing.fetch_sub(1, Ordering::SeqCst);
            // Whoever does not read them has no use for more.
            report.into_iter().for_each(|report| drop(reports.try_send(report)));
        });
        while self.closing.try_join_next().is_some() {}
    }

    fn end_with(&self, report: Report) {
        *self.shared.stage() = if self.window.is_blind() { Stage::Blind } else { Stage::Waiting };
        let _ = self.reports.try_send(report);
    }

    /// Says once that nothing is kept any more, and notices when something is again.
    fn note_blindness(&self) {
        let mut stage = self.shared.stage();
        match (&*stage, self.window.is_blind()) {
            (Stage::Waiting, true) => {
                *stage = Stage::Blind;
                let _ = self.reports.try_send(Report::Blind);
            }
            (Stage::Blind, false) => *stage = Stage::Waiting,
            _ => {}
        }
    }
}

fn later(at: SystemTime, by: Duration) -> SystemTime {
    at.checked_add(by).unwrap_or(at)
}
