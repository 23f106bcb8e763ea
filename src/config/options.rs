//! The options of a run, apart from the thresholds of detectors: one row each, from which flags, files and variables are read.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

pub use super::appearance::{Appearance, HYPERLINKS, Hyperlinks, THEME};
use super::headers::Headers;
use super::listen::Listen;
pub use super::period::Period;
pub use super::rate_limit::RateLimit;
use super::word::Word;
use crate::detect::settings::{AnySetting, Given, Setting, Type, Value};
use crate::detect::severity::Severity;
use crate::model::DEFAULT_RETENTION;
use crate::spelling;

/// Where targets come from that come and go.
pub static TARGETS_FROM: Setting<Option<PathBuf>> = Setting::new(
    "targets-from",
    None,
    "file with the addresses of targets to watch, one a line; targets are added and dropped as lines appear and disappear",
);
/// How many targets there may be.
pub static MAX_TARGETS: Setting<usize> =
    Setting::new("max-targets", 64, "largest number of found targets to watch at a time");
/// The lowest severity that counts.
pub static FAIL_ON: Setting<Option<Severity>> = Setting::new(
    "fail-on",
    None,
    "lowest severity of a finding that makes the exit code 1; unset, it is `warning` for `check`, and `watch` exits with 0",
);
/// How much a target must have shown.
pub static MIN_UPDATES: Setting<usize> =
    Setting::new("min-updates", 5, "minimum number of updates; with fewer the verdict is inconclusive");
/// How much a target must have done.
pub static MIN_ACTIVITY: Setting<f64> = Setting::new(
    "min-activity",
    0.1,
    "minimum number of polls a second of all async tasks except those of console-subscriber; with fewer the verdict is inconclusive",
);
/// How long a target gets before what it does counts.
pub static WARMUP: Setting<Duration> = Setting::new(
    "warmup",
    Duration::ZERO,
    "time after the first update during which activity and findings that resolve are ignored",
);
/// What to make of an incomplete feed.
pub static PARTIAL: Setting<Partial> = Setting::new(
    "partial",
    Partial::Fail,
    "treatment of an incomplete feed: `pass` judges by what was seen, `fail` makes the verdict inconclusive",
);
/// What is known and accepted.
pub static BASELINE: Setting<Option<PathBuf>> =
    Setting::new("baseline", None, "file of accepted findings; `check --update-baseline` rewrites it");
/// Whether a verdict makes the exit code.
pub static EXIT_ZERO: Setting<bool> = Setting::new(
    "exit-zero",
    false,
    "whether `check` exits with 0 whatever the verdict is; usage and internal errors remain 2 and 4",
);
/// How long to wait for a target.
pub static WAIT_FOR_TARGET: Setting<Option<Period>> = Setting::new(
    "wait-for-target",
    None,
    "longest wait of `check` for the first update of a target; unset, it is the time of `--for`",
);
/// Whether proof ends a run.
pub static EARLY_EXIT: Setting<bool> = Setting::new(
    "early-exit",
    true,
    "whether `check` stops watching a service as soon as a finding that counts is proof and cannot recover",
);
/// How long ended things are kept.
pub static RETAIN: Setting<Period> =
    Setting::new("retain", Period(DEFAULT_RETENTION), "time for which ended tasks stay listed");
/// The largest message.
pub static DECODE_LIMIT: Setting<Mebibytes> =
    Setting::new("decode-limit", Mebibytes(256), "largest message to accept, in MiB");
/// Whether a lagging target is drained.
pub static PUMP: Setting<bool> = Setting::new("pump", true, "whether extra requests drain a target that lags");
/// Who is trusted.
pub static CA: Setting<Option<PathBuf>> = Setting::new(
    "ca",
    None,
    "file of the certificate authorities (PEM) that https:// targets are checked against; unset, it is those of the system",
);
/// What is sent with every call.
pub static HEADER: Setting<Option<Headers>> = Setting::new(
    "header",
    None,
    "header that is sent with every call to running services, as NAME=@FILE or NAME=env:VARIABLE, where its value is",
);
/// Whether names are replaced.
pub static REDACT: Setting<bool> = Setting::new(
    "redact",
    false,
    "whether stand-ins replace the names, places and field values of the target in all output and recordings",
);
/// Where the places of a target are in the repository.
pub static PATH_PREFIX: Setting<Option<PathPrefixes>> = Setting::new(
    "path-prefix",
    None,
    "start of the paths that a target reports and its replacement in the repository, as FROM=TO (github, sarif, junit, brief, and the editor and hyperlinks of the terminal only)",
);
/// How often to say that everything still works.
pub static HEARTBEAT: Setting<Period> =
    Setting::new("heartbeat", Period(Duration::from_secs(30)), "heartbeat interval (ndjson only)");
/// Where HTTP is served.
pub static LISTEN: Setting<Option<Listen>> = Setting::new(
    "listen",
    None,
    "address of the HTTP server with metrics, findings and the verdict; a port alone is for this machine only",
);
/// Where recordings of findings go.
pub static BLACK_BOX: Setting<Option<PathBuf>> =
    Setting::new("black-box", None, "folder in which `watch` saves a recording of a finding that fires");
/// Which findings are recorded.
pub static BLACK_BOX_SEVERITY: Setting<Severity> =
    Setting::new("black-box-severity", Severity::Warning, "lowest severity of a finding that the black box records");
/// How far back a recording reaches.
pub static BLACK_BOX_BEFORE: Setting<Period> = Setting::new(
    "black-box-before",
    Period(Duration::from_secs(5 * 60)),
    "time before a finding that its recording covers, memory permitting",
);
/// How long a recording goes on.
pub static BLACK_BOX_AFTER: Setting<Period> =
    Setting::new("black-box-after", Period(Duration::from_secs(60)), "time after a finding that its recording covers");
/// How much memory it takes.
pub static BLACK_BOX_MEMORY: Setting<Mebibytes> =
    Setting::new("black-box-memory", Mebibytes(128), "memory of the black box for each target, in MiB");
/// How much disk it takes.
pub static BLACK_BOX_DISK: Setting<Mebibytes> = Setting::new(
    "black-box-disk",
    Mebibytes(1024),
    "disk space for the recordings of the black box, in MiB; the oldest are deleted",
);
/// How long findings that come back are held back.
pub static RATE_LIMIT: Setting<RateLimit> = Setting::new(
    "rate-limit",
    RateLimit::From(Duration::from_secs(5 * 60)),
    "initial hold-back of repeated findings of a detector, doubled while they repeat; `off` delivers everything",
);
/// How long at most.
pub static RATE_LIMIT_MAX: Setting<Period> = Setting::new(
    "rate-limit-max",
    Period(Duration::from_secs(60 * 60)),
    "longest time for which repeated findings of a detector are held back",
);
/// What is logged.
pub static LOG: Setting<Option<LogFilter>> =
    Setting::new("log", None, "filter of the tool's own log, such as `debug` or `tokio_canary=trace`");
/// Where it is logged.
pub static LOG_FILE: Setting<Option<PathBuf>> =
    Setting::new("log-file", None, "file to which the tool's own log is appended");

/// All options, in the order of the documentation.
pub static OPTIONS: &[&dyn AnySetting] = &[
    &TARGETS_FROM,
    &MAX_TARGETS,
    &FAIL_ON,
    &MIN_UPDATES,
    &MIN_ACTIVITY,
    &WARMUP,
    &PARTIAL,
    &BASELINE,
    &EXIT_ZERO,
    &WAIT_FOR_TARGET,
    &EARLY_EXIT,
    &RETAIN,
    &DECODE_LIMIT,
    &PUMP,
    &CA,
    &HEADER,
    &REDACT,
    &PATH_PREFIX,
    &THEME,
    &HYPERLINKS,
    &HEARTBEAT,
    &LISTEN,
    &BLACK_BOX,
    &BLACK_BOX_SEVERITY,
    &BLACK_BOX_BEFORE,
    &BLACK_BOX_AFTER,
    &BLACK_BOX_MEMORY,
    &BLACK_BOX_DISK,
    &RATE_LIMIT,
    &RATE_LIMIT_MAX,
    &LOG,
    &LOG_FILE,
];

/// The option of this name.
pub fn option(key: &str) -> Option<&'static dyn AnySetting> {
    OPTIONS.iter().copied().find(|option| option.key() == key)
}

/// What to make of an incomplete feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partial {
    /// Judge by what was seen.
    Pass,
    /// The verdict is inconclusive, unless something was found.
    Fail,
}

impl Word for Partial {
    const NOUN: &'static str = "a treatment of an incomplete feed";
    const ALL: &'static [Self] = &[Self::Pass, Self::Fail];

    fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Pass => "Judge by what was seen",
            Self::Fail => "The verdict is inconclusive, unless something was found",
        }
    }
}

/// Beginnings of paths and what stands for them in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPrefixes(pub Vec<(String, String)>);

impl PathPrefixes {
    fn of<'a>(rules: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let rule = |rule: &str| match rule.split_once('=') {
            Some((from, to)) => Ok((from.trim().to_owned(), to.trim().to_owned())),
            None => Err(format!("`{rule}` is not a replacement; write it like bank/src=services/bank/src")),
        };
        rules.map(str::trim).filter(|it| !it.is_empty()).map(rule).collect::<Result<_, _>>().map(Self)
    }

    fn rules(&self) -> Vec<String> {
        self.0.iter().map(|(from, to)| format!("{from}={to}")).collect()
    }
}

impl Type for PathPrefixes {
    fn parse(text: &str) -> Result<Self, String> {
        Self::of(text.split(','))
    }

    fn read(given: &Given) -> Result<Self, String> {
        match given {
            Given::Text(text) => Self::parse(text),
            Given::Bare(word) => Err(format!("`{word}` is not a list of replacements; write it like [\"from=to\"]")),
            Given::List(rules) => Self::of(rules.iter().map(String::as_str)),
        }
    }

    fn written(&self) -> String {
        self.rules().join(",")
    }

    fn erase(self) -> Value {
        Value::Names(self.rules())
    }

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Names(rules) => Self::of(rules.iter().map(String::as_str)).ok(),
            _ => None,
        }
    }
}

/// An amount of memory or disk space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mebibytes(pub u16);

impl Mebibytes {
    /// The same in bytes.
    pub fn bytes(self) -> usize {
        usize::from(self.0) * 1024 * 1024
    }
}

impl Type for Mebibytes {
    fn parse(text: &str) -> Result<Self, String> {
        let number = text.parse().ok().filter(|number| (1..=4095).contains(number));
        number.map(Self).ok_or_else(|| format!("`{text}` is not a whole number of MiB from 1 to 4095"))
    }

    fn written(&self) -> String {
        self.0.to_string()
    }

    fn erase(self) -> Value {
        Value::Count(self.0.into())
    }

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Count(count) => u16::try_from(*count).ok().map(Self),
            _ => None,
        }
    }
}

/// The levels of tracing.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What is logged: targets and levels.
#[derive(Debug, Clone, PartialEq)]
pub struct LogFilter {
    text: String,
    /// As tracing applies it.
    pub targets: Targets,
}

impl Type for LogFilter {
    fn parse(text: &str) -> Result<Self, String> {
        let example = "write it like `debug` or `tokio_canary=trace`";
        // A word alone that is no level is taken for the name of a module, so a slip would log nothing.
        let is_word = text.chars().all(char::is_alphabetic);
        let level = spelling::nearest(text, LEVELS).filter(|level| is_word && !level.eq_ignore_ascii_case(text));
        if let Some(level) = level {
            return Err(format!("`{text}` is not a level; did you mean `{level}`?"));
        }
        match Targets::from_str(text) {
            Ok(targets) if !text.is_empty() => Ok(Self { text: text.to_owned(), targets }),
            Ok(_) => Err(format!("the filter is empty; {example}")),
            Err(error) => Err(format!("`{text}` is not a filter of a log ({error}); {example}")),
        }
    }

    fn read(given: &Given) -> Result<Self, String> {
        match given {
            Given::Text(text) => Self::parse(text.trim()),
            Given::Bare(_) | Given::List(_) => Err("takes a text in quotes".to_owned()),
        }
    }

    fn written(&self) -> String {
        self.text.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::detectors::DETECTORS;

    #[test]
    fn every_option_reads_its_default_back() {
        for option in OPTIONS {
            let default = option.default();
            if default != Value::Unset {
                assert_eq!(option.parse(&option.written(&default)), Ok(default), "{}", option.key());
            }
            let first = option.help().chars().next();
            assert!(first.is_some_and(char::is_lowercase), "the help of {} is a noun phrase", option.key());
        }
    }

    #[test]
    fn no_option_is_called_like_a_section() {
        let sections = ["detectors", "suppress", "output", "targets", "config"];
        let names: Vec<&str> = sections.into_iter().chain(DETECTORS.iter().map(|it| it.id)).collect();
        assert!(OPTIONS.iter().all(|option| !names.contains(&option.key())));
    }

    #[test]
    fn values_out_of_range_are_faults_that_say_the_range() {
        for (option, wrong, says) in [
            ("retain", "0s", "`0s` is not a duration above zero; write it like 500ms, 30s or 2m"),
            ("heartbeat", "soon", "`soon` is not a duration above zero; write it like 500ms, 30s or 2m"),
            ("decode-limit", "0", "`0` is not a whole number of MiB from 1 to 4095"),
            ("decode-limit", "4096", "`4096` is not a whole number of MiB from 1 to 4095"),
            ("min-updates", "-1", "`-1` is not a whole number of zero or more"),
            ("partial", "past", "`past` is not a treatment of an incomplete feed; did you mean `pass`?"),
            ("rate-limit", "on", "`on` is not a duration above zero; write it like 500ms, 30s or 2m, or `off`"),
            ("black-box-severity", "bad", "`bad` is not a severity; it is one of info, warning, critical"),
            ("fail-on", "err", "`err` is not a severity; it is one of info, warning, critical"),
            ("pump", "no", "`no` is neither true nor false"),
            ("path-prefix", "src", "`src` is not a replacement; write it like bank/src=services/bank/src"),
            ("log", "debg", "`debg` is not a level; did you mean `debug`?"),
            ("log", "", "the filter is empty; write it like `debug` or `tokio_canary=trace`"),
            ("log-file", "", "the path is empty"),
        ] {
            assert_eq!(super::option(option).expect("it exists").parse(wrong), Err(says.to_owned()));
        }
        for right in ["debug", "DEBUG", "tokio_canary=trace", "info,h2=off", "tokio_canary"] {
            assert!(super::option("log").is_some_and(|log| log.parse(right).is_ok()), "{right}");
        }
        let filter = super::option("log").expect("it exists").parse("a=b=c").expect_err("not a filter");
        assert!(filter.starts_with("`a=b=c` is not a filter of a log ("), "{filter}");
    }
}
