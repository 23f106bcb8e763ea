//! The help: every key there is, from the keymap itself.

use ratatui::style::Style;

use crate::tui::keymap::{Context, KEYMAP};
use crate::tui::theme::Theme;
use crate::tui::widgets::page::{Finished, Page};

pub(super) fn page(theme: Theme, width: u16) -> Finished<()> {
    let mut page = Page::new(theme, usize::from(width));
    // Each key is told of once, in the widest of its contexts.
    let mut told: Vec<&str> = Vec::new();
    for (heading, context) in [
        ("Keys", Context::Page),
        ("In a list", Context::List),
        ("While typing a filter", Context::Prompt),
        ("In this help", Context::Help),
    ] {
        page.heading(heading);
        for binding in KEYMAP.iter().filter(|it| it.contexts.contains(&context) && !told.contains(&it.help)) {
            page.field(binding.label, binding.help);
        }
        told.extend(KEYMAP.iter().filter(|it| it.contexts.contains(&context)).map(|it| it.help));
    }
    page.heading("Columns");
    for (name, meaning) in [
        ("busy", "time inside polls"),
        ("sched", "time between being woken and being polled"),
        ("idle", "time waiting to be woken"),
        ("waits for", "what the task waits for and for how long, as far as the feed tells"),
        ("fill", "what is in a queue, or how many permits are free"),
        ("longest", "how long the op has waited that has waited for longest"),
    ] {
        page.field(name, meaning);
    }
    page.heading("Findings");
    page.text(
        "`tokio-canary explain FINDING` tells what a finding means, what to do, and when it is wrong.",
        Style::new(),
    );
    page.finish()
}
