//! What lists are sorted by.

use std::sync::Arc;

use crate::model::time::Timestamp;

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order<C> {
    /// The column that counts.
    pub by: C,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// Which rows are wanted: those with a text that this accepts.
pub type Filter<'a> = &'a dyn Fn(&str) -> bool;

/// What a row is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SortKey {
    /// Nothing to compare: below every number and before every text.
    Nothing,
    /// A number.
    Number(u128),
    /// A text.
    Text(Arc<str>),
}

impl SortKey {
    /// A number, if there is one.
    pub(super) fn number(number: Option<impl Into<u128>>) -> Self {
        number.map_or(Self::Nothing, |number| Self::Number(number.into()))
    }
}

/// Sorts rows by their keys; those that are equal stay in the order in which they were created, so that rows do not jump.
pub(super) fn sorted<K: Ord>(mut rows: Vec<(SortKey, Timestamp, K)>, descending: bool) -> Vec<K> {
    rows.sort_unstable_by(|one, other| {
        let by_key = if descending { other.0.cmp(&one.0) } else { one.0.cmp(&other.0) };
        by_key.then(one.1.cmp(&other.1)).then_with(|| one.2.cmp(&other.2))
    });
    rows.into_iter().map(|(_, _, key)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_stay_in_the_order_of_their_creation() {
        let at = Timestamp::from_nanos;
        let rows = |number| [(SortKey::Number(number), at(3), 'c'), (SortKey::Number(1), at(1), 'a')];
        let rows: Vec<_> = rows(1).into_iter().chain([(SortKey::Nothing, at(0), 'z')]).collect();
        assert_eq!(sorted(rows.clone(), true), ['a', 'c', 'z']);
        assert_eq!(sorted(rows, false), ['z', 'a', 'c']);
    }
}
