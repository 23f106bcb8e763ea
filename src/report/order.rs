//! Which rows a list has, and in which order.

use super::columns::Value;
use super::filter::Query;
use crate::model::time::Timestamp;

/// The order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order<C> {
    /// The column that counts.
    pub by: C,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// Which rows are wanted, in which order.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a, C> {
    /// Their order.
    pub order: Order<C>,
    /// What each of them has to match.
    pub query: &'a Query<C>,
    /// Whether rows that are hidden by default are wanted too.
    pub all: bool,
}

/// The rows of a list, and what its heading says of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<K> {
    /// The rows, in order.
    pub keys: Vec<K>,
    /// How many more match and are hidden by default.
    pub hidden: usize,
    /// How many of the rows are of each of these kinds.
    pub tally: Vec<(usize, &'static str)>,
}

impl<K> Rows<K> {
    /// Rows of one kind, of which none is hidden.
    pub(super) fn new(keys: Vec<K>) -> Self {
        Self { keys, hidden: 0, tally: Vec::new() }
    }
}

/// Sorts rows by their values; those that are equal stay in the order in which they were created, so that rows do not jump.
pub(super) fn sorted<K: Ord>(mut rows: Vec<(Value<'_>, Timestamp, K)>, descending: bool) -> Vec<K> {
    rows.sort_unstable_by(|one, other| {
        let by_value = if descending { other.0.cmp(&one.0) } else { one.0.cmp(&other.0) };
        by_value.then(one.1.cmp(&other.1)).then_with(|| one.2.cmp(&other.2))
    });
    rows.into_iter().map(|(_, _, key)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_stay_in_the_order_of_their_creation() {
        let at = Timestamp::from_nanos;
        let rows = |number| [(Value::Number(number), at(3), 'c'), (Value::Number(1), at(1), 'a')];
        let rows: Vec<_> = rows(1).into_iter().chain([(Value::Nothing, at(0), 'z')]).collect();
        assert_eq!(sorted(rows.clone(), true), ['a', 'c', 'z']);
        assert_eq!(sorted(rows, false), ['z', 'a', 'c']);
    }
}
