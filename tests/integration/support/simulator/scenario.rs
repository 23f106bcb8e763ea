//! The form of scenario files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use super::program::{Span, Statement};
use super::shared::Kind;

/// A scenario: what a process does, what disturbs it, and what is to be said about it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Scenario {
    /// What it is, in a sentence.
    pub(crate) about: String,
    /// How long it lasts.
    pub(crate) run: Span,
    /// The publish interval.
    #[serde(default = "one_second")]
    pub(crate) interval: Span,
    /// Maximum delay of an update, as in a process that is short of CPU.
    #[serde(default)]
    pub(crate) late: Span,
    /// When we attach.
    #[serde(default)]
    pub(crate) attach: Span,
    /// Whether the first message was too large to be sent, after another client had been told everything.
    #[serde(default)]
    pub(crate) no_initial_state: bool,
    /// For how long the target remembers what has ended.
    #[serde(default = "an_hour")]
    pub(crate) retention: Span,
    /// Events that the target reads per turn; all by default, as with a pump.
    #[serde(default = "no_limit")]
    pub(crate) drain: usize,
    /// After so many lives of a slot its span ids come again.
    #[serde(default = "lives_of_a_slot")]
    pub(crate) wrap: u64,
    /// Whether every sleep is an async op too, as in Tokio 1.42.
    #[serde(default)]
    pub(crate) older_tokio: bool,
    /// For how long after its start the process counts no clone of a waker, as while another thread makes that event known to `tracing`.
    #[serde(default)]
    pub(crate) clones_lost: Span,
    /// Settings, as `--set` takes them.
    #[serde(default)]
    pub(crate) set: Vec<String>,
    /// Runtimes and how many threads they have.
    #[serde(default = "one_runtime")]
    pub(crate) runtimes: BTreeMap<String, usize>,
    /// What tasks share.
    #[serde(default)]
    pub(crate) shared: Vec<Thing>,
    /// Which tasks there are.
    #[serde(default)]
    pub(crate) spawn: Vec<Spawn>,
    /// What happens to the process and the connection.
    #[serde(default)]
    pub(crate) event: Vec<Event>,
    /// Whether waits that began before we attached, and that nothing explains, keep the verdict from being healthy at the end.
    #[serde(default)]
    pub(crate) old_waits: bool,
    /// Why the target's clock and messages keep the verdict from being healthy at the end: `malformed`, `clock`, `clock_reset`.
    #[serde(default)]
    pub(crate) doubts: BTreeSet<String>,
    /// What has to fire; nothing else may.
    #[serde(default)]
    pub(crate) expect: Vec<Expectation>,
}

/// Something that tasks share.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Thing {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) place: Option<String>,
    /// Permits of a semaphore, places of a channel or of a queue, parties of a barrier.
    #[serde(default)]
    pub(crate) permits: u64,
    /// When it is made.
    #[serde(default)]
    pub(crate) at: Span,
}

/// Tasks of one spawn site.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Spawn {
    /// When the first one is spawned.
    #[serde(default)]
    pub(crate) at: Span,
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) place: String,
    #[serde(default)]
    pub(crate) kind: TaskKind,
    #[serde(default = "main_runtime")]
    pub(crate) runtime: String,
    #[serde(default)]
    pub(crate) size: u64,
    /// The size of the future before it was boxed, if it was.
    pub(crate) original_size: Option<u64>,
    /// They are aborted if they have not ended after so long.
    pub(crate) within: Option<Span>,
    /// The closure of a blocking task.
    pub(crate) function: Option<String>,
    /// How many are spawned at a time.
    #[serde(default = "one")]
    pub(crate) count: u64,
    #[serde(default)]
    pub(crate) repeat: Repeat,
    pub(crate) body: Vec<Statement>,
}

/// How often tasks are spawned again.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repeat {
    pub(crate) every: Span,
    pub(crate) times: u64,
}

impl Default for Repeat {
    fn default() -> Self {
        Self { every: Span::default(), times: 1 }
    }
}

/// Kinds of tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TaskKind {
    #[default]
    Task,
    Local,
    Blocking,
    BlockOn,
}

impl TaskKind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Local => "local",
            Self::Blocking => "blocking",
            Self::BlockOn => "block_on",
        }
    }

    pub(crate) fn is_blocking(self) -> bool {
        self == Self::Blocking
    }

    /// Whether its waker is the task's own: a thread in `block_on` is unparked instead, which is not reported.
    pub(crate) fn counts_wakers(self) -> bool {
        matches!(self, Self::Task | Self::Local)
    }
}

/// Something that happens to the process or to the connection. One of the fields besides `at` is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Event {
    pub(crate) at: Span,
    /// The process stands still for so long.
    pub(crate) stop: Option<Span>,
    /// Nothing arrives for so long; then everything does.
    pub(crate) silence: Option<Span>,
    /// The connection is lost for so long.
    pub(crate) disconnect: Option<Span>,
    /// The process ends, and another one takes its place after so long.
    pub(crate) restart: Option<Span>,
    /// So many of the next events are lost in the target.
    pub(crate) lose: Option<u64>,
    /// Another client pauses the feed for so long.
    pub(crate) pause: Option<Span>,
    /// The tasks of this name are aborted.
    pub(crate) abort: Option<String>,
    /// The runtime of this name is not driven any more.
    pub(crate) halt: Option<String>,
    /// The target's clock stops for so long, while updates keep coming.
    pub(crate) clock_stops: Option<Span>,
    /// It is set back by so much.
    pub(crate) clock_back: Option<Span>,
    /// It is set ahead by so much,
    pub(crate) clock_ahead: Option<Span>,
    /// or so for a single update.
    pub(crate) clock_leaps: Option<Span>,
    /// Updates have no time for so long.
    pub(crate) clock_missing: Option<Span>,
    /// The target's machine is suspended for so long, and its clock with it.
    pub(crate) suspend_target: Option<Span>,
    /// So is ours, with the target on it.
    pub(crate) suspend_both: Option<Span>,
}

/// A finding that has to fire.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Expectation {
    pub(crate) detector: String,
    /// The worst severity that it has.
    pub(crate) severity: String,
    /// Part of its place; empty for one without.
    #[serde(default)]
    pub(crate) place: String,
    /// It does not fire before.
    #[serde(default)]
    pub(crate) after: Span,
    /// It has fired by then.
    pub(crate) by: Span,
    /// It is resolved by then; without it, it still fires at the end.
    pub(crate) resolved_by: Option<Span>,
    /// It is still as severe at the end.
    #[serde(default)]
    pub(crate) lasts: bool,
    /// Part of what it says about the cause.
    #[serde(default)]
    pub(crate) cause: String,
    /// Part of what it advises.
    #[serde(default)]
    pub(crate) advice: String,
    /// Detectors whose symptoms it explains, all of them and no others.
    #[serde(default)]
    pub(crate) explains: Vec<String>,
    /// How often it fires anew.
    #[serde(default = "once")]
    pub(crate) times: usize,
}

impl Scenario {
    /// Reads a scenario file.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Reads a scenario that stands in a test.
    pub(crate) fn parse(text: &str) -> Self {
        toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
    }
}

fn one_second() -> Span {
    Span::seconds(1)
}

fn an_hour() -> Span {
    Span::seconds(3_600)
}

fn no_limit() -> usize {
    usize::MAX
}

fn lives_of_a_slot() -> u64 {
    8_191
}

fn one_runtime() -> BTreeMap<String, usize> {
    BTreeMap::from([(main_runtime(), 4)])
}

fn main_runtime() -> String {
    "main".to_owned()
}

fn one() -> u64 {
    1
}

fn once() -> usize {
    1
}
