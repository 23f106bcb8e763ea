//! The list of tasks.

use ratatui::style::Style;

use super::{Listing, about};
use crate::report::columns::Value;
use crate::report::order::{Rows, Wanted};
use crate::report::tasks::TaskColumn;
use crate::report::{Link, Snapshot, TaskKey, TaskState};
use crate::tui::theme::Theme;
use crate::tui::widgets::table::Column;

/// All tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct Tasks;

impl Listing for Tasks {
    type Key = TaskKey;
    type Column = TaskColumn;
    type Scope = ();

    const NOUN: &'static str = "task";
    const COLUMNS: &'static [Column<TaskColumn>] = &[
        Column::text(TaskColumn::State, 7, 1, 0),
        Column::number(TaskColumn::Id, 7, 5),
        Column::text(TaskColumn::Name, 10, 1, 0),
        Column::text(TaskColumn::Findings, 10, 1, 3).largest_first(),
        Column::text(TaskColumn::Kind, 8, 1, 8),
        Column::number(TaskColumn::Total, 7, 4),
        Column::number(TaskColumn::Busy, 7, 6),
        Column::number(TaskColumn::Scheduled, 7, 7),
        Column::number(TaskColumn::Idle, 7, 9),
        Column::number(TaskColumn::Polls, 7, 10),
        Column::number(TaskColumn::Size, 7, 11),
        Column::text(TaskColumn::Wait, 16, 3, 2).largest_first(),
        Column::text(TaskColumn::Location, 16, 3, 1),
        Column::text(TaskColumn::Fields, 12, 1, 12),
    ];
    const SORTED_BY: TaskColumn = TaskColumn::Total;

    fn rows(shown: &Snapshot<'_>, (): &(), wanted: &Wanted<'_, TaskColumn>) -> Rows<TaskKey> {
        shown.tasks(wanted)
    }

    fn value<'a>(shown: &'a Snapshot<'_>, key: &TaskKey, column: TaskColumn) -> Value<'a> {
        shown.task_value(*key, column)
    }

    fn in_fewer_words(shown: &Snapshot<'_>, key: &TaskKey, column: TaskColumn) -> Vec<String> {
        let wait = if column == TaskColumn::Wait { shown.wait(*key) } else { None };
        wait.map(|wait| wait.in_fewer_words()).unwrap_or_default()
    }

    fn is_over(shown: &Snapshot<'_>, key: &TaskKey) -> bool {
        shown.task_state(*key).is_none_or(|state| state == TaskState::Done)
    }

    fn link(key: &TaskKey) -> Option<Link> {
        Some(Link::Task(*key))
    }

    fn style(shown: &Snapshot<'_>, key: &TaskKey, column: TaskColumn, theme: &Theme) -> Style {
        match column {
            TaskColumn::State => shown.task_state(*key).map_or_else(Style::new, |state| theme.state(state)),
            TaskColumn::Findings => about(theme, shown, &Link::Task(*key)),
            _ => Style::new(),
        }
    }
}
