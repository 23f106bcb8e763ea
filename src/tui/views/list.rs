//! The lists on the screen, and below the findings what the selected one says.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};
use unicode_width::UnicodeWidthStr;

use super::{Look, finding, notice};
use crate::report::Snapshot;
use crate::report::columns::{Column, Value};
use crate::tui::tables::findings::Findings;
use crate::tui::tables::{Listing, Table};
use crate::tui::theme::Theme;
use crate::tui::widgets::page::Draft;
use crate::tui::widgets::table::{self, Cell, Content};
use crate::tui::widgets::text::{Cut, cells, cut};
use crate::words;

/// A list of findings leaves room for a page below it from this height on.
const ROOM_FOR_PAGE: u16 = 16;

/// Draws the findings, or what is said where there are none.
pub(super) fn findings(frame: &mut Frame<'_>, area: Rect, table: &mut Table<Findings>, look: &Look<'_>) {
    let mut draft = Draft::new(*look.theme, usize::from(area.width));
    if table.list.is_empty() && table.filter.query().is_empty() {
        notice::no_findings(&mut draft, look.target);
        return frame.render_widget(Paragraph::new(draft.finish().lines), area);
    }
    if area.height < ROOM_FOR_PAGE {
        return draw(frame, area, table, look);
    }
    let height = cells(table.list.len()).saturating_add(2).clamp(4, area.height / 2);
    let layout = Layout::vertical([Constraint::Length(height), Constraint::Length(1), Constraint::Min(0)]);
    let [list, rule, below] = layout.areas(area);
    draw(frame, list, table, look);
    let line = look.theme.rule().repeat(usize::from(rule.width));
    frame.render_widget(Paragraph::new(Line::styled(line, look.theme.dim())), rule);
    if let Some(key) = table.list.selected() {
        finding::write(&mut draft, look.shown, key);
    }
    let lines = draft.finish().lines;
    let more = lines.len().saturating_sub(usize::from(below.height));
    frame.render_widget(Paragraph::new(lines), below);
    if more > 0 && below.height > 0 {
        let text = format!("{} more: Enter", words::count(more + 1, "line"));
        let last = Rect::new(below.x, below.bottom() - 1, below.width, 1);
        frame.render_widget(Clear, last);
        frame.render_widget(Paragraph::new(Line::styled(text, look.theme.dim())), last);
    }
}

/// Draws a list: a line that says what part of it this is, headings, and the rows that fit.
pub(super) fn draw<L: Listing>(frame: &mut Frame<'_>, area: Rect, table: &mut Table<L>, look: &Look<'_>) {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    table.list.resize(usize::from(body.height.saturating_sub(1)));
    let (theme, shown) = (look.theme, look.shown);
    frame.render_widget(Paragraph::new(heading(table, usize::from(title.width), theme)), title);
    let visible: Vec<(&L::Key, bool)> = table.list.visible().collect();
    let style = |(key, selected): &(&L::Key, bool)| {
        let style = if L::is_over(shown, key) { theme.dim() } else { Style::new() };
        if *selected { style.patch(theme.selected()) } else { style }
    };
    let rows: Vec<Style> = visible.iter().map(style).collect();
    let content = Content { columns: L::COLUMNS, sorted: (table.sort.by, table.descending()), rows: &rows };
    let cell = |row: usize, column| cell::<L>(shown, visible[row].0, column, theme);
    table.drawn = table::draw(frame, body, theme, &content, &mut table.naturals, cell);
}

/// What a row shows in a column.
pub(super) fn cell<L: Listing>(shown: &Snapshot<'_>, key: &L::Key, column: L::Column, theme: &Theme) -> Cell {
    let value = L::value(shown, key, column);
    let shorter = L::in_fewer_words(shown, key, column).iter().map(|form| theme.text(form)).collect();
    let (text, style) = (theme.text(&column.in_words(&value)), L::style(shown, key, column, theme));
    Cell { text, shorter, style, keeps_its_end: matches!(value, Value::Place(_)) }
}

/// What part of the rows is on the screen, of what kinds they are and how many are hidden.
pub(super) fn summary<L: Listing>(table: &Table<L>) -> String {
    let total = table.list.len();
    let visible = table.list.visible().count();
    let mut parts = vec![if total == 0 {
        format!("no {}s", L::NOUN)
    } else if visible == total {
        words::count(total, L::NOUN)
    } else {
        let first = table.list.offset();
        format!("{}s {}-{} of {total}", L::NOUN, first + 1, first + visible)
    }];
    parts.extend(table.tally.iter().map(|(count, kind)| format!("{} {kind}", words::number(*count))));
    if table.hidden > 0 {
        parts.push(format!("{} hidden (a)", words::number(table.hidden)));
    }
    parts.join(", ")
}

/// What the rows match, if they are filtered.
pub(super) fn matching<L: Listing>(table: &Table<L>) -> Option<String> {
    (!table.filter.query().is_empty()).then(|| format!("matching {}", table.filter.text().trim()))
}

fn heading<L: Listing>(table: &Table<L>, width: usize, theme: &Theme) -> Line<'static> {
    let text = summary(table);
    let mut line = Line::from(Span::styled(cut(&text, width, Cut::End, theme.ellipsis()), theme.strong()));
    if let Some(filter) = matching(table) {
        let filter = cut(&theme.text(&filter), width.saturating_sub(text.width() + 2), Cut::End, theme.ellipsis());
        line.push_span(Span::styled(format!("  {filter}"), theme.bad()));
    }
    line
}
