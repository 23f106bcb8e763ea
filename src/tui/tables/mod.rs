//! The three lists: what is in them, in which columns and in which order.

pub mod findings;
pub mod resources;
pub mod tasks;

use ratatui::style::Style;

use crate::diagnosis::Diagnosis;
use crate::model::text::Text;
use crate::model::time::Timestamp;
use crate::tui::list::List;
use crate::tui::theme::Theme;
use crate::tui::widgets::table::{Cell, Column};

/// Something that can be listed.
pub trait Listing {
    /// What a row is about.
    type Key: Clone + PartialEq + std::fmt::Debug;
    /// Names of the columns.
    type Column: Copy + PartialEq + std::fmt::Debug + 'static;

    /// The columns from left to right.
    const COLUMNS: &'static [Column<Self::Column>];
    /// The column that the list is sorted by until the user chooses another.
    const SORTED_BY: Self::Column;

    /// Every row that the filter lets through, in order.
    fn order(diagnosis: &Diagnosis, sort: Sort<Self::Column>, filter: &Filter) -> Vec<Self::Key>;
    /// What is in a row.
    fn cell(look: &Look<'_>, key: &Self::Key, column: Self::Column) -> Cell;
    /// How a row as a whole looks.
    fn style(look: &Look<'_>, key: &Self::Key) -> Style;
}

/// What a cell is made from.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// What is known.
    pub diagnosis: &'a Diagnosis,
    /// How it looks.
    pub theme: &'a Theme,
}

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sort<C> {
    /// The column that counts.
    pub by: C,
    /// Whether the order is the other way round than is usual for the column.
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
    pub fn finds(&self, text: &str) -> bool {
        let (wanted, text) = (self.text.as_bytes(), text.as_bytes());
        wanted.is_empty() || text.windows(wanted.len()).any(|part| part.eq_ignore_ascii_case(wanted))
    }

    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// What a row is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    /// Nothing to compare: below every number and before every text.
    Nothing,
    /// A number.
    Number(u128),
    /// A text.
    Text(Text),
}

/// Sorts rows by their keys; those that are equal stay in the order of their births, so that rows do not jump.
fn sorted<K: Ord>(mut rows: Vec<(SortKey, Timestamp, K)>, descending: bool) -> Vec<K> {
    rows.sort_unstable_by(|one, other| {
        let by_key = if descending { other.0.cmp(&one.0) } else { one.0.cmp(&other.0) };
        by_key.then(one.1.cmp(&other.1)).then_with(|| one.2.cmp(&other.2))
    });
    rows.into_iter().map(|(_, _, key)| key).collect()
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
    /// What the rows were made from: state of the diagnosis, order and filter.
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
    /// Whether the largest comes first.
    pub fn descending(&self) -> bool {
        descending::<L>(self.sort)
    }

    /// Brings the rows up to date, if anything has changed that they depend on.
    pub fn refresh(&mut self, diagnosis: &Diagnosis, revision: u64) {
        let current =
            |made: &(u64, Sort<L::Column>, Filter)| made.0 == revision && made.1 == self.sort && made.2 == self.filter;
        if self.made_from.as_ref().is_some_and(current) {
            return;
        }
        self.list.replace(L::order(diagnosis, self.sort, &self.filter));
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

/// Whether the largest comes first: numbers do so by themselves.
fn descending<L: Listing>(sort: Sort<L::Column>) -> bool {
    let downwards = L::COLUMNS.iter().any(|column| column.id == sort.by && column.largest_first);
    downwards != sort.inverted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_does_not_mind_case() {
        let filter = Filter { text: "Bank".to_owned() };
        assert!(filter.finds("src/bANK.rs") && !filter.finds("ban") && Filter::default().finds(""));
    }

    #[test]
    fn equal_rows_stay_in_the_order_of_their_births() {
        let at = Timestamp::from_nanos;
        let rows = |number| [(SortKey::Number(number), at(3), 'c'), (SortKey::Number(1), at(1), 'a')];
        let rows: Vec<_> = rows(1).into_iter().chain([(SortKey::Nothing, at(0), 'z')]).collect();
        assert_eq!(sorted(rows.clone(), true), ['a', 'c', 'z']);
        assert_eq!(sorted(rows, false), ['z', 'a', 'c']);
    }
}
