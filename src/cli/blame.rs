//! The arguments of `blame`.

use std::time::Duration;

use clap::Args;

use super::args::positive_duration;
use super::one_of::one_of;
use super::pods::SELECTING;
use super::reading::Reading;
use crate::config::word::Word;
use crate::feed::endpoint::Target;

/// How long a running service is watched unless `--for` says otherwise.
const DEFAULT_FOR: Duration = Duration::from_secs(30);

/// What can be looked at.
const TARGET: &str = "Running service (host:port, http://host:port, https://host, unix:/path), pod (k8s://namespace/pod, deploy/name) or \
                      recording (a file)";

/// `blame`.
#[derive(Debug, Args)]
pub struct BlameArgs {
    /// What to look at.
    #[arg(help = TARGET, required_unless_present_any = SELECTING)]
    pub target: Option<Target>,
    /// Time to watch, counted from the first update, and the longest wait for that update [default: 30s; a recording is read to its end].
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration)]
    pub duration: Option<Duration>,
    /// How the result is written.
    #[arg(long, value_name = "FORMAT", default_value = "table", value_parser = one_of::<BlameFormat>())]
    pub output: BlameFormat,
    /// Options of reading.
    #[command(flatten)]
    pub reading: Reading,
}

impl BlameArgs {
    /// How long a running service is watched.
    pub fn limit(&self) -> Duration {
        self.duration.unwrap_or(DEFAULT_FOR)
    }
}

/// How the result of `blame` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlameFormat {
    /// For people.
    Table,
    /// For programs.
    Ndjson,
    /// For viewers of flame graphs.
    Folded,
}

impl Word for BlameFormat {
    const NOUN: &'static str = "a format of blame";
    const ALL: &'static [Self] = &[Self::Table, Self::Ndjson, Self::Folded];

    fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Ndjson => "ndjson",
            Self::Folded => "folded",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Table => "Text for people",
            Self::Ndjson => "JSON objects, one a line",
            Self::Folded => "Folded stacks for flame graphs, in milliseconds of task time",
        }
    }
}
