//! The timeline: vital signs over time, and below them, on the same axis and in a list, what became of findings.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Paragraph;
use unicode_width::UnicodeWidthStr;

use super::Look;
use super::list;
use crate::report::timeline::{TimelineRow, Turn, time_of_day};
use crate::report::vital_signs::{SignRow, VitalSigns};
use crate::tui::tables::Table;
use crate::tui::tables::timeline::Timeline;
use crate::tui::theme::Theme;
use crate::tui::widgets::sparkline::sparkline_of;
use crate::tui::widgets::text::{Cut, cells, cut};

/// How wide the names of signs are, and the values behind their lines.
const NAME: usize = 11;
const VALUE: usize = 22;
/// Rows that the list keeps at least.
const LIST: u16 = 5;

/// Draws the signs as far as there is room, and the list.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, table: &mut Table<Timeline>, look: &Look<'_>) {
    let width = usize::from(area.width);
    let columns = width.saturating_sub(NAME + VALUE).max(10);
    let lines = match look.shown.vital_signs(None, columns) {
        Some(signs) => lines(&signs, &look.shown.timeline(), columns, look.theme),
        None => Vec::new(),
    };
    let height = cells(lines.len()).min(area.height.saturating_sub(LIST));
    let gap = u16::from(height > 0 && area.height > height + LIST);
    let layout = Layout::vertical([Constraint::Length(height), Constraint::Length(gap), Constraint::Min(0)]);
    let [above, _, below] = layout.areas(area);
    let lines = lines.into_iter().map(|line| cut_line(line, width));
    frame.render_widget(Paragraph::new(Text::from(lines.collect::<Vec<_>>())), above);
    list::draw(frame, below, table, look);
}

/// A line for each sign, one for the findings, and the axis.
fn lines(signs: &VitalSigns, changes: &[TimelineRow], columns: usize, theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = vec![axis(signs, columns, theme)];
    lines.push(marks(signs, changes, columns, theme));
    lines.extend(signs.rows.iter().map(|row| sign(row, theme)));
    lines
}

fn sign(row: &SignRow, theme: &Theme) -> Line<'static> {
    let words = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| row.sign.in_words(value));
    let values = format!(" {} (peak {})", words(row.latest), words(row.highest()));
    Line::from(vec![
        name(row.sign.name(), theme),
        Span::styled(sparkline_of(theme, &row.values), theme.heading()),
        Span::raw(theme.text(&values)),
    ])
}

/// The times at both ends.
fn axis(signs: &VitalSigns, columns: usize, theme: &Theme) -> Line<'static> {
    let (from, to) = (time_of_day(signs.from), time_of_day(signs.to));
    let gap = " ".repeat(columns.saturating_sub(from.width() + to.width()));
    let axis = if gap.is_empty() { from } else { format!("{from}{gap}{to}") };
    Line::from(vec![name("UTC", theme), Span::styled(axis, theme.dim())])
}

/// How many findings opened in each column, or that some were resolved.
fn marks(signs: &VitalSigns, changes: &[TimelineRow], columns: usize, theme: &Theme) -> Line<'static> {
    let mut spans = vec![name("findings", theme)];
    let worst = |column: usize| {
        let here = changes.iter().filter(|row| signs.column(row.at, columns) == Some(column));
        here.max_by_key(|row| (row.turn != Turn::Resolved, row.finding.severity))
    };
    spans.extend((0..columns).map(|column| match worst(column) {
        None => Span::raw(" "),
        Some(row) if row.turn == Turn::Resolved => Span::styled("x", theme.dim()),
        Some(row) => Span::styled("!", theme.severity(row.finding.severity)),
    }));
    spans.push(Span::styled(" ! opened  x resolved", theme.dim()));
    Line::from(spans)
}

fn name(text: &str, theme: &Theme) -> Span<'static> {
    Span::styled(format!("{text:NAME$}"), theme.strong())
}

/// The line without what is beyond the width.
fn cut_line(line: Line<'static>, width: usize) -> Line<'static> {
    if line.width() <= width { line } else { Line::from(cut(&line.to_string(), width, Cut::End, "")) }
}
