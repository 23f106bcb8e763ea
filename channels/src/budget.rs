//! How much may be told in a second, so that a feed is not flooded.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Tokens that are taken one by one and come back with time, up to a limit.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
    most: usize,
    per_second: usize,
}

impl Budget {
    pub(crate) const fn new(most: usize, per_second: usize) -> Self {
        Self { left: AtomicUsize::new(most), most, per_second }
    }

    /// Takes a token; false if there is none.
    pub(crate) fn take(&self) -> bool {
        self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    /// Brings back what so many seconds are worth.
    pub(crate) fn refill(&self, seconds: usize) {
        let more = self.per_second.saturating_mul(seconds);
        // The closure never refuses, so there is no failure to look at.
        let _ = self.left.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_add(more).min(self.most)));
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn tokens_run_out_and_come_back_up_to_the_limit() {
        let budget = Budget::new(3, 2);
        assert_eq!((0..5).filter(|_| budget.take()).count(), 3);
        budget.refill(1);
        assert_eq!((0..5).filter(|_| budget.take()).count(), 2);
        budget.refill(usize::MAX);
        assert_eq!((0..5).filter(|_| budget.take()).count(), 3);
    }
}
