//! Why a task makes no progress, step by step.

use crate::report::waits::{HolderRow, WaitView};
use crate::report::{Link, Linked};
use crate::tui::widgets::page::Draft;

/// Steps of a wait chain below this one are not moved further to the right.
const DEEPEST: usize = 6;

/// Writes what a task waits for, with links to everything in the chain.
pub(super) fn write(draft: &mut Draft<Link>, wait: &WaitView) {
    draft.heading("Waits for");
    if let Some(note) = wait.note {
        draft.text(note, draft.theme().dim());
    }
    for (index, step) in wait.steps.iter().enumerate() {
        // Each step is what the holder of the one before waits for.
        let margin = " ".repeat(2 * index.min(DEEPEST));
        draft.item(&format!("{margin}{}.", index + 1), &step.text, Some(Link::Resource(step.resource)));
        for holder in &step.holders {
            let circle = if holder.closes_cycle { ", which closes the cycle" } else { "" };
            draft.item(
                &format!("{margin}  "),
                &format!("held by {}{circle}", holder.text),
                Some(Link::Task(holder.task)),
            );
        }
        if let Some(note) = &step.note {
            draft.item(&format!("{margin}  "), note, None);
        }
    }
    write_links(draft, None, &wait.others);
    if let Some(timer) = &wait.timer {
        draft.item("-", timer, None);
    }
}

/// Writes a part of a page of links, unless there are none.
pub(super) fn write_links(draft: &mut Draft<Link>, heading: Option<&str>, links: &[Linked]) {
    if links.is_empty() {
        return;
    }
    heading.into_iter().for_each(|heading| draft.heading(heading));
    for linked in links {
        draft.item("-", &linked.text, Some(linked.link.clone()));
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
