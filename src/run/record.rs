//! `record`: the feed of a target to a file, until stopped.

use std::time::Duration;

use anyhow::Context;

use super::exit::UsageError;
use super::notes::note_connection;
use super::signals::stop_signal;
use super::targets::{self, Opened};
use crate::cli::{Common, Record};
use crate::config::Config;
use crate::feed::endpoint::Target;
use crate::feed::recording::{Speed, Written};

/// How often to look whether the recorder has given up.
const LOOK: Duration = Duration::from_millis(500);

/// Writes the feed of a target to a file until stopped, or until a time has passed.
///
/// # Errors
/// The file cannot be written, or the target is not a running service.
pub(super) async fn record(args: &Record, config: &Config, common: &Common) -> anyhow::Result<Written> {
    if matches!(args.target, Target::Recording(_)) {
        let hint = format!("{} is a recording already; name a running service.", args.target);
        return Err(UsageError(hint).into());
    }
    let common = Common { record: Some(args.output.clone()), ..common.clone() };
    let Opened { mut watch, recording, .. } = targets::open(config, &common, Speed::Max)?;
    let recording = recording.context("The recording was never begun.")?;
    let time_is_up = async {
        match args.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    let mut time_is_up = std::pin::pin!(time_is_up);
    let mut stop = std::pin::pin!(stop_signal());
    let mut look = tokio::time::interval(LOOK);
    while !recording.is_finished() {
        tokio::select! {
            signal = &mut stop => { signal?; break }
            () = &mut time_is_up => break,
            step = watch.next() => match step {
                Some(step) => note_connection(&step, watch.fleet()),
                None => break,
            },
            // The disk may give up before the user does.
            _ = look.tick() => {}
        }
    }
    drop(watch);
    targets::close(Some(recording)).await?.context("The recording was never begun.")
}
