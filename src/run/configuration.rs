//! `config`: shows and checks the configuration; and what is said when it is wrong.

use std::path::Path;
use std::time::SystemTime;

use super::exit::{SUCCESS, USAGE};
use super::notes::note;
use super::print::print;
use crate::alert::http::metrics::rules;
use crate::cli::ConfigCommand;
use crate::config::{self, Checked, Config, Faults, Flags, Sources};
use crate::report::sanitize::plain;

/// Runs `config show` or `config check`, and returns the exit code.
///
/// # Errors
/// There is something wrong in what is to be shown.
pub(super) fn run(command: &ConfigCommand, flags: Flags) -> anyhow::Result<u8> {
    match command {
        ConfigCommand::PrometheusRules => Ok(print(&rules::text())?),
        ConfigCommand::Show { all, .. } => {
            Ok(print(&config::show(&Config::resolve(Sources::of_process(flags))?, *all))?)
        }
        ConfigCommand::Check { file: Some(file), .. } => {
            let Checked { faults, expired } = config::check(file, SystemTime::now());
            report(&faults, &expired, || file_is_right(file))
        }
        ConfigCommand::Check { file: None, .. } => match Config::resolve(Sources::of_process(flags)) {
            Ok(config) => report(&[], &config.expired(), || all_is_right(&config)),
            Err(Faults(faults)) => report(&faults, &[], String::new),
        },
    }
}

/// Prints what is wrong, a line each, or that nothing is.
fn report(faults: &[config::Fault], expired: &[String], right: impl FnOnce() -> String) -> anyhow::Result<u8> {
    let mut text = String::new();
    for line in faults.iter().map(ToString::to_string).chain(expired.iter().cloned()) {
        text += &plain(&line);
        text.push('\n');
    }
    if faults.is_empty() {
        text.push_str(&right());
    }
    print(&text)?;
    Ok(if faults.is_empty() { SUCCESS } else { USAGE })
}

fn file_is_right(file: &Path) -> String {
    format!("{}: no faults.\n", plain(&file.display().to_string()))
}

fn all_is_right(config: &Config) -> String {
    let read = config.files().iter().map(|file| file_is_right(file));
    let missing =
        config.missing_files().iter().map(|file| format!("{}: not found.\n", plain(&file.display().to_string())));
    read.chain(missing).collect::<String>() + "Environment and flags: no faults.\n"
}

/// Says on standard error what is wrong with the configuration, and returns the exit code.
pub(super) fn refuse(Faults(faults): &Faults) -> u8 {
    for fault in faults {
        note(&fault.to_string());
    }
    USAGE
}
