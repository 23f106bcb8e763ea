//! Targets opened, recorded and closed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::black_boxes::BlackBoxes;
use super::notes::note;
use super::program::{self, Program};
use super::roster::Roster;
use super::signals::Stop;
use super::watch::Watch;
use crate::cli::Playback;
use crate::config::options::{DECODE_LIMIT, PUMP, REDACT, RETAIN, WARMUP};
use crate::config::{Config, Faults};
use crate::detect::expectation::Expectations;
use crate::detect::settings::Settings;
use crate::detect::suppression::Suppressor;
use crate::diagnosis::Diagnosis;
use crate::feed::endpoint::Target;
use crate::feed::recording::black_box::BlackBox;
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
    /// What is kept of their feeds for the case that a finding fires.
    pub(super) black_boxes: BlackBoxes,
    /// Those that are found while the run lasts.
    pub(super) roster: Option<Roster>,
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

/// The longest wait before a program that was started is dialled again.
const DIALLING: Duration = Duration::from_millis(250);

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
    open_with(config, playback, usual_speed, BlackBoxes::default())
}

/// The same with black boxes behind the feeds.
///
/// # Errors
/// As [`open`].
pub(super) fn open_with(
    config: &Config,
    playback: &Playback,
    usual_speed: Speed,
    black_boxes: BlackBoxes,
) -> anyhow::Result<Opened> {
    let targets = config.targets();
    if playback.record.is_some() && targets.len() > 1 {
        bail!("--record takes one target, but {} were given. Record each with a command of its own.", targets.len());
    }
    let mut opened = Opened { black_boxes, ..Opened::default() };
    let opener = Opener::new(config, playback.speed.unwrap_or(usual_speed))?;
    let is_alone = targets.len() < 2 && !config.finds_targets();
    for (index, target) in targets.iter().enumerate() {
        let feed = opener.feed(target)?;
        let name = opener.judging.name(target.to_string(), (index, if is_alone { 1 } else { usize::MAX }));
        let recorder = recorder(playback, &name)?;
        opened.add(target, &name, feed, &opener.judging, recorder);
    }
    opened.roster = Roster::of(config, Opener { named: targets.len(), ..opener });
    Ok(opened)
}

/// Starts a program and opens its console, under the name of the program. It is dialled often, for it may end soon.
///
/// # Errors
/// A recording that cannot be written, in which case nothing was started; or the program cannot be started.
pub(super) fn start_program(
    config: &Config,
    playback: &Playback,
    command: &[OsString],
    stop: &Stop,
) -> anyhow::Result<(Opened, Program)> {
    let judging = Judging::of(config)?;
    let name = judging.name(program::name(command), (0, 1));
    let recorder = recorder(playback, &name)?;
    let program = Program::start(command, stop).inspect_err(|_| {
        // It would be in the way of the next attempt, and there is nothing in it.
        playback.record.iter().for_each(|path| drop(fs::remove_file(path)));
    })?;
    let options = live::Options { longest_wait: DIALLING, ..options(config) };
    let (target, feed) = (Target::Live(program.address()), live::open(program.address(), options));
    let mut opened = Opened::default();
    opened.add(&target, &name, feed, &judging, recorder);
    Ok((opened, program))
}

impl Opened {
    /// Adds a target with its feed.
    fn add(
        &mut self,
        target: &Target,
        name: &str,
        feed: Feed,
        judging: &Judging,
        recorder: Option<(PathBuf, Recorder)>,
    ) {
        let mut feed = judging.redacted(feed);
        let mut tape = match target {
            Target::Recording(path) => Some(Tape { path: path.clone(), flusher: None }),
            Target::Live(_) => None,
        };
        if let Some((path, recorder)) = recorder {
            let Tee { feed: recorded, done, flusher, end } = recording::tee(feed, recorder);
            (feed, self.recording) = (recorded, Some(Recording { done, end, flusher: flusher.clone() }));
            tape = tape.or_else(|| Some(Tape { path, flusher: Some(flusher) }));
        }
        let (feed, black_box) = self.black_boxes.put_behind(feed, name);
        let ready = Ready { diagnosis: judging.diagnosis(name.to_owned()), feed, black_box };
        let id = ready.place(&mut self.watch, &mut self.black_boxes);
        self.replayed.extend(matches!(target, Target::Recording(_)).then_some(id));
        self.tapes.extend(tape.map(|tape| (id, tape)));
    }
}

/// Opens targets while a run lasts, each as the others.
#[derive(Debug)]
pub(super) struct Opener {
    judging: Judging,
    options: live::Options,
    speed: Speed,
    /// How many targets were named, besides those that are found.
    named: usize,
}

/// A target that is open, and not watched yet.
#[derive(Debug)]
pub(super) struct Ready {
    diagnosis: Diagnosis,
    feed: Feed,
    black_box: Option<BlackBox>,
}

impl Opener {
    fn new(config: &Config, speed: Speed) -> Result<Self, Faults> {
        Ok(Self { judging: Judging::of(config)?, options: options(config), speed, named: 0 })
    }

    /// What a target that was found is called, so many after the first one.
    pub(super) fn name(&self, name: &str, index: usize) -> String {
        self.judging.name(name.to_owned(), (self.named + index, usize::MAX))
    }

    /// Opens a target under a name.
    ///
    /// # Errors
    /// A recording that cannot be read.
    pub(super) fn open(&self, target: &Target, name: String, black_boxes: &BlackBoxes) -> anyhow::Result<Ready> {
        let feed = self.judging.redacted(self.feed(target)?);
        let (feed, black_box) = black_boxes.put_behind(feed, &name);
        Ok(Ready { diagnosis: self.judging.diagnosis(name), feed, black_box })
    }

    fn feed(&self, target: &Target) -> anyhow::Result<Feed> {
        match target {
            Target::Live(address) => Ok(live::open(address.clone(), self.options.clone())),
            Target::Recording(path) => Ok(recording::open(path, self.speed)?),
        }
    }
}

impl Ready {
    /// Watches it from now on.
    pub(super) fn place(self, watch: &mut Watch, black_boxes: &mut BlackBoxes) -> TargetId {
        let name = self.diagnosis.target().to_owned();
        let id = watch.open(self.diagnosis, self.feed);
        self.black_box.into_iter().for_each(|black_box| black_boxes.insert(id, name.clone(), black_box));
        id
    }
}

fn options(config: &Config) -> live::Options {
    live::Options {
        decode_limit: config.get(&DECODE_LIMIT).bytes(),
        pump: config.get(&PUMP),
        clusters: config.pods().clusters(),
        ..live::Options::default()
    }
}

/// What targets are judged by, in terms of what their feeds are made to say.
#[derive(Debug)]
struct Judging {
    redactor: Option<Redactor>,
    settings: Settings,
    suppressor: Suppressor,
    expectations: Expectations,
    warmup: Duration,
    retention: Duration,
}

impl Judging {
    /// What the configuration says.
    ///
    /// # Errors
    /// A suppression that cannot be applied to stand-ins.
    fn of(config: &Config) -> Result<Self, Faults> {
        let mut redactor = config.get(&REDACT).then(Redactor::by_name);
        let (settings, suppressor) = match &mut redactor {
            Some(redactor) => {
                let settings = redactor.settings(config.settings());
                (settings, config.suppressor(|suppression| redactor.suppression(suppression))?)
            }
            None => (config.settings().clone(), config.suppressor(|suppression| Ok(suppression.clone()))?),
        };
        let (warmup, retention) = (config.get(&WARMUP), config.get(&RETAIN).0);
        Ok(Self { redactor, settings, suppressor, expectations: config.expectations(), warmup, retention })
    }

    /// What a target is called, one of so many.
    fn name(&self, target: String, (index, of): (usize, usize)) -> String {
        if self.redactor.is_some() { redact::target(index, of) } else { target }
    }

    /// What a feed is made to say, before anything else sees it, recorders included.
    fn redacted(&self, feed: Feed) -> Feed {
        match self.redactor.clone() {
            Some(mut redactor) => mapped(feed, move |arrived| redactor.event(arrived)),
            None => feed,
        }
    }

    /// The diagnosis of a target.
    fn diagnosis(&self, name: String) -> Diagnosis {
        let diagnosis = Diagnosis::new(name, self.settings.clone(), self.retention);
        let diagnosis = diagnosis.suppressing(self.suppressor.clone()).expecting(self.expectations.clone());
        diagnosis.after_warmup(self.warmup)
    }
}

/// The recorder that was asked for, and its file.
fn recorder(playback: &Playback, name: &str) -> anyhow::Result<Option<(PathBuf, Recorder)>> {
    let Some(path) = &playback.record else { return Ok(None) };
    Ok(Some((path.clone(), Recorder::create(path, name)?)))
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
    let hint = || note("The recording is being closed; a second signal ends at once, without its index.");
    let done = stop.during(timeout(CLOSING, done), hint).await;
    let done =
        done.with_context(|| format!("The recording was not closed within {CLOSING:?}; its end may be missing"))?;
    Ok(Some(done??))
}
