//! The options of a run, apart from the thresholds of detectors: one row each, from which flags, files and variables are read.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

use super::listen::Listen;
use super::word::Word;
use crate::detect::settings::{AnySetting, Given, Setting, Type, Value};
use crate::detect::severity::Severity;
use crate::model::DEFAULT_RETENTION;
use crate::spelling;

/// The lowest severity that counts.
pub static FAIL_ON: Setting<Option<Severity>> = Setting::new(
    "fail-on",
    None,
    "lowest severity of a finding that makes the exit code 1; unset, it is `warning` for `check`, and `watch` exits with 0",
);
/// How much a target must have shown.
pub static MIN_UPDATES: Setting<usize> =
    Setting::new("min-updates", 5, "minimum number of updates; with fewer the verdict is inconclusive");
/// What to make of an incomplete feed.
pub static PARTIAL: Setting<Partial> = Setting::new(
    "partial",
    Partial::Fail,
    "treatment of an incomplete feed: `pass` judges by what was seen, `fail` makes the verdict inconclusive",
);
/// How long ended things are kept.
pub static RETAIN: Setting<Period> =
    Setting::new("retain", Period(DEFAULT_RETENTION), "time for which ended tasks stay listed");
/// The largest message.
pub static DECODE_LIMIT: Setting<Mebibytes> =
    Setting::new("decode-limit", Mebibytes(256), "largest message to accept, in MiB");
/// Whether a lagging target is drained.
pub static PUMP: Setting<bool> = Setting::new("pump", true, "whether extra requests drain a target that lags");
/// How often to say that everything still works.
pub static HEARTBEAT: Setting<Period> =
    Setting::new("heartbeat", Period(Duration::from_secs(30)), "heartbeat interval (ndjson only)");
/// Where HTTP is served.
pub static LISTEN: Setting<Option<Listen>> = Setting::new(
    "listen",
    None,
    "address of the HTTP server with metrics, findings and the verdict; a port alone is for this machine only",
);
/// What is logged.
pub static LOG: Setting<Option<LogFilter>> =
    Setting::new("log", None, "filter of the tool's own log, such as `debug` or `tokio_canary=trace`");
/// Where it is logged.
pub static LOG_FILE: Setting<Option<PathBuf>> =
    Setting::new("log-file", None, "file to which the tool's own log is appended");

/// All options, in the order of the documentation.
pub static OPTIONS: &[&dyn AnySetting] =
    &[&FAIL_ON, &MIN_UPDATES, &PARTIAL, &RETAIN, &DECODE_LIMIT, &PUMP, &HEARTBEAT, &LISTEN, &LOG, &LOG_FILE];

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

/// A length of time above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

impl Type for Period {
    fn parse(text: &str) -> Result<Self, String> {
        match humantime::parse_duration(text) {
            Ok(duration) if !duration.is_zero() => Ok(Self(duration)),
            _ => Err(format!("`{text}` is not a duration above zero; write it like 500ms, 30s or 2m")),
        }
    }

    fn written(&self) -> String {
        self.0.written()
    }

    fn erase(self) -> Value {
        self.0.erase()
    }

    fn from_value(value: &Value) -> Option<Self> {
        Duration::from_value(value).map(Self)
    }
}

/// An amount of memory that a message may take.
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

    fn erase(self) -> Value {
        Value::Text(self.text)
    }

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Self::parse(text).ok(),
            _ => None,
        }
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
            ("fail-on", "err", "`err` is not a severity; it is one of info, warning, critical"),
            ("pump", "no", "`no` is neither true nor false"),
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
