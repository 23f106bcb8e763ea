//! Tasks as rows of a list.

use std::time::Duration;

use super::columns::{Column, Kind, Spec, Value, column};
use super::link::Link;
use super::order::{Rows, Wanted, sorted};
use super::place::file_and_line;
use super::sites::site_name;
use super::snapshot::Snapshot;
use crate::detect::describe;
use crate::model::TaskKey;
use crate::model::entity::task::{Task, TaskState};
use crate::model::location::Location;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::words;

/// The states of a task, in the order in which they are counted.
const STATES: [TaskState; 4] = [TaskState::Running, TaskState::Scheduled, TaskState::Idle, TaskState::Done];

/// A column of a list of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskColumn {
    /// What it is doing.
    State,
    /// `task.id`.
    Id,
    /// Its name.
    Name,
    /// The name and the place of its spawn site.
    Site,
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
    /// How long it has waited.
    Waited,
    /// How many findings there are about it, and how bad they are.
    Findings,
    /// Which findings those are.
    Finding,
    /// The size of its future.
    Size,
    /// The dependency that spawned it.
    Crate,
    /// Its other fields.
    Fields,
    /// Where it was spawned.
    Location,
}

impl Column for TaskColumn {
    const SPECS: &'static [Spec<Self>] = &[
        column(Self::State, "state", "state", Kind::Text, "running, scheduled, idle or done"),
        column(Self::Id, "task.id", "id", Kind::Id, "number that the service itself can print"),
        column(
            Self::Name,
            "name",
            "name",
            Kind::Text,
            "name of the task, or its function, or what its library spawns there, or else the line of the spawn",
        ),
        column(Self::Kind, "kind", "kind", Kind::Text, "task, local, blocking or block_on"),
        column(Self::Location, "location", "location", Kind::Text, "place of the spawn"),
        column(Self::Site, "site", "site", Kind::Text, "name and place of the spawn site"),
        column(Self::Crate, "crate", "crate", Kind::Text, "dependency that spawned the task"),
        column(Self::Total, "total", "age", Kind::Time, "time since the spawn"),
        column(Self::Busy, "busy", "busy", Kind::Time, "time inside polls"),
        column(Self::Scheduled, "sched", "sched", Kind::Time, "time between being woken and being polled"),
        column(Self::Idle, "idle", "idle", Kind::Time, "time waiting to be woken"),
        column(Self::Polls, "polls", "polls", Kind::Count, "number of polls"),
        column(Self::Wait, "waits for", "waits", Kind::Text, "what the task waits for, if the feed shows it"),
        column(Self::Waited, "waited", "waited", Kind::Time, "age of the current wait"),
        column(
            Self::Findings,
            "findings",
            "findings",
            Kind::Text,
            "number of findings about the task, and the worst severity",
        ),
        column(Self::Finding, "finding", "finding", Kind::Text, "detectors with a finding about the task"),
        column(Self::Size, "size", "size", Kind::Bytes, "size of the future"),
        column(Self::Fields, "fields", "field", Kind::Text, "other fields of the task, as name=value"),
    ];
}

impl TaskColumn {
    /// The column whose values are in the same order, and need no text.
    fn sorted_by(self) -> Self {
        if self == Self::Wait { Self::Waited } else { self }
    }
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

    /// The same where there is less and less room: the age stays as it is, and a place keeps its line. Empty if it has no age.
    pub fn in_fewer_words(&self) -> Vec<String> {
        let Some(age) = self.age.map(words::duration) else { return Vec::new() };
        let (what, place) = (&self.what, &self.place);
        let location = Location::parse(place);
        let line = file_and_line(&location);
        let all = if self.others > 0 { format!("{age} +{}", self.others) } else { age.clone() };
        let forms = [
            format!("{what} {all} {line}"),
            format!("{all} {place}"),
            format!("{all} {line}"),
            format!("{what} {all}"),
            all,
            age,
        ];
        forms.map(|form| form.trim_end().to_owned()).into()
    }
}

impl Snapshot<'_> {
    /// The tasks that are wanted. The threads of the runtimes and console-subscriber's own tasks are hidden, unless there is a finding about them.
    pub fn tasks(&self, wanted: &Wanted<'_, TaskColumn>) -> Rows<TaskKey> {
        let (mut rows, mut hidden, mut states) = (Vec::new(), 0, [0; STATES.len()]);
        let by = wanted.order.by.sorted_by();
        for (key, task) in self.evidence.tasks() {
            if !wanted.query.is_empty() && !wanted.query.accepts(|column| self.value_of_task(key, task, column)) {
                continue;
            }
            if !wanted.all && self.is_hidden_task(key, task) {
                hidden += 1;
                continue;
            }
            states[task.state() as usize] += 1;
            rows.push((self.value_of_task(key, task, by), task.stats.created, key));
        }
        let tally = states.into_iter().zip(STATES).map(|(count, state)| (count, state.as_str()));
        let tally = tally.filter(|(count, _)| *count > 0).collect();
        Rows { keys: sorted(rows, wanted.order.descending), hidden, tally }
    }

    /// What a list shows of a task in a column; nothing if it was forgotten.
    pub fn task_value(&self, key: TaskKey, column: TaskColumn) -> Value<'_> {
        self.evidence.model().task(key).map_or(Value::Nothing, |task| self.value_of_task(key, task, column))
    }

    /// What a task is doing, unless it has ended and was forgotten.
    pub fn task_state(&self, key: TaskKey) -> Option<TaskState> {
        self.evidence.task(key).map(Task::state)
    }

    fn value_of_task<'a>(&'a self, key: TaskKey, task: &'a Task, column: TaskColumn) -> Value<'a> {
        let (now, link) = (self.now(), Link::Task(key));
        match column {
            TaskColumn::State => Value::Ranked(task.state() as u128, task.state().as_str().into()),
            TaskColumn::Id => Value::number(task.task_id()),
            TaskColumn::Name => match (self.task_name(task), self.evidence.model().site(task.site)) {
                ("", Some(site)) => Value::place(file_and_line(&site.id.location)),
                (name, _) => Value::text(name),
            },
            TaskColumn::Site => Value::Text(self.site_text(task.site).into()),
            TaskColumn::Kind => Value::Ranked(task.kind as u128, task.kind.as_str().into()),
            TaskColumn::Total => Value::time(Some(Times::of(task, now).total)),
            TaskColumn::Busy => Value::time(Some(Times::of(task, now).busy)),
            TaskColumn::Scheduled => Value::time(Some(Times::of(task, now).scheduled)),
            TaskColumn::Idle => Value::time(Some(Times::of(task, now).idle)),
            TaskColumn::Polls => Value::Number(task.stats.poll.polls.into()),
            TaskColumn::Wait => {
                let wait = self.wait(key);
                wait.map_or(Value::Nothing, |it| {
                    Value::Ranked(it.age.map_or(0, |age| age.as_nanos()), it.in_words().into())
                })
            }
            TaskColumn::Waited => {
                let longest = self.evidence.task_wait(key).longest();
                Value::time(longest.map(|wait| self.evidence.running_since(wait.since)))
            }
            TaskColumn::Findings => self.severity_about(&link),
            TaskColumn::Finding => self.detectors_about(&link),
            TaskColumn::Size => {
                Value::number(self.evidence.site(task.site).map(|it| it.id.sizes.0).filter(|it| *it > 0))
            }
            TaskColumn::Crate => self.crate_of_site(task.site),
            TaskColumn::Fields if task.fields().is_empty() => Value::Nothing,
            TaskColumn::Fields => {
                let fields = task.fields().iter().map(|(name, value)| format!("{name}={value}"));
                Value::Text(fields.collect::<Vec<_>>().join(" ").into())
            }
            TaskColumn::Location => Value::place(self.spawn_location(task)),
        }
    }

    /// Whether a list leaves a task out by default: it does no work for the service, and no finding is about it.
    fn is_hidden_task(&self, key: TaskKey, task: &Task) -> bool {
        self.evidence.is_scaffolding(task.site) && !self.is_touched(&Link::Task(key))
    }

    /// The name of a task, or the function that stands for it, or else what its library spawns there; empty if there is nothing of that.
    fn task_name<'b>(&'b self, task: &'b Task) -> &'b str {
        match task.name().or(task.function()) {
            Some(name) => name,
            None => self.evidence.site(task.site).map_or("", site_name),
        }
    }

    /// A task as a row, unless it has ended and was forgotten.
    pub fn task_row(&self, key: TaskKey) -> Option<TaskRow> {
        let task = self.evidence.task(key)?;
        Some(TaskRow {
            key,
            state: task.state(),
            id: task.task_id(),
            name: self.task_name(task).to_owned(),
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

    /// What a task waits for, if the feed shows it.
    pub fn wait(&self, key: TaskKey) -> Option<Wait> {
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
