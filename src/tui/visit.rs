//! Pages that were opened: those of a target, one over another, and those that lie over everything.

use super::tables::ops::Ops;
use super::tables::tasks::Tasks;
use super::tables::{AnyTable, Table};
use super::widgets::page::Reader;
use crate::fleet::TargetId;
use crate::report::{Link, Version};

/// A page that lies over the screen until it is closed.
#[derive(Debug)]
pub struct Over {
    /// What it is about.
    pub what: OverWhat,
    /// How far it was read.
    pub reader: Reader<()>,
}

/// What a page that lies over the screen is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverWhat {
    /// The keys.
    Help,
    /// A detector, by id.
    Detector(&'static str),
}

impl From<OverWhat> for Over {
    fn from(what: OverWhat) -> Self {
        Self { what, reader: Reader::default() }
    }
}

/// Where a line of the overview leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goto {
    /// The target.
    pub target: TargetId,
    /// What of it; nothing for the target as a whole.
    pub link: Option<Link>,
}

/// A page or a part of a list that was opened.
#[derive(Debug)]
pub struct Visit {
    /// What it is about.
    pub link: Link,
    /// How far it was read.
    pub reader: Reader<Link>,
    /// The list on it, if there is one.
    pub list: Option<VisitedList>,
    /// What it was made from when it was drawn last.
    pub made_from: Option<MadeFrom>,
}

/// What a page is made from: where nothing of that has changed, it is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MadeFrom {
    /// What is known.
    pub version: Version,
    /// How wide it is.
    pub width: u16,
}

/// The page of what is selected in the overview, beside it.
#[derive(Debug)]
pub struct Detail {
    /// What it is about.
    pub goto: Goto,
    /// What it was made from.
    pub made_from: MadeFrom,
    /// The page.
    pub reader: Reader<Link>,
}

/// A list on a page, or instead of one.
#[derive(Debug)]
pub enum VisitedList {
    /// The tasks of a spawn site.
    Tasks(Box<Table<Tasks>>),
    /// The async ops on a resource.
    Ops(Box<Table<Ops>>),
}

impl VisitedList {
    /// The list itself, whatever it is of.
    pub(super) fn table(&self) -> &dyn AnyTable {
        match self {
            Self::Tasks(table) => table.as_ref(),
            Self::Ops(table) => table.as_ref(),
        }
    }

    /// The same, to be changed.
    pub(super) fn table_mut(&mut self) -> &mut dyn AnyTable {
        match self {
            Self::Tasks(table) => table.as_mut(),
            Self::Ops(table) => table.as_mut(),
        }
    }
}
