//! The line at the bottom: which keys are of use here, or the filter that is being typed.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::tui::keymap::{Context, KEYMAP};
use crate::tui::state::{Root, UiState};
use crate::tui::widgets::text::{Cut, cut};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &UiState) {
    let line = if state.context() == Context::Prompt { prompt(state, area.width) } else { hints(state, area.width) };
    frame.render_widget(Paragraph::new(line), area);
}

fn hints(state: &UiState, width: u16) -> Line<'static> {
    let context = state.context();
    let mut line = Line::default();
    for binding in KEYMAP.iter().filter(|binding| binding.contexts.contains(&context)) {
        let Some(hint) = binding.hint else { continue };
        let key = binding.label.split(' ').next().unwrap_or_default();
        let hint = format!(" {hint}  ");
        if line.width() + key.len() + hint.trim_end().len() > usize::from(width) {
            continue;
        }
        line.push_span(Span::styled(key.to_owned(), state.theme.key()));
        line.push_span(Span::styled(hint, state.theme.dim()));
    }
    line
}

fn prompt(state: &UiState, width: u16) -> Line<'static> {
    let theme = &state.theme;
    let typed = state.pane().map_or("", |pane| match pane.root {
        Root::Findings => &pane.findings.filter.text,
        Root::Tasks => &pane.tasks.filter.text,
        Root::Resources => &pane.resources.filter.text,
    });
    let typed = cut(&theme.text(typed), usize::from(width).saturating_sub(3), Cut::Start, theme.ellipsis());
    let mut line =
        Line::from(vec![Span::styled("/", theme.key()), Span::raw(typed), Span::styled(" ", theme.selected())]);
    for binding in KEYMAP.iter().filter(|binding| binding.contexts.contains(&Context::Prompt)) {
        let Some(hint) = binding.hint else { continue };
        let text = format!("  {} {hint}", binding.label);
        if line.width() + text.len() <= usize::from(width) {
            line.push_span(Span::styled(text, theme.dim()));
        }
    }
    line
}
