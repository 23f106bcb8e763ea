//! What simulated tasks do: statements as scenarios write them, and the flat programs made of them.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::wire::Nanos;

/// A length of time, written like `500ms`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    pub(crate) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub(crate) fn nanos(self) -> Nanos {
        u64::try_from(self.0.as_nanos()).expect("a short time")
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(de::Error::custom)
    }
}

/// When something comes that is waited for: after a while, or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    After(Span),
    Never,
}

impl Until {
    pub(crate) fn from(self, now: Nanos) -> Option<Nanos> {
        match self {
            Self::After(span) => Some(now + span.nanos()),
            Self::Never => None,
        }
    }
}

impl<'de> Deserialize<'de> for Until {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "never" {
            return Ok(Self::Never);
        }
        humantime::parse_duration(&text).map(|span| Self::After(Span(span))).map_err(de::Error::custom)
    }
}

/// What is to be acquired: just its name, or a table.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    /// The lock, semaphore or channel.
    pub(crate) of: String,
    /// Permits of a semaphore.
    pub(crate) permits: u64,
    /// Whether the guard can be passed on.
    pub(crate) owned: bool,
    /// The timeout around the wait.
    pub(crate) within: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WantTable {
    of: String,
    #[serde(default = "one")]
    permits: u64,
    #[serde(default)]
    owned: bool,
    within: Option<Span>,
}

fn one() -> u64 {
    1
}

impl<'de> Deserialize<'de> for Want {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = Want;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a shared thing, or a table")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Want, E> {
                Ok(Want { of: name.to_owned(), permits: 1, owned: false, within: None })
            }

            fn visit_map<M: de::MapAccess<'de>>(self, map: M) -> Result<Want, M::Error> {
                let table = WantTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Want { of: table.of, permits: table.permits, owned: table.owned, within: table.within })
            }
        }
        deserializer.deserialize_any(NameOrTable)
    }
}

/// One statement of a task's body.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) enum Statement {
    /// Computes or blocks inside the poll.
    Work(Span),
    /// `tokio::time::sleep`.
    Sleep(Span),
    /// Waits for something that the feed does not show, such as a socket.
    Wait(Until),
    /// `tokio::time::timeout` at a place, around the same.
    Within { wait: Until, limit: Span, place: String },
    /// Returns pending without having kept a waker.
    Forget,
    /// Gives away so many wakers that nobody will ever use or drop.
    Hoard(u64),
    /// Registers for so many wake-ups in this poll, and drops the wakers.
    Register(u64),
    /// Registers for so many wake-ups in this poll, and makes them itself.
    WakeItself(u64),
    /// Polls a `Sleep` of its own that has elapsed so many times.
    PollElapsed(u64),
    /// So many ticks of an interval that is behind: the `Sleep` inside has elapsed each time.
    LateTicks(u64),
    /// Wakes the tasks of this name with wakers that they hoarded.
    Wake(String),
    /// `yield_now`.
    Yield,
    /// `Mutex::lock`.
    Lock(Want),
    /// `RwLock::read`.
    Read(Want),
    /// `RwLock::write`.
    Write(Want),
    /// `Semaphore::acquire`.
    Acquire(Want),
    /// A send on a bounded channel.
    Send(Want),
    /// A `try_send`, which is not reported.
    TrySend(String),
    /// A `try_lock`, which is not reported; nothing happens if the lock is taken.
    TryLock(String),
    /// Receives from a bounded channel, which is not reported.
    Receive(String),
    /// Drops the guard that was acquired last of this lock.
    Release(String),
    /// Gives an owned guard away; it is dropped after a while.
    GiveAway { of: String, until: Until },
    /// Polls a lock once among other futures and puts it aside; when it is granted, the guard is dropped at once.
    Aside(Want),
    /// Polls a lock once, keeps the future and never polls it again, even when it is granted.
    Shelve(Want),
    /// Forgets the guard that was acquired last of this lock, so that it is never given back.
    Leak(String),
    /// `Barrier::wait`.
    Arrive(String),
    /// Waits for the answer on a oneshot channel of its own.
    Answer(Until),
    /// The first tick of an interval of its own, after a while.
    Tick(Span),
    /// Starts a blocking job and does not wait for it.
    SpawnBlocking(Span),
    /// Spawns something that enters this task's span for a moment again and again, also after this task has ended, as a session does that was
    /// spawned with `in_current_span`.
    Heir { every: Span, times: u64 },
    /// Waits for a blocking job.
    Blocking(Span),
    /// Blocks, after having handed the worker's other tasks to another thread.
    BlockInPlace(Span),
    /// A library keeps the task's span entered on a thread of its own, while the task is woken and polled so many times. It has entered the
    /// span so often before, which counts as polls without wakes.
    Entered {
        during: Span,
        wakes: u64,
        #[serde(default)]
        entries: u64,
    },
    /// More or less is queued in something that reports its depth.
    Depth { of: String, by: i64 },
    /// Takes something out of such a queue, or waits for it, which is reported.
    Take(String),
    /// Does the same again, so many times.
    Repeat { times: u64, body: Vec<Statement> },
    /// Does the same again and again.
    Forever(Vec<Statement>),
}

/// A step of a flat program.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Do(Statement),
    /// Remembers how often the part that follows is done.
    Begin(u64),
    /// Goes back to the step after its beginning, unless it was done often enough.
    Again(usize),
}

/// The program of a task.
pub(crate) type Program = Rc<[Step]>;

pub(crate) fn compile(body: &[Statement]) -> Program {
    let mut steps = Vec::new();
    flatten(body, &mut steps);
    steps.into()
}

fn flatten(body: &[Statement], steps: &mut Vec<Step>) {
    for statement in body {
        match statement {
            Statement::Repeat { times, body } => flatten_loop(*times, body, steps),
            Statement::Forever(body) => flatten_loop(u64::MAX, body, steps),
            other => steps.push(Step::Do(other.clone())),
        }
    }
}

fn flatten_loop(times: u64, body: &[Statement], steps: &mut Vec<Step>) {
    steps.push(Step::Begin(times));
    let first = steps.len();
    flatten(body, steps);
    steps.push(Step::Again(first));
}
