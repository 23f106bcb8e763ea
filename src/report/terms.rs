//! The terms of filters, list by list, as help and docs show them.

use super::columns::Column;
use super::filter::example;
use super::findings::FindingColumn;
use super::ops::OpColumn;
use super::resources::ResourceColumn;
use super::sites::SiteColumn;
use super::tasks::TaskColumn;
use super::timeline::TimelineColumn;

/// A term of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermRow {
    /// How it is written: `age>30s`.
    pub example: String,
    /// What it asks for, as a noun phrase.
    pub help: &'static str,
}

/// The terms of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListTerms {
    /// What the list is of.
    pub list: &'static str,
    /// Its terms.
    pub rows: Vec<TermRow>,
}

/// The terms of every list.
pub fn all() -> [ListTerms; 6] {
    [
        of::<FindingColumn>("findings"),
        of::<SiteColumn>("spawn sites"),
        of::<TaskColumn>("tasks"),
        of::<ResourceColumn>("resources"),
        of::<OpColumn>("async ops"),
        of::<TimelineColumn>("the timeline"),
    ]
}

fn of<C: Column>(list: &'static str) -> ListTerms {
    let row = |spec: &super::columns::Spec<C>| TermRow {
        example: format!("{}{}", spec.term, example(spec.kind)),
        help: spec.help,
    };
    ListTerms { list, rows: C::SPECS.iter().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::filter::Query;
    use super::*;

    fn check<C: Column>() {
        let terms: BTreeSet<&str> = C::SPECS.iter().map(|spec| spec.term).collect();
        assert_eq!(terms.len(), C::SPECS.len(), "two columns have one term");
        assert!(terms.iter().all(|term| !term.is_empty() && term.bytes().all(|it| it.is_ascii_lowercase())));
        for row in of::<C>("").rows {
            Query::<C>::parse(&row.example).unwrap_or_else(|mistake| panic!("{mistake}"));
        }
    }

    #[test]
    fn every_column_has_a_term_of_its_own() {
        check::<FindingColumn>();
        check::<SiteColumn>();
        check::<TaskColumn>();
        check::<ResourceColumn>();
        check::<OpColumn>();
    }
}
