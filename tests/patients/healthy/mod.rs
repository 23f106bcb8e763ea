//! Healthy habits of Tokio services, among them those that look like faults at first sight.

mod backlogs;
mod dropping;
mod meetings;
mod queues;
mod resting;
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

/// Patterns of one kind.
pub(crate) struct Family {
    /// Name of the kind.
    pub(crate) name: &'static str,
    /// Whether what they are about is how long polls take, which any other work on the machine would make longer.
    pub(crate) measures: bool,
    /// The programs.
    pub(crate) patterns: &'static [Pattern],
}

/// All patterns, by family.
pub(crate) const FAMILIES: &[Family] = &[
    Family::of("servers", servers::PATTERNS),
    Family::of("timers", timers::PATTERNS),
    Family::of("sharing", sharing::PATTERNS),
    Family::of("queues", queues::PATTERNS),
    Family::of("backlogs", backlogs::PATTERNS),
    Family { measures: true, ..Family::of("threads", threads::PATTERNS) },
    Family::of("spawning", spawning::PATTERNS),
    Family::of("dropping", dropping::PATTERNS),
    Family::of("meetings", meetings::PATTERNS),
    Family::of("resting", resting::PATTERNS),
];

impl Family {
    const fn of(name: &'static str, patterns: &'static [Pattern]) -> Self {
        Self { name, measures: false, patterns }
    }
}

fn all() -> impl Iterator<Item = &'static Pattern> {
    FAMILIES.iter().flat_map(|family| family.patterns)
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
    service::program(arguments, |Arguments { patterns, list: is_listing, service }| {
        let chosen = all().filter(|pattern| patterns.is_empty() || patterns.iter().any(|id| id == pattern.id));
        let parts: Vec<_> = chosen.map(|pattern| (pattern.id, pattern.run)).collect();
        if is_listing { list() } else { service.run(&parts) }
    })
}

fn ids() -> PossibleValuesParser {
    all().map(|pattern| pattern.id).into()
}

fn list() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for family in FAMILIES {
        let alone = if family.measures { ", examined alone" } else { "" };
        writeln!(out, "{}{alone}", family.name)?;
        for pattern in family.patterns {
            writeln!(out, "    {}: {}", pattern.id, pattern.about)?;
        }
    }
    Ok(())
}
