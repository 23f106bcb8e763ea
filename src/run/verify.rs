//! `verify`: plays a witness, and says whether its finding shows again.

use std::path::Path;

use anyhow::Context;

use super::exit::{FINDINGS, SUCCESS, UsageError};
use super::print::print;
use crate::config::{Config, Flags, Sources};
use crate::feed::recording::Events;
use crate::report::sanitize::plain;
use crate::witness::{Sighting, Statement, survey};

/// Plays a witness with the settings it was made with, whatever those of this machine are; flags win over them. Returns the exit code.
///
/// # Errors
/// The file is not a witness, or a flag is wrong.
pub(super) fn run(file: &Path, mut flags: Flags) -> anyhow::Result<u8> {
    let shown = plain(&file.display().to_string()).into_owned();
    let statement = Statement::read(file).map_err(|error| UsageError(error.to_string()))?;
    let statement = statement.with_context(|| {
        format!("{shown} is not a witness: it does not say which finding it shows. `tokio-canary witness FINDING --from {shown} -o FILE` makes one.")
    });
    let statement = statement.map_err(UsageError::from)?;
    flags.settings.splice(0..0, statement.settings.iter().cloned());
    flags.isolated = true;
    let sources = Sources { variables: Vec::new(), own_file: None, ..Sources::of_process(flags) };
    let config = Config::resolve(sources)?;
    let events = Events::open(file).map_err(|error| UsageError(error.to_string()))?;
    let sightings = survey(events, config.settings());
    let (sentence, code) = match statement.find(&sightings) {
        Some(sighting) => (format!("{shown} shows the finding again: {}.", describe(sighting)), SUCCESS),
        None => (not_shown(&shown, &statement, &sightings), FINDINGS),
    };
    print(&format!("{sentence}\n"))?;
    Ok(code)
}

/// A finding in a sentence: `critical deadlock at src/bank.rs:41:9`.
pub(super) fn describe(sighting: &Sighting) -> String {
    let place = at(&sighting.name, &sighting.place);
    format!("{} {}{place}", sighting.severity.as_str(), sighting.detector.id)
}

fn not_shown(file: &str, statement: &Statement, sightings: &[Sighting]) -> String {
    let (severity, detector) = (statement.severity.as_str(), plain(&statement.detector));
    let expected = format!("{severity} {detector}{}", at(&statement.name, &statement.place));
    let others: Vec<String> = sightings.iter().map(describe).collect();
    let instead = match others.as_slice() {
        [] => "It shows no finding".to_owned(),
        others => format!("It shows {}", others.join(", ")),
    };
    let version = plain(&statement.tool_version);
    format!("{file} does not show the finding again: {expected}, as of version {version}. {instead}.")
}

/// The end of a sentence: where something is, as far as that is known.
fn at(name: &str, place: &str) -> String {
    let (name, place) = (plain(name), plain(place));
    match (&*name, &*place) {
        ("", "") => String::new(),
        (name, "") => format!(" of {name}"),
        (_, place) => format!(" at {place}"),
    }
}
