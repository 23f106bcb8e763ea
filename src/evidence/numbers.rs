//! Counts as numbers to reckon with, and where values lie densest.

use std::time::Duration;

/// A count of things in one process, which stays far below 2^53.
pub trait Count: Copy {
    /// The count as a number.
    fn as_number(self) -> f64;
}

impl Count for usize {
    #[expect(clippy::cast_precision_loss, reason = "counts of things in one process stay far below 2^53")]
    fn as_number(self) -> f64 {
        self as f64
    }
}

impl Count for u64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of things in one process stay far below 2^53")]
    fn as_number(self) -> f64 {
        self as f64
    }
}

impl Count for u32 {
    fn as_number(self) -> f64 {
        f64::from(self)
    }
}

/// A count as a number.
pub fn number(count: impl Count) -> f64 {
    count.as_number()
}

/// The share that a part is of a whole; zero of nothing.
pub fn ratio<T: Count + PartialEq + Default>(part: T, whole: T) -> f64 {
    if whole == T::default() { 0.0 } else { part.as_number() / whole.as_number() }
}

/// The duration around which most of these, in order, lie close together, and how many do: those that exceed the least of them by no more
/// than the share `width`. In proportion to their number.
pub fn densest(sorted: &[Duration], width: f64) -> (Duration, usize) {
    let (mut best, mut until) = ((0, 0), 0);
    for (first, least) in sorted.iter().enumerate() {
        let most = least.mul_f64(1.0 + width);
        until += sorted.iter().skip(until).take_while(|it| **it <= most).count();
        if until - first >= best.1 {
            best = (first, until - first);
        }
    }
    let (first, near) = best;
    (sorted.get(first + near / 2).copied().unwrap_or_default(), near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_densest_where_most_are_close_together() {
        let durations = |millis: &[u64]| millis.iter().map(|it| Duration::from_millis(*it)).collect::<Vec<_>>();
        assert_eq!(densest(&durations(&[]), 0.05), (Duration::ZERO, 0));
        assert_eq!(densest(&durations(&[100, 498, 500, 505, 512, 900]), 0.05), (Duration::from_millis(505), 4));
        assert_eq!(densest(&durations(&[100, 200, 400]), 0.05).1, 1);
    }
}
