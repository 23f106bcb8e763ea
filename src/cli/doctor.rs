//! The arguments of `doctor`.

use std::time::Duration;

use clap::Args;

use super::args::{positive_duration, targets_help};
use super::complete::{Completed, line_formats};
use super::reading::Reading;
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
    /// Options of reading.
    #[command(flatten)]
    pub reading: Reading,
}

/// An output of lines.
fn lines(text: &str) -> Result<Output, String> {
    let output: Output = text.parse()?;
    if output.format.is_document() {
        return Err("the steps are written as text or ndjson".to_owned());
    }
    Ok(output)
}
