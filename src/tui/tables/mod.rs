//! The lists: in which columns their rows are shown and in which order.

pub mod findings;
pub mod resources;
pub mod tasks;
pub mod timeline;

use ratatui::style::Style;

use crate::report::Snapshot;
use crate::report::order::{Filter as Accepts, Order};
use crate::tui::list::List;
use crate::tui::theme::Theme;
use crate::tui::widgets::table::{Cell, Column};

/// Something that can be listed.
pub trait Listing {
    /// What a row is about.
    type Key: Clone + PartialEq + std::fmt::Debug;
    /// What is in a row.
    type Row;
    /// Names of the columns.
    type Column: Copy + PartialEq + std::fmt::Debug + 'static;

    /// The columns from left to right.
    const COLUMNS: &'static [Column<Self::Column>];
    /// The column that the list is sorted by until the user chooses another.
    const SORTED_BY: Self::Column;

    /// Every row that the filter accepts, in order.
    fn order(shown: &Snapshot<'_>, order: Order<Self::Column>, filter: Option<Accepts<'_>>) -> Vec<Self::Key>;
    /// What is in a row, unless what it is about was forgotten.
    fn row(shown: &Snapshot<'_>, key: &Self::Key) -> Option<Self::Row>;
    /// What a row shows in a column.
    fn cell(row: &Self::Row, column: Self::Column, theme: &Theme) -> Cell;
    /// Whether a row is about something that is over.
    fn is_over(row: &Self::Row) -> bool;
}

/// The order of a list, as the user chose it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sort<C> {
    /// The column that counts.
    pub by: C,
    /// Whether the order is the reverse of what is usual for the column.
    pub inverted: bool,
}

/// What the user looks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// As typed.
    pub text: String,
}

impl Filter {
    /// Whether a text contains what is looked for. Case does not matter for ASCII letters.
    pub fn accepts(&self, text: &str) -> bool {
        let (wanted, text) = (self.text.as_bytes(), text.as_bytes());
        wanted.is_empty() || text.windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted))
    }

    /// Whether it accepts everything.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// A list as one user looks at it.
#[derive(Debug)]
pub struct Table<L: Listing> {
    /// The rows.
    pub list: List<L::Key>,
    /// Their order.
    pub sort: Sort<L::Column>,
    /// What is left out.
    pub filter: Filter,
    /// What the rows were made from: state of the target, order and filter.
    made_from: Option<(u64, Sort<L::Column>, Filter)>,
}

impl<L: Listing> Default for Table<L> {
    fn default() -> Self {
        Self {
            list: List::default(),
            sort: Sort { by: L::SORTED_BY, inverted: false },
            filter: Filter::default(),
            made_from: None,
        }
    }
}

impl<L: Listing> Table<L> {
    /// Whether the largest comes first: numbers do so unless the order is inverted.
    pub fn descending(&self) -> bool {
        let downwards = L::COLUMNS.iter().any(|column| column.id == self.sort.by && column.largest_first);
        downwards != self.sort.inverted
    }

    /// Brings the rows up to date, if anything has changed that they depend on.
    pub fn refresh(&mut self, shown: &Snapshot<'_>) {
        let revision = shown.revision();
        let current =
            |made: &(u64, Sort<L::Column>, Filter)| made.0 == revision && made.1 == self.sort && made.2 == self.filter;
        if self.made_from.as_ref().is_some_and(current) {
            return;
        }
        let order = Order { by: self.sort.by, descending: self.descending() };
        let accepts = |text: &str| self.filter.accepts(text);
        let filter: Option<Accepts<'_>> = (!self.filter.is_empty()).then_some(&accepts);
        self.list.replace(L::order(shown, order, filter));
        self.made_from = Some((revision, self.sort, self.filter.clone()));
    }

    /// Sorts by the next column to the right, or to the left, of those that are on the screen.
    pub fn sort_by_neighbour(&mut self, columns: &[L::Column], step: isize) {
        let at = columns.iter().position(|column| *column == self.sort.by);
        let next = match at {
            Some(at) => at.saturating_add_signed(step).min(columns.len().saturating_sub(1)),
            None => 0,
        };
        if let Some(next) = columns.get(next).filter(|next| **next != self.sort.by) {
            self.sort = Sort { by: *next, inverted: false };
        }
    }
}

/// How a row as a whole looks.
pub fn style<L: Listing>(row: Option<&L::Row>, theme: &Theme) -> Style {
    if row.is_none_or(L::is_over) { theme.dim() } else { Style::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_does_not_mind_case() {
        let filter = Filter { text: "Bank".to_owned() };
        assert!(filter.accepts("src/bANK.rs") && !filter.accepts("ban") && Filter::default().accepts(""));
    }
}
