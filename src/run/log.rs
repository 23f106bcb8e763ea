//! The tool's own log, which never goes to the terminal.

use std::fs::OpenOptions;
use std::sync::Arc;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::exit::UsageError;
use crate::config::Config;
use crate::config::options::{LOG, LOG_FILE};

/// Starts the tool's own log, if one was asked for.
///
/// # Errors
/// The file cannot be opened.
pub(super) fn start(config: &Config) -> Result<(), UsageError> {
    let Some(path) = config.get(&LOG_FILE) else { return Ok(()) };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let file = file.map_err(|error| UsageError(format!("Cannot write the log {}: {error}.", path.display())))?;
    let filter = config.get(&LOG).map_or_else(|| Targets::new().with_default(LevelFilter::INFO), |log| log.targets);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(Arc::new(file));
    tracing_subscriber::registry().with(lines).with(filter).init();
    Ok(())
}
