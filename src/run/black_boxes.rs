//! The black boxes of a run: which findings are saved, what alerts say of that, and what became of the recordings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::notes::note;
use super::signals::Stop;
use crate::alert::event::{Event, EventKind};
use crate::config::Config;
use crate::config::options::{
    BLACK_BOX, BLACK_BOX_AFTER, BLACK_BOX_BEFORE, BLACK_BOX_DISK, BLACK_BOX_MEMORY, BLACK_BOX_SEVERITY,
};
use crate::detect::severity::Severity;
use crate::feed::Feed;
use crate::feed::recording::black_box::{BlackBox, BlackBoxFlusher, Budget, Report, Request, Shelf, keep};
use crate::fleet::{Fleet, Step, TargetId};
use crate::report::State;
use crate::report::finding::FindingView;
use crate::words;

/// How long the end of a run waits for the recordings that are being written.
const CLOSING: Duration = Duration::from_secs(10);
/// How long a run that is ended in the middle of something tries to bring them to the disk.
const SAVING: Duration = Duration::from_millis(500);

/// Memory for each target of a person who may never save anything, in bytes at most.
const BY_HAND: usize = 64 * 1024 * 1024;

/// The black boxes of the targets of a run; none, unless asked for.
#[derive(Debug, Default)]
pub(super) struct BlackBoxes {
    settings: Option<Settings>,
    /// With the names of the targets.
    boxes: BTreeMap<TargetId, (String, BlackBox)>,
    /// Those of targets that left, which write what they have.
    leaving: JoinSet<(String, Vec<Report>)>,
    /// What brings to the disk what each has recorded.
    flushers: Arc<Mutex<BTreeMap<TargetId, BlackBoxFlusher>>>,
    failed: u64,
    /// Whether the last attempt to write failed: no alert names a file that there may never be.
    is_failing: bool,
    /// The path that was chosen last.
    last_path: Option<PathBuf>,
}

#[derive(Debug, Clone)]
struct Settings {
    shelf: Shelf,
    budget: Budget,
    severity: Severity,
}

impl BlackBoxes {
    /// What the configuration asks for. Says so if the folder cannot be written to: the run goes on, and so do its attempts.
    pub(super) fn new(config: &Config) -> Self {
        let Some(folder) = config.get(&BLACK_BOX) else { return Self::default() };
        let space = u64::try_from(config.get(&BLACK_BOX_DISK).bytes()).unwrap_or(u64::MAX);
        let shelf = Shelf::new(&folder, space);
        let prepared = shelf.prepare();
        let is_failing = prepared.is_err();
        if let Err(error) = prepared {
            let folder = folder.display();
            note(&format!(
                "The black box cannot save recordings in {folder}: {error}. Findings are reported without a recording."
            ));
        }
        let budget = Budget {
            before: config.get(&BLACK_BOX_BEFORE).0,
            after: config.get(&BLACK_BOX_AFTER).0,
            memory: config.get(&BLACK_BOX_MEMORY).bytes(),
        };
        let settings = Settings { shelf, budget, severity: config.get(&BLACK_BOX_SEVERITY) };
        Self { settings: Some(settings), is_failing, ..Self::default() }
    }

    /// Those of a terminal, from which a person saves what they want to keep, to the folder in which they are.
    pub(super) fn by_hand(config: &Config) -> Self {
        let budget = Budget {
            before: config.get(&BLACK_BOX_BEFORE).0,
            after: Duration::ZERO,
            memory: config.get(&BLACK_BOX_MEMORY).bytes().min(BY_HAND),
        };
        let shelf = Shelf::new(Path::new("."), u64::MAX);
        Self { settings: Some(Settings { shelf, budget, severity: Severity::Critical }), ..Self::default() }
    }

    /// Saves the last minutes of a target because a person asks for it, and says where to, or why not.
    pub(super) fn save_now(&self, target: TargetId, fleet: &Fleet) -> String {
        let Some(member) = fleet.member(target) else { return "This target has left.".to_owned() };
        let (Some(settings), Some((name, black_box))) = (&self.settings, self.boxes.get(&target)) else {
            return "This target is a recording already.".to_owned();
        };
        let at = member.diagnosis().arrived().unwrap_or_else(SystemTime::now);
        let path = settings.shelf.saved(SystemTime::now(), name);
        let about = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        match black_box.save(Request { path, at, about }) {
            Some(path) => {
                let most = words::limit(settings.budget.before);
                format!("Saving the last {most} at most to {} …", path.display())
            }
            None => "Nothing can be saved now: the recording before is still being written, or there is no memory for what lives in \
                     the target."
                .to_owned(),
        }
    }

    /// Puts a black box behind a feed, if there are any.
    pub(super) fn put_behind(&self, feed: Feed, target: &str) -> (Feed, Option<BlackBox>) {
        let Some(Settings { shelf, budget, .. }) = &self.settings else { return (feed, None) };
        let (feed, black_box) = keep(feed, target, *budget, shelf.clone());
        (feed, Some(black_box))
    }

    /// Takes in the black box of a target, which has a name.
    pub(super) fn insert(&mut self, target: TargetId, name: String, black_box: BlackBox) {
        self.flushers().insert(target, black_box.flusher());
        self.boxes.insert(target, (name, black_box));
    }

    /// Ends the black box of a target that left. Its recording is completed meanwhile.
    pub(super) fn leave(&mut self, target: TargetId) {
        if let Some((name, black_box)) = self.boxes.remove(&target) {
            let flushers = Arc::clone(&self.flushers);
            self.leaving.spawn(async move {
                let reports = black_box.close(CLOSING).await;
                flushers.lock().unwrap_or_else(PoisonError::into_inner).remove(&target);
                (name, reports)
            });
        }
    }

    fn flushers(&self) -> MutexGuard<'_, BTreeMap<TargetId, BlackBoxFlusher>> {
        self.flushers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves what is known of the findings among these events that fire, and adds to each the path of its recording.
    pub(super) fn attach_recordings(&mut self, step: &Step, events: &mut [Event]) {
        let Step::Arrived { target, at, .. } = step else { return };
        let (Some(settings), Some((_, black_box))) = (&self.settings, self.boxes.get(target)) else { return };
        for Event { target, kind, .. } in events {
            if let EventKind::Finding(finding) = kind
                && finding.row.state == State::Firing
                && finding.row.severity >= settings.severity
            {
                // Two targets may have the same finding in the same moment, and names that look the same.
                let times = (0..).map(|millis| *at + Duration::from_millis(millis));
                let mut paths = times.map(|at| settings.shelf.path(at, target, finding.row.detector));
                let Some(path) = paths.find(|path| Some(path) != self.last_path.as_ref()) else { continue };
                self.last_path = Some(path.clone());
                let saved = black_box.save(Request { path, at: *at, about: about(finding) });
                self.failed += u64::from(saved.is_none());
                finding.recording = saved.filter(|_| !self.is_failing);
            }
        }
    }

    /// Says what became of recordings since the last time.
    pub(super) fn report(&mut self) {
        self.reports().iter().for_each(|sentence| note(sentence));
    }

    /// What became of recordings since the last time, a sentence each.
    pub(super) fn reports(&mut self) -> Vec<String> {
        let mut reports = Vec::new();
        for (target, black_box) in self.boxes.values_mut() {
            reports.extend(std::iter::from_fn(|| black_box.report()).map(|report| (target.clone(), report)));
        }
        while let Some(Ok((target, last))) = self.leaving.try_join_next() {
            reports.extend(last.into_iter().map(|report| (target.clone(), report)));
        }
        reports.into_iter().map(|(target, report)| self.sentence(&target, report)).collect()
    }

    /// Brings what is being recorded to the disk if the process is ended in the middle of something.
    pub(super) fn save_at_end(&self, stop: &Stop) {
        if self.settings.is_none() {
            return;
        }
        let (runtime, flushers) = (Handle::current(), Arc::clone(&self.flushers));
        stop.saves(move || {
            let all: Vec<_> = flushers.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
            let all = async {
                for flusher in &all {
                    flusher.flush().await;
                }
            };
            // What does not get there in time is lost.
            drop(runtime.block_on(async { timeout(SAVING, all).await }));
        });
    }

    /// Ends the recordings, all at once, and says what became of them.
    pub(super) async fn close(mut self, stop: &Stop) {
        let targets: Vec<TargetId> = self.boxes.keys().copied().collect();
        targets.into_iter().for_each(|target| self.leave(target));
        let mut leaving = std::mem::take(&mut self.leaving);
        let closing = async {
            let mut closed = Vec::new();
            while let Some(one) = leaving.join_next().await {
                closed.extend(one);
            }
            closed
        };
        let hint =
            || note("The black box is being closed; a second signal ends at once, and may cut a recording short.");
        for (target, reports) in stop.during(closing, hint).await {
            for report in reports {
                note(&self.sentence(&target, report));
            }
        }
        if self.failed > 0 {
            let recordings = words::count(self.failed, "black-box recording");
            note(&format!("{recordings} {} missing or incomplete.", if self.failed == 1 { "is" } else { "are" }));
        }
    }

    fn sentence(&mut self, target: &str, report: Report) -> String {
        match report {
            Report::Saved(written) => {
                self.is_failing = false;
                let (updates, size) = (words::count(written.updates, "update"), words::bytes(written.bytes));
                format!("{target}: saved {updates} ({size}) to {}.", written.path.display())
            }
            Report::Failed(error) => {
                self.failed += 1;
                self.is_failing = true;
                format!("{target}: {error}")
            }
            Report::Blind => format!(
                "{target}: the black box is off until it reconnects: its live tasks, resources and waits take more than three quarters of \
                 --black-box-memory."
            ),
        }
    }
}

/// What a recording says about why it was made.
fn about(finding: &FindingView) -> Vec<(&'static str, String)> {
    vec![
        ("detector", finding.row.detector.to_owned()),
        ("severity", finding.row.severity.as_str().to_owned()),
        ("fingerprint", finding.fingerprint.clone()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ]
}
