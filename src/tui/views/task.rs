//! The page about a task: what it is, where its time goes, and why it makes no progress.

use super::{or_unknown, wait};
use crate::report::site::SiteRow;
use crate::report::task::{Distribution, TaskView};
use crate::report::{Link, Snapshot, TaskKey};
use crate::tui::widgets::page::Draft;
use crate::words;

pub(super) fn write(draft: &mut Draft<Link>, shown: &Snapshot<'_>, key: TaskKey) {
    let theme = draft.theme();
    let Some(task) = shown.task(key) else {
        return draft.text("This task has ended and is not listed any more.", theme.dim());
    };
    draft.text(&task.title, theme.strong());
    draft.styled_field("state", &task.state, theme.state(task.row.state));
    draft.field("spawned at", or_unknown(&task.row.location));
    draft.field("kind", task.row.kind);
    if let Some(target) = &task.target {
        draft.field("target", target);
    }
    if let Some(function) = &task.function {
        draft.field("function", function);
    }
    if let Some(thread) = &task.thread {
        draft.field("thread", thread);
    }
    if let Some(runtime) = task.runtime {
        draft.field("runtime", &words::number(runtime));
    }
    write_origin(draft, task.package.as_deref(), task.sizes);
    wait::write_links(draft, Some("Spawned by"), task.spawned_by.as_slice());
    wait::write_links(draft, Some("Findings"), &task.findings);
    wait::write(draft, &task.wait);
    wait::write_links(draft, Some("Who waits for it"), &task.blocks);
    times(draft, &task);
    wakers(draft, &task);
    let distributions = [("Poll times", &task.polls), ("Scheduling delays", &task.scheduled)];
    for (heading, it) in distributions.into_iter().filter_map(|(heading, it)| Some((heading, it.as_ref()?))) {
        distribution(draft, heading, it);
    }
    if let Some((site, row)) = &task.siblings {
        draft.heading("Tasks of this spawn site");
        draft.item("-", &population(row), Some(Link::Site(*site)));
    }
    if !task.fields.is_empty() {
        draft.heading("Fields");
        for (name, value) in &task.fields {
            draft.field(name, value);
        }
    }
}

fn times(draft: &mut Draft<Link>, task: &TaskView) {
    let times = &task.row.times;
    let share = |part| format!("{} ({})", words::duration(part), words::percent(times.share(part)));
    draft.heading("Time");
    draft.field("total", &words::duration(times.total));
    draft.field("busy", &format!("{} in {}", share(times.busy), words::count(task.row.polls, "poll")));
    draft.field("scheduled", &share(times.scheduled));
    draft.field("idle", &share(times.idle));
    if let Some(age) = task.current_poll {
        draft.field("current poll", &format!("running for {}", words::duration(age)));
    }
}

fn wakers(draft: &mut Draft<Link>, task: &TaskView) {
    let wakers = &task.wakers;
    draft.heading("Wakers");
    let [present, cloned, dropped] = [wakers.present, wakers.cloned, wakers.dropped].map(words::number);
    draft.field("wakers", &format!("{present} ({cloned} cloned, {dropped} dropped)"));
    let last = wakers.last_wake.map_or_else(String::new, |ago| format!(", last {} ago", words::duration(ago)));
    draft.field("wakes", &format!("{}{last}", words::number(wakers.wakes)));
    let share = wakers.self_wake_share().map_or_else(String::new, |share| format!(" ({})", words::percent(share)));
    draft.field("self-wakes", &format!("{}{share}", words::number(wakers.self_wakes)));
}

/// Percentiles and shape of a distribution that the target sent.
fn distribution(draft: &mut Draft<Link>, heading: &str, it: &Distribution) {
    let theme = draft.theme();
    draft.heading(heading);
    if it.count == 0 {
        // Some targets begin to measure when somebody asks.
        return draft.text("none measured yet", theme.dim());
    }
    let (mut names, mut values): (Vec<&str>, Vec<String>) =
        it.quantiles.iter().map(|(name, value)| (*name, words::duration(*value))).unzip();
    names.push("longest");
    values.push(words::duration(it.longest));
    draft.grid(&names, &[values]);
    let steps = it.steps.iter().map(|(bound, count)| (format!("up to {}", words::limit(*bound)), *count));
    draft.bars(&steps.collect::<Vec<_>>());
    let outliers = match it.outliers {
        0 => String::new(),
        outliers => format!(", {} of them longer than the target measures", words::number(outliers)),
    };
    draft.text(&format!("{} measured{outliers}", words::number(it.count)), theme.dim());
}

/// Which dependency spawns a task, and how large its future is.
pub(super) fn write_origin(draft: &mut Draft<Link>, package: Option<&str>, sizes: (Option<u64>, Option<u64>)) {
    if let Some(package) = package {
        draft.field("crate", package);
    }
    if let (Some(size), original) = sizes {
        let before = original.map_or_else(String::new, |it| format!(", {} before it was boxed", words::bytes(it)));
        draft.field("future", &format!("{}{before}", words::bytes(size)));
    }
}

/// How the tasks of a site do, in one line.
pub(super) fn population(site: &SiteRow) -> String {
    let alive = words::number(site.alive);
    let age = words::duration(site.median_age);
    let [seen, completed, cancelled] = [site.seen, site.completed, site.cancelled].map(words::number);
    format!("{alive} alive (median age {age}), {seen} seen, {completed} completed, {cancelled} cancelled")
}
