//! A table of which only the cells on the screen are ever made, whose columns are as wide as those cells, and which drops columns that do not
//! fit.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Row, Table};
use unicode_width::UnicodeWidthStr;

use super::text::{Cut, cells, cut};
use crate::report::columns;
use crate::tui::theme::Theme;

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column<C: 'static> {
    /// Which one it is.
    pub id: C,
    /// The fewest cells that are of use, unless its own are narrower.
    pub least: u16,
    /// Its part of the room that is left, in relation to the others.
    pub share: u16,
    /// The column with the highest number is dropped first; zero never.
    pub rank: u8,
    /// Whether it is written on the right, as numbers are.
    pub right: bool,
    /// Whether the largest comes first when it is sorted by.
    pub largest_first: bool,
    /// Which end of its text matters less; nothing of a number may be cut.
    pub cut: Option<Cut>,
}

impl<C: Copy> Column<C> {
    /// A column of text.
    pub const fn text(id: C, least: u16, share: u16, rank: u8) -> Self {
        Self { id, least, share, rank, right: false, largest_first: false, cut: Some(Cut::End) }
    }

    /// A column of numbers, of which every digit is kept.
    pub const fn number(id: C, least: u16, rank: u8) -> Self {
        Self { id, least, share: 0, rank, right: true, largest_first: true, cut: None }
    }

    /// The same, with the end of its text kept where there is no room for all of it.
    #[must_use]
    pub const fn keeping_the_end(self) -> Self {
        Self { cut: Some(Cut::Start), ..self }
    }

    /// The same, sorted from the largest down.
    #[must_use]
    pub const fn largest_first(self) -> Self {
        Self { largest_first: true, ..self }
    }

    /// The same, written on the right.
    #[must_use]
    pub const fn on_the_right(self) -> Self {
        Self { right: true, ..self }
    }

    /// The cells that it takes at least, if all it shows takes `natural` ones.
    fn needed(&self, natural: u16) -> u16 {
        if self.cut.is_none() { natural } else { natural.min(self.least) }
    }
}

/// A piece of text in a table, fit for the screen.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Shorter versions, the longest first. If the text does not fit, the first that does is shown.
    pub shorter: Vec<String>,
    /// How it looks.
    pub style: Style,
    /// Whether its end says most, whatever else is in its column.
    pub keeps_its_end: bool,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl Cell {
    /// What it says in this many cells of a terminal.
    fn within(&self, width: usize, end: Cut, ellipsis: &str) -> String {
        let forms = std::iter::once(&self.text).chain(&self.shorter);
        match forms.into_iter().find(|form| form.width() <= width) {
            Some(form) => form.clone(),
            None => cut(&self.text, width, if self.keeps_its_end { Cut::Start } else { end }, ellipsis),
        }
    }

    /// A cell that looks like this.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style, ..Self::default() }
    }
}

/// How wide the cells of each column have been at most, so that a table does not twitch while its numbers change.
#[derive(Debug, Clone, Default)]
pub struct Naturals {
    width: u16,
    widths: Vec<u16>,
}

impl Naturals {
    /// Notes the cells of a column, and returns how wide it wants to be.
    fn note(&mut self, column: usize, widest: u16) -> u16 {
        if self.widths.len() <= column {
            self.widths.resize(column + 1, 0);
        }
        self.widths[column] = self.widths[column].max(widest);
        self.widths[column]
    }
}

/// The columns that fit into a width whatever is in them.
pub fn fit<C: Copy>(columns: &[Column<C>], width: u16) -> Vec<C> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    drop_until(columns, &mut kept, width, |index| columns[index].least);
    kept.into_iter().map(|index| columns[index].id).collect()
}

/// Drops columns by rank until the others fit.
fn drop_until<C>(columns: &[Column<C>], kept: &mut Vec<usize>, width: u16, needed: impl Fn(usize) -> u16) {
    while total(kept.iter().map(|index| needed(*index))) > width {
        let worst = (0..kept.len()).max_by_key(|place| columns[kept[*place]].rank);
        let Some(worst) = worst.filter(|place| columns[kept[*place]].rank > 0) else { break };
        kept.remove(worst);
    }
}

/// The width of columns with gaps between them.
fn total(widths: impl ExactSizeIterator<Item = u16>) -> u16 {
    let gaps = cells(widths.len().saturating_sub(1));
    widths.fold(gaps, u16::saturating_add)
}

/// The columns that are shown, by their places, and how wide each is. `natural` says how wide one wants to be, for which its cells are made:
/// only those of columns that may be shown.
fn arrange<C: Copy>(columns: &[Column<C>], width: u16, mut natural: impl FnMut(usize) -> u16) -> Vec<(usize, u16)> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    drop_until(columns, &mut kept, width, |index| columns[index].least);
    let mut naturals: Vec<Option<u16>> = vec![None; columns.len()];
    let mut of = |index: usize, naturals: &mut Vec<Option<u16>>| *naturals[index].get_or_insert_with(|| natural(index));
    for index in &kept {
        of(*index, &mut naturals);
    }
    drop_until(columns, &mut kept, width, |index| columns[index].needed(naturals[index].unwrap_or_default()));
    // Where the cells are narrow, there is room for more columns.
    let mut others: Vec<usize> = (0..columns.len()).filter(|index| naturals[*index].is_none()).collect();
    others.sort_by_key(|index| columns[*index].rank);
    for index in others {
        let taken = total(kept.iter().map(|index| naturals[*index].unwrap_or_default()));
        if taken.saturating_add(2) > width {
            break;
        }
        let wanted = of(index, &mut naturals);
        if taken.saturating_add(1).saturating_add(columns[index].needed(wanted)) > width {
            break;
        }
        kept.push(index);
        kept.sort_unstable();
    }
    share(columns, kept, &naturals, width)
}

/// Gives each column what it needs, and shares what is left among those that want more.
fn share<C: Copy>(columns: &[Column<C>], kept: Vec<usize>, naturals: &[Option<u16>], width: u16) -> Vec<(usize, u16)> {
    let wanted = |index: usize| naturals[index].unwrap_or_default();
    let mut widths: Vec<(usize, u16)> =
        kept.into_iter().map(|index| (index, columns[index].needed(wanted(index)))).collect();
    loop {
        let mut spare = width.saturating_sub(total(widths.iter().map(|(_, width)| *width)));
        let wanting = |(index, width): &(usize, u16)| *width < wanted(*index) && columns[*index].share > 0;
        let shares: u16 = widths.iter().filter(|it| wanting(it)).map(|(index, _)| columns[*index].share).sum();
        if spare == 0 || shares == 0 {
            return widths;
        }
        let mut shares = shares;
        for (index, width) in widths.iter_mut().filter(|it| wanting(it)) {
            let own = columns[*index].share;
            let part = u32::from(spare) * u32::from(own) / u32::from(shares);
            let part = u16::try_from(part).unwrap_or(spare).min(wanted(*index) - *width);
            *width += part;
            spare -= part;
            shares -= own;
        }
    }
}

/// What a table shows.
#[derive(Debug)]
pub struct Content<'a, C: 'static> {
    /// Its columns.
    pub columns: &'static [Column<C>],
    /// The column that the rows are sorted by, and whether downwards.
    pub sorted: (C, bool),
    /// How the rows look, from top to bottom.
    pub rows: &'a [Style],
}

/// Attributes a table out in lines: its headings, and its rows. `cell` makes the cell of a row in a column. Returns the columns that are shown too.
pub fn lay_out<C: columns::Column>(
    theme: &Theme,
    width: u16,
    content: &Content<'_, C>,
    naturals: &mut Naturals,
    cell: impl Fn(usize, C) -> Cell,
) -> (Vec<C>, Vec<u16>, Vec<Vec<Line<'static>>>) {
    let columns = content.columns;
    let sign = theme.direction(true).width();
    if naturals.width != width {
        *naturals = Naturals { width, widths: Vec::new() };
    }
    let mut made: Vec<Vec<Cell>> = vec![Vec::new(); columns.len()];
    let arranged = arrange(columns, width, |index| {
        let id = columns[index].id;
        made[index] = (0..content.rows.len()).map(|row| cell(row, id)).collect();
        let mark = if content.sorted.0 == id { sign } else { 0 };
        let widest = made[index].iter().map(|cell| cell.text.width()).chain([id.title().width() + mark]).max();
        naturals.note(index, cells(widest.unwrap_or_default()))
    });
    let heading = |(index, width): &(usize, u16)| {
        let column = &columns[*index];
        let is_sorted = content.sorted.0 == column.id;
        let mark = if is_sorted { theme.direction(content.sorted.1) } else { "" };
        let style = if is_sorted { theme.heading() } else { theme.strong() };
        let title =
            cut(column.id.title(), usize::from(*width).saturating_sub(mark.width()), Cut::End, theme.ellipsis());
        line(&format!("{title}{mark}"), style, column.right, *width)
    };
    let mut lines = vec![arranged.iter().map(heading).collect::<Vec<_>>()];
    let mut columns_made: Vec<_> = arranged
        .iter()
        .map(|(index, width)| (&columns[*index], *width, std::mem::take(&mut made[*index]).into_iter()))
        .collect();
    for _ in content.rows {
        let cells = columns_made.iter_mut().map(|(column, width, cells)| {
            let cell = cells.next().unwrap_or_default();
            let text = cell.within(usize::from(*width), column.cut.unwrap_or(Cut::End), theme.ellipsis());
            line(&text, cell.style, column.right, *width)
        });
        lines.push(cells.collect());
    }
    let (ids, widths) = arranged.iter().map(|(index, width)| (columns[*index].id, *width)).unzip();
    (ids, widths, lines)
}

/// Draws headings and rows, and returns the columns that are shown.
pub fn draw<C: columns::Column>(
    frame: &mut Frame<'_>,
    area: Rect,
    theme: &Theme,
    content: &Content<'_, C>,
    naturals: &mut Naturals,
    cell: impl Fn(usize, C) -> Cell,
) -> Vec<C> {
    let (ids, widths, mut lines) = lay_out(theme, area.width, content, naturals, cell);
    let body = lines.split_off(1).into_iter().zip(content.rows).map(|(cells, style)| Row::new(cells).style(*style));
    let widths: Vec<Constraint> = widths.into_iter().map(Constraint::Length).collect();
    let header = Row::new(lines.pop().unwrap_or_default());
    frame.render_widget(Table::new(body, widths).header(header).column_spacing(1), area);
    ids
}

/// The cells of a row as one line.
pub fn join(cells: Vec<Line<'static>>, widths: &[u16]) -> Line<'static> {
    let mut joined = Line::default();
    for (index, (cell, width)) in cells.into_iter().zip(widths).enumerate() {
        let pad = usize::from(*width).saturating_sub(cell.width());
        joined.spans.extend((index > 0).then(|| Span::raw(" ")));
        joined.spans.extend(cell.spans);
        joined.spans.push(Span::raw(" ".repeat(pad)));
    }
    joined
}

fn line(text: &str, style: Style, right: bool, width: u16) -> Line<'static> {
    let pad = if right { usize::from(width).saturating_sub(text.width()) } else { 0 };
    Line::from(vec![Span::raw(" ".repeat(pad)), Span::styled(text.to_owned(), style)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column<u8>; 4] =
        [Column::number(0, 5, 0), Column::text(1, 4, 1, 1), Column::number(2, 6, 3), Column::text(3, 4, 3, 2)];

    fn arranged(width: u16, naturals: [u16; 4]) -> Vec<(usize, u16)> {
        arrange(&COLUMNS, width, |index| naturals[index])
    }

    #[test]
    fn columns_go_by_rank_and_share_what_is_left() {
        let wide = [5, 30, 6, 30];
        assert_eq!(arranged(30, wide), [(0, 5), (1, 6), (2, 6), (3, 10)]);
        assert_eq!(arranged(22, wide), [(0, 5), (1, 4), (2, 6), (3, 4)]);
        assert_eq!(arranged(21, wide), [(0, 5), (1, 5), (3, 9)]);
        assert_eq!(arranged(10, wide), [(0, 5), (1, 4)]);
        assert_eq!(arranged(1, wide), [(0, 5)]);
        assert_eq!(fit(&COLUMNS, 21), [0, 1, 3]);
    }

    #[test]
    fn a_column_takes_what_its_cells_need() {
        assert_eq!(arranged(60, [2, 3, 4, 9]), [(0, 2), (1, 3), (2, 4), (3, 9)]);
        assert_eq!(
            arranged(30, [2, 3, 4, 90]),
            [(0, 2), (1, 3), (2, 4), (3, 18)],
            "what one does not need, others get"
        );
        assert_eq!(arranged(21, [5, 3, 4, 6]), [(0, 5), (1, 3), (2, 4), (3, 6)], "narrow cells make room for columns");
    }

    #[test]
    fn no_digit_is_cut() {
        assert_eq!(arranged(30, [12, 30, 9, 30]), [(0, 12), (1, 6), (3, 10)], "a column goes instead");
    }

    #[test]
    fn nothing_is_made_for_columns_without_room() {
        let mut made = Vec::new();
        arrange(&COLUMNS, 10, |index| {
            made.push(index);
            20
        });
        assert_eq!(made, [0, 1]);
    }

    #[test]
    fn a_cell_keeps_its_end_if_that_says_most_and_a_shorter_form_goes_before_any_cut() {
        let place = Cell { text: "background.rs:60".to_owned(), keeps_its_end: true, ..Cell::default() };
        assert_eq!(place.within(12, Cut::End, ".."), "..ound.rs:60");
        let name = Cell::from("connection 10.0.0.7:443".to_owned());
        assert_eq!([Cut::End, Cut::Start].map(|cut| name.within(12, cut, "..")), ["connection..", "...0.0.7:443"]);
        let wait = Cell { shorter: vec!["9.0 s".to_owned()], ..Cell::from("Mutex 9.0 s".to_owned()) };
        assert_eq!(wait.within(10, Cut::End, ".."), "9.0 s");
    }

    #[test]
    fn widths_only_grow() {
        let mut naturals = Naturals::default();
        assert_eq!([naturals.note(1, 5), naturals.note(1, 3), naturals.note(1, 7)], [5, 5, 7]);
    }
}
