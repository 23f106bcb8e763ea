//! Groups of arguments that several commands have: each command has those that do something there.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use clap::builder::{StringValueParser, TypedValueParser};

use super::complete::{Completed, detectors, formats, settings};
use super::feeding::Feeding;
use super::help::help;
use super::looks::Places;
use super::one_of::one_of;
use crate::config::options::{
    BASELINE, BLACK_BOX, BLACK_BOX_AFTER, BLACK_BOX_BEFORE, BLACK_BOX_DISK, BLACK_BOX_MEMORY, BLACK_BOX_SEVERITY,
    FAIL_ON, LISTEN, LOG, LOG_FILE, LogFilter, MAX_TARGETS, MIN_ACTIVITY, MIN_UPDATES, Mebibytes, PARTIAL, Partial,
    Period, RATE_LIMIT, RATE_LIMIT_MAX, REDACT, RETAIN, RateLimit, TARGETS_FROM, WAIT_FOR_TARGET, WARMUP,
};
use crate::config::output::{Format, Output};
use crate::config::receiver::{Kind, Receiver};
use crate::config::word::Word;
use crate::config::{Flags, Listen};
use crate::detect::assignment::detector;
use crate::detect::selector::Selector;
use crate::detect::settings::Type;
use crate::detect::severity::Severity;
use crate::feed::endpoint::{DEFAULT_TARGET, Target};
use crate::feed::recording::Speed;

/// What to attach to.
#[derive(Debug, Clone, Args)]
pub struct Targets {
    /// `host:port`, `http(s)://host:port`, `unix:/path` of a running service, or the file of a recording.
    #[arg(value_name = "TARGET", help = targets_help())]
    pub targets: Vec<Target>,
    /// What is found while the run lasts.
    #[command(flatten)]
    pub finding: Finding,
}

/// Targets that come and go.
#[derive(Debug, Clone, Default, Args)]
pub struct Finding {
    /// Where targets come from that come and go.
    #[arg(long, value_name = "FILE", help = help(&TARGETS_FROM))]
    pub targets_from: Option<PathBuf>,
    /// How many there may be.
    #[arg(long, value_name = "N", value_parser = <usize as Type>::parse, help = help(&MAX_TARGETS))]
    pub max_targets: Option<usize>,
    /// Every pod that a TARGET of Kubernetes means, as they come and go, instead of one of them.
    #[arg(long, help_heading = "Kubernetes")]
    pub all_pods: bool,
}

impl Finding {
    /// Hands over what was given.
    pub(super) fn apply(&self, flags: &mut Flags) {
        flags.option("--targets-from", &TARGETS_FROM, self.targets_from.clone().map(Some));
        flags.option("--max-targets", &MAX_TARGETS, self.max_targets);
        flags.pods.are_all = self.all_pods;
    }
}

/// Where events go.
#[derive(Debug, Clone, Args)]
pub struct Outputs {
    /// Where results go, as FORMAT or FORMAT=PATH.
    #[arg(long = "output", value_name = "FORMAT[=PATH]", help = outputs_help(), long_help = outputs_long_help())]
    #[arg(hide_possible_values = true, value_parser = Completed::new(<Output as FromStr>::from_str, formats))]
    pub outputs: Vec<Output>,
    /// Stand-ins for names.
    #[arg(long, help = redact_help())]
    pub redact: bool,
    /// Where the places of a target are in the repository.
    #[command(flatten)]
    pub places: Places,
}

impl Outputs {
    /// Puts what they say into the flags.
    pub(super) fn apply(&self, flags: &mut Flags) {
        flags.outputs.clone_from(&self.outputs);
        flags.option("--redact", &REDACT, self.redact.then_some(true));
        self.places.apply(flags);
    }
}

/// Who gets alerts.
#[derive(Debug, Clone, Default, Args)]
pub struct Receivers {
    /// Alertmanager to send alerts to, by its URL, such as `http://localhost:9093`; repeatable.
    #[arg(long = "alertmanager", value_name = "URL", value_parser = |url: &str| Receiver::named(Kind::Alertmanager, url))]
    alertmanagers: Vec<Receiver>,
    /// Endpoint to send alerts to as webhooks of Alertmanager (version 4); repeatable.
    #[arg(long = "webhook", value_name = "URL", value_parser = |url: &str| Receiver::named(Kind::Webhook, url))]
    webhooks: Vec<Receiver>,
    /// Program to run, without a shell, whenever a finding fires or is resolved; repeatable.
    #[arg(long = "on-transition", value_name = "PROGRAM", value_parser = |name: &str| Receiver::named(Kind::OnTransition, name))]
    commands: Vec<Receiver>,
}

impl Receivers {
    /// All of them.
    pub(super) fn all(&self) -> Vec<Receiver> {
        [&self.alertmanagers[..], &self.webhooks, &self.commands].concat()
    }
}

/// What is served beside a run.
#[derive(Debug, Clone, Copy, Args)]
pub struct Serving {
    /// Where HTTP is served.
    #[arg(long, value_name = "ADDRESS", value_parser = <Listen as Type>::parse, help = help(&LISTEN))]
    pub listen: Option<Listen>,
}

/// Criteria of the verdict.
#[derive(Debug, Clone, Args)]
pub struct CriteriaArgs {
    /// The severity that counts.
    #[arg(long, value_name = "SEVERITY", value_parser = one_of::<Severity>(), help = help(&FAIL_ON))]
    pub fail_on: Option<Severity>,
    /// How many updates there must be.
    #[arg(long, value_name = "N", value_parser = <usize as Type>::parse, help = help(&MIN_UPDATES))]
    pub min_updates: Option<usize>,
    /// How much a target must have done.
    #[arg(long, value_name = "RATE", value_parser = <f64 as Type>::parse, help = help(&MIN_ACTIVITY))]
    pub min_activity: Option<f64>,
    /// How long a target gets before what it does counts.
    #[arg(long, value_name = "DURATION", value_parser = <Duration as Type>::parse, help = help(&WARMUP))]
    pub warmup: Option<Duration>,
    /// What to make of a target whose feed was incomplete.
    #[arg(long, value_parser = one_of::<Partial>(), help = help(&PARTIAL))]
    pub partial: Option<Partial>,
    /// What is known and accepted.
    #[arg(long, value_name = "FILE", help = help(&BASELINE))]
    pub baseline: Option<PathBuf>,
}

/// What only a run for a fixed time can be asked for.
#[derive(Debug, Clone, Args)]
pub struct GateArgs {
    /// How long to wait for a target.
    #[arg(long, value_name = "DURATION", value_parser = <Period as Type>::parse, help = help(&WAIT_FOR_TARGET))]
    #[arg(visible_alias = "pod-running-timeout")]
    pub wait_for_target: Option<Period>,
    /// Finding that must fire, as `DETECTOR[@PLACE[:LINE]]`, such as `deadlock@bank.rs`; it does not count, and the exit code is 1 if it does
    /// not fire; repeatable.
    #[arg(long = "expect-finding", value_name = "FINDING", hide_possible_values = true)]
    #[arg(value_parser = Completed::new(StringValueParser::new().try_map(|text| selector(&text)), detectors))]
    pub fire: Vec<Selector>,
    /// Finding that must not fire, whatever its severity, written as for --expect-finding; repeatable.
    #[arg(long = "expect-none", value_name = "FINDING", hide_possible_values = true)]
    #[arg(value_parser = Completed::new(StringValueParser::new().try_map(|text| selector(&text)), detectors))]
    pub silent: Vec<Selector>,
    /// Write the baseline: add findings that count and are not in it, and remove those that did not fire. The verdict stays as it is.
    #[arg(long)]
    pub update_baseline: bool,
    /// Report the verdict, and exit with 0 all the same; usage and internal errors remain 2 and 4.
    #[arg(long)]
    pub exit_zero: bool,
    /// Keep watching for the whole time, even after a proven finding that cannot recover.
    #[arg(long)]
    pub no_early_exit: bool,
}

impl GateArgs {
    /// The first flag that was given and does nothing for recordings.
    pub fn for_services(&self) -> Option<&'static str> {
        let early = self.no_early_exit.then_some("--no-early-exit");
        early.or_else(|| self.wait_for_target.map(|_| "--wait-for-target"))
    }
}

/// The black box.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Black box")]
pub struct BlackBoxArgs {
    /// Where recordings of findings go.
    #[arg(long, value_name = "FOLDER", help = help(&BLACK_BOX))]
    pub black_box: Option<PathBuf>,
    /// Which findings are recorded.
    #[arg(long, value_name = "SEVERITY", value_parser = one_of::<Severity>(), help = help(&BLACK_BOX_SEVERITY))]
    pub black_box_severity: Option<Severity>,
    /// How far back a recording reaches.
    #[arg(long, value_name = "DURATION", value_parser = <Period as Type>::parse, help = help(&BLACK_BOX_BEFORE))]
    pub black_box_before: Option<Period>,
    /// How long a recording goes on.
    #[arg(long, value_name = "DURATION", value_parser = <Period as Type>::parse, help = help(&BLACK_BOX_AFTER))]
    pub black_box_after: Option<Period>,
    /// How much memory it takes.
    #[arg(long, value_name = "MIB", value_parser = <Mebibytes as Type>::parse, help = help(&BLACK_BOX_MEMORY))]
    pub black_box_memory: Option<Mebibytes>,
    /// How much disk it takes.
    #[arg(long, value_name = "MIB", value_parser = <Mebibytes as Type>::parse, help = help(&BLACK_BOX_DISK))]
    pub black_box_disk: Option<Mebibytes>,
}

impl BlackBoxArgs {
    /// The first flag that was given besides that of the folder.
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            (self.black_box_severity.is_some(), "--black-box-severity"),
            (self.black_box_before.is_some(), "--black-box-before"),
            (self.black_box_after.is_some(), "--black-box-after"),
            (self.black_box_memory.is_some(), "--black-box-memory"),
            (self.black_box_disk.is_some(), "--black-box-disk"),
        ];
        given.into_iter().find(|(is_given, _)| *is_given).map(|(_, flag)| flag)
    }

    /// Hands over what was given.
    pub(super) fn apply(&self, flags: &mut Flags) {
        flags.option("--black-box", &BLACK_BOX, self.black_box.clone().map(Some));
        flags.option("--black-box-severity", &BLACK_BOX_SEVERITY, self.black_box_severity);
        flags.option("--black-box-before", &BLACK_BOX_BEFORE, self.black_box_before);
        flags.option("--black-box-after", &BLACK_BOX_AFTER, self.black_box_after);
        flags.option("--black-box-memory", &BLACK_BOX_MEMORY, self.black_box_memory);
        flags.option("--black-box-disk", &BLACK_BOX_DISK, self.black_box_disk);
    }
}

/// How often alerts come.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct RateArgs {
    /// How long findings that come back are held back.
    #[arg(long, value_name = "DURATION", value_parser = <RateLimit as Type>::parse, help = help(&RATE_LIMIT))]
    pub rate_limit: Option<RateLimit>,
    /// How long at most.
    #[arg(long, value_name = "DURATION", value_parser = <Period as Type>::parse, help = help(&RATE_LIMIT_MAX))]
    pub rate_limit_max: Option<Period>,
}

impl RateArgs {
    /// Hands over what was given.
    pub(super) fn apply(self, flags: &mut Flags) {
        flags.option("--rate-limit", &RATE_LIMIT, self.rate_limit);
        flags.option("--rate-limit-max", &RATE_LIMIT_MAX, self.rate_limit_max);
    }
}

/// Options of the commands that attach to targets and judge them.
#[derive(Debug, Clone, Args)]
pub struct Attaching {
    /// Recording and playback.
    #[command(flatten)]
    pub playback: Playback,
    /// Configuration.
    #[command(flatten)]
    pub configuration: Configuration,
}

/// Configuration of every command that attaches and judges.
#[derive(Debug, Clone, Args)]
pub struct Configuration {
    /// Settings of detectors, and tasks that must exist.
    #[command(flatten)]
    pub judging: Judging,
    /// Where settings come from.
    #[command(flatten)]
    pub files: Files,
    /// How a running service is read.
    #[command(flatten)]
    pub feeding: Feeding,
    /// How long things are kept.
    #[command(flatten)]
    pub keeping: Keeping,
    /// The tool's own log.
    #[command(flatten)]
    pub logging: Logging,
}

/// Options of recording and playback.
#[derive(Debug, Clone, Default, Args)]
pub struct Playback {
    /// File to record the feed to as well (one target only); it must not exist yet.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Playback speed of recordings, such as 1x, 10x or max [default: 1x in the terminal, otherwise max].
    #[arg(long, value_name = "SPEED")]
    pub speed: Option<Speed>,
}

/// Settings of detectors, and tasks that must exist.
#[derive(Debug, Clone, Default, Args)]
pub struct Judging {
    /// Setting of a detector, such as blocked-worker.critical=2s; repeatable. `explain DETECTOR` lists them.
    #[arg(long = "set", value_name = "ID.KEY=VALUE", hide_possible_values = true)]
    #[arg(value_parser = Completed::new(StringValueParser::new(), settings))]
    pub settings: Vec<String>,
    /// Task that has to exist, by its name or by `file:line` of its spawn site; repeatable.
    #[arg(long = "expect", value_name = "NAME", value_parser = name_of_task)]
    pub expected: Vec<String>,
}

/// Where settings come from.
#[derive(Debug, Clone, Default, Args)]
pub struct Files {
    /// Configuration file to read instead of your own; it wins over ./tokio-canary.toml.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read no configuration file except that of --config.
    #[arg(long)]
    pub isolated: bool,
}

/// How long things are kept.
#[derive(Debug, Clone, Default, Args)]
pub struct Keeping {
    /// How long ended tasks stay listed.
    #[arg(long, value_name = "DURATION", value_parser = <Period as Type>::parse, help = help(&RETAIN))]
    pub retain: Option<Period>,
}

/// The tool's own log.
#[derive(Debug, Clone, Default, Args)]
pub struct Logging {
    /// What the tool writes to its own log.
    #[arg(long, value_name = "FILTER", value_parser = <LogFilter as Type>::parse, help = help(&LOG))]
    pub log: Option<LogFilter>,
    /// The file for the tool's own log.
    #[arg(long, value_name = "FILE", help = help(&LOG_FILE))]
    pub log_file: Option<PathBuf>,
}

fn outputs_help() -> String {
    let words = words_of(Format::ALL.iter().copied());
    format!(
        "Where results go, as FORMAT or FORMAT=PATH: {words}; documents are written when the run ends; repeatable [default: text]"
    )
}

fn outputs_long_help() -> String {
    let meaning = |format: &Format| format!("\n- {}: {}", format.word(), format.meaning());
    format!(
        "Where results go, as FORMAT (to standard output) or FORMAT=PATH; repeatable [default: text]\n\n{} write lines as things happen, \
         and append them to PATH. The other formats are documents about the whole run: they are written when it ends, however it ends \
         (a `watch` ends when it is stopped), and replace PATH in one step.\n{}",
        words_of(Format::ALL.iter().copied().filter(|it| !it.is_document())).replace(", ", " and "),
        Format::ALL.iter().map(meaning).collect::<String>(),
    )
}

fn words_of(formats: impl Iterator<Item = Format>) -> String {
    formats.map(Format::word).collect::<Vec<_>>().join(", ")
}

fn redact_help() -> &'static str {
    "Replace the names, places and field values of the target by stand-ins, in all output and recordings"
}

pub(super) fn targets_help() -> String {
    format!(
        "Running service (host:port, http://host:port, https://host, unix:/path), pod (k8s://namespace/pod, deploy/name) or recording \
         (a file) [default: those of the configuration, or {DEFAULT_TARGET}]"
    )
}

/// An output beside the terminal, which is on standard output.
pub(super) fn output_to_file(text: &str) -> Result<Output, String> {
    let output: Output = text.parse()?;
    if output.path.is_none() {
        return Err(format!("the terminal is on standard output; give the output a file, like {output}=FILE"));
    }
    Ok(output)
}

pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("not a duration above zero; write it like 30s, 500ms or 2m".to_owned()),
    }
}

/// The name of a finding of a detector that exists.
fn selector(text: &str) -> Result<Selector, String> {
    let Ok(selector) = text.parse::<Selector>();
    detector(selector.detector())?;
    if text.ends_with('@') {
        return Err(format!("the place is missing; write it like {text}bank.rs or {text}src/bank.rs:41"));
    }
    Ok(selector)
}

fn name_of_task(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("it is empty; give the name of a task, or `file:line` of its spawn site".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_of_an_option_is_in_its_help() {
        assert_eq!(help(&RETAIN), "Time for which ended tasks stay listed [default: 10s]");
        assert!(!help(&LOG_FILE).contains("default"));
    }
}
