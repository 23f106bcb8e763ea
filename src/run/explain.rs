//! `explain`: a page in the terminal, through a pager where it is longer than the screen.

use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};

use super::exit::{SUCCESS, UsageError};
use super::notes::{self, note};
use super::print::print;
use crate::config::{Config, Flags, Origin, Sources};
use crate::detect::assignment;
use crate::detect::settings::Settings;
use crate::explain::{self, Look};

/// The pager where the environment names none.
const PAGER: &str = "less";
/// What `less` is told unless the environment does: leave at once if the page fits, let colours through, keep the page on the screen.
const LESS: &str = "FRX";

/// Prints the page of a detector, with the settings in force.
///
/// # Errors
/// There is no such detector, a flag is wrong, or standard output is closed.
pub(super) fn run(id: &str, flags: Flags) -> anyhow::Result<u8> {
    let detector = assignment::detector(id).map_err(UsageError)?;
    let markdown = explain::markdown(detector, &settings(flags)?);
    let size = io::stdout().is_terminal().then(|| crossterm::terminal::size().ok()).flatten();
    match size {
        Some((columns, rows)) => {
            let colours = std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
            let text = explain::page(&markdown, Look::Terminal { columns: columns.into(), colours });
            if text.lines().count() < usize::from(rows) || through_pager(&text).is_err() {
                Ok(print(&text)?)
            } else {
                Ok(SUCCESS)
            }
        }
        None => Ok(print(&explain::page(&markdown, Look::PLAIN))?),
    }
}

/// The settings in force; the defaults where a file or the environment has mistakes, for the page helps all the same.
fn settings(flags: Flags) -> anyhow::Result<Settings> {
    match Config::resolve(Sources::of_process(flags)) {
        Ok(config) => Ok(config.settings().clone()),
        Err(faults) if faults.0.iter().any(|fault| matches!(fault.origin, Origin::Flag(_))) => Err(faults.into()),
        Err(_) => {
            note(
                "The configuration has mistakes, so the page shows the defaults; `tokio-canary config check` lists them.",
            );
            Ok(Settings::default())
        }
    }
}

/// Shows a text in the user's pager.
fn through_pager(text: &str) -> io::Result<()> {
    let named = std::env::var("PAGER").ok().filter(|pager| !pager.trim().is_empty());
    let named = named.unwrap_or_else(|| PAGER.to_owned());
    let mut words = named.split_whitespace();
    let program = words.next().ok_or(io::ErrorKind::NotFound)?;
    let mut command = Command::new(program);
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", LESS);
    }
    notes::flush(notes::SAYING);
    let mut pager = command.args(words).stdin(Stdio::piped()).spawn()?;
    if let Some(mut input) = pager.stdin.take() {
        // Whoever leaves the pager early has read enough.
        let _ = input.write_all(text.as_bytes());
    }
    pager.wait().map(|_| ())
}
