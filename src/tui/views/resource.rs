//! The page about a resource: what it says about itself, who holds it, who waits for it, and how it changes hands.

use std::time::Duration;

use ratatui::style::Style;

use super::wait;
use crate::detect::describe;
use crate::diagnosis::Diagnosis;
use crate::evidence::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::{OpKey, ResourceKey};
use crate::tui::format::{count, grouped, short, whole};
use crate::tui::state::About;
use crate::tui::tables::resources::{age, fill};
use crate::tui::widgets::page::Page;
use crate::tui::widgets::sparkline::sparkline;
use crate::words;

/// Most ops, holders or parts that are listed.
const MOST: usize = 50;
/// Over how long waits are summed up.
const WINDOW: Duration = Duration::from_secs(30);

pub(super) fn write(page: &mut Page<About>, diagnosis: &Diagnosis, key: ResourceKey) {
    let theme = page.theme();
    let model = &diagnosis.evidence();
    let Some(resource) = model.resource(key) else {
        return page.text("This resource was dropped, and was forgotten.", theme.dim());
    };
    page.text(&describe::resource(model, key), theme.strong());
    about(page, diagnosis, resource);
    holders(page, model, key);
    ops(page, model, key);
    turnover(page, model, resource);
}

fn about(page: &mut Page<About>, diagnosis: &Diagnosis, resource: &Resource) {
    let model = &diagnosis.evidence();
    let visibility = if resource.internal { "internal" } else { "public" };
    page.field("id", &format!("{} ({visibility})", resource.id));
    page.field("type", &resource.concrete_type);
    page.field("made at", if resource.location.is_unknown() { "unknown" } else { resource.location.as_str() });
    let ended = if resource.dropped.is_some() { ", then dropped" } else { "" };
    page.field("existed for", &format!("{}{ended}", words::duration(age(resource, diagnosis.now()))));
    let fill = fill(resource);
    if !fill.is_empty() {
        page.field("fill", &fill);
    }
    let depths: Vec<u64> = resource.depths.iter().map(|depth| depth.depth).collect();
    if depths.len() > 1 {
        let theme = page.theme();
        let last = depths.len().saturating_sub(60);
        page.field("depth", &format!("|{}|", sparkline(&theme, &depths[last..])));
    }
    if let Some(parent) = resource.parent {
        page.item("-", &format!("part of {}", describe::resource(model, parent)), Some(About::Resource(parent)));
    }
    if !resource.attributes.is_empty() {
        page.heading("Attributes");
        for attribute in &resource.attributes {
            let unit = attribute.unit.as_deref().unwrap_or_default();
            page.field(&attribute.name, &format!("{}{unit}", attribute.value));
        }
    }
}

fn holders(page: &mut Page<About>, model: &Evidence<'_>, key: ResourceKey) {
    let holders = model.holders(key);
    if holders.tasks.is_empty() {
        return;
    }
    page.heading("Held by");
    for holder in holders.tasks.iter().take(MOST) {
        page.item("-", &wait::held(model, holder), Some(About::Task(holder.task)));
    }
}

/// Everybody who wants something of it, those that wait first, the longest first.
fn ops(page: &mut Page<About>, model: &Evidence<'_>, key: ResourceKey) {
    let Some(resource) = model.resource(key) else { return };
    let mut ops: Vec<(bool, Duration, OpKey)> = resource
        .ops
        .iter()
        .filter_map(|key| Some((*key, model.op(*key)?)))
        .map(|(key, op)| (!model.is_waiting(key), model.running_since(model.waiting_since(op)), key))
        .collect();
    ops.sort_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(&one.1)));
    page.heading("Async ops");
    if ops.is_empty() {
        return page.text("Nobody waits for it at present.", page.theme().dim());
    }
    for (done, age, key) in ops.iter().take(MOST) {
        let Some(op) = model.op(*key) else { continue };
        let who = op.task.and_then(|task| model.task(task));
        let who = who.map_or_else(|| "an unknown task".to_owned(), |task| describe::task(model, task));
        let permits = match (op.stats.obtained, op.stats.requested) {
            (Some(obtained), Some(requested)) => format!(", {obtained} of {requested} permits"),
            _ => String::new(),
        };
        let polls = count(op.stats.poll.polls, "poll");
        let doing = if *done { "has got it" } else { "waits" };
        let sentence = format!("{who} {doing}, {} since it asked: {}, {polls}{permits}", short(*age), op.source);
        page.item("-", &sentence, op.task.map(About::Task));
    }
    let more = ops.len().saturating_sub(MOST);
    if more > 0 {
        page.text(&format!("and {} more", grouped(whole(more))), page.theme().dim());
    }
}

fn turnover(page: &mut Page<About>, model: &Evidence<'_>, resource: &Resource) {
    if resource.grants.total() == 0 {
        return;
    }
    page.heading("Turnover");
    let last = resource.grants.last().map_or_else(String::new, |grant| {
        format!(", the last one {} ago", words::duration(model.running_since(grant.at)))
    });
    page.text(&format!("It changed hands {}{last}.", count(resource.grants.total(), "time")), Style::new());
    let from = model.now().minus(WINDOW);
    let mut rows = Vec::new();
    for kind in resource.waits.kinds() {
        let window = resource.waits.window(kind, from);
        let at = |share| window.quantile(share).map_or_else(|| "-".to_owned(), words::duration);
        rows.push(vec![
            kind.as_str().to_owned(),
            grouped(window.granted),
            grouped(window.cancelled),
            at(0.5),
            at(0.9),
            at(1.0),
        ]);
    }
    if !rows.is_empty() {
        page.grid(&["in the last 30 s", "got in", "gave up", "median wait", "p90", "longest"], &rows);
    }
}
