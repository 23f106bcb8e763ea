//! Tasks as rows of a list.

use std::time::Duration;

use super::order::{Filter, Order, SortKey, sorted};
use super::snapshot::Snapshot;
use crate::detect::describe;
use crate::model::TaskKey;
use crate::model::entity::task::{Task, TaskState};
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::words;

/// A column of a list of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskColumn {
    /// What it is doing.
    State,
    /// `task.id`.
    Id,
    /// Its name.
    Name,
    /// Its kind.
    Kind,
    /// Time since it was spawned.
    Total,
    /// Time inside polls.
    Busy,
    /// Time between being woken and being polled.
    Scheduled,
    /// Time waiting to be woken.
    Idle,
    /// How often it was polled.
    Polls,
    /// What it waits for.
    Wait,
    /// Where it was spawned.
    Location,
}

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// Which task.
    pub key: TaskKey,
    /// What it is doing.
    pub state: TaskState,
    /// `task.id`, which the target's own code can print.
    pub id: Option<u64>,
    /// Its name, or the function that stands for it; empty if it has neither.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Where its time went.
    pub times: Times,
    /// How often it was polled.
    pub polls: u64,
    /// What it waits for, if the feed shows it.
    pub wait: Option<Wait>,
    /// Where it was spawned; empty if that is not known.
    pub location: String,
}

/// Where the time of a task went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Since it was spawned.
    pub total: Duration,
    /// Inside polls, the current one included.
    pub busy: Duration,
    /// Between being woken and being polled, the current wait included.
    pub scheduled: Duration,
    /// The rest.
    pub idle: Duration,
}

/// What a task waits for, in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The kind of resource.
    pub what: String,
    /// How long it has waited; unknown for a timer.
    pub age: Option<Duration>,
    /// How many other ops it waits in at the same time.
    pub others: usize,
    /// The file and line of the resource, without folders; empty if it is not known.
    pub place: String,
}

impl Wait {
    /// All of it in one line: `Mutex 9.0 s bank.rs:13:9`.
    pub fn in_words(&self) -> String {
        let mut words = self.what.clone();
        if let Some(age) = self.age {
            words = format!("{words} {}", words::duration(age));
        }
        if self.others > 0 {
            words = format!("{words} +{}", self.others);
        }
        if self.place.is_empty() { words } else { format!("{words} {}", self.place) }
    }
}

impl Snapshot<'_> {
    /// The tasks that a filter accepts, in order.
    pub fn tasks(&self, order: Order<TaskColumn>, filter: Option<Filter<'_>>) -> Vec<TaskKey> {
        let tasks = self.evidence.tasks().filter(|(_, task)| filter.is_none_or(|accepts| self.has_text(task, accepts)));
        let rows = tasks.map(|(key, task)| (self.task_sort_key(key, task, order.by), task.stats.created, key));
        sorted(rows.collect(), order.descending)
    }

    /// A task as a row, unless it has ended and was forgotten.
    pub fn task_row(&self, key: TaskKey) -> Option<TaskRow> {
        let task = self.evidence.task(key)?;
        Some(TaskRow {
            key,
            state: task.state(),
            id: task.task_id(),
            name: task.name().or(task.function()).map(|it| it.to_string()).unwrap_or_default(),
            kind: task.kind.as_str(),
            times: Times::of(task, self.now()),
            polls: task.stats.poll.polls,
            wait: self.wait(key),
            location: self.spawn_location(task).to_owned(),
        })
    }

    /// Where a task was spawned; empty if that is not known.
    pub(super) fn spawn_location(&self, task: &Task) -> &str {
        self.evidence.model().site(task.site).map_or("", |site| site.id.location.as_str())
    }

    /// Whether a text of a task that is worth looking for is accepted.
    fn has_text(&self, task: &Task, accepts: Filter<'_>) -> bool {
        accepts(task.name().or(task.function()).map_or("", |it| it))
            || accepts(self.spawn_location(task))
            || accepts(task.state().as_str())
            || accepts(task.kind.as_str())
            || task.task_id().is_some_and(|id| accepts(&id.to_string()))
            || task.fields().iter().any(|(name, value)| accepts(name) || accepts(value))
    }

    fn wait(&self, key: TaskKey) -> Option<Wait> {
        let evidence = &self.evidence;
        let wait = evidence.task_wait(key);
        let timer = |what: &str| Wait { what: what.to_owned(), age: None, others: 0, place: String::new() };
        let Some(longest) = wait.longest() else {
            let interval = wait.ticking.then(|| timer(ResourceKind::Interval.as_str()));
            return evidence.timer(key).map(|it| timer(it.kind.as_str())).or(interval);
        };
        let place = describe::resource_location(evidence, longest.resource);
        Some(Wait {
            what: evidence.resource(longest.resource).map(describe::type_name).unwrap_or_default(),
            age: Some(evidence.running_since(longest.since)),
            others: wait.awaited.len().saturating_sub(1),
            place: place.rsplit('/').next().unwrap_or_default().to_owned(),
        })
    }

    fn task_sort_key(&self, key: TaskKey, task: &Task, column: TaskColumn) -> SortKey {
        let now = self.now();
        let time = |duration: Duration| SortKey::Number(duration.as_nanos());
        match column {
            TaskColumn::State => SortKey::Number(task.state() as u128),
            TaskColumn::Id => SortKey::number(task.task_id()),
            TaskColumn::Name => SortKey::Text(task.name().or(task.function()).cloned().unwrap_or_default()),
            TaskColumn::Kind => SortKey::Number(task.kind as u128),
            TaskColumn::Total => time(Times::of(task, now).total),
            TaskColumn::Busy => time(Times::of(task, now).busy),
            TaskColumn::Scheduled => time(Times::of(task, now).scheduled),
            TaskColumn::Idle => time(Times::of(task, now).idle),
            TaskColumn::Polls => SortKey::Number(task.stats.poll.polls.into()),
            TaskColumn::Wait => {
                let longest = self.evidence.task_wait(key).longest();
                longest.map_or(SortKey::Nothing, |wait| time(now.since(wait.since)))
            }
            TaskColumn::Location => SortKey::Text(self.spawn_location(task).into()),
        }
    }
}

impl Times {
    fn of(task: &Task, now: Timestamp) -> Self {
        let stats = &task.stats;
        let end = stats.dropped.unwrap_or(now);
        let total = end.since(stats.created);
        let (mut busy, mut scheduled) = (stats.poll.busy, stats.scheduled);
        match task.state() {
            TaskState::Running => busy += end.since(stats.poll.started.unwrap_or(end)),
            TaskState::Scheduled => scheduled += end.since(stats.last_wake.unwrap_or(stats.created)),
            TaskState::Idle | TaskState::Done => {}
        }
        Self { total, busy, scheduled, idle: total.saturating_sub(busy + scheduled) }
    }

    /// The share that a part of the time is of all of it.
    pub fn share(&self, part: Duration) -> f64 {
        (part.as_secs_f64() / self.total.as_secs_f64().max(f64::MIN_POSITIVE)).min(1.0)
    }
}
