//! Targets opened, recorded and closed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::notes::note;
use super::signals::Stop;
use super::watch::Watch;
use crate::cli::Playback;
use crate::config::options::{DECODE_LIMIT, PUMP, REDACT, RETAIN};
use crate::config::{Config, Faults};
use crate::detect::settings::Settings;
use crate::detect::suppression::Suppressor;
use crate::diagnosis::Diagnosis;
use crate::feed::endpoint::Target;
use crate::feed::recording::{self, Flusher, RecordError, Recorder, Speed, Tee, Written};
use crate::feed::{Feed, live, mapped};
use crate::fleet::TargetId;
use crate::witness::redact::{self, Redactor};

/// The targets of a run.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// Their feeds and diagnoses.
    pub(super) watch: Watch,
    /// The recording that is written beside them.
    pub(super) recording: Option<Recording>,
    /// Those that are recordings.
    pub(super) replayed: BTreeSet<TargetId>,
    /// Where to read again what came from them, as far as it is kept.
    pub(super) tapes: BTreeMap<TargetId, Tape>,
}

/// A file that holds what came from a target.
#[derive(Debug, Clone)]
pub(super) struct Tape {
    /// The file.
    pub(super) path: PathBuf,
    /// Brings to the disk what is missing in it; nothing for a file that was there before.
    pub(super) flusher: Option<Flusher>,
}

/// A recording that is being written beside something else.
#[derive(Debug)]
pub(super) struct Recording {
    done: JoinHandle<Result<Written, RecordError>>,
    end: Arc<Notify>,
    flusher: Flusher,
}

impl Recording {
    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.done.is_finished()
    }
}

/// How long a run that is ended in the middle of something tries to bring the recording to the disk.
const SAVING: Duration = Duration::from_millis(500);

/// How long the end of a recording may take: its index has to be written.
const CLOSING: Duration = Duration::from_secs(30);

/// Looks whether what targets are judged by can be applied to what their feeds are made to say.
///
/// # Errors
/// A suppression that cannot be applied to stand-ins.
pub(super) fn require(config: &Config) -> Result<(), Faults> {
    Judging::of(config).map(drop)
}

/// Opens every target, and the recording if one was asked for.
///
/// # Errors
/// A recording that cannot be read or written.
pub(super) fn open(config: &Config, playback: &Playback, usual_speed: Speed) -> anyhow::Result<Opened> {
    let targets = config.targets();
    if playback.record.is_some() && targets.len() > 1 {
        bail!("--record takes one target, but {} were given. Record each with a command of its own.", targets.len());
    }
    let mut opened = Opened::default();
    let judging = Judging::of(config)?;
    for (index, target) in targets.iter().enumerate() {
        let name = judging.name(target, (index, targets.len()));
        let mut feed = open_one(target, config, playback.speed.unwrap_or(usual_speed))?;
        if let Some(mut redactor) = judging.redactor.clone() {
            // Before anything else sees it, recorders included.
            feed = mapped(feed, move |arrived| redactor.event(arrived));
        }
        let mut tape = match target {
            Target::Recording(path) => Some(Tape { path: path.clone(), flusher: None }),
            Target::Live(_) => None,
        };
        if let Some(path) = &playback.record {
            let Tee { feed: recorded, done, flusher, end } = record(feed, path, &name)?;
            (feed, opened.recording) = (recorded, Some(Recording { done, end, flusher: flusher.clone() }));
            tape = tape.or_else(|| Some(Tape { path: path.clone(), flusher: Some(flusher) }));
        }
        let diagnosis = Diagnosis::new(name, judging.settings.clone(), config.get(&RETAIN).0);
        let id = opened.watch.open(diagnosis.suppressing(judging.suppressor.clone()), feed);
        opened.replayed.extend(matches!(target, Target::Recording(_)).then_some(id));
        opened.tapes.extend(tape.map(|tape| (id, tape)));
    }
    Ok(opened)
}

/// What targets are judged by, in terms of what their feeds are made to say.
struct Judging {
    redactor: Option<Redactor>,
    settings: Settings,
    suppressor: Suppressor,
}

impl Judging {
    /// What the configuration says.
    ///
    /// # Errors
    /// A suppression that cannot be applied to stand-ins.
    fn of(config: &Config) -> Result<Self, Faults> {
        if !config.get(&REDACT) {
            return Ok(Self { redactor: None, settings: config.settings().clone(), suppressor: config.suppressor() });
        }
        let mut redactor = Redactor::by_name();
        let settings = redactor.settings(config.settings());
        let suppressor = config.suppressor_with(|suppression| redactor.suppression(suppression))?;
        Ok(Self { redactor: Some(redactor), settings, suppressor })
    }

    /// What a target is called, one of so many.
    fn name(&self, target: &Target, (index, of): (usize, usize)) -> String {
        if self.redactor.is_some() { redact::target(index, of) } else { target.to_string() }
    }
}

fn open_one(target: &Target, config: &Config, speed: Speed) -> anyhow::Result<Feed> {
    match target {
        Target::Live(address) => {
            let (decode_limit, pump) = (config.get(&DECODE_LIMIT).bytes(), config.get(&PUMP));
            let options = live::Options { decode_limit, pump, ..live::Options::default() };
            Ok(live::open(address.clone(), options))
        }
        Target::Recording(path) => Ok(recording::open(path, speed)?),
    }
}

/// Puts a recorder behind a feed.
fn record(feed: Feed, path: &Path, target: &str) -> anyhow::Result<Tee> {
    let recorder = Recorder::create(path, target)?;
    Ok(recording::tee(feed, recorder))
}

/// Brings what was recorded to the disk if the process is ended in the middle of something.
pub(super) fn save_at_end(recording: Option<&Recording>, stop: &Stop) {
    if let Some(flusher) = recording.map(|recording| recording.flusher.clone()) {
        let runtime = Handle::current();
        stop.saves(move || drop(runtime.block_on(async { timeout(SAVING, flusher.flush()).await })));
    }
}

/// Ends a recording and waits until it is closed properly.
///
/// # Errors
/// The recording ended before it should, or does not end.
pub(super) async fn close(recording: Option<Recording>, stop: &Stop) -> anyhow::Result<Option<Written>> {
    let Some(Recording { done, end, .. }) = recording else { return Ok(None) };
    end.notify_one();
    let mut done = std::pin::pin!(timeout(CLOSING, done));
    let was_asked = stop.is_asked();
    let done = tokio::select! {
        biased;
        done = &mut done => done,
        () = stop.asked() => {
            if !was_asked {
                note("The recording is being closed; a second signal ends at once, without its index.");
            }
            done.await
        }
    };
    let done =
        done.with_context(|| format!("The recording was not closed within {CLOSING:?}; its end may be missing"))?;
    Ok(Some(done??))
}
