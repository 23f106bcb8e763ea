//! A ring of bounded length.

use std::collections::VecDeque;

/// Up to this many a ring has room for what is in it, or for twice as much, and for no more: most rings of a process stay short.
const FEW: usize = 4;

/// Adds to a ring that holds at most this many, at the cost of its oldest.
pub(in crate::model) fn push_bounded<T>(ring: &mut VecDeque<T>, value: T, most: usize) {
    if ring.len() == most {
        ring.pop_front();
    } else if ring.len() == ring.capacity() && ring.len() < FEW {
        ring.reserve_exact(ring.len().max(1));
    }
    ring.push_back(value);
}
