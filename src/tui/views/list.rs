//! The three lists on the screen, and beside the findings what the selected one says.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use super::{finding, notice};
use crate::tui::format::{cells, count, grouped, whole};
use crate::tui::state::Pane;
use crate::tui::tables::{Listing, Look, Table};
use crate::tui::theme::Theme;
use crate::tui::widgets::page::Page;
use crate::tui::widgets::table::{self, TableRow, fit};
use crate::tui::widgets::text::{Cut, cut};
use crate::words;

/// A list of findings leaves room for a page below it from this height on.
const ROOM_FOR_PAGE: u16 = 16;

pub(super) fn findings(frame: &mut Frame<'_>, area: Rect, pane: &mut Pane, theme: &Theme) {
    let mut page = Page::new(*theme, usize::from(area.width));
    if pane.findings.list.is_empty() && pane.findings.filter.is_empty() {
        notice::no_findings(&mut page, pane.shown());
        return frame.render_widget(Paragraph::new(page.finish().lines), area);
    }
    let over = pane.shown().resolved().count();
    if area.height < ROOM_FOR_PAGE {
        return draw(frame, area, pane, |pane| &mut pane.findings, "finding", over, theme);
    }
    let rows = cells(pane.findings.list.len()).saturating_add(2).clamp(4, area.height / 2);
    let layout = Layout::vertical([Constraint::Length(rows), Constraint::Length(1), Constraint::Min(0)]);
    let [list, rule, below] = layout.areas(area);
    draw(frame, list, pane, |pane| &mut pane.findings, "finding", over, theme);
    let line = theme.rule().repeat(usize::from(rule.width));
    frame.render_widget(Paragraph::new(Line::styled(line, theme.dim())), rule);
    if let Some(key) = pane.findings.list.selected() {
        finding::write(&mut page, pane.shown(), key);
    }
    let lines = page.finish().lines;
    let more = lines.len().saturating_sub(usize::from(below.height));
    frame.render_widget(Paragraph::new(lines), below);
    if more > 0 && below.height > 0 {
        let text = format!("{} more: Enter", words::count(more + 1, "line"));
        let last = Rect::new(below.x, below.bottom() - 1, below.width, 1);
        frame.render_widget(ratatui::widgets::Clear, last);
        frame.render_widget(Paragraph::new(Line::styled(text, theme.dim())), last);
    }
}

pub(super) fn tasks(frame: &mut Frame<'_>, area: Rect, pane: &mut Pane, theme: &Theme) {
    draw(frame, area, pane, |pane| &mut pane.tasks, "task", 0, theme);
}

pub(super) fn resources(frame: &mut Frame<'_>, area: Rect, pane: &mut Pane, theme: &Theme) {
    draw(frame, area, pane, |pane| &mut pane.resources, "resource", 0, theme);
}

/// Draws a list: a line that says what part of it this is, headings, and the rows that fit. `over` of the rows are about what is over.
fn draw<L: Listing>(
    frame: &mut Frame<'_>,
    area: Rect,
    pane: &mut Pane,
    of: impl Fn(&mut Pane) -> &mut Table<L>,
    noun: &str,
    over: usize,
    theme: &Theme,
) {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    of(pane).list.resize(usize::from(body.height.saturating_sub(1)));
    // The list is taken out for as long as its rows are made from the rest of the pane.
    let table = std::mem::take(of(pane));
    frame.render_widget(Paragraph::new(heading(&table, noun, over, usize::from(title.width), theme)), title);
    let columns = fit(L::COLUMNS, body.width);
    let look = Look { diagnosis: pane.shown(), theme };
    let rows = table.list.visible().map(|(key, selected)| {
        let cells = columns.iter().map(|(column, _)| L::cell(&look, key, column.id)).collect();
        let style = L::style(&look, key);
        TableRow { cells, style: if selected { style.patch(theme.selected()) } else { style } }
    });
    let rows = rows.collect();
    table::draw(frame, body, theme, &columns, Some((table.sort.by, table.descending())), rows);
    *of(pane) = table;
}

fn heading<L: Listing>(table: &Table<L>, noun: &str, over: usize, width: usize, theme: &Theme) -> Line<'static> {
    let number = |number: usize| grouped(whole(number));
    let total = table.list.len();
    let visible = table.list.visible().count();
    let range = if total == 0 {
        format!("no {noun}s")
    } else if visible == total {
        count(whole(total), noun)
    } else {
        let first = table.list.offset();
        format!("{noun}s {}-{} of {}", number(first + 1), number(first + visible), number(total))
    };
    let range = if over == 0 { range } else { format!("{range}, {} of them resolved", number(over)) };
    let mut line = Line::from(Span::styled(cut(&range, width, Cut::End, theme.ellipsis()), theme.strong()));
    if !table.filter.is_empty() {
        let room = width.saturating_sub(range.width() + 10);
        let wanted = cut(&theme.text(&table.filter.text), room, Cut::End, theme.ellipsis());
        line.push_span(Span::styled(format!("  with \"{wanted}\""), theme.bad()));
    }
    line
}
