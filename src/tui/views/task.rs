//! The page about a task: what it is, where its time goes, and why it does not go on.

use ratatui::style::Style;

use super::wait;
use crate::diagnosis::Diagnosis;
use crate::evidence::Evidence;
use crate::model::TaskKey;
use crate::model::entity::details::Durations;
use crate::model::entity::task::{Task, TaskState};
use crate::tui::format::{count, grouped, whole};
use crate::tui::state::About;
use crate::tui::tables::tasks::{Times, location};
use crate::tui::widgets::page::Page;
use crate::tui::widgets::sparkline::sparkline;
use crate::words;

/// Columns of a distribution.
const BARS: usize = 40;

pub(super) fn write(page: &mut Page<About>, diagnosis: &Diagnosis, key: TaskKey) {
    let theme = page.theme();
    let model = &diagnosis.evidence();
    let Some(task) = model.task(key) else {
        return page.text("This task has ended, and was forgotten.", theme.dim());
    };
    page.text(&title(task), theme.strong());
    page.styled_field("state", &state(task), theme.state(task.state()));
    page.field("spawned at", or_unknown(location(model, task)));
    page.field("kind", task.kind.as_str());
    if let Some(function) = &task.function {
        page.field("function", function);
    }
    wait::write(page, diagnosis, key, task);
    times(page, diagnosis, task);
    wakers(page, diagnosis, task);
    distributions(page, model, key);
    siblings(page, diagnosis, task);
    if !task.fields.is_empty() {
        page.heading("Fields");
        for (name, value) in &task.fields {
            page.field(name, value);
        }
    }
}

fn title(task: &Task) -> String {
    let id = task.task_id.map_or_else(|| format!("span {}", task.id), |id| id.to_string());
    match task.name.as_deref() {
        Some(name) => format!("Task {id}: {name}"),
        None => format!("Task {id}, without a name"),
    }
}

fn state(task: &Task) -> String {
    let state = task.state();
    let more = match state {
        TaskState::Done if task.cancelled => ": it was dropped before it finished",
        TaskState::Done if task.stats.dropped.is_none() => ": finished, and still listed by the target",
        _ if task.placeholder => " (its introduction was lost, so only its counters are known)",
        _ => "",
    };
    format!("{}{more}", state.as_str())
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

fn times(page: &mut Page<About>, diagnosis: &Diagnosis, task: &Task) {
    let times = Times::of(task, diagnosis.now());
    let share = |part: std::time::Duration| {
        let share = part.as_secs_f64() / times.total.as_secs_f64().max(f64::MIN_POSITIVE);
        format!("{} ({})", words::duration(part), words::percent(share.min(1.0)))
    };
    page.heading("Time");
    page.field("total", &words::duration(times.total));
    page.field("busy", &format!("{}, in {}", share(times.busy), count(task.stats.poll.polls, "poll")));
    page.field("scheduled", &share(times.scheduled));
    page.field("idle", &share(times.idle));
    if let (TaskState::Running, Some(started)) = (task.state(), task.stats.poll.started) {
        page.field("present poll", &format!("for {}", words::duration(diagnosis.now().since(started))));
    }
}

fn wakers(page: &mut Page<About>, diagnosis: &Diagnosis, task: &Task) {
    let stats = &task.stats;
    page.heading("Wakers");
    let wakers = format!(
        "{} ({} cloned, {} dropped)",
        grouped(stats.wakers()),
        grouped(stats.waker_clones),
        grouped(stats.waker_drops)
    );
    page.field("wakers", &wakers);
    let last = stats
        .last_wake
        .map_or_else(String::new, |at| format!(", last {} ago", words::duration(diagnosis.now().since(at))));
    page.field("woken", &format!("{}{last}", count(stats.wakes, "time")));
    page.field("by itself", &count(stats.self_wakes, "time"));
}

/// Percentiles and shape of poll times, where the target has sent them.
fn distributions(page: &mut Page<About>, model: &Evidence<'_>, key: TaskKey) {
    let Some(details) = model.details(key) else { return };
    let all = [("Poll times", &details.polls), ("Scheduled times", &details.scheduled)];
    for (heading, durations) in all.into_iter().filter_map(|(heading, it)| Some((heading, it.as_ref()?))) {
        page.heading(heading);
        let shares: Vec<(&str, f64)> = vec![
            ("p10", 0.10),
            ("p25", 0.25),
            ("p50", 0.50),
            ("p75", 0.75),
            ("p90", 0.90),
            ("p95", 0.95),
            ("p99", 0.99),
        ];
        let mut names: Vec<&str> = shares.iter().map(|(name, _)| *name).collect();
        names.push("longest");
        let mut row: Vec<String> =
            shares.iter().map(|(_, share)| words::duration(durations.quantile(*share))).collect();
        row.push(words::duration(durations.longest()));
        page.grid(&names, &[row]);
        shape(page, durations);
    }
}

fn shape(page: &mut Page<About>, durations: &Durations) {
    let theme = page.theme();
    let bars = sparkline(&theme, &durations.columns(BARS));
    page.field("shape", &format!("|{bars}|"));
    let outliers = match durations.outliers {
        0 => String::new(),
        outliers => format!(", {} of them longer than the target measures", grouped(outliers)),
    };
    page.text(&format!("{} measured{outliers}", grouped(durations.count())), theme.dim());
}

fn siblings(page: &mut Page<About>, diagnosis: &Diagnosis, task: &Task) {
    let Some(site) = diagnosis.model().site(task.site) else { return };
    page.heading("Tasks of this spawn site");
    let median = words::duration(site.median_age(diagnosis.now()));
    page.text(
        &format!(
            "{} alive (median age {median}), {} seen, {} completed, {} cancelled.",
            grouped(whole(site.live.len())),
            grouped(site.born),
            grouped(site.completed()),
            grouped(site.cancelled)
        ),
        Style::new(),
    );
}
