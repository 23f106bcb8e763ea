//! Targets opened, recorded and closed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::task::JoinHandle;

use super::watch::Watch;
use crate::cli::Common;
use crate::config::Config;
use crate::config::options::{DECODE_LIMIT, PUMP, RETAIN};
use crate::diagnosis::Diagnosis;
use crate::feed::endpoint::Target;
use crate::feed::recording::{self, RecordError, Recorder, Speed, Written};
use crate::feed::{Feed, live};

/// The targets of a run.
#[derive(Debug)]
pub(super) struct Opened {
    /// Their feeds and diagnoses.
    pub(super) watch: Watch,
    /// The recording that is written beside them.
    pub(super) recording: Option<Recording>,
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
    let mut opened = Opened { watch: Watch::default(), recording: None };
    for target in targets {
        let mut feed = open_one(target, config, common.speed.unwrap_or(usual_speed))?;
        if let Some(path) = &common.record {
            let (recorded, done) = record(feed, path, target)?;
            (feed, opened.recording) = (recorded, Some(done));
        }
        let diagnosis = Diagnosis::new(target.to_string(), config.settings().clone(), config.get(&RETAIN).0);
        opened.watch.open(diagnosis.suppressing(config.suppressor()), feed);
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
fn record(feed: Feed, path: &Path, target: &Target) -> anyhow::Result<(Feed, Recording)> {
    let recorder = Recorder::create(path, &target.to_string())?;
    let recording::Tee { feed, done } = recording::tee(feed, recorder);
    Ok((feed, done))
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
