//! A ring of bounded length.

use std::collections::VecDeque;

/// Up to this many a ring has room for what is in it, or for twice as much, and for no more: most rings of a process stay short.
const FEW: usize = 4;

/// Adds to a ring that holds at most this many, at the cost of its oldest. It never has room for more than it may hold.
pub(crate) fn push_bounded<T>(ring: &mut VecDeque<T>, value: T, most: usize) {
    let len = ring.len();
    if len == most {
        ring.pop_front();
    } else if len == ring.capacity() && (len < FEW || 2 * len > most) {
        ring.reserve_exact(len.max(1).min(most - len));
    }
    ring.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_has_room_for_what_it_may_hold_and_no_more() {
        for most in [1, 3, 180] {
            let mut ring = VecDeque::new();
            for value in 0..2 * most {
                push_bounded(&mut ring, value, most);
                assert!(ring.capacity() <= most, "{} for {} of {most}", ring.capacity(), ring.len());
            }
            assert!(ring.into_iter().eq(most..2 * most));
        }
    }
}
