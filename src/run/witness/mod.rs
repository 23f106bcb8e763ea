//! `witness`: cuts a recording down to what one finding needs.

mod desk;
mod live;
mod make;

use std::time::{Duration, Instant};

use super::exit::{FINDINGS, INCONCLUSIVE, INTERNAL, SUCCESS, USAGE, UsageError};
use super::notes::note;
use super::signals::Stop;
use super::verify::describe;
use crate::cli::WitnessArgs;
use crate::config::Config;
use crate::detect::assignment;
use crate::feed::endpoint::Target;
use crate::feed::recording::RecordError;
use crate::report::sanitize::plain;
use crate::witness::{Progress, Sighting};
use crate::words;

pub(super) use self::desk::WitnessDesk;
use self::live::Fired;
use self::make::{Made, Request, make};

/// How often to say how far it is.
const REPORT: Duration = Duration::from_secs(1);

/// Writes the witness of a finding. Returns the exit code.
///
/// # Errors
/// The recording cannot be read or written, or the target cannot be watched.
pub(super) async fn run(args: &WitnessArgs, config: &Config, stop: &Stop) -> anyhow::Result<u8> {
    if args.output.exists() {
        return Err(RecordError::Exists { path: args.output.clone() }.into());
    }
    // A name that no detector has never fires, however long it is waited for.
    assignment::detector(args.finding.detector()).map_err(UsageError)?;
    let fired = match &args.from {
        Target::Recording(path) => Fired { recording: path.clone(), finding: args.finding.clone(), is_scratch: false },
        Target::Live(_) => match live::record(args, config, stop).await? {
            Ok(fired) => fired,
            Err(code) => return Ok(code),
        },
    };
    let request = Request {
        recording: fired.recording.clone(),
        finding: fired.finding.clone(),
        output: args.output.clone(),
        settings: config.settings().clone(),
        redact: args.redact,
    };
    let made = tokio::select! {
        made = tokio::task::spawn_blocking(move || make(&request, &mut say_progress())) => Some(made?),
        () = stop.asked() => None,
    };
    if fired.is_scratch {
        // It has served.
        let _ = std::fs::remove_file(&fired.recording);
    }
    let Some(made) = made else {
        note("Interrupted before the witness was cut.");
        return Ok(INCONCLUSIVE);
    };
    Ok(conclude(args, &made?))
}

/// Says what came of it, and returns the exit code.
fn conclude(args: &WitnessArgs, made: &Made) -> u8 {
    let from = args.from.to_string();
    match made {
        Made::Written(written) => {
            note(&written.sentence());
            note(&format!("Play it with `tokio-canary verify {}`.", args.output.display()));
            SUCCESS
        }
        Made::Missing(others) => {
            note(&format!("{from} does not show {}.", args.finding));
            list("It shows:", others);
            FINDINGS
        }
        Made::Ambiguous(candidates) => {
            note(&format!("{from} shows {} findings that {} can mean.", candidates.len(), args.finding));
            list("Name one of them by its fingerprint, or by detector@place:", candidates);
            USAGE
        }
        Made::Lost(why) => {
            note(why);
            INTERNAL
        }
    }
}

fn list(heading: &str, sightings: &[Sighting]) {
    if !sightings.is_empty() {
        note(heading);
        sightings.iter().for_each(|it| note(&format!("  {}  {}", plain(&it.fingerprint), describe(it))));
    }
}

/// Says on standard error how far the cutting is, now and then.
fn say_progress() -> impl FnMut(Progress) {
    let mut next = Instant::now() + REPORT;
    move |progress| {
        if Instant::now() >= next {
            next = Instant::now() + REPORT;
            let left = progress.left;
            let count = |number, noun| words::count(number, noun);
            note(&format!(
                "Cutting: {}, {}, {} and {} are left after {}.",
                count(left.tasks, "task"),
                count(left.resources, "resource"),
                count(left.ops, "async op"),
                count(left.updates, "update"),
                words::count(progress.tries, "replay"),
            ));
        }
    }
}
