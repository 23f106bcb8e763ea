//! A ring of bounded length.

use std::collections::VecDeque;

/// Adds to a ring that holds at most this many, at the cost of its oldest.
pub(in crate::model) fn push_bounded<T>(ring: &mut VecDeque<T>, value: T, most: usize) {
    if ring.len() == most {
        ring.pop_front();
    }
    ring.push_back(value);
}
