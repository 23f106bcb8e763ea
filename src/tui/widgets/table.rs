//! A table of which only the rows on the screen are ever made, and which drops columns that do not fit.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Row, Table};
use unicode_width::UnicodeWidthStr;

use super::text::{Cut, cells, cut};
use crate::tui::theme::Theme;

/// One column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column<C: 'static> {
    /// Which one it is.
    pub id: C,
    /// Its heading.
    pub title: &'static str,
    /// How wide it is.
    pub width: Width,
    /// The column with the highest number is dropped first; zero never.
    pub rank: u8,
    /// Whether it is written on the right, as numbers are.
    pub right: bool,
    /// Whether the largest comes first when it is sorted by.
    pub largest_first: bool,
    /// Which end of its text matters less.
    pub cut: Cut,
}

impl<C> Column<C> {
    /// A column of text.
    pub const fn text(id: C, title: &'static str, width: Width, rank: u8) -> Self {
        Self { id, title, width, rank, right: false, largest_first: false, cut: Cut::End }
    }

    /// A column of numbers.
    pub const fn number(id: C, title: &'static str, width: u16, rank: u8) -> Self {
        Self { id, title, width: Width::Fixed(width), rank, right: true, largest_first: true, cut: Cut::End }
    }

    /// The same, with the end of its text kept where there is no room for all of it.
    #[must_use]
    pub const fn keeping_the_end(self) -> Self
    where
        C: Copy,
    {
        Self { cut: Cut::Start, ..self }
    }

    /// The same, sorted from the largest down.
    #[must_use]
    pub const fn largest_first(self) -> Self
    where
        C: Copy,
    {
        Self { largest_first: true, ..self }
    }
}

/// The width of a column.
#[derive(Debug, Clone, Copy)]
pub enum Width {
    /// This many cells.
    Fixed(u16),
    /// At least this many cells, and a share of those that are left.
    Flexible {
        /// The cells that others are dropped for; a column that is never dropped has fewer where nothing else is left to drop.
        least: u16,
        /// Its part of what is left, in relation to the others.
        share: u16,
    },
}

impl Width {
    fn least(self) -> u16 {
        match self {
            Self::Fixed(width) => width,
            Self::Flexible { least, .. } => least,
        }
    }

    fn share(self) -> u16 {
        match self {
            Self::Fixed(_) => 0,
            Self::Flexible { share, .. } => share,
        }
    }
}

/// A piece of text in a table, not escaped yet.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// How it looks.
    pub style: Style,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, style: Style::new() }
    }
}

impl Cell {
    /// A cell that looks like this.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

/// The columns that fit into a width, with their own.
pub fn fit<C: Copy>(columns: &[Column<C>], width: u16) -> Vec<(Column<C>, u16)> {
    let mut kept: Vec<Column<C>> = columns.to_vec();
    let needed = |kept: &[Column<C>]| {
        let gaps = cells(kept.len().saturating_sub(1));
        kept.iter().map(|column| column.width.least()).fold(gaps, u16::saturating_add)
    };
    while needed(&kept) > width {
        let Some(worst) = (0..kept.len()).max_by_key(|index| kept[*index].rank).filter(|index| kept[*index].rank > 0)
        else {
            break;
        };
        kept.remove(worst);
    }
    let mut missing = needed(&kept).saturating_sub(width);
    for column in kept.iter_mut().rev() {
        if let Width::Flexible { least, share } = column.width {
            let given_up = missing.min(least);
            column.width = Width::Flexible { least: least - given_up, share };
            missing -= given_up;
        }
    }
    let mut spare = width.saturating_sub(needed(&kept));
    let mut shares: u16 = kept.iter().map(|column| column.width.share()).sum();
    let widen = |column: Column<C>| {
        let share = column.width.share();
        let extra = if share == 0 { 0 } else { u32::from(spare) * u32::from(share) / u32::from(shares) };
        let extra = u16::try_from(extra).unwrap_or(spare);
        spare -= extra;
        shares -= share;
        (column, column.width.least() + extra)
    };
    kept.into_iter().map(widen).collect()
}

/// One row on the screen.
#[derive(Debug)]
pub struct TableRow {
    /// A cell for each column.
    pub cells: Vec<Cell>,
    /// How the row as a whole looks.
    pub style: Style,
}

/// Draws headings and rows. `sorted` is the column that the rows are sorted by, and whether downwards.
pub fn draw<C: Copy + PartialEq>(
    frame: &mut Frame<'_>,
    area: Rect,
    theme: &Theme,
    columns: &[(Column<C>, u16)],
    sorted: Option<(C, bool)>,
    rows: Vec<TableRow>,
) {
    let heading = |(column, width): &(Column<C>, u16)| {
        let by = sorted.filter(|(id, _)| *id == column.id);
        let mark = by.map_or("", |(_, descending)| theme.direction(descending));
        let style = if by.is_some() { theme.heading() } else { theme.strong() };
        let room = usize::from(*width).saturating_sub(mark.width());
        let title = cut(column.title, room, Cut::End, theme.ellipsis());
        line(format!("{title}{mark}"), style, column.right, *width)
    };
    let header = Row::new(columns.iter().map(heading).collect::<Vec<_>>());
    let body = rows.into_iter().map(|row| {
        let cells = row.cells.into_iter().zip(columns).map(|(cell, (column, width))| {
            let text = cut(&theme.text(&cell.text), usize::from(*width), column.cut, theme.ellipsis());
            line(text, cell.style, column.right, *width)
        });
        Row::new(cells.collect::<Vec<_>>()).style(row.style)
    });
    let widths: Vec<Constraint> = columns.iter().map(|(_, width)| Constraint::Length(*width)).collect();
    frame.render_widget(Table::new(body, widths).header(header).column_spacing(1), area);
}

fn line(text: String, style: Style, right: bool, width: u16) -> Line<'static> {
    let pad = if right { usize::from(width).saturating_sub(text.width()) } else { 0 };
    Line::from(vec![Span::raw(" ".repeat(pad)), Span::styled(text, style)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(id: u8, width: Width, rank: u8) -> Column<u8> {
        Column::text(id, "", width, rank)
    }

    #[test]
    fn columns_go_by_rank_and_share_what_is_left() {
        let columns = [
            column(0, Width::Fixed(5), 0),
            column(1, Width::Flexible { least: 4, share: 1 }, 1),
            column(2, Width::Fixed(6), 3),
            column(3, Width::Flexible { least: 4, share: 3 }, 2),
        ];
        let fitted = |width| fit(&columns, width).iter().map(|(it, width)| (it.id, *width)).collect::<Vec<_>>();
        assert_eq!(fitted(30), [(0, 5), (1, 6), (2, 6), (3, 10)]);
        assert_eq!(fitted(22), [(0, 5), (1, 4), (2, 6), (3, 4)]);
        assert_eq!(fitted(21), [(0, 5), (1, 5), (3, 9)]);
        assert_eq!(fitted(10), [(0, 5), (1, 4)]);
        assert_eq!(fitted(1), [(0, 5)]);
        let lasting = [columns[0], column(1, Width::Flexible { least: 9, share: 1 }, 0), columns[2]];
        let fitted = |width| fit(&lasting, width).iter().map(|(it, width)| (it.id, *width)).collect::<Vec<_>>();
        assert_eq!((fitted(22), fitted(15)), (vec![(0, 5), (1, 9), (2, 6)], vec![(0, 5), (1, 9)]));
        assert_eq!((fitted(11), fitted(3)), (vec![(0, 5), (1, 5)], vec![(0, 5), (1, 0)]));
    }
}
