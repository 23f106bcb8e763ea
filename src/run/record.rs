//! `record`: the feed of a target to a file, until stopped.

use std::time::Duration;

use anyhow::Context;

use super::exit::UsageError;
use super::notes::note_connection;
use super::signals::Stop;
use super::targets::{self, Opened};
use super::watch::Watch;
use crate::cli::{Playback, Record};
use crate::config::Config;
use crate::feed::endpoint::Target;
use crate::feed::recording::{Speed, Written};

/// How often to look whether the recorder has given up.
const LOOK: Duration = Duration::from_millis(500);

/// Writes the feed of a target to a file until stopped, or until a time has passed.
///
/// # Errors
/// The file cannot be written, or the target is not a running service.
pub(super) async fn record(args: &Record, config: &Config, stop: &Stop) -> anyhow::Result<Written> {
    if let Some(target @ Target::Recording(_)) = &args.target {
        let hint = format!("{target} is a recording already; name a running service.");
        return Err(UsageError(hint).into());
    }
    let playback = Playback { record: Some(args.output.clone()), speed: None };
    let Opened { watch, recording, .. } = targets::open(config, &playback, Speed::Max).map_err(UsageError::from)?;
    let recording = recording.context("The recording was never begun")?;
    // On a task of its own: an update that is being applied cannot keep the recording from ending.
    let mut consumer = tokio::spawn(consume(watch));
    let time_is_up = async {
        match args.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    let (mut time_is_up, mut asked) = (std::pin::pin!(time_is_up), std::pin::pin!(stop.asked()));
    let mut look = tokio::time::interval(LOOK);
    while !recording.is_over() {
        tokio::select! {
            () = &mut asked => break,
            () = &mut time_is_up => break,
            _ = &mut consumer => break,
            // The disk may give up before the user does.
            _ = look.tick() => {}
        }
    }
    consumer.abort();
    targets::close(Some(recording), stop).await?.context("The recording was never begun")
}

/// Takes in what is recorded, for it decides which details are worth recording, and says how the connection does.
async fn consume(mut watch: Watch) {
    while let Some(step) = watch.next().await {
        note_connection(&step, watch.fleet());
    }
}
