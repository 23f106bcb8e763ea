//! The help: every key there is, from the keymap itself.

use ratatui::style::Style;

use crate::report::terms;
use crate::tui::keymap::KEYMAP;
use crate::tui::state::Context;
use crate::tui::theme::Theme;
use crate::tui::widgets::page::{Draft, Page};

pub(super) fn page(theme: Theme, width: u16) -> Page<()> {
    let mut draft = Draft::new(theme, usize::from(width));
    // Each key is listed once, in the widest of its contexts.
    let mut listed: Vec<&str> = Vec::new();
    for (heading, context) in [
        ("Keys", Context::Page),
        ("In a list", Context::List),
        ("While typing a filter", Context::Prompt),
        ("In this help", Context::Help),
    ] {
        draft.heading(heading);
        for binding in KEYMAP.iter().filter(|it| it.contexts.contains(&context) && !listed.contains(&it.help)) {
            draft.field(binding.label, binding.help);
        }
        listed.extend(KEYMAP.iter().filter(|it| it.contexts.contains(&context)).map(|it| it.help));
    }
    draft.heading("Filters");
    draft.text(
        "A row has to match every word, in any column, and every term. `-` or `!` before a term inverts it, and quotes keep spaces together.",
        Style::new(),
    );
    for terms in terms::all() {
        draft.heading(&format!("Columns of {}, and their terms in a filter", terms.list));
        for row in terms.rows {
            draft.field(&row.example, row.help);
        }
    }
    draft.heading("Findings");
    draft.text(
        "`tokio-canary explain FINDING` explains what a finding means, what to do about it, and when it is wrong.",
        Style::new(),
    );
    draft.finish()
}
