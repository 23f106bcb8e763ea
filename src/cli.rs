//! The command line: what can be asked of the tool.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::alert::Format;
use crate::detect::assignment::Assignment;
use crate::detect::settings::Settings;
use crate::detect::severity::Severity;
use crate::feed::endpoint::Target;
use crate::feed::recording::Speed;

/// Finds out what is wrong with a running Tokio service: growing queues, tasks that never complete, lock contention, blocking.
///
/// It attaches to the feed that console-subscriber serves in the service. Without a command it shows what it finds in the terminal.
#[derive(Debug, Parser)]
#[command(name = "tokio-canary", version, args_conflicts_with_subcommands = true, max_term_width = 110)]
pub struct Cli {
    /// What to do; without one, show the targets in the terminal.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to look at.
    #[command(flatten)]
    pub targets: Targets,
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
}

/// What to look at.
#[derive(Debug, Clone, Args)]
pub struct Targets {
    /// host:port, http://host:port, unix:/path of a running service, or the file of a recording.
    #[arg(value_name = "TARGET", default_value = crate::feed::endpoint::DEFAULT_TARGET)]
    pub targets: Vec<Target>,
}

/// What the tool can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a line for every finding, until stopped
    Watch(Watch),
    /// Judge targets for a while: exit code 0 healthy, 1 findings, 3 could not judge
    Check(Check),
    /// Record the feed of a target to a file, until stopped
    Record(Record),
    /// Explain a detector: what it means, what to do, when it is wrong
    Explain {
        /// The detector; without one, list all of them.
        detector: Option<String>,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// What to look at.
    #[command(flatten)]
    pub targets: Targets,
    /// How the lines look.
    #[arg(long, value_enum, default_value = "text")]
    pub output: Format,
    /// Exit with 1 if a finding of this severity or worse fired, and with 3 if it could not be judged.
    #[arg(long, value_name = "SEVERITY", value_enum)]
    pub fail_on: Option<FailOn>,
    /// With ndjson, how often to say that everything still works.
    #[arg(long, value_name = "DURATION", value_parser = positive_duration, default_value = "30s")]
    pub heartbeat: Duration,
    /// What a target must have shown.
    #[command(flatten)]
    pub bar: BarArgs,
}

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// What to look at.
    #[command(flatten)]
    pub targets: Targets,
    /// How long to judge each target, from its first update on; also how long to wait for that.
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration, default_value = "60s")]
    pub duration: Duration,
    /// A finding of this severity or worse makes the exit code 1.
    #[arg(long, value_name = "SEVERITY", value_enum, default_value = "warning")]
    pub fail_on: FailOn,
    /// How the lines look.
    #[arg(long, value_enum, default_value = "text")]
    pub output: Format,
    /// What a target must have shown.
    #[command(flatten)]
    pub bar: BarArgs,
}

/// What a target must have shown to be judged.
#[derive(Debug, Clone, Copy, Args)]
pub struct BarArgs {
    /// With fewer updates than this the verdict is inconclusive.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub min_updates: u64,
    /// What to make of a target whose feed was incomplete.
    #[arg(long, value_enum, default_value = "fail")]
    pub partial: Partial,
}

/// What to make of an incomplete feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Partial {
    /// Judge by what was seen.
    Pass,
    /// The verdict is inconclusive, unless something was found.
    Fail,
}

/// A severity, as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Worth knowing.
    Info,
    /// Something is wrong.
    Warning,
    /// The service does not do its work.
    Critical,
}

impl From<FailOn> for Severity {
    fn from(severity: FailOn) -> Self {
        match severity {
            FailOn::Info => Self::Info,
            FailOn::Warning => Self::Warning,
            FailOn::Critical => Self::Critical,
        }
    }
}

/// `record`.
#[derive(Debug, Args)]
pub struct Record {
    /// The running service to record.
    pub target: Target,
    /// The file to write; it must not exist yet.
    #[arg(short, long = "output", value_name = "FILE")]
    pub output: PathBuf,
    /// Stop after so long.
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration)]
    pub duration: Option<Duration>,
}

/// Options that every command has.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Also record the feed to this file (one target only).
    #[arg(long, global = true, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// How fast to play recordings: 1x, 10x, max. In the terminal 1x unless given, otherwise max.
    #[arg(long, global = true, value_name = "SPEED")]
    pub speed: Option<Speed>,
    /// Change a threshold, as in blocked-worker.critical=2s; `explain DETECTOR` lists them.
    #[arg(long = "set", global = true, value_name = "ID.KEY=VALUE")]
    pub settings: Vec<String>,
    /// A task that has to be there, by its name or as file:line of its spawn; may be given several times.
    #[arg(long = "expect", global = true, value_name = "NAME")]
    pub expected: Vec<String>,
    /// Do not make a target that lags hand over its events faster.
    #[arg(long, global = true)]
    pub no_pump: bool,
    /// The largest message to accept, in MiB.
    #[arg(long, global = true, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4095))]
    pub decode_limit: u16,
    /// How long ended tasks stay listed.
    #[arg(long, global = true, value_name = "DURATION", value_parser = positive_duration, default_value = "10s")]
    pub retain: Duration,
    /// What the tool writes to its own log, such as `debug` or `tokio_canary=trace`.
    #[arg(long, global = true, value_name = "FILTER", requires = "log_file")]
    pub log: Option<tracing_subscriber::filter::Targets>,
    /// The file for the tool's own log; what it holds already is kept.
    #[arg(long, global = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
}

impl Common {
    /// The thresholds with the user's changes.
    ///
    /// # Errors
    /// A sentence about the first change that is wrong.
    pub fn detector_settings(&self) -> Result<Settings, String> {
        let mut settings = Settings::default();
        for assignment in &self.settings {
            Assignment::parse(assignment)?.apply(&mut settings);
        }
        if !self.expected.is_empty() {
            Assignment::parse(&format!("vanished-singleton.expect={}", self.expected.join(",")))?.apply(&mut settings);
        }
        Ok(settings)
    }
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("write a duration above zero, like 30s, 500ms or 2m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn targets_and_commands_do_not_mix_up() {
        let cli = Cli::try_parse_from(["tokio-canary"]).expect("the default target");
        assert_eq!(cli.targets.targets, [Target::default()]);
        let cli =
            Cli::try_parse_from(["tokio-canary", "check", "localhost:1", "localhost:2", "--for", "5s"]).expect("two");
        assert!(matches!(cli.command, Some(Command::Check(check)) if check.targets.targets.len() == 2));
        assert!(Cli::try_parse_from(["tokio-canary", "check", "--for", "0s"]).is_err());
        for command in [vec!["tokio-canary"], vec!["tokio-canary", "watch"], vec!["tokio-canary", "check"]] {
            let words = command.iter().copied().chain(["--expect", "listener", "--expect", "src/main.rs:7"]);
            let cli = Cli::try_parse_from(words).expect("a flag of every command");
            let settings = cli.common.detector_settings().expect("names");
            let detector = crate::detect::detectors::detector("vanished-singleton").expect("it exists");
            let expect = detector.setting("expect").expect("it has it");
            assert_eq!(expect.written(&settings.value(detector.id, expect)), "listener,src/main.rs:7");
        }
        assert!(Cli::try_parse_from(["tokio-canary", "6669"]).is_err());
    }
}
