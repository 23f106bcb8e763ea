//! Options that would have no effect on what they are given for: said before anything is opened.

use super::exit::UsageError;
use super::opener::access;
use crate::cli::{Cli, Command, DEFAULT_FOR};
use crate::config::Config;
use crate::config::options::{BLACK_BOX, MAX_TARGETS, REDACT, WARMUP};
use crate::config::output::Format;
use crate::feed::endpoint::{Address, Target};
use crate::feed::live;
use crate::words;

/// Refuses an option that does nothing for these targets and outputs.
///
/// # Errors
/// A sentence about the first of them.
pub(super) fn require(cli: &Cli, config: &Config) -> Result<(), UsageError> {
    let is_recording = |target: &Target| matches!(target, Target::Recording(_));
    let starts_program = matches!(&cli.command, Some(Command::Check(check)) if !check.command.is_empty());
    let targets = config.targets();
    let some_recorded = !starts_program && targets.iter().any(is_recording);
    let all_recorded = !starts_program && !config.finds_targets() && targets.iter().all(is_recording);
    let target = match targets.first() {
        _ if starts_program => "a program that is started".to_owned(),
        None => "what is found".to_owned(),
        target => target.map(ToString::to_string).unwrap_or_default(),
    };
    if cli.playback().is_some_and(|playback| playback.record.is_some()) && config.finds_targets() {
        return refuse(
            "--record takes one target, and those that are found come and go. Record each with a command of its own."
                .to_owned(),
        );
    }
    if config.get(&MAX_TARGETS) == 0 {
        return refuse("--max-targets must be 1 or more: nothing would be watched.".to_owned());
    }
    if cli.finding().is_some_and(|finding| finding.max_targets.is_some()) && !config.finds_targets() {
        return refuse("--max-targets is for targets that are found, and all are named. Leave it out.".to_owned());
    }
    if cli.playback().is_some_and(|playback| playback.speed.is_some()) && !some_recorded {
        return refuse(format!("--speed is for recordings, and {target} is a running service. Leave it out."));
    }
    if cli.command.is_none() && cli.screen.at.is_some() && !some_recorded {
        return refuse(format!("--at is for recordings, and {target} is a running service. Leave it out."));
    }
    if let Some(flag) = cli.feeding().and_then(|feeding| feeding.given()).filter(|_| all_recorded) {
        return refuse(format!("{flag} is for running services, and {target} is a recording. Leave it out."));
    }
    let is_pod = |target: &Target| matches!(target, Target::Live(Address::Pod(_)));
    if let Some(flag) = config.pods().given().filter(|_| !targets.iter().any(is_pod) && config.whole().is_empty()) {
        return refuse(format!(
            "{flag} is for pods of Kubernetes, and {target} is none. Name one, as in `deploy/NAME -n NAMESPACE`, or select one, as in `-l app=web`."
        ));
    }
    let is_ambiguous =
        |target: &&Target| matches!(target, Target::Live(Address::Pod(pod)) if pod.is_named_and_selected());
    if let Some(target) = targets.iter().find(is_ambiguous) {
        return refuse(format!("{target} names one pod, and labels or a Rollout select some. Leave one of them out."));
    }
    if !starts_program {
        access_to(cli, config)?;
    }
    if let (true, Some(selector)) = (config.get(&REDACT), config.findings().at_places().next()) {
        return refuse(format!(
            "`{selector}` names a place, which --redact replaces. Name the detector alone, or the fingerprint that it has in a redacted run."
        ));
    }
    let has_ndjson = config.outputs().any(|output| output.format == Format::Ndjson);
    match &cli.command {
        Some(Command::Compare(compare)) if !compare.tui && compare.drawing.given().is_some() => {
            let flag = compare.drawing.given().unwrap_or_default();
            refuse(format!("{flag} is for the terminal, and nothing is drawn there. Add --tui."))
        }
        Some(Command::Watch(watch)) if config.get(&BLACK_BOX).is_none() && watch.black_box.given().is_some() => {
            let flag = watch.black_box.given().unwrap_or_default();
            refuse(format!("{flag} is for the black box, and there is none. Add --black-box FOLDER."))
        }
        Some(Command::Watch(watch)) if watch.heartbeat.is_some() && !has_ndjson => {
            refuse("--heartbeat is for ndjson, and no output has that format. Add --output ndjson.".to_owned())
        }
        Some(Command::Check(check)) if all_recorded && check.gate.for_services().is_some() => {
            let flag = check.gate.for_services().unwrap_or_default();
            refuse(format!("{flag} is for running services, and {target} is a recording. Leave it out."))
        }
        Some(Command::Check(check)) => {
            // A recording has an end of its own.
            let length = check.duration.or((!all_recorded).then_some(DEFAULT_FOR));
            let warmup = config.get(&WARMUP);
            length.filter(|length| warmup >= *length).map_or(Ok(()), |length| {
                refuse(format!(
                    "--warmup ({}) must be shorter than --for ({}): nothing would be judged. Watch for longer.",
                    words::limit(warmup),
                    words::limit(length)
                ))
            })
        }
        Some(Command::Doctor(doctor)) if all_recorded && doctor.duration.is_some() => {
            refuse(format!("--for is for running services, and {target} is a recording. Leave it out."))
        }
        Some(Command::Witness(witness)) if all_recorded => {
            let given = witness.duration.map(|_| "--for").or_else(|| witness.record.as_ref().map(|_| "--record"));
            given.map_or(Ok(()), |flag| {
                refuse(format!("{flag} is for running services, and {target} is a recording. Leave it out."))
            })
        }
        _ => Ok(()),
    }
}

/// Refuses what keeps running services from being reached, and what would give a secret away.
fn access_to(cli: &Cli, config: &Config) -> Result<(), UsageError> {
    let (access, targets) = (access(config), config.targets());
    let has_tls = targets.iter().any(|target| matches!(target, Target::Live(Address::Tls { .. })));
    if cli.feeding().is_some_and(|feeding| feeding.ca.is_some()) && !has_tls && !config.finds_targets() {
        return refuse("--ca is for targets that begin with https://, and there is none. Leave it out.".to_owned());
    }
    if has_tls {
        live::check_authorities(access.ca.as_deref()).map_err(UsageError)?;
    }
    if access.headers.is_empty() {
        return Ok(());
    }
    let addresses = targets.iter().filter_map(|target| match target {
        Target::Live(address) => Some(address),
        Target::Recording(_) => None,
    });
    if let Some(sentence) = addresses.map(live::check_headers_to).find_map(Result::err) {
        return refuse(sentence);
    }
    access.check().map_err(UsageError)
}

fn refuse(sentence: String) -> Result<(), UsageError> {
    Err(UsageError(sentence))
}
