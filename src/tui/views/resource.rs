//! The page about a resource: what it says about itself, who holds it, who waits for it, and how it changes hands.

use std::time::Duration;

use ratatui::style::Style;

use super::{or_unknown, wait};
use crate::report::resource::{ResourceView, Turnover};
use crate::report::{Link, ResourceKey, Snapshot};
use crate::tui::widgets::page::Draft;
use crate::tui::widgets::sparkline::sparkline;
use crate::words;

pub(super) fn write(draft: &mut Draft<Link>, shown: &Snapshot<'_>, key: ResourceKey) {
    let theme = draft.theme();
    let Some(resource) = shown.resource(key) else {
        return draft.text("This resource was dropped and is not listed any more.", theme.dim());
    };
    draft.text(&resource.title, theme.strong());
    about(draft, &resource);
    wait::write_holders(draft, &resource.holders);
    draft.heading("Async ops");
    if resource.ops.is_empty() {
        draft.text("No task is waiting for it.", theme.dim());
    }
    for op in &resource.ops {
        draft.item("-", &op.text, op.task.map(Link::Task));
    }
    if resource.more_ops > 0 {
        draft.text(&format!("and {} more", words::number(resource.more_ops)), theme.dim());
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

fn about(draft: &mut Draft<Link>, resource: &ResourceView) {
    let row = &resource.row;
    draft.field("id", &format!("{} ({})", row.id, row.visibility));
    draft.field("type", &row.concrete_type);
    draft.field("created at", or_unknown(&resource.created_at));
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
