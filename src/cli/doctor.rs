//! The arguments of `doctor`.

use std::time::Duration;

use clap::Args;

use super::args::{Files, Logging, positive_duration, targets_help};
use super::complete::{Completed, line_formats};
use super::feeding::Feeding;
use crate::config::output::Output;
use crate::feed::endpoint::Target;

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// What to look at.
    #[arg(value_name = "TARGET", help = targets_help())]
    pub targets: Vec<Target>,
    /// Time to watch a running service, counted from its first update [default: 5s].
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration)]
    pub duration: Option<Duration>,
    /// Where the steps go, as FORMAT or FORMAT=PATH: text or ndjson.
    #[arg(long, value_name = "FORMAT[=PATH]", default_value = "text", hide_possible_values = true)]
    #[arg(value_parser = Completed::new(lines, line_formats))]
    pub output: Output,
    /// Where options come from.
    #[command(flatten)]
    pub files: Files,
    /// How the service is read.
    #[command(flatten)]
    pub feeding: Feeding,
    /// The tool's own log.
    #[command(flatten)]
    pub logging: Logging,
}

/// An output of lines.
fn lines(text: &str) -> Result<Output, String> {
    let output: Output = text.parse()?;
    if output.format.is_document() {
        return Err("the steps are written as text or ndjson".to_owned());
    }
    Ok(output)
}
