//! Why a task makes no progress, step by step.

use crate::report::Link;
use crate::report::waits::{HolderRow, WaitView};
use crate::tui::widgets::page::Draft;

/// Writes what a task waits for, with links to everything in the chain.
pub(super) fn write(draft: &mut Draft<Link>, wait: &WaitView) {
    draft.heading("Waits for");
    if let Some(note) = wait.note {
        draft.text(note, draft.theme().dim());
    }
    for (index, step) in wait.steps.iter().enumerate() {
        draft.item(&format!("{}.", index + 1), &step.text, Some(Link::Resource(step.resource)));
        for holder in &step.holders {
            let circle = if holder.closes_cycle { ", which closes the cycle" } else { "" };
            draft.item("  ", &format!("held by {}{circle}", holder.text), Some(Link::Task(holder.task)));
        }
        if let Some(note) = &step.note {
            draft.item("  ", note, None);
        }
    }
    if let Some(timer) = &wait.timer {
        draft.item("-", timer, None);
    }
}

/// Writes who holds a resource.
pub(super) fn write_holders(draft: &mut Draft<Link>, holders: &[HolderRow]) {
    if holders.is_empty() {
        return;
    }
    draft.heading("Held by");
    for holder in holders {
        draft.item("-", &holder.text, Some(Link::Task(holder.task)));
    }
}
