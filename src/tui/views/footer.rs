//! The line at the bottom: which keys are of use here, the filter that is being typed, or what was said last.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use crate::tui::keymap::{Action, Binding, KEYMAP};
use crate::tui::state::{Context, UiState};
use crate::tui::widgets::text::{Cut, cut};

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &UiState) {
    let line = match (&state.message, state.context()) {
        (_, Context::Prompt) => prompt(state, area.width),
        (Some(message), _) => said(message, state, area.width),
        (None, _) => hints(state, area.width),
    };
    frame.render_widget(Paragraph::new(line), area);
}

/// What was said last.
fn said(message: &str, state: &UiState, width: u16) -> Line<'static> {
    let theme = &state.theme;
    let text = cut(&theme.text(message), usize::from(width), Cut::End, theme.ellipsis());
    Line::from(Span::styled(text, theme.strong()))
}

/// The hints of this context, in the order of the keymap. Where there is no room for all, how to get help and how to leave come first.
fn hints(state: &UiState, width: u16) -> Line<'static> {
    let context = state.context();
    let hinted: Vec<(&Binding, &str)> = KEYMAP
        .iter()
        .filter(|binding| binding.contexts.contains(&context))
        .filter_map(|binding| Some((binding, binding.hint?)))
        .collect();
    let is_first = |binding: &Binding| matches!(binding.action, Action::Help | Action::Quit);
    let key = |binding: &Binding| binding.label.split(' ').next().unwrap_or_default();
    let mut by_need: Vec<usize> = (0..hinted.len()).collect();
    by_need.sort_by_key(|index| !is_first(hinted[*index].0));
    let mut room = usize::from(width) + 2;
    by_need.retain(|index| {
        let (binding, hint) = hinted[*index];
        let needed = key(binding).len() + hint.len() + 3;
        let fits = needed <= room;
        room -= if fits { needed } else { 0 };
        fits
    });
    let shown = hinted.iter().enumerate().filter(|(index, _)| by_need.contains(index));
    let spans = shown.flat_map(|(_, (binding, hint))| {
        [
            Span::styled(key(binding).to_owned(), state.theme.key()),
            Span::styled(format!(" {hint}  "), state.theme.dim()),
        ]
    });
    Line::from(spans.collect::<Vec<_>>())
}

fn prompt(state: &UiState, width: u16) -> Line<'static> {
    let theme = &state.theme;
    let typed = state.pane().map_or("", |pane| &pane.filter().text);
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
