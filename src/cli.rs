//! The command line: what can be asked of the tool.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::alert::output::Output;
use crate::detect::detectors::configure;
use crate::detect::settings::Settings;
use crate::detect::severity::Severity;
use crate::diagnosis::Criteria;
use crate::feed::endpoint::Target;
use crate::feed::recording::Speed;

/// Finds out what is wrong with a running Tokio service: deadlocks, growing queues, stuck tasks, lock contention, blocking code.
///
/// It attaches to the feed that console-subscriber serves in the service. Without a command it shows findings, tasks and resources in
/// the terminal.
#[derive(Debug, Parser)]
#[command(name = "tokio-canary", version, args_conflicts_with_subcommands = true, max_term_width = 110)]
pub struct Cli {
    /// What to do; without a command, the terminal opens.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What to attach to.
    #[command(flatten)]
    pub targets: Targets,
    /// File to append alerts to beside the terminal, as FORMAT=PATH: `text=FILE` or `ndjson=FILE`; repeatable.
    #[arg(long = "output", value_name = "FORMAT=PATH")]
    pub outputs: Vec<Output>,
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
}

/// What to attach to.
#[derive(Debug, Clone, Args)]
pub struct Targets {
    /// Running service (host:port, http://host:port or unix:/path) or recording (a file).
    #[arg(value_name = "TARGET", default_value = crate::feed::endpoint::DEFAULT_TARGET)]
    pub targets: Vec<Target>,
}

/// What the tool can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a line when a finding opens or resolves, until stopped
    Watch(Watch),
    /// Watch for a fixed time, then exit with a verdict: 0 healthy, 1 findings, 3 inconclusive
    Check(Check),
    /// Record the feed of a service to a file, until stopped
    Record(Record),
    /// Explain a detector: what its findings mean, what to do, when they are wrong
    Explain {
        /// Detector to explain; without one, all detectors are listed.
        detector: Option<String>,
    },
    /// Print the completion script of a shell
    Completions {
        /// Shell to print the script for.
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// What to attach to.
    #[command(flatten)]
    pub targets: Targets,
    /// Where events go, as FORMAT[=PATH]: `text` or `ndjson`, to standard output or appended to a file; repeatable.
    #[arg(long = "output", value_name = "FORMAT[=PATH]", default_value = "text")]
    pub outputs: Vec<Output>,
    /// Least severity that gives exit code 1; without it, the exit code is 0 whatever is found.
    #[arg(long, value_name = "SEVERITY", value_enum)]
    pub fail_on: Option<FailOn>,
    /// Heartbeat interval (ndjson only).
    #[arg(long, value_name = "DURATION", value_parser = positive_duration, default_value = "30s")]
    pub heartbeat: Duration,
    /// What a target is measured by.
    #[command(flatten)]
    pub criteria: CriteriaArgs,
}

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// What to attach to.
    #[command(flatten)]
    pub targets: Targets,
    /// Time to watch each target, counted from its first update; also the longest wait for that update.
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration, default_value = "60s")]
    pub duration: Duration,
    /// Least severity that gives exit code 1.
    #[arg(long, value_name = "SEVERITY", value_enum, default_value = "warning")]
    pub fail_on: FailOn,
    /// Where events go, as FORMAT[=PATH]: `text` or `ndjson`, to standard output or appended to a file; repeatable.
    #[arg(long = "output", value_name = "FORMAT[=PATH]", default_value = "text")]
    pub outputs: Vec<Output>,
    /// What a target is measured by.
    #[command(flatten)]
    pub criteria: CriteriaArgs,
}

/// What a target is measured by.
#[derive(Debug, Clone, Copy, Args)]
pub struct CriteriaArgs {
    /// Least number of updates for a verdict; with fewer it is inconclusive.
    #[arg(long, value_name = "N", default_value_t = Criteria::default().min_updates)]
    pub min_updates: u64,
    /// Verdict on a target whose feed was incomplete.
    #[arg(long, value_enum, default_value = "fail")]
    pub partial: Partial,
}

impl CriteriaArgs {
    /// The criteria, with the least severity that counts.
    pub fn measure(self, fail_on: FailOn) -> Criteria {
        let Self { min_updates, partial } = self;
        Criteria { fail_on: fail_on.into(), min_updates, partial_passes: partial == Partial::Pass }
    }
}

/// The verdict on an incomplete feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Partial {
    /// By what was seen.
    Pass,
    /// Inconclusive, unless there are findings.
    Fail,
}

/// A severity, as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Worth knowing.
    Info,
    /// Something is wrong or about to be.
    Warning,
    /// The service no longer does its work.
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
    /// Running service to record: host:port, http://host:port or unix:/path.
    pub target: Target,
    /// File to write; it must not exist yet.
    #[arg(short, long = "output", value_name = "FILE")]
    pub output: PathBuf,
    /// Time to record; without it, until stopped.
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration)]
    pub duration: Option<Duration>,
}

/// Options that every command has.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// File to record the feed to as well (one target only); it must not exist yet.
    #[arg(long, global = true, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Playback speed of recordings, such as 1x, 10x or max [default: 1x in the terminal, otherwise max].
    #[arg(long, global = true, value_name = "SPEED")]
    pub speed: Option<Speed>,
    /// Setting of a detector, such as blocked-worker.critical=2s; repeatable. `explain DETECTOR` lists them.
    #[arg(long = "set", global = true, value_name = "ID.KEY=VALUE")]
    pub settings: Vec<String>,
    /// Task that has to exist, by its name or by file:line of its spawn site; repeatable.
    #[arg(long = "expect", global = true, value_name = "NAME")]
    pub expected: Vec<String>,
    /// Do not send extra requests to drain a lagging target.
    #[arg(long, global = true)]
    pub no_pump: bool,
    /// Largest message to accept, in MiB.
    #[arg(long, global = true, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4095))]
    pub decode_limit: u16,
    /// Time for which ended tasks stay listed.
    #[arg(long, global = true, value_name = "DURATION", value_parser = positive_duration, default_value = "10s")]
    pub retain: Duration,
    /// Filter of the tool's own log, such as `debug` or `tokio_canary=trace`.
    #[arg(long, global = true, value_name = "FILTER", requires = "log_file")]
    pub log: Option<tracing_subscriber::filter::Targets>,
    /// File for the tool's own log; it is appended to.
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
            configure(&mut settings, assignment)?;
        }
        if !self.expected.is_empty() {
            configure(&mut settings, &format!("vanished-singleton.expect={}", self.expected.join(",")))?;
        }
        Ok(settings)
    }
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("not a duration above zero; write it like 30s, 500ms or 2m".to_owned()),
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
