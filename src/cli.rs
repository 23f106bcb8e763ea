//! The command line: what can be asked of the tool.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use crate::config::Flags;
use crate::config::options::{
    DECODE_LIMIT, FAIL_ON, HEARTBEAT, LOG, LOG_FILE, LogFilter, MIN_UPDATES, Mebibytes, PARTIAL, PUMP, Partial, Period,
    RETAIN,
};
use crate::config::output::Output;
use crate::config::word::Word;
use crate::detect::settings::{AnySetting, Type, Value};
use crate::detect::severity::Severity;
use crate::feed::endpoint::{DEFAULT_TARGET, Target};
use crate::feed::recording::Speed;
use crate::witness::Selector;

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
    #[arg(long = "output", value_name = "FORMAT=PATH", value_parser = output_to_file)]
    pub outputs: Vec<Output>,
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
}

/// What to attach to.
#[derive(Debug, Clone, Args)]
pub struct Targets {
    /// `host:port`, `http://host:port`, `unix:/path` of a running service, or the file of a recording.
    #[arg(value_name = "TARGET", help = targets_help())]
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
    /// Cut a recording down to what one finding needs, to show it anywhere
    Witness(WitnessArgs),
    /// Play a witness again: exit code 0 if its finding shows again, 1 if not, 2 if it is not a witness
    Verify {
        /// File that `witness` wrote.
        file: PathBuf,
    },
    /// Explain a detector: what its findings mean, what to do, when they are wrong
    Explain {
        /// Detector to explain; without one, all detectors are listed.
        detector: Option<String>,
    },
    /// Show or check the configuration
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print the completion script of a shell
    Completions {
        /// Shell to print the script for.
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the values in force, each with where it comes from, as a file that sets them
    Show {
        /// Print every option and setting, also those at their defaults.
        #[arg(long)]
        all: bool,
    },
    /// Look for mistakes in the configuration: exit code 0 if there are none, 2 otherwise
    Check {
        /// The file to check; without one, every source of a run is checked.
        file: Option<PathBuf>,
    },
}

/// `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// What to attach to.
    #[command(flatten)]
    pub targets: Targets,
    /// Where events go.
    #[command(flatten)]
    pub outputs: Outputs,
    /// How often to say that everything still works.
    #[arg(long, value_name = "DURATION", value_parser = <Period as Type>::parse, help = help(&HEARTBEAT))]
    pub heartbeat: Option<Period>,
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
    /// Where events go.
    #[command(flatten)]
    pub outputs: Outputs,
    /// What a target is measured by.
    #[command(flatten)]
    pub criteria: CriteriaArgs,
}

/// Where events go.
#[derive(Debug, Clone, Args)]
pub struct Outputs {
    /// Where events go, as FORMAT[=PATH]: `text` or `ndjson`, to standard output or appended to a file; repeatable [default: text].
    #[arg(long = "output", value_name = "FORMAT[=PATH]")]
    pub outputs: Vec<Output>,
}

/// What a target is measured by.
#[derive(Debug, Clone, Copy, Args)]
pub struct CriteriaArgs {
    /// The severity that counts.
    #[arg(long, value_name = "SEVERITY", value_parser = one_of::<Severity>(), help = help(&FAIL_ON))]
    pub fail_on: Option<Severity>,
    /// How many updates there must be.
    #[arg(long, value_name = "N", value_parser = <usize as Type>::parse, help = help(&MIN_UPDATES))]
    pub min_updates: Option<usize>,
    /// What to make of a target whose feed was incomplete.
    #[arg(long, value_parser = one_of::<Partial>(), help = help(&PARTIAL))]
    pub partial: Option<Partial>,
}

/// `record`.
#[derive(Debug, Args)]
pub struct Record {
    /// Running service to record: `host:port`, `http://host:port` or `unix:/path`.
    pub target: Target,
    /// File to write; it must not exist yet.
    #[arg(short, long = "output", value_name = "FILE")]
    pub output: PathBuf,
    /// Time to record; without it, until stopped.
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration)]
    pub duration: Option<Duration>,
}

/// `witness`.
#[derive(Debug, Args)]
pub struct WitnessArgs {
    /// Finding to keep: a detector (deadlock), a detector at a place (deadlock@src/bank.rs:41), or the beginning of a fingerprint
    /// (deadlock:3f2a).
    #[arg(value_name = "FINDING")]
    pub finding: Selector,
    /// Recording to cut, or running service to record until the finding fires: a file, `host:port`, `http://host:port` or `unix:/path`.
    #[arg(long, value_name = "TARGET")]
    pub from: Target,
    /// File to write; it must not exist yet.
    #[arg(short, long = "output", value_name = "FILE")]
    pub output: PathBuf,
    /// Longest wait for the finding to fire in a running service, counted from its first update; also the longest wait for that update.
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration, default_value = "60s")]
    pub duration: Duration,
    /// Replace names of tasks and files, field values and the name of the target with stand-ins, such as task-a and src/a.rs.
    #[arg(long)]
    pub redact: bool,
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
    /// Task that has to exist, by its name or by `file:line` of its spawn site; repeatable.
    #[arg(long = "expect", global = true, value_name = "NAME")]
    pub expected: Vec<String>,
    /// Do not send extra requests to drain a lagging target.
    #[arg(long, global = true)]
    pub no_pump: bool,
    /// The largest message to accept.
    #[arg(long, global = true, value_name = "MIB", value_parser = <Mebibytes as Type>::parse, help = help(&DECODE_LIMIT))]
    pub decode_limit: Option<Mebibytes>,
    /// How long ended tasks stay listed.
    #[arg(long, global = true, value_name = "DURATION", value_parser = <Period as Type>::parse, help = help(&RETAIN))]
    pub retain: Option<Period>,
    /// What the tool writes to its own log.
    #[arg(long, global = true, value_name = "FILTER", value_parser = <LogFilter as Type>::parse, help = help(&LOG))]
    pub log: Option<LogFilter>,
    /// The file for the tool's own log.
    #[arg(long, global = true, value_name = "FILE", help = help(&LOG_FILE))]
    pub log_file: Option<PathBuf>,
    /// Configuration file to read instead of your own; it wins over ./tokio-canary.toml.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read no configuration file except that of --config.
    #[arg(long, global = true)]
    pub isolated: bool,
}

impl Cli {
    /// What the command line says about the configuration.
    pub fn flags(&self) -> Flags {
        let common = &self.common;
        let mut flags = Flags::default();
        flags.config.clone_from(&common.config);
        flags.isolated = common.isolated;
        flags.settings.clone_from(&common.settings);
        flags.expected.clone_from(&common.expected);
        flags.option("--no-pump", &PUMP, common.no_pump.then_some(false));
        flags.option("--decode-limit", &DECODE_LIMIT, common.decode_limit);
        flags.option("--retain", &RETAIN, common.retain);
        flags.option("--log", &LOG, common.log.clone().map(Some));
        flags.option("--log-file", &LOG_FILE, common.log_file.clone().map(Some));
        let (targets, outputs, criteria) = match &self.command {
            Some(Command::Watch(watch)) => (&watch.targets.targets, &watch.outputs.outputs, Some(watch.criteria)),
            Some(Command::Check(check)) => (&check.targets.targets, &check.outputs.outputs, Some(check.criteria)),
            _ => (&self.targets.targets, &self.outputs, None),
        };
        flags.targets.clone_from(targets);
        if let Some(Command::Record(record)) = &self.command {
            flags.targets = vec![record.target.clone()];
        }
        if let Some(Command::Witness(witness)) = &self.command {
            flags.targets = vec![witness.from.clone()];
        }
        flags.outputs.clone_from(outputs);
        if let Some(Command::Watch(watch)) = &self.command {
            flags.option("--heartbeat", &HEARTBEAT, watch.heartbeat);
        }
        if let Some(CriteriaArgs { fail_on, min_updates, partial }) = criteria {
            flags.option("--fail-on", &FAIL_ON, fail_on.map(Some));
            flags.option("--min-updates", &MIN_UPDATES, min_updates);
            flags.option("--partial", &PARTIAL, partial);
        }
        flags
    }
}

/// The help of an option that is also in files, with its default.
fn help(option: &dyn AnySetting) -> String {
    let help = option.help();
    let (first, rest) = help.split_at(help.chars().next().map_or(0, char::len_utf8));
    let default = match option.default() {
        Value::Unset => String::new(),
        value => format!(" [default: {}]", option.written(&value)),
    };
    format!("{}{rest}{default}", first.to_uppercase())
}

fn targets_help() -> String {
    format!(
        "Running service (host:port, http://host:port, unix:/path) or recording (a file) [default: those of the configuration, or \
         {DEFAULT_TARGET}]"
    )
}

/// Reads one of a few words, and lists them in help, errors and completions.
fn one_of<T: Word + Send>() -> impl TypedValueParser<Value = T> {
    let value = |value: &T| PossibleValue::new(value.word()).help(value.meaning());
    PossibleValuesParser::new(T::ALL.iter().map(value)).try_map(|text| T::parse(&text))
}

/// An output beside the terminal, which is on standard output.
fn output_to_file(text: &str) -> Result<Output, String> {
    let output: Output = text.parse()?;
    if output.path.is_none() {
        return Err(format!("the terminal is on standard output; give the output a file, like {output}=FILE"));
    }
    Ok(output)
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
        let cli = Cli::try_parse_from(["tokio-canary"]).expect("no target");
        assert_eq!(cli.targets.targets, []);
        let cli =
            Cli::try_parse_from(["tokio-canary", "check", "localhost:1", "localhost:2", "--for", "5s"]).expect("two");
        assert!(matches!(cli.command, Some(Command::Check(check)) if check.targets.targets.len() == 2));
        assert!(Cli::try_parse_from(["tokio-canary", "check", "--for", "0s"]).is_err());
        assert!(Cli::try_parse_from(["tokio-canary", "6669"]).is_err());
    }

    #[test]
    fn flags_of_every_command_reach_the_configuration() {
        for command in [vec!["tokio-canary"], vec!["tokio-canary", "watch"], vec!["tokio-canary", "check"]] {
            let words = command.iter().copied().chain(["--expect", "listener", "--set", "a.b=c", "--config", "f.toml"]);
            let flags = Cli::try_parse_from(words).expect("flags of every command").flags();
            assert_eq!((flags.expected, flags.settings), (vec!["listener".to_owned()], vec!["a.b=c".to_owned()]));
            assert_eq!(flags.config, Some(PathBuf::from("f.toml")));
        }
        let words = ["tokio-canary", "check", "localhost:1", "--output", "ndjson=a", "--output", "text"];
        let flags = Cli::try_parse_from(words).expect("right").flags();
        assert_eq!((flags.targets.len(), flags.outputs.len()), (1, 2));
    }

    #[test]
    fn the_default_of_an_option_is_in_its_help() {
        assert_eq!(help(&RETAIN), "Time for which ended tasks stay listed [default: 10s]");
        assert!(!help(&LOG_FILE).contains("default"));
    }
}
