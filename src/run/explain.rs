//! `explain`: a page in the terminal, through a pager where it is longer than the screen.

use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};

use super::print;
use crate::detect::settings::Settings;
use crate::explain::{self, Look};

/// The pager where the environment names none: `-F` leaves at once if the page fits, `-R` lets colours through.
const PAGER: &str = "less -FRX";

/// Prints the page of a detector, or the list of all.
///
/// # Errors
/// There is no such detector, or standard output is closed.
pub(super) fn run(detector: Option<&str>, settings: &Settings) -> anyhow::Result<u8> {
    let Some(id) = detector else { return print(&explain::list()) };
    let markdown = explain::markdown(explain::find(id).map_err(super::UsageError)?, settings);
    let size = io::stdout().is_terminal().then(|| crossterm::terminal::size().ok()).flatten();
    match size {
        Some((columns, rows)) => {
            let colours = std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
            let text = explain::page(&markdown, Look::Terminal { columns: columns.into(), colours });
            if text.lines().count() < usize::from(rows) || through_pager(&text).is_err() { print(&text) } else { Ok(0) }
        }
        None => print(&explain::page(&markdown, Look::Plain)),
    }
}

/// Shows a text in the user's pager.
fn through_pager(text: &str) -> io::Result<()> {
    let named = std::env::var("PAGER").ok().filter(|pager| !pager.trim().is_empty());
    let command = named.unwrap_or_else(|| PAGER.to_owned());
    let mut words = command.split_whitespace();
    let program = words.next().ok_or(io::ErrorKind::NotFound)?;
    let mut pager = Command::new(program).args(words).stdin(Stdio::piped()).spawn()?;
    if let Some(mut input) = pager.stdin.take() {
        // Whoever leaves the pager early has read enough.
        let _ = input.write_all(text.as_bytes());
    }
    pager.wait().map(|_| ())
}
