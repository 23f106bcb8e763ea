//! The page about a spawn site: how its tasks do, and the oldest of them.

use super::task::{population, write_origin};
use super::{or_unknown, wait};
use crate::report::blame::{BlameRow, task_seconds};
use crate::report::tasks::TaskRow;
use crate::report::{Link, SiteKey, Snapshot};
use crate::tui::widgets::page::Draft;
use crate::tui::widgets::rows::Column;
use crate::tui::widgets::table::Cell;
use crate::tui::widgets::text::Cut;
use crate::words;

/// Most things that tasks spend their time on and are listed.
const MOST_CAUSES: usize = 8;

pub(super) fn write(draft: &mut Draft<Link>, shown: &Snapshot<'_>, key: SiteKey) {
    let theme = draft.theme();
    let Some(site) = shown.site(key) else {
        return draft.text("No task of this spawn site is kept any more.", theme.dim());
    };
    draft.text(&site.title, theme.strong());
    draft.field("spawned at", or_unknown(&site.row.location));
    draft.field("kind", site.row.kind);
    draft.field("tasks", &population(&site.row));
    if !site.lifetimes.is_empty() {
        let lifetimes = site.lifetimes.iter().map(|(name, time)| format!("{name} {}", words::duration(*time)));
        draft.field("lifetimes", &lifetimes.collect::<Vec<_>>().join(", "));
    }
    if let Some((time, value)) = site.polls {
        draft.field("polls", &format!("{value} {}", words::duration(time)));
    }
    if let Some(delays) = site.delays {
        let [median, p90, p99] = [delays.median, delays.p90, delays.p99].map(words::duration);
        draft.field("scheduling", &format!("p50 {median}, p90 {p90}, p99 {p99}"));
    }
    let spawned = words::decimal(site.rate);
    draft.field("in the last 30 s", &format!("{spawned} spawned/s, {} of a core in polls", words::percent(site.busy)));
    write_origin(draft, site.package.as_deref(), site.sizes);
    wait::write_links(draft, Some("Findings"), &site.findings);
    wait::write_links(draft, Some("Waits for"), &site.waits);
    wait::write_links(draft, Some("Who waits for it"), &site.blocks);
    if let Some(blame) = &site.blame {
        write_blame(draft, blame);
    }
    draft.heading("Tasks");
    draft.item("-", "all of them in a list", Some(Link::TasksOf(key)));
    if site.tasks.is_empty() {
        draft.text("None is alive.", theme.dim());
    }
    for row in &site.tasks {
        draft.item("-", &line(row), Some(Link::Task(row.key)));
    }
    if site.more > 0 {
        draft.text(&format!("and {}", words::count(site.more, "other task")), theme.dim());
    }
}

/// What the tasks spent their time on lately, and what that costs others.
fn write_blame(draft: &mut Draft<Link>, blame: &BlameRow) {
    draft.heading(&format!("Where their time goes: {}", task_seconds(blame.lived)));
    let rows = blame.causes.iter().take(MOST_CAUSES).map(|cause| {
        let cells = vec![
            Cell::from(words::percent(cause.share)),
            Cell::from(words::rate(cause.rate)),
            Cell::from(cause.text.clone()),
        ];
        (cells, cause.awaited.as_ref().map(|awaited| Link::Resource(awaited.key)))
    });
    let columns = [Column::number("share"), Column::number("per s"), Column::flexible("spent on", Cut::End)];
    draft.rows(&columns, &rows.collect::<Vec<_>>());
    if let Some(costs) = &blame.costs {
        draft.text(&words::sentences(&format!("{costs}.")), draft.theme().strong());
    }
    for victim in &blame.victims {
        let text = format!("{}: {}", victim.party.label(), task_seconds(victim.rate));
        draft.item("-", &text, Some(Link::Site(victim.party.key)));
    }
}

fn line(row: &TaskRow) -> String {
    let id = row.id.map_or_else(|| "task".to_owned(), |id| format!("task {id}"));
    let wait = row.wait.as_ref().map(|wait| format!(", waits for {}", wait.in_words())).unwrap_or_default();
    let (state, age) = (row.state.as_str(), words::duration(row.times.total));
    format!("{} {state}, {age} old{wait}", format!("{id} {}", row.name).trim_end())
}
