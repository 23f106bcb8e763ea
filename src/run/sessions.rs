//! Targets opened, recorded and closed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::task::JoinHandle;

use crate::cli::Common;
use crate::config::Config;
use crate::config::options::{DECODE_LIMIT, PUMP, RETAIN};
use crate::diagnosis::Diagnosis;
use crate::feed::endpoint::Target;
use crate::feed::recording::{self, RecordError, Recorder, Speed, Written};
use crate::feed::{Feed, live};
use crate::run::headless::StatusReporter;
use crate::run::signals::stop_signal;

/// One target with everything that belongs to it.
#[derive(Debug)]
pub(super) struct Session {
    /// Where it comes from.
    pub(super) feed: Feed,
    /// What it comes to.
    pub(super) diagnosis: Diagnosis,
}

/// A recording that is being written beside something else.
pub(super) type Recording = JoinHandle<Result<Written, RecordError>>;

/// How long the end of a recording may take: its index has to be written.
const CLOSING: Duration = Duration::from_secs(30);

/// Opens every target, and the recording if one was asked for.
///
/// # Errors
/// A recording that cannot be read or written.
pub(super) fn open(
    config: &Config,
    common: &Common,
    usual_speed: Speed,
) -> anyhow::Result<(Vec<Session>, Option<Recording>)> {
    let targets = config.targets();
    if common.record.is_some() && targets.len() > 1 {
        bail!("--record takes one target, and {} were given. Record each with a command of its own.", targets.len());
    }
    let mut recording = None;
    let mut sessions = Vec::new();
    for target in targets {
        let mut feed = open_one(target, config, common.speed.unwrap_or(usual_speed))?;
        if let Some(path) = &common.record {
            let (recorded, done) = record(feed, path, target)?;
            (feed, recording) = (recorded, Some(done));
        }
        let diagnosis = diagnosis(target, config);
        sessions.push(Session { feed, diagnosis });
    }
    Ok((sessions, recording))
}

fn diagnosis(target: &Target, config: &Config) -> Diagnosis {
    let diagnosis = Diagnosis::new(target.to_string(), config.settings().clone(), config.get(&RETAIN).0);
    diagnosis.suppressing(config.suppressor())
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

/// `record`: writes the feed of a target to a file until stopped.
///
/// # Errors
/// The file cannot be written, or the target is no running service.
pub(super) async fn record_only(
    target: &Target,
    path: &Path,
    limit: Option<Duration>,
    config: &Config,
) -> anyhow::Result<Written> {
    if matches!(target, Target::Recording(_)) {
        bail!("{target} is a recording already; name a running service to record.");
    }
    let feed = open_one(target, config, Speed::Max)?;
    let (mut feed, recording) = record(feed, path, target)?;
    let mut diagnosis = diagnosis(target, config);
    let mut reporter = StatusReporter::default();
    let deadline = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(deadline);
    let mut stop = std::pin::pin!(stop_signal());
    loop {
        tokio::select! {
            signal = &mut stop => { signal?; break }
            () = &mut deadline => break,
            arrived = feed.events.recv() => {
                let Some(arrived) = arrived else { break };
                diagnosis.apply(arrived);
                reporter.tell(&diagnosis);
            }
            // The disk may give up before the user does.
            () = tokio::time::sleep(Duration::from_millis(500)), if recording.is_finished() => break,
        }
    }
    drop(feed);
    close(Some(recording)).await?.context("The recording was never begun.")
}
