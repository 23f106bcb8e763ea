//! The page about a resource: what it says about itself, who holds it, who waits for it, and how it changes hands.

use std::time::Duration;

use ratatui::style::Style;

use super::{list, or_unknown, wait};
use crate::report::resource::{ResourceView, Turnover};
use crate::report::{Link, OpKey, ResourceKey, Snapshot};
use crate::tui::state::VisitedList;
use crate::tui::tables::ops::Ops;
use crate::tui::tables::{Listing, Table};
use crate::tui::widgets::page::Draft;
use crate::tui::widgets::sparkline::sparkline;
use crate::tui::widgets::table::{Content, join, lay_out};
use crate::words;

/// Most ops of the table on the page.
const MOST: usize = 50;

pub(super) fn write(draft: &mut Draft<Link>, shown: &Snapshot<'_>, key: ResourceKey, list: &mut Option<VisitedList>) {
    let theme = draft.theme();
    let Some(resource) = shown.resource(key) else {
        return draft.text("This resource was dropped and is not listed any more.", theme.dim());
    };
    draft.text(&resource.title, theme.strong());
    about(draft, &resource);
    wait::write_links(draft, Some("Findings"), &resource.findings);
    wait::write_holders(draft, &resource.holders);
    wait::write_links(draft, Some("Waits for, through its holders"), &resource.waits);
    wait::write_links(draft, Some("Who waits for it"), &resource.waiters);
    if let Some(VisitedList::Ops(ops)) = list {
        write_ops(draft, shown, ops);
    }
    if let Some(turnover) = &resource.turnover {
        write_turnover(draft, turnover);
    }
    if let Some(sizing) = &resource.sizing {
        draft.heading("Sizing");
        draft.text(&format!("It {}.", sizing.need()), Style::new());
        draft.text(&sizing.because(), Style::new());
    }
}

/// The async ops as a table that sorts and filters; each leads to its task.
fn write_ops(draft: &mut Draft<Link>, shown: &Snapshot<'_>, table: &mut Table<Ops>) {
    let theme = draft.theme();
    table.list.resize(MOST);
    draft.heading(&format!("Async ops: {}", list::summary(table)));
    if let Some(filter) = list::matching(table) {
        draft.text(&filter, theme.bad());
    }
    if table.list.is_empty() {
        return draft.text("No task is waiting for it.", theme.dim());
    }
    let keys: Vec<OpKey> = table.list.visible().map(|(key, _)| *key).collect();
    let rows = vec![Style::new(); keys.len()];
    let content = Content { columns: Ops::COLUMNS, sorted: (table.sort.by, table.descending()), rows: &rows };
    let cell = |row: usize, column| list::cell::<Ops>(shown, &keys[row], column, &theme);
    let (drawn, widths, lines) = lay_out(&theme, draft.width(), &content, &mut table.naturals, cell);
    table.drawn = drawn;
    let links = std::iter::once(None).chain(keys.iter().map(|key| shown.task_of_op(*key).map(Link::Task)));
    for (cells, link) in lines.into_iter().zip(links) {
        draft.line(join(cells, &widths), link);
    }
    let more = table.list.len().saturating_sub(MOST);
    if more > 0 {
        draft.text(&format!("and {} more: sort with h, l and i, or filter with /", words::number(more)), theme.dim());
    }
}

fn about(draft: &mut Draft<Link>, resource: &ResourceView) {
    let row = &resource.row;
    draft.field("id", &format!("{} ({}; {} in the feed)", row.number, row.visibility, row.id));
    draft.field("type", &row.concrete_type);
    draft.field("created at", or_unknown(&resource.created_at));
    if let Some(target) = &resource.target {
        draft.field("target", target);
    }
    let age = words::duration(row.age);
    draft.field("age", &if row.is_alive { age } else { format!("dropped after {age}") });
    if !row.fill.is_empty() {
        draft.field("fill", &row.fill);
    }
    if resource.depths.len() > 1 {
        let bars = sparkline(&draft.theme(), &resource.depths);
        draft.field("depth", &format!("|{bars}|"));
    }
    if let Some((parent, title)) = &resource.parent {
        draft.item("-", &format!("part of {title}"), Some(Link::Resource(*parent)));
    }
    if !resource.attributes.is_empty() {
        draft.heading("Attributes");
        for (name, value) in &resource.attributes {
            draft.field(name, value);
        }
    }
}

fn write_turnover(draft: &mut Draft<Link>, turnover: &Turnover) {
    draft.heading("Turnover");
    let last = turnover.last.map_or_else(String::new, |ago| format!(", last {} ago", words::duration(ago)));
    draft.text(&format!("Acquired {}{last}.", words::count(turnover.grants, "time")), Style::new());
    if turnover.waits.is_empty() {
        return;
    }
    let time = |wait: Option<Duration>| wait.map_or_else(|| "-".to_owned(), words::duration);
    let rows = turnover.waits.iter().map(|row| {
        let [acquired, gave_up] = [row.acquired, row.gave_up].map(words::number);
        vec![row.kind.to_owned(), acquired, gave_up, time(row.median), time(row.p90), time(row.longest)]
    });
    let window = format!("in the last {}", words::limit(turnover.window));
    draft.grid(&[&window, "acquired", "gave up", "median wait", "p90", "longest"], &rows.collect::<Vec<_>>());
}
