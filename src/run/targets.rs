//! Targets opened, recorded and closed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::black_boxes::BlackBoxes;
use super::notes::note;
use super::opener::{Judging, Opener, Ready, options};
use super::player::Player;
use super::program::{self, Program};
use super::roster::Roster;
use super::signals::Stop;
use super::watch::Watch;
use crate::cli::Playback;
use crate::config::{Config, Faults};
use crate::diagnosis::Diagnosis;
use crate::feed::endpoint::Target;
use crate::feed::recording::{self, Flusher, RecordError, Recorder, Speed, Tee, Written};
use crate::feed::{Feed, live};
use crate::fleet::TargetId;

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
    /// The size of the file, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.flusher.bytes()
    }

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
    open_with(config, playback, usual_speed, Manner::default())
}

/// How targets are opened.
#[derive(Debug, Default)]
pub(super) struct Manner {
    /// What is kept of their feeds.
    pub(super) black_boxes: BlackBoxes,
    /// Whether somebody controls how recordings are played, and if so, whether they wait at first.
    pub(super) waits: Option<bool>,
    /// What the first of them is called, where its file says nothing to the user.
    pub(super) name: Option<&'static str>,
}

/// The same in a certain manner.
///
/// # Errors
/// As [`open`].
pub(super) fn open_with(
    config: &Config,
    playback: &Playback,
    usual_speed: Speed,
    manner: Manner,
) -> anyhow::Result<Opened> {
    open_all(config, config.targets(), playback, usual_speed, manner)
}

/// Opens these targets instead of those of the configuration, recordings as fast as they can be read.
///
/// # Errors
/// As [`open`].
pub(super) fn open_these(config: &Config, targets: &[Target]) -> anyhow::Result<Opened> {
    open_all(config, targets, &Playback::default(), Speed::Max, Manner::default())
}

fn open_all(
    config: &Config,
    targets: &[Target],
    playback: &Playback,
    usual_speed: Speed,
    manner: Manner,
) -> anyhow::Result<Opened> {
    let Manner { black_boxes, waits, name: given } = manner;
    if playback.record.is_some() && targets.len() > 1 {
        bail!("--record takes one target, but {} were given. Record each with a command of its own.", targets.len());
    }
    let mut opened = Opened { black_boxes, ..Opened::default() };
    let opener = Opener::new(config, playback.speed.unwrap_or(usual_speed))?;
    let is_alone = targets.len() < 2 && !config.finds_targets();
    for (index, target) in targets.iter().enumerate() {
        let name = given.map_or_else(|| target.to_string(), str::to_owned);
        let name = opener.judging.name(name, (index, if is_alone { 1 } else { usize::MAX }));
        let recorder = recorder(playback, &name)?;
        match (target, waits) {
            // A copy of it would contain what is played twice.
            (Target::Recording(path), Some(waits)) if recorder.is_none() => {
                let (player, feed) = opener.player(path, waits)?;
                opened.play(path, opener.judging.diagnosis(name), feed, player);
            }
            _ => opened.add(target, &name, opener.feed(target)?, &opener.judging, recorder),
        }
    }
    opened.roster = Roster::of(config, opener.after(targets.len()));
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
    /// Adds a recording that is played under control.
    fn play(&mut self, path: &Path, diagnosis: Diagnosis, feed: Feed, player: Player) {
        let id = self.watch.play(diagnosis, feed, player);
        self.replayed.insert(id);
        self.tapes.insert(id, Tape { path: path.to_owned(), flusher: None });
    }

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
