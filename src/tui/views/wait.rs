//! Why a task does not go on, step by step.

use crate::detect::describe;
use crate::diagnosis::Diagnosis;
use crate::evidence::Evidence;
use crate::evidence::holders::{Confidence, Holder};
use crate::evidence::wait_chain::Step;
use crate::model::TaskKey;
use crate::model::entity::task::{Task, TaskState};
use crate::tui::state::About;
use crate::tui::widgets::page::Page;
use crate::words;

/// Most holders of one resource that are listed.
const MOST: usize = 4;

/// Writes the wait chain of a task, with links to everything in it.
pub(super) fn write(page: &mut Page<About>, diagnosis: &Diagnosis, key: TaskKey, task: &Task) {
    let theme = page.theme();
    let model = &diagnosis.evidence();
    page.heading("Waits for");
    if task.state() != TaskState::Idle {
        let why = match task.state() {
            TaskState::Running => "It is inside a poll: it does not wait.",
            TaskState::Scheduled => "It was woken, and waits for a worker thread to poll it.",
            _ => "It is over.",
        };
        return page.text(why, theme.dim());
    }
    let chain = model.wait_chain(key);
    for (index, step) in chain.iter().enumerate() {
        write_step(page, model, &chain, index, step);
    }
    let timer = model.timer(key);
    if let Some(timer) = timer {
        let due = model.due(timer).map(|due| due.since(diagnosis.now()));
        let rest = due
            .filter(|left| !left.is_zero())
            .map_or_else(String::new, |left| format!(", which ends in {} unless it is reset", words::duration(left)));
        page.item("-", &format!("a {} that it made in its last poll{rest}", timer.kind.as_str()), None);
    }
    if chain.is_empty() && timer.is_none() {
        page.text(
            "Nothing that the feed shows. Sockets, files, unbounded channels, notifications and join handles are not reported.",
            theme.dim(),
        );
    }
}

fn write_step(page: &mut Page<About>, model: &Evidence<'_>, chain: &[Step], index: usize, step: &Step) {
    let Some(op) = model.op(step.op) else { return };
    let age = words::duration(model.running_since(model.waiting_since(op)));
    let who = match model.task(step.task) {
        Some(task) if index > 0 => format!("{} ", describe::task(model, task)),
        _ => String::new(),
    };
    let what = describe::resource(model, step.resource);
    let sentence = format!("{who}waits {age} for {what} ({})", op.source);
    page.item(&format!("{}.", index + 1), &sentence, Some(About::Resource(step.resource)));
    if step.holders.tasks.is_empty() {
        page.item("  ", "who holds it cannot be told from the feed", None);
    }
    for holder in step.holders.tasks.iter().take(MOST) {
        let closes = chain[..=index].iter().any(|earlier| earlier.task == holder.task);
        let circle = if closes { ", which closes the circle" } else { "" };
        page.item("  ", &format!("held by {}{circle}", held(model, holder)), Some(About::Task(holder.task)));
    }
    let more = step.holders.tasks.len().saturating_sub(MOST);
    if more > 0 {
        page.item("  ", &format!("and {}", words::count(more, "other task")), None);
    }
}

/// A holder, for how long it has held, and how sure that is.
pub(super) fn held(model: &Evidence<'_>, holder: &Holder) -> String {
    let who =
        model.task(holder.task).map_or_else(|| "a task that is gone".to_owned(), |task| describe::task(model, task));
    let sure = match holder.confidence {
        Confidence::Likely => "likely",
        Confidence::Possible => "possibly",
    };
    format!("{who} for {} ({sure})", words::duration(model.running_since(holder.since)))
}
