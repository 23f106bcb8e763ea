//! A table as text: columns side by side, or, where there is no room for that, each row below the other.

use anstyle::Style;
use textwrap::core::display_width;

use super::wrap::wrap;

/// Between two columns.
const GAP: usize = 2;
/// The last column is wrapped to the width that is left, if that is not less than this.
const NARROWEST: usize = 24;

/// The rows of a table, of which the first one is its head.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    row: Vec<String>,
}

impl Table {
    /// Adds a cell to the row that is being read.
    pub(super) fn add_cell(&mut self, text: &str) {
        self.row.push(text.to_owned());
    }

    /// Ends that row.
    pub(super) fn end_row(&mut self) {
        self.rows.push(std::mem::take(&mut self.row));
    }

    /// The table in this many columns of a terminal, indented; its head in a style of its own.
    pub(super) fn text(&self, width: usize, indent: usize, head: Style) -> String {
        let columns = self.rows.first().map_or(0, Vec::len);
        let widest =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|it| display_width(it)).max();
        let widths: Vec<usize> = (0..columns.saturating_sub(1)).filter_map(widest).collect();
        let before = indent + widths.iter().map(|width| width + GAP).sum::<usize>();
        if before + NARROWEST > width {
            return self.rows.iter().skip(1).map(|row| stacked(row, width, indent)).collect();
        }
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let style = if number == 0 { head } else { Style::new() };
            text += &side_by_side(row, &widths, (width, before, indent), style);
        }
        text
    }
}

fn side_by_side(
    row: &[String],
    widths: &[usize],
    (width, before, indent): (usize, usize, usize),
    style: Style,
) -> String {
    let mut first = " ".repeat(indent);
    for (cell, width) in row.iter().zip(widths) {
        first += &format!("{style}{cell}{style:#}");
        first += &" ".repeat((width + GAP).saturating_sub(display_width(cell)));
    }
    let last = row.last().map(|cell| format!("{style}{cell}{style:#}")).unwrap_or_default();
    wrap(&last, width, &first, &" ".repeat(before)) + "\n"
}

/// The last cell of a row below the others.
fn stacked(row: &[String], width: usize, indent: usize) -> String {
    let Some((last, others)) = row.split_last() else { return String::new() };
    let (first, below) = (" ".repeat(indent), " ".repeat(2 * indent));
    let gap = " ".repeat(GAP);
    wrap(&others.join(&gap), width, &first, &first) + "\n" + &wrap(last, width, &below, &below) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_into_the_width() {
        let mut table = Table::default();
        for row in [["key", "value", "what it is"], ["window", "15s", "observation window of the detector"]] {
            for cell in row {
                table.add_cell(cell);
            }
            table.end_row();
        }
        let wide =
            "  key     value  what it is\n  window  15s    observation window of the\n                 detector\n";
        assert_eq!(table.text(44, 2, Style::new()), wide);
        assert_eq!(table.text(30, 2, Style::new()), "  window  15s\n    observation window of the\n    detector\n");
    }
}
