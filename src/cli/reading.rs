//! Arguments of commands that read services and neither judge nor keep them.

use clap::Args;

use super::args::{Files, Logging};
use super::feeding::Feeding;

/// Where options come from, how services are read, and the log.
#[derive(Debug, Args)]
pub struct Reading {
    /// Where options come from.
    #[command(flatten)]
    pub files: Files,
    /// How running services are read.
    #[command(flatten)]
    pub feeding: Feeding,
    /// The tool's own log.
    #[command(flatten)]
    pub logging: Logging,
}
