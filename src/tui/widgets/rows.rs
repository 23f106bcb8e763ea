//! Columns of rows on a page, and how wide each is.

use unicode_width::UnicodeWidthStr;

use super::text::Cut;

/// A column of rows on a page.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    pub(super) heading: &'a str,
    pub(super) right: bool,
    pub(super) flexible: bool,
    pub(super) cut: Cut,
}

impl<'a> Column<'a> {
    /// Text as wide as it is.
    pub const fn text(heading: &'a str) -> Self {
        Self { heading, right: false, flexible: false, cut: Cut::End }
    }

    /// A number, written on the right.
    pub const fn number(heading: &'a str) -> Self {
        Self { right: true, ..Self::text(heading) }
    }

    /// Text that gives way where there is no room.
    pub const fn flexible(heading: &'a str, cut: Cut) -> Self {
        Self { heading, right: false, flexible: true, cut }
    }
}

/// The width of each column: what its texts need; where that is too much, flexible ones share what is left.
pub(super) fn widths(columns: &[Column<'_>], rows: &[Vec<String>], width: usize) -> Vec<usize> {
    let need = |index: usize, column: &Column<'_>| {
        let texts = rows.iter().filter_map(|row| row.get(index)).map(|text| text.width());
        texts.max().unwrap_or(0).max(column.heading.width())
    };
    let mut widths: Vec<usize> = columns.iter().enumerate().map(|(index, column)| need(index, column)).collect();
    let gaps = 2 * columns.len().saturating_sub(1);
    let fixed: usize = widths.iter().zip(columns).filter(|(_, it)| !it.flexible).map(|(width, _)| *width).sum();
    let mut room = width.saturating_sub(gaps + fixed);
    // Those that need least are served first.
    let mut flexible: Vec<usize> = (0..columns.len()).filter(|index| columns[*index].flexible).collect();
    flexible.sort_by_key(|index| widths[*index]);
    for (served, index) in flexible.iter().enumerate() {
        let share = room / (flexible.len() - served);
        widths[*index] = widths[*index].min(share);
        room -= widths[*index];
    }
    // On a very narrow screen those on the right lose.
    let mut left = width;
    for width in &mut widths {
        *width = (*width).min(left);
        left = left.saturating_sub(*width + 2);
    }
    widths
}
