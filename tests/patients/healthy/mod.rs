//! Healthy habits of Tokio services, among them those that look like faults at first sight.

mod backlogs;
mod dropping;
mod meetings;
mod queues;
mod servers;
mod sharing;
mod spawning;
mod threads;
mod timers;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;

use crate::service::{self, Service};

/// A program about which nothing may be said at warning or above.
pub(crate) struct Pattern {
    /// Name on the command line.
    pub(crate) id: &'static str,
    /// What it does, in a sentence.
    pub(crate) about: &'static str,
    /// Runs on the calling thread until the process ends.
    pub(crate) run: fn(),
}

/// All patterns, by family.
pub(crate) const FAMILIES: &[(&str, &[Pattern])] = &[
    ("servers", servers::PATTERNS),
    ("timers", timers::PATTERNS),
    ("sharing", sharing::PATTERNS),
    ("queues", queues::PATTERNS),
    ("backlogs", backlogs::PATTERNS),
    ("threads", threads::PATTERNS),
    ("spawning", spawning::PATTERNS),
    ("dropping", dropping::PATTERNS),
    ("meetings", meetings::PATTERNS),
];

fn all() -> impl Iterator<Item = &'static Pattern> {
    FAMILIES.iter().flat_map(|(_, patterns)| *patterns)
}

/// A healthy service with the habits that it is told to have.
#[derive(Parser)]
#[command(name = "healthy_service")]
struct Arguments {
    /// Habit to have: may be given several times or as a list with commas; without it, all.
    #[arg(long = "pattern", value_name = "ID", value_delimiter = ',', value_parser = ids())]
    patterns: Vec<String>,
    /// Lists the habits, and ends.
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    service: Service,
}

/// Runs the healthy service with these arguments, the program's name among them.
pub(crate) fn program(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let wanted = &arguments.patterns;
    let chosen = all().filter(|pattern| wanted.is_empty() || wanted.iter().any(|id| id == pattern.id));
    let done = if arguments.list {
        list()
    } else {
        let parts: Vec<_> = chosen.map(|pattern| (pattern.id, pattern.run)).collect();
        arguments.service.run(&parts)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            service::complain(&error);
            ExitCode::from(4)
        }
    }
}

fn ids() -> PossibleValuesParser {
    all().map(|pattern| pattern.id).into()
}

fn list() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (family, patterns) in FAMILIES {
        writeln!(out, "{family}")?;
        for pattern in *patterns {
            writeln!(out, "    {}: {}", pattern.id, pattern.about)?;
        }
    }
    Ok(())
}
