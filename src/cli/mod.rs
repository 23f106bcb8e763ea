//! The command line: what can be asked of the tool.

mod args;
mod blame;
mod compare;
mod complete;
mod demo;
mod doctor;
mod feeding;
mod flags;
mod help;
mod looks;
pub mod manual;
mod one_of;
mod pods;
mod reading;
mod screen;
pub mod skill;
mod slips;
mod unechoed;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{StringValueParser, TypedValueParser};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::args::{output_to_file, positive_duration, targets_help};
use self::complete::{Completed, detectors, formats};
use self::help::help;
use self::pods::SELECTING;
use self::reading::Reading;
use crate::compare::lockfile;
use crate::config::options::{HEARTBEAT, Period};
use crate::config::output::Output;
use crate::detect::selector::Selector;
use crate::detect::settings::Type;
use crate::feed::endpoint::Target;

pub use self::args::{
    Attaching, BlackBoxArgs, Configuration, CriteriaArgs, Files, Finding, GateArgs, Judging, Keeping, Logging, Outputs,
    Playback, RateArgs, Receivers, Serving, Targets,
};
pub use self::blame::{BlameArgs, BlameFormat};
pub use self::compare::Compare;
pub use self::demo::DemoArgs;
pub use self::doctor::DoctorArgs;
pub use self::feeding::Feeding;
pub use self::looks::{Drawing, Looks, Places};
pub use self::pods::PodArgs;
pub use self::screen::{ScreenArgs, When};

/// How long a running service is watched unless `--for` says otherwise.
pub const DEFAULT_FOR: Duration = Duration::from_secs(60);

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
    #[arg(value_name = "TARGET", help = targets_help(), value_parser = slips::target_or_command)]
    pub targets: Vec<Target>,
    /// What is found while the run lasts.
    #[command(flatten)]
    pub finding: Finding,
    /// File for results beside the terminal, as FORMAT=PATH: `text=FILE`, `ndjson=FILE`, or a document such as `brief=FILE`; repeatable.
    #[arg(long = "output", value_name = "FORMAT=PATH", hide_possible_values = true)]
    #[arg(value_parser = Completed::new(output_to_file, formats))]
    pub outputs: Vec<Output>,
    /// How it looks.
    #[command(flatten)]
    pub looks: Looks,
    /// Who gets alerts beside the terminal.
    #[command(flatten)]
    pub receivers: Receivers,
    /// What it shows first.
    #[command(flatten)]
    pub screen: ScreenArgs,
    /// Options of attaching and judging.
    #[command(flatten)]
    pub attaching: Attaching,
}

/// How the file of the tool is called as a plugin of kubectl, which then takes `kubectl tokio-canary` and `kubectl tokio_canary` for it.
const PLUGIN: &str = "kubectl-tokio_canary";

impl Cli {
    /// Reads the command line of the process, under the name by which it was called.
    ///
    /// # Errors
    /// Help that was asked for, or what is wrong.
    pub fn of_process() -> Result<Self, clap::Error> {
        Self::of(&std::env::args_os().collect::<Vec<_>>())
    }

    /// Reads a command line.
    fn of(words: &[OsString]) -> Result<Self, clap::Error> {
        let matches = slips::matches(words, |words| Self::called(words.first()))?;
        Self::from_arg_matches(&matches)
    }

    /// The definition, with the name that the user knows it by.
    fn called(program: Option<&OsString>) -> clap::Command {
        let name = program.map(Path::new).and_then(Path::file_stem);
        let command = Self::command();
        if name.is_some_and(|name| name == PLUGIN) { command.bin_name("kubectl tokio-canary") } else { command }
    }
}

/// What the tool can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print a line when a finding opens or resolves, until stopped
    Watch(Watch),
    /// Watch for a fixed time, then exit with a verdict: 0 healthy, 1 findings, 3 inconclusive
    Check(Check),
    /// Compare a canary with what is known to work: exit code 0 the same, 1 a regression, 3 not enough data
    Compare(Compare),
    /// Show where the time of tasks goes, and who costs whom: a table, JSON or folded stacks for flame graphs
    Blame(BlameArgs),
    /// Look at a target step by step: what keeps it from being watched, and how to mend it; 0 if it can be, 3 if not
    Doctor(DoctorArgs),
    /// Record the feed of a service to a file, until stopped
    Record(Record),
    /// Cut a recording down to what one finding needs, to show it anywhere
    Witness(WitnessArgs),
    /// Play a witness again: exit code 0 if its finding shows again, 1 if not, 2 if it is not a witness
    Verify {
        /// File that `witness` wrote.
        file: PathBuf,
        /// Settings that win over those of the witness.
        #[command(flatten)]
        judging: Judging,
    },
    /// Play the recording of a service with four faults: in the terminal, or as `watch` prints it where there is none
    Demo(DemoArgs),
    /// Explain a detector: what its findings mean, what to do, when they are wrong
    Explain {
        /// Detector to explain; without one, all detectors are listed.
        #[arg(hide_possible_values = true, value_parser = Completed::new(StringValueParser::new(), detectors))]
        detector: Option<String>,
        /// Settings that the page shows.
        #[command(flatten)]
        judging: Judging,
        /// Where settings come from.
        #[command(flatten)]
        files: Files,
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
    /// Print how an assistant should use the tool: which command for which question, and how to read the results
    Skill,
    /// Print a manual page, or write all of them to a folder
    Man {
        /// Command whose page to print, such as `check` or `config show`; without one, that of the tool.
        command: Vec<String>,
        /// Folder to write the pages of all commands to, such as /usr/local/share/man/man1; it must exist.
        #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
        to: Option<PathBuf>,
    },
}

/// `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the values in force, each with where it comes from, as a file that sets them
    Show {
        /// Print every option and setting, also those at their defaults.
        #[arg(long)]
        all: bool,
        /// What is shown.
        #[command(flatten)]
        shown: Configuration,
    },
    /// Look for mistakes in the configuration: exit code 0 if there are none, 2 otherwise
    Check {
        /// The file to check; without one, every source of a run is checked.
        #[arg(conflicts_with_all = ["settings", "expected", "config", "isolated", "no_pump", "decode_limit", "ca", "headers", "retain", "log", "log_file"])]
        file: Option<PathBuf>,
        /// What is checked.
        #[command(flatten)]
        checked: Configuration,
    },
    /// Print alerting rules for Prometheus, over the metrics that --listen serves
    PrometheusRules,
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
    /// Who gets alerts.
    #[command(flatten)]
    pub receivers: Receivers,
    /// What is served.
    #[command(flatten)]
    pub serving: Serving,
    /// How often to say that everything still works.
    #[arg(long, value_name = "DURATION", value_parser = <Period as Type>::parse, help = help(&HEARTBEAT))]
    pub heartbeat: Option<Period>,
    /// How often alerts come.
    #[command(flatten)]
    pub rate: RateArgs,
    /// What a target is measured by.
    #[command(flatten)]
    pub criteria: CriteriaArgs,
    /// Options of attaching and judging.
    #[command(flatten)]
    pub attaching: Attaching,
    /// What is kept of the feed for the case that a finding fires.
    #[command(flatten)]
    pub black_box: BlackBoxArgs,
}

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// What to attach to.
    #[command(flatten)]
    pub targets: Targets,
    /// Program to start, to judge and to stop, with a free port for its console in `TOKIO_CONSOLE_BIND`; what it prints goes to standard
    /// error.
    #[arg(value_name = "COMMAND", last = true, conflicts_with_all = ["targets", "targets_from"])]
    pub command: Vec<OsString>,
    /// Time to watch each target, counted from its first update, and the longest wait for that update unless --wait-for-target is given
    /// [default: 60s; a recording is judged to its end].
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration)]
    pub duration: Option<Duration>,
    /// Where events go.
    #[command(flatten)]
    pub outputs: Outputs,
    /// Who gets alerts.
    #[command(flatten)]
    pub receivers: Receivers,
    /// What is served.
    #[command(flatten)]
    pub serving: Serving,
    /// What a target is measured by.
    #[command(flatten)]
    pub criteria: CriteriaArgs,
    /// What is asked of this run.
    #[command(flatten)]
    pub gate: GateArgs,
    /// Fail on tasks, locks, channels and waits that are not in this file, which `compare --write` makes [default: tokio-canary.lock].
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = lockfile::DEFAULT_FILE)]
    pub locked: Option<PathBuf>,
    /// Options of attaching and judging.
    #[command(flatten)]
    pub attaching: Attaching,
}

/// `record`.
#[derive(Debug, Args)]
pub struct Record {
    /// Running service to record: `host:port`, `http://host:port`, `unix:/path` or a pod (`k8s://namespace/pod`, `deploy/name`).
    #[arg(required_unless_present_any = SELECTING)]
    pub target: Option<Target>,
    /// File to write; it must not exist yet.
    #[arg(short, long = "output", value_name = "FILE")]
    pub output: PathBuf,
    /// Time to record; without it, until stopped.
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration)]
    pub duration: Option<Duration>,
    /// Options of reading.
    #[command(flatten)]
    pub reading: Reading,
}

/// `witness`.
#[derive(Debug, Args)]
pub struct WitnessArgs {
    /// Finding to keep: a detector (deadlock), a detector at a place (deadlock@src/bank.rs:41), or the beginning of a fingerprint
    /// (deadlock:3f2a).
    #[arg(value_name = "FINDING", hide_possible_values = true)]
    #[arg(value_parser = Completed::new(StringValueParser::new().try_map(|text| text.parse::<Selector>()), detectors))]
    pub finding: Selector,
    /// Recording to cut, or running service to record until the finding fires: a file, `host:port`, `http://host:port` or `unix:/path`.
    #[arg(long, value_name = "TARGET")]
    pub from: Target,
    /// File to write; it must not exist yet.
    #[arg(short, long = "output", value_name = "FILE")]
    pub output: PathBuf,
    /// Longest wait for the finding to fire in a running service, counted from its first update; also the longest wait for that update
    /// [default: 60s].
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration)]
    pub duration: Option<Duration>,
    /// File to keep what is recorded of a running service in; it must not exist yet.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Replace names of tasks and files, field values and the name of the target with stand-ins, such as task-a and src/a.rs.
    #[arg(long)]
    pub redact: bool,
    /// Settings of detectors, and tasks that must exist.
    #[command(flatten)]
    pub judging: Judging,
    /// Options of reading.
    #[command(flatten)]
    pub reading: Reading,
}

impl WitnessArgs {
    /// The longest wait.
    pub fn limit(&self) -> Duration {
        self.duration.unwrap_or(DEFAULT_FOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_plugin_of_kubectl_is_called_through_it() {
        let usage = |name: &str| {
            let name = OsString::from(name);
            Cli::called(Some(&name))
                .try_get_matches_from([name, "check".into(), "--help".into()])
                .expect_err("help")
                .to_string()
        };
        assert!(usage("/usr/local/bin/kubectl-tokio_canary").contains("Usage: kubectl tokio-canary check"));
        assert!(usage("/usr/local/bin/tokio-canary").contains("Usage: tokio-canary check"));
    }

    #[test]
    fn targets_and_commands_do_not_mix_up() {
        let cli = Cli::try_parse_from(["tokio-canary"]).expect("no target");
        assert_eq!(cli.targets, []);
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
    fn an_option_is_refused_where_it_would_do_nothing() {
        for (command, wrong) in [
            ("blame localhost:1", "--speed 2x"),
            ("blame localhost:1", "--set a.b=c"),
            ("blame localhost:1", "--output text"),
            ("blame localhost:1", "localhost:2"),
            ("doctor localhost:1", "--speed 2x"),
            ("doctor localhost:1", "--set a.b=c"),
            ("doctor localhost:1", "--output sarif"),
            ("record localhost:1 -o a", "--listen 9464"),
            ("record localhost:1 -o a", "--set a.b=c"),
            ("record localhost:1 -o a", "--speed 2x"),
            ("record localhost:1 -o a", "--retain 9s"),
            ("verify a.mcap", "--no-pump"),
            ("verify a.mcap", "--config a.toml"),
            ("witness deadlock --from a.mcap -o b", "--speed 2x"),
            ("explain deadlock", "--record a"),
            ("explain deadlock", "--decode-limit 9"),
            ("config show", "--record a"),
            ("config show", "--speed 2x"),
            ("config check a.toml", "--set a.b=c"),
            ("config check a.toml", "--log debug"),
            ("completions bash", "--set a.b=c"),
            ("skill", "--set a.b=c"),
            ("man", "--config a.toml"),
            ("check localhost:1", "--heartbeat 9s"),
            ("compare --canary localhost:1 --stable localhost:2", "--record a"),
            ("compare --canary localhost:1 --stable localhost:2", "--locked"),
            ("compare --stable localhost:2 --write=a.lock", "--speed 2x"),
        ] {
            let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let right = [vec!["tokio-canary".to_owned()], words(command)].concat();
            assert!(Cli::try_parse_from(&right).is_ok(), "{command}");
            assert!(Cli::try_parse_from([right, words(wrong)].concat()).is_err(), "{command} {wrong}");
        }
    }

    #[test]
    fn an_empty_value_is_refused_with_what_is_expected() {
        for (words, expects) in [
            (["localhost:1", "--expect", ""], "the name of a task"),
            (["localhost:1", "--expect", " "], "the name of a task"),
            (["localhost:1", "--output", ""], "text, ndjson"),
            (["localhost:1", "--log-file", ""], "FILE"),
            (["localhost:1", "--record", ""], "FILE"),
            (["localhost:1", "--config", ""], "FILE"),
            (["localhost:1", "--log", ""], "debug"),
            (["localhost:1", "--speed", ""], "10x"),
            (["localhost:1", "--for", ""], "30s"),
            (["localhost:1", "localhost:2", ""], "is not a target: it is empty"),
        ] {
            let error = Cli::try_parse_from([&["tokio-canary", "check"], &words[..]].concat()).expect_err("empty");
            assert!(error.to_string().contains(expects), "{words:?}: {error}");
        }
    }

    #[test]
    fn completions_know_detectors_and_their_settings() {
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tokio-canary", &mut script);
            let script = String::from_utf8(script).expect("UTF-8");
            for word in ["deadlock", "blocked-worker", "blocked-worker.critical=", "full-channel.enabled="] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
        let help = Cli::command().render_long_help().to_string();
        assert!(!help.contains("blocked-worker.enabled="), "the help does not list them all: {help}");
    }
}
