//! The lists: in which columns their rows are shown and in which order.

pub mod filter;
pub mod findings;
pub mod ops;
pub mod resources;
pub mod sites;
pub mod tasks;
pub mod timeline;

use std::fmt::Debug;

use ratatui::style::Style;

use self::filter::Filter;
use crate::report::columns::{self, Value};
use crate::report::filter::Mistake;
use crate::report::order::{Order, Rows, Wanted};
use crate::report::{Link, Snapshot};
use crate::tui::list::List;
use crate::tui::theme::Theme;
use crate::tui::widgets::line::{Edit, TextLine};
use crate::tui::widgets::table::{Column, Naturals, fit};

/// Something that can be listed.
pub trait Listing {
    /// What a row is about.
    type Key: Clone + PartialEq + Debug;
    /// Names of the columns.
    type Column: columns::Column;
    /// Of what the rows are a part; nothing for lists of everything there is.
    type Scope: Clone + PartialEq + Default + Debug;

    /// What a row is called.
    const NOUN: &'static str;
    /// The columns from left to right.
    const COLUMNS: &'static [Column<Self::Column>];
    /// The column that the list is sorted by until the user chooses another.
    const SORTED_BY: Self::Column;

    /// The rows that are wanted.
    fn rows(shown: &Snapshot<'_>, scope: &Self::Scope, wanted: &Wanted<'_, Self::Column>) -> Rows<Self::Key>;
    /// What a row has in a column.
    fn value<'a>(shown: &'a Snapshot<'_>, key: &Self::Key, column: Self::Column) -> Value<'a>;
    /// Shorter versions of the value for narrow columns, the longest first. None if its text may be cut.
    fn in_fewer_words(_shown: &Snapshot<'_>, _key: &Self::Key, _column: Self::Column) -> Vec<String> {
        Vec::new()
    }
    /// Whether a row is about something that is over, or was forgotten.
    fn is_over(shown: &Snapshot<'_>, key: &Self::Key) -> bool;
    /// What a row leads to.
    fn link(key: &Self::Key) -> Option<Link>;
    /// How a cell looks, apart from its row.
    fn style(shown: &Snapshot<'_>, key: &Self::Key, column: Self::Column, theme: &Theme) -> Style;
}

/// The order of a list, as the user chose it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sort<C> {
    /// The column that counts.
    pub by: C,
    /// Whether the order is the reverse of what is usual for the column.
    pub inverted: bool,
}

/// What the rows of a list were made from.
#[derive(Debug, Clone, PartialEq)]
struct MadeFrom<S, C> {
    revision: u64,
    scope: S,
    sort: Sort<C>,
    filter: String,
    all: bool,
}

/// A list as one user looks at it.
#[derive(Debug)]
pub struct Table<L: Listing> {
    /// The rows.
    pub list: List<L::Key>,
    /// Their order.
    pub sort: Sort<L::Column>,
    /// What is left out.
    pub filter: Filter<L::Column>,
    /// Whether rows that are hidden by default are shown.
    pub all: bool,
    /// How many of those are hidden.
    pub hidden: usize,
    /// How many rows are of which kind.
    pub tally: Vec<(usize, &'static str)>,
    /// How wide the columns want to be.
    pub naturals: Naturals,
    /// The columns that were drawn last.
    pub drawn: Vec<L::Column>,
    /// Of what the rows are a part.
    pub scope: L::Scope,
    made_from: Option<MadeFrom<L::Scope, L::Column>>,
}

impl<L: Listing> Default for Table<L> {
    fn default() -> Self {
        Self::of(L::Scope::default())
    }
}

impl<L: Listing> Table<L> {
    /// A list of a part of what there is.
    pub fn of(scope: L::Scope) -> Self {
        Self {
            list: List::default(),
            sort: Sort { by: L::SORTED_BY, inverted: false },
            filter: Filter::default(),
            all: false,
            hidden: 0,
            tally: Vec::new(),
            naturals: Naturals::default(),
            drawn: Vec::new(),
            scope,
            made_from: None,
        }
    }

    /// Whether the largest comes first: numbers do so unless the order is inverted.
    pub fn descending(&self) -> bool {
        let downwards = L::COLUMNS.iter().any(|column| column.id == self.sort.by && column.largest_first);
        downwards != self.sort.inverted
    }
}

/// A list, whatever it is of.
pub trait AnyTable {
    /// Brings the rows up to date, if anything has changed that they depend on.
    fn refresh(&mut self, shown: &Snapshot<'_>);
    /// What the selected row leads to.
    fn selected(&self) -> Option<Link>;
    /// Moves the selection.
    fn travel(&mut self, travel: Travel);
    /// Sorts by the next column to the right, or to the left, of those on a screen of this width.
    fn sort(&mut self, width: u16, step: isize);
    /// Reverses the order.
    fn invert(&mut self);
    /// Shows the rows that are hidden by default, or hides them again.
    fn toggle_all(&mut self);
    /// The filter as typed.
    fn line(&self) -> &TextLine;
    /// What is wrong with the filter.
    fn mistake(&self) -> Option<&Mistake>;
    /// Changes the filter.
    fn edit(&mut self, edit: Edit);
    /// Replaces the filter.
    fn set_filter(&mut self, text: &str);
}

/// A way to move.
#[derive(Debug, Clone, Copy)]
pub enum Travel {
    /// By rows.
    Rows(isize),
    /// By screens.
    Pages(isize),
    /// To the beginning.
    First,
    /// To the end.
    Last,
}

impl<L: Listing> AnyTable for Table<L> {
    fn refresh(&mut self, shown: &Snapshot<'_>) {
        let now = MadeFrom {
            revision: shown.revision(),
            scope: self.scope.clone(),
            sort: self.sort,
            filter: self.filter.text().to_owned(),
            all: self.all,
        };
        if self.made_from.as_ref() == Some(&now) {
            return;
        }
        let before = self.made_from.replace(now);
        let is_same =
            |before: &MadeFrom<L::Scope, L::Column>| before.filter == self.filter.text() && before.sort == self.sort;
        if !before.as_ref().is_some_and(is_same) {
            self.naturals = Naturals::default();
        }
        let order = Order { by: self.sort.by, descending: self.descending() };
        let rows = L::rows(shown, &self.scope, &Wanted { order, query: self.filter.query(), all: self.all });
        (self.hidden, self.tally) = (rows.hidden, rows.tally);
        self.list.replace(rows.keys);
    }

    fn selected(&self) -> Option<Link> {
        self.list.selected().and_then(L::link)
    }

    fn travel(&mut self, travel: Travel) {
        match travel {
            Travel::Rows(rows) => self.list.step(rows),
            Travel::Pages(pages) => self.list.page(pages),
            Travel::First => self.list.first(),
            Travel::Last => self.list.last(),
        }
    }

    fn sort(&mut self, width: u16, step: isize) {
        if self.drawn.is_empty() {
            self.drawn = fit(L::COLUMNS, width);
        }
        let at = self.drawn.iter().position(|column| *column == self.sort.by);
        let next = match at {
            Some(at) => at.saturating_add_signed(step).min(self.drawn.len().saturating_sub(1)),
            None => 0,
        };
        if let Some(next) = self.drawn.get(next).filter(|next| **next != self.sort.by) {
            self.sort = Sort { by: *next, inverted: false };
        }
    }

    fn invert(&mut self) {
        self.sort.inverted = !self.sort.inverted;
    }

    fn toggle_all(&mut self) {
        self.all = !self.all;
    }

    fn line(&self) -> &TextLine {
        self.filter.line()
    }

    fn mistake(&self) -> Option<&Mistake> {
        self.filter.mistake()
    }

    fn edit(&mut self, edit: Edit) {
        self.filter.edit(edit);
    }

    fn set_filter(&mut self, text: &str) {
        self.filter.set(text);
    }
}

/// How a number of findings looks.
fn about(theme: &Theme, shown: &Snapshot<'_>, link: &Link) -> Style {
    shown.worst_about(link).map_or_else(Style::new, |severity| theme.severity(severity))
}
