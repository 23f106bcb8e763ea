//! The three lists on the screen, and below the findings what the selected one says.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};
use unicode_width::UnicodeWidthStr;

use super::{Look, finding, notice};
use crate::tui::tables::findings::Findings;
use crate::tui::tables::{Listing, Table, style};
use crate::tui::theme::Theme;
use crate::tui::widgets::page::Draft;
use crate::tui::widgets::table::{self, TableRow, fit};
use crate::tui::widgets::text::{Cut, cells, cut};
use crate::words;

/// A list of findings leaves room for a page below it from this height on.
const ROOM_FOR_PAGE: u16 = 16;

/// What the rows of a list are.
pub(super) struct Rows {
    noun: &'static str,
    /// How many of them are about what is over.
    over: usize,
}

impl Rows {
    /// Rows of which each is one of these.
    pub(super) fn of(noun: &'static str) -> Self {
        Self { noun, over: 0 }
    }
}

/// Draws the findings, or what is said where there are none.
pub(super) fn findings(frame: &mut Frame<'_>, area: Rect, table: &mut Table<Findings>, look: &Look<'_>) {
    let mut draft = Draft::new(*look.theme, usize::from(area.width));
    if table.list.is_empty() && table.filter.is_empty() {
        notice::no_findings(&mut draft, look.target);
        return frame.render_widget(Paragraph::new(draft.finish().lines), area);
    }
    let rows = Rows { noun: "finding", over: look.shown.resolved() };
    if area.height < ROOM_FOR_PAGE {
        return draw(frame, area, table, &rows, look);
    }
    let height = cells(table.list.len()).saturating_add(2).clamp(4, area.height / 2);
    let layout = Layout::vertical([Constraint::Length(height), Constraint::Length(1), Constraint::Min(0)]);
    let [list, rule, below] = layout.areas(area);
    draw(frame, list, table, &rows, look);
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
pub(super) fn draw<L: Listing>(frame: &mut Frame<'_>, area: Rect, table: &mut Table<L>, rows: &Rows, look: &Look<'_>) {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    table.list.resize(usize::from(body.height.saturating_sub(1)));
    let theme = look.theme;
    frame.render_widget(Paragraph::new(heading(table, rows, usize::from(title.width), theme)), title);
    let columns = fit(L::COLUMNS, body.width);
    let visible = table.list.visible().map(|(key, selected)| {
        let row = L::row(look.shown, key);
        let cell = |column| row.as_ref().map(|row| L::cell(row, column, theme)).unwrap_or_default();
        let style = style::<L>(row.as_ref(), theme);
        TableRow {
            cells: columns.iter().map(|(column, _)| cell(column.id)).collect(),
            style: if selected { style.patch(theme.selected()) } else { style },
        }
    });
    let visible = visible.collect();
    table::draw(frame, body, theme, &columns, Some((table.sort.by, table.descending())), visible);
}

fn heading<L: Listing>(table: &Table<L>, rows: &Rows, width: usize, theme: &Theme) -> Line<'static> {
    let total = table.list.len();
    let visible = table.list.visible().count();
    let range = if total == 0 {
        format!("no {}s", rows.noun)
    } else if visible == total {
        words::count(total, rows.noun)
    } else {
        let first = table.list.offset();
        format!("{}s {}-{} of {total}", rows.noun, first + 1, first + visible)
    };
    let range = if rows.over == 0 { range } else { format!("{range}, {} of them resolved", rows.over) };
    let mut line = Line::from(Span::styled(cut(&range, width, Cut::End, theme.ellipsis()), theme.strong()));
    if !table.filter.is_empty() {
        let room = width.saturating_sub(range.width() + 14);
        let wanted = cut(&theme.text(&table.filter.text), room, Cut::End, theme.ellipsis());
        line.push_span(Span::styled(format!("  matching \"{wanted}\""), theme.bad()));
    }
    line
}
