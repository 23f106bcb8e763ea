//! The line at the bottom: which keys are of use here, the filter that is being typed, or what was said last.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use crate::tui::keymap::{Action, Binding, KEYMAP};
use crate::tui::state::{Context, Pane, UiState};
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
        .filter(|binding| binding.action != Action::Comparison || state.comparison.is_some())
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

/// The filter that is being typed, with the cursor in it, and what is wrong with it or else the keys.
fn prompt(state: &UiState, width: u16) -> Line<'static> {
    let (theme, width) = (&state.theme, usize::from(width));
    let Some(table) = state.pane().and_then(Pane::table) else { return Line::default() };
    let (before, after) = table.line().halves();
    let mistake = table.mistake().map(|it| theme.text(&it.to_string()));
    let room = if mistake.is_some() { width / 2 } else { width.saturating_sub(3) };
    let mut after = theme.text(after);
    let at_cursor = if after.is_empty() { " ".to_owned() } else { after.remove(0).to_string() };
    let before = cut(&theme.text(before), room, Cut::Start, theme.ellipsis());
    let after = cut(&after, room.saturating_sub(before.width()), Cut::End, theme.ellipsis());
    let mut line = Line::from(vec![
        Span::styled("/", theme.key()),
        Span::raw(before),
        Span::styled(at_cursor, theme.selected()),
        Span::raw(after),
    ]);
    if let Some(mistake) = mistake {
        let text = cut(&mistake, width.saturating_sub(line.width() + 2), Cut::End, theme.ellipsis());
        line.push_span(Span::styled(format!("  {text}"), theme.bad()));
        return line;
    }
    for binding in KEYMAP.iter().filter(|binding| binding.contexts.contains(&Context::Prompt)) {
        let Some(hint) = binding.hint else { continue };
        let text = format!("  {} {hint}", binding.label);
        if line.width() + text.len() <= width {
            line.push_span(Span::styled(text, theme.dim()));
        }
    }
    line
}
