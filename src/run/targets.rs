//! Targets opened, recorded and closed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::task::JoinHandle;

use super::watch::Watch;
use crate::cli::Common;
use crate::config::Config;
use crate::config::options::{DECODE_LIMIT, PUMP, RETAIN};
use crate::diagnosis::Diagnosis;
use crate::feed::endpoint::Target;
use crate::feed::recording::{self, Flusher, RecordError, Recorder, Speed, Tee, Written};
use crate::feed::{Feed, live};
use crate::fleet::TargetId;

/// The targets of a run.
#[derive(Debug)]
pub(super) struct Opened {
    /// Their feeds and diagnoses.
    pub(super) watch: Watch,
    /// The recording that is written beside them.
    pub(super) recording: Option<Recording>,
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
pub(super) type Recording = JoinHandle<Result<Written, RecordError>>;

/// How long the end of a recording may take: its index has to be written.
const CLOSING: Duration = Duration::from_secs(30);

/// Opens every target, and the recording if one was asked for.
///
/// # Errors
/// A recording that cannot be read or written.
pub(super) fn open(config: &Config, common: &Common, usual_speed: Speed) -> anyhow::Result<Opened> {
    let targets = config.targets();
    if common.record.is_some() && targets.len() > 1 {
        bail!("--record takes one target, but {} were given. Record each with a command of its own.", targets.len());
    }
    let mut opened = Opened { watch: Watch::default(), recording: None, tapes: BTreeMap::new() };
    for target in targets {
        let mut feed = open_one(target, config, common.speed.unwrap_or(usual_speed))?;
        let mut tape = match target {
            Target::Recording(path) => Some(Tape { path: path.clone(), flusher: None }),
            Target::Live(_) => None,
        };
        if let Some(path) = &common.record {
            let Tee { feed: recorded, done, flusher } = record(feed, path, target)?;
            (feed, opened.recording) = (recorded, Some(done));
            tape = tape.or_else(|| Some(Tape { path: path.clone(), flusher: Some(flusher) }));
        }
        let diagnosis = Diagnosis::new(target.to_string(), config.settings().clone(), config.get(&RETAIN).0);
        let id = opened.watch.open(diagnosis.suppressing(config.suppressor()), feed);
        opened.tapes.extend(tape.map(|tape| (id, tape)));
    }
    Ok(opened)
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
fn record(feed: Feed, path: &Path, target: &Target) -> anyhow::Result<Tee> {
    let recorder = Recorder::create(path, &target.to_string())?;
    Ok(recording::tee(feed, recorder))
}

/// Waits until a recording is closed properly. Its feed must have been dropped.
///
/// # Errors
/// The recording ended before it should, or does not end.
pub(super) async fn close(recording: Option<Recording>) -> anyhow::Result<Option<Written>> {
    let Some(recording) = recording else { return Ok(None) };
    let done = tokio::time::timeout(CLOSING, recording).await;
    let done =
        done.with_context(|| format!("The recording was not closed within {CLOSING:?}; its end may be missing."))?;
    Ok(Some(done??))
}
