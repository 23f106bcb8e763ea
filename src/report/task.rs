//! The page about a task: what it is, where its time goes, and why it makes no progress.

use std::num::NonZeroU16;
use std::time::Duration;

use super::link::{Link, Linked};
use super::site::SiteRow;
use super::snapshot::Snapshot;
use super::tasks::TaskRow;
use super::waits::WaitView;
use crate::evidence::numbers::ratio;
use crate::model::entity::details::Durations;
use crate::model::entity::task::{Task, TaskState};
use crate::model::{SiteKey, TaskKey};

/// The bounds of the steps of a histogram: these, times powers of ten, from a microsecond on.
const STEPS: [u32; 3] = [1, 2, 5];
/// Most decades of steps.
const DECADES: u32 = 9;
/// The quantiles of a distribution, with their names.
const QUANTILES: [(&str, f64); 7] =
    [("p10", 0.10), ("p25", 0.25), ("p50", 0.50), ("p75", 0.75), ("p90", 0.90), ("p95", 0.95), ("p99", 0.99)];

/// A task on its page.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskView {
    /// What a list says of it.
    pub row: TaskRow,
    /// Its number and name.
    pub title: String,
    /// What it is doing, in words.
    pub state: String,
    /// For blocking tasks, the type of the closure.
    pub function: Option<String>,
    /// The target of its span, as `tracing` calls it.
    pub target: Option<String>,
    /// The thread that polled it last, where the target says so.
    pub thread: Option<String>,
    /// The number of the runtime that polls it, where the target says so.
    pub runtime: Option<u16>,
    /// The task that spawned it, where the target says so and it is still listed.
    pub spawned_by: Option<Linked>,
    /// The findings about it.
    pub findings: Vec<Linked>,
    /// What it waits for.
    pub wait: WaitView,
    /// What others wait for that it holds.
    pub blocks: Vec<Linked>,
    /// The size of its future in bytes, and its size before it was boxed, where the target reports them.
    pub sizes: (Option<u64>, Option<u64>),
    /// The dependency that spawned it.
    pub package: Option<String>,
    /// How long the current poll has run, while there is one.
    pub current_poll: Option<Duration>,
    /// Its wakers.
    pub wakers: Wakers,
    /// How long its polls took, if the target sent that.
    pub polls: Option<Distribution>,
    /// How long it waited for a worker, if the target sent that.
    pub scheduled: Option<Distribution>,
    /// The tasks of its spawn site.
    pub siblings: Option<(SiteKey, SiteRow)>,
    /// Its other fields.
    pub fields: Vec<(String, String)>,
}

/// The wakers of a task, and how often it was woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wakers {
    /// How many exist.
    pub present: u64,
    /// How many were ever cloned.
    pub cloned: u64,
    /// How many were ever dropped.
    pub dropped: u64,
    /// How often it was woken.
    pub wakes: u64,
    /// How often it woke itself.
    pub self_wakes: u64,
    /// How long ago it was last woken.
    pub last_wake: Option<Duration>,
}

impl Wakers {
    /// The share of wakes that were its own.
    pub fn self_wake_share(&self) -> Option<f64> {
        (self.wakes > 0).then(|| ratio(self.self_wakes, self.wakes))
    }
}

/// A distribution of durations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Names and values of its quantiles.
    pub quantiles: Vec<(&'static str, Duration)>,
    /// The longest.
    pub longest: Duration,
    /// How many there are in each of some steps: the bound that they do not exceed, and how many do not and exceed the one before.
    pub steps: Vec<(Duration, u64)>,
    /// How many there are.
    pub count: u64,
    /// How many of them were longer than the target measures.
    pub outliers: u64,
}

impl From<&Durations> for Distribution {
    fn from(durations: &Durations) -> Self {
        Self {
            quantiles: QUANTILES.map(|(name, share)| (name, durations.quantile(share))).to_vec(),
            longest: durations.longest(),
            steps: steps(durations),
            count: durations.count(),
            outliers: durations.outliers,
        }
    }
}

/// The steps from the first that has values to the last that has some.
fn steps(durations: &Durations) -> Vec<(Duration, u64)> {
    let decades = (0..DECADES).map(|decade| Duration::from_micros(10_u64.pow(decade)));
    let bounds: Vec<Duration> = decades.flat_map(|decade| STEPS.map(|step| decade * step)).collect();
    let steps: Vec<(Duration, u64)> = bounds.iter().copied().zip(durations.steps(&bounds)).collect();
    let has_some = |(_, count): &(Duration, u64)| *count > 0;
    let (Some(first), Some(last)) = (steps.iter().position(has_some), steps.iter().rposition(has_some)) else {
        return Vec::new();
    };
    steps[first..=last].to_vec()
}

impl Snapshot<'_> {
    /// The page about a task, unless it has ended and was forgotten.
    pub fn task(&self, key: TaskKey) -> Option<TaskView> {
        let task = self.evidence.task(key)?;
        let details = self.evidence.details(key);
        let started = task.stats.poll.started.filter(|_| task.state() == TaskState::Running);
        Some(TaskView {
            row: self.task_row(key)?,
            title: title(task),
            state: state(task),
            function: task.function().map(|it| it.to_string()),
            thread: self.evidence.thread_of(task).map(|it| it.to_string()),
            target: self.evidence.site(task.site).and_then(|site| site.target.as_deref()).map(str::to_owned),
            runtime: task.stats.runtime.map(NonZeroU16::get),
            spawned_by: task.spawned_by.and_then(|spawner| self.linked_task(spawner)),
            findings: self.findings_about(&Link::Task(key)),
            wait: self.wait_view(key, task),
            blocks: self.blocked_by(|holder| holder == key),
            sizes: self.sizes_of(task.site),
            package: self.package_of(task.site),
            current_poll: started.map(|started| self.now().since(started)),
            wakers: self.wakers(task),
            polls: details.and_then(|it| it.polls.as_ref()).map(Distribution::from),
            scheduled: details.and_then(|it| it.scheduled.as_ref()).map(Distribution::from),
            siblings: self.site_row(task.site).map(|row| (task.site, row)),
            fields: task.fields().iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        })
    }

    fn wakers(&self, task: &Task) -> Wakers {
        let stats = &task.stats;
        Wakers {
            present: stats.wakers(),
            cloned: stats.waker_clones,
            dropped: stats.waker_drops,
            wakes: stats.wakes,
            self_wakes: stats.self_wakes,
            last_wake: stats.last_wake.map(|at| self.now().since(at)),
        }
    }
}

fn title(task: &Task) -> String {
    let id = task.task_id().map_or_else(|| format!("span {}", task.id), |id| id.to_string());
    match task.name().map(|it| &**it) {
        Some(name) => format!("Task {id}: {name}"),
        None => format!("Task {id}, unnamed"),
    }
}

fn state(task: &Task) -> String {
    let state = task.state();
    let more = match state {
        TaskState::Done if task.cancelled => ": dropped before it finished",
        TaskState::Done if task.stats.dropped.is_none() => ": finished, but still listed by the target",
        _ if task.placeholder => " (the event that introduces it was lost: only its counters are known)",
        _ => "",
    };
    format!("{}{more}", state.as_str())
}
