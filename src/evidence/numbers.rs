//! Counts as numbers to reckon with.

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
