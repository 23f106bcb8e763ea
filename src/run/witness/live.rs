//! Records a running service until a finding fires.

use std::path::PathBuf;

use anyhow::Context;

use crate::cli::{Playback, WitnessArgs};
use crate::config::Config;
use crate::detect::selector::Selector;
use crate::feed::recording::Speed;
use crate::fleet::{Fleet, Member, Step};
use crate::run::exit::{FINDINGS, INCONCLUSIVE, UsageError};
use crate::run::notes::{note, note_connection};
use crate::run::signals::Stop;
use crate::run::targets::{self, Opened};
use crate::run::watch::Watch;
use crate::words;

/// Updates that are recorded after the finding fired, so that the recording shows that it stays.
const AFTER: u64 = 3;

/// A recording in which a finding has fired.
pub(super) struct Fired {
    pub(super) recording: PathBuf,
    pub(super) finding: Selector,
    /// Whether nobody but us needs the recording.
    pub(super) is_scratch: bool,
}

/// Records until the finding fires. Returns the exit code if it does not.
///
/// # Errors
/// The recording cannot be written.
pub(super) async fn record(args: &WitnessArgs, config: &Config, stop: &Stop) -> anyhow::Result<Result<Fired, u8>> {
    let is_scratch = args.record.is_none();
    let path = args.record.clone().unwrap_or_else(|| scratch(args));
    let playback = Playback { record: Some(path.clone()), speed: None };
    let Opened { mut watch, recording, .. } = targets::open(config, &playback, Speed::Max).map_err(UsageError::from)?;
    note(&format!("Recording {} until {} fires, for {} at most.", args.from, args.finding, limit(args)));
    let fired = wait(&mut watch, args, stop).await;
    let has_answered = watch.fleet().members().any(|member| member.diagnosis().updates() > 0);
    drop(watch);
    targets::close(recording, stop).await?.context("The recording was never begun")?;
    if let Some(fingerprint) = fired {
        let finding = Selector::of_fingerprint(&fingerprint);
        return Ok(Ok(Fired { recording: path, finding, is_scratch }));
    }
    if is_scratch {
        // What does not show the finding is of no use.
        let _ = std::fs::remove_file(&path);
    }
    if stop.is_asked() {
        note(&format!("Interrupted before {} fired.", args.finding));
        return Ok(Err(INCONCLUSIVE));
    }
    note(&if has_answered {
        format!("{} did not fire within {}.", args.finding, limit(args))
    } else {
        format!("{} sent no update within {}.", args.from, limit(args))
    });
    Ok(Err(if has_answered { FINDINGS } else { INCONCLUSIVE }))
}

fn limit(args: &WitnessArgs) -> String {
    words::limit(args.limit())
}

/// A file beside the witness: what is recorded is as confidential as that.
fn scratch(args: &WitnessArgs) -> PathBuf {
    let mut name = args.output.clone().into_os_string();
    name.push(".recording");
    name.into()
}

/// Waits until the finding has fired, and a little longer; returns its fingerprint, or nothing if the time is up.
async fn wait(watch: &mut Watch, args: &WitnessArgs, stop: &Stop) -> Option<String> {
    let mut asked = std::pin::pin!(stop.asked());
    let mut time_is_up = std::pin::pin!(tokio::time::sleep(args.limit()));
    let mut fired: Option<(String, u64)> = None;
    let mut has_begun = false;
    loop {
        tokio::select! {
            () = &mut asked => break,
            () = &mut time_is_up => break,
            step = watch.next() => match step {
                Some(step) => {
                    note_connection(&step, watch.fleet());
                    let updates = updates(watch.fleet());
                    if updates > 0 && !std::mem::replace(&mut has_begun, true) {
                        time_is_up.set(tokio::time::sleep(args.limit()));
                    }
                    fired = fired.or_else(|| Some((matching(&step, watch.fleet(), &args.finding)?, updates)));
                    if fired.as_ref().is_some_and(|(_, then)| updates >= then + AFTER) {
                        break;
                    }
                }
                None => break,
            }
        }
    }
    fired.map(|(fingerprint, _)| fingerprint)
}

fn updates(fleet: &Fleet) -> u64 {
    fleet.members().map(|member| member.diagnosis().updates()).sum()
}

/// The fingerprint of the first finding that is meant and shown after a step.
fn matching(step: &Step, fleet: &Fleet, finding: &Selector) -> Option<String> {
    let Step::Arrived { target, .. } = step else { return None };
    let member: &Member = fleet.member(*target)?;
    let shown = member.diagnosis().engine().findings().filter(|it| it.is_shown());
    let mut meant = shown.filter(|it| finding.names(it));
    meant.next().map(|it| it.fingerprint.clone())
}
