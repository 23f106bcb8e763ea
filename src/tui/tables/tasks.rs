//! The list of tasks.

use std::time::Duration;

use ratatui::style::Style;

use super::{Filter, Listing, Look, Sort, SortKey, descending, sorted};
use crate::detect::describe;
use crate::diagnosis::Diagnosis;
use crate::evidence::Evidence;
use crate::model::entity::task::{Task, TaskState};
use crate::model::time::Timestamp;
use crate::model::{OpKey, TaskKey};
use crate::tui::format::{grouped, short};
use crate::tui::widgets::table::{Cell, Column, Width};

/// A column of the list of tasks.
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
    Waits,
    /// Where it was spawned.
    Location,
}

/// All tasks.
#[derive(Debug)]
pub struct Tasks;

impl Listing for Tasks {
    type Key = TaskKey;
    type Column = TaskColumn;

    const COLUMNS: &'static [Column<TaskColumn>] = &[
        Column::text(TaskColumn::State, "state", Width::Fixed(7), 0),
        Column::number(TaskColumn::Id, "task.id", 8, 5),
        Column::text(TaskColumn::Name, "name", Width::Flexible { least: 10, share: 2 }, 0),
        Column::text(TaskColumn::Kind, "kind", Width::Fixed(8), 7),
        Column::number(TaskColumn::Total, "total", 7, 3),
        Column::number(TaskColumn::Busy, "busy", 7, 4),
        Column::number(TaskColumn::Scheduled, "sched", 7, 6),
        Column::number(TaskColumn::Idle, "idle", 7, 8),
        Column::number(TaskColumn::Polls, "polls", 8, 9),
        Column::text(TaskColumn::Waits, "waits for", Width::Flexible { least: 16, share: 2 }, 2).largest_first(),
        Column::text(TaskColumn::Location, "location", Width::Flexible { least: 16, share: 3 }, 1).keeping_the_end(),
    ];
    const SORTED_BY: TaskColumn = TaskColumn::Total;

    fn order(diagnosis: &Diagnosis, sort: Sort<TaskColumn>, filter: &Filter) -> Vec<TaskKey> {
        let (model, now) = (&diagnosis.evidence(), diagnosis.now());
        let rows = model
            .tasks()
            .filter(|(_, task)| filter.is_empty() || matches(model, task, filter))
            .map(|(key, task)| (sort_key(model, now, key, task, sort.by), task.stats.created, key));
        sorted(rows.collect(), descending::<Self>(sort))
    }

    fn cell(look: &Look<'_>, key: &TaskKey, column: TaskColumn) -> Cell {
        let model = &look.diagnosis.evidence();
        let Some(task) = model.task(*key) else { return Cell::default() };
        let times = Times::of(task, look.diagnosis.now());
        match column {
            TaskColumn::State => Cell::styled(state(task), look.theme.state(task.state())),
            TaskColumn::Id => task.task_id.map_or_else(|| "-".to_owned(), |id| id.to_string()).into(),
            TaskColumn::Name => name(task).to_owned().into(),
            TaskColumn::Kind => task.kind.as_str().to_owned().into(),
            TaskColumn::Total => short(times.total).into(),
            TaskColumn::Busy => short(times.busy).into(),
            TaskColumn::Scheduled => short(times.scheduled).into(),
            TaskColumn::Idle => short(times.idle).into(),
            TaskColumn::Polls => grouped(task.stats.poll.polls).into(),
            TaskColumn::Waits => waits_for(model, *key).into(),
            TaskColumn::Location => location(model, task).to_owned().into(),
        }
    }

    fn style(look: &Look<'_>, key: &TaskKey) -> Style {
        let done = look.diagnosis.model().task(*key).is_none_or(|task| !task.is_alive());
        if done { look.theme.dim() } else { Style::new() }
    }
}

/// Where the time of a task went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Since it was spawned.
    pub total: Duration,
    /// Inside polls, the present one included.
    pub busy: Duration,
    /// Between being woken and being polled, the present wait included.
    pub scheduled: Duration,
    /// The rest.
    pub idle: Duration,
}

impl Times {
    /// The times of a task as of `now`.
    pub fn of(task: &Task, now: Timestamp) -> Self {
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
}

/// The state of a task in a word that fits its column.
pub fn state(task: &Task) -> &'static str {
    match task.state() {
        TaskState::Scheduled => "sched",
        state => state.as_str(),
    }
}

/// The name of a task, or what stands for it.
pub fn name(task: &Task) -> &str {
    task.name.as_deref().or(task.function.as_deref()).unwrap_or_default()
}

/// Where a task was spawned.
pub fn location<'a>(model: &'a Evidence<'_>, task: &Task) -> &'a str {
    model.site(task.site).map_or("", |site| site.id.location.as_str())
}

/// The op in which a task has waited for longest, and since when.
fn longest_wait(model: &Evidence<'_>, key: TaskKey) -> Option<(Timestamp, OpKey)> {
    model.task_wait(key).longest().map(|it| (it.since, it.op))
}

fn waits_for(model: &Evidence<'_>, key: TaskKey) -> String {
    let Some((since, op)) = longest_wait(model, key) else {
        return model.timer(key).map(|timer| timer.kind.as_str().to_owned()).unwrap_or_default();
    };
    let age = short(model.running_since(since));
    let more = model.task_wait(key).awaited.len().saturating_sub(1);
    let more = if more > 0 { format!(" +{more}") } else { String::new() };
    let lock = model.lock_of(op).and_then(|lock| Some((lock, model.resource(lock)?)));
    let Some((lock, resource)) = lock else {
        return model.op(op).map(|op| format!("{} {age}{more}", op.source)).unwrap_or_default();
    };
    let place = describe::resource_location(model, lock);
    let file = place.rsplit('/').next().unwrap_or_default();
    format!("{} {age}{more} {file}", describe::type_name(resource))
}

fn matches(model: &Evidence<'_>, task: &Task, filter: &Filter) -> bool {
    let id = || task.task_id.is_some_and(|id| filter.finds(&id.to_string()));
    let fields = || task.fields.iter().any(|(name, value)| filter.finds(name) || filter.finds(value));
    filter.finds(name(task))
        || filter.finds(location(model, task))
        || filter.finds(state(task))
        || filter.finds(task.kind.as_str())
        || id()
        || fields()
}

fn sort_key(model: &Evidence<'_>, now: Timestamp, key: TaskKey, task: &Task, column: TaskColumn) -> SortKey {
    let time = |duration: Duration| SortKey::Number(duration.as_nanos());
    match column {
        TaskColumn::State => SortKey::Number(task.state() as u128),
        TaskColumn::Id => task.task_id.map_or(SortKey::Nothing, |id| SortKey::Number(id.into())),
        TaskColumn::Name => SortKey::Text(task.name.clone().or(task.function.clone()).unwrap_or_default()),
        TaskColumn::Kind => SortKey::Number(task.kind as u128),
        TaskColumn::Total => time(Times::of(task, now).total),
        TaskColumn::Busy => time(Times::of(task, now).busy),
        TaskColumn::Scheduled => time(Times::of(task, now).scheduled),
        TaskColumn::Idle => time(Times::of(task, now).idle),
        TaskColumn::Polls => SortKey::Number(task.stats.poll.polls.into()),
        TaskColumn::Waits => longest_wait(model, key).map_or(SortKey::Nothing, |(since, _)| time(now.since(since))),
        TaskColumn::Location => SortKey::Text(location(model, task).into()),
    }
}
