//! The list of tasks.

use super::Listing;
use crate::report::order::{Filter, Order};
use crate::report::tasks::{TaskColumn, TaskRow};
use crate::report::{Snapshot, TaskKey, TaskState};
use crate::tui::theme::Theme;
use crate::tui::widgets::table::{Cell, Column, Width};
use crate::words;

/// All tasks.
#[derive(Debug)]
pub struct Tasks;

impl Listing for Tasks {
    type Key = TaskKey;
    type Row = TaskRow;
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
        Column::text(TaskColumn::Wait, "waits for", Width::Flexible { least: 16, share: 2 }, 2).largest_first(),
        Column::text(TaskColumn::Location, "location", Width::Flexible { least: 16, share: 3 }, 1).keeping_the_end(),
    ];
    const SORTED_BY: TaskColumn = TaskColumn::Total;

    fn order(shown: &Snapshot<'_>, order: Order<TaskColumn>, filter: Option<Filter<'_>>) -> Vec<TaskKey> {
        shown.tasks(order, filter)
    }

    fn row(shown: &Snapshot<'_>, key: &TaskKey) -> Option<TaskRow> {
        shown.task_row(*key)
    }

    fn cell(row: &TaskRow, column: TaskColumn, theme: &Theme) -> Cell {
        match column {
            TaskColumn::State => Cell::styled(state(row.state), theme.state(row.state)),
            TaskColumn::Id => row.id.map_or_else(|| "-".to_owned(), |id| id.to_string()).into(),
            TaskColumn::Name => row.name.clone().into(),
            TaskColumn::Kind => row.kind.to_owned().into(),
            TaskColumn::Total => words::duration(row.times.total).into(),
            TaskColumn::Busy => words::duration(row.times.busy).into(),
            TaskColumn::Scheduled => words::duration(row.times.scheduled).into(),
            TaskColumn::Idle => words::duration(row.times.idle).into(),
            TaskColumn::Polls => words::number(row.polls).into(),
            TaskColumn::Wait => row.wait.as_ref().map(|wait| wait.in_words()).unwrap_or_default().into(),
            TaskColumn::Location => row.location.clone().into(),
        }
    }

    fn is_over(row: &TaskRow) -> bool {
        row.state == TaskState::Done
    }
}

/// The state of a task in a word that fits its column.
fn state(state: TaskState) -> &'static str {
    match state {
        TaskState::Scheduled => "sched",
        TaskState::Running | TaskState::Idle | TaskState::Done => state.as_str(),
    }
}
