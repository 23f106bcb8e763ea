//! What is counted while messages pass: one cache line for those who send, one for those who receive.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicUsize};

/// So many waits may be shown each time somebody asks.
const WAITS: usize = if cfg!(test) { 1_000_000 } else { 2 };

/// The counter of one side of a queue, and what the sampler wants to know of that side. It has two lines of 64 bytes, because processors
/// fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Side {
    /// Wraps around. A `usize`, since not every target that tokio supports has a wider atomic.
    count: AtomicUsize,
    /// Whether the next one to pass should show itself.
    asked: AtomicBool,
    /// How many of the next waits should be shown.
    waits: AtomicUsize,
}

impl Side {
    /// Counts where several may do so at once. Returns whether the one who passed should show itself.
    #[inline]
    pub(crate) fn add(&self, number: usize) -> bool {
        self.count.fetch_add(number, Release);
        self.asked.load(Relaxed)
    }

    /// Counts where only one can do so at a time, which saves a locked instruction. Returns the count.
    #[inline]
    pub(crate) fn add_alone(&self, number: usize) -> usize {
        let count = self.count.load(Relaxed).wrapping_add(number);
        self.count.store(count, Release);
        count
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Acquire)
    }

    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Relaxed)
    }

    #[inline]
    pub(crate) fn is_asked_for_waits(&self) -> bool {
        self.waits.load(Relaxed) > 0
    }

    /// Wants to know who passes, and who waits.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Relaxed);
        self.waits.store(WAITS, Relaxed);
    }

    /// Takes over the answer to who passes; false if another one has done so.
    pub(crate) fn answer(&self) -> bool {
        self.asked.swap(false, Relaxed)
    }

    /// Takes over one of the answers to who waits.
    pub(crate) fn answer_wait(&self) -> bool {
        self.waits.fetch_update(Relaxed, Relaxed, |waits| waits.checked_sub(1)).is_ok()
    }
}

/// How many are between two counters that wrap around and go on all the time. `first` counts what went in, `last` what came out.
///
/// The two cannot be read at once. What came out is read before and after: if much came out in between, this thread was held up, and the
/// numbers do not belong together. The answer is never more than what there was at one time.
pub(crate) fn between(first: impl Fn() -> usize, last: impl Fn() -> usize) -> (usize, usize) {
    let mut out = last();
    for _ in 0..8 {
        let went_in = first();
        let later = last();
        if later == out {
            return (went_in, later);
        }
        out = later;
    }
    let went_in = first();
    (went_in, last())
}

/// What went in and has not come out: nothing if more came out, since what is just being counted may be counted out first.
pub(crate) fn difference(went_in: usize, came_out: usize) -> usize {
    let difference = went_in.wrapping_sub(came_out);
    if difference > usize::MAX / 2 { 0 } else { difference }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_wraps_around_still_tells_the_difference() {
        assert_eq!(difference(3, usize::MAX - 1), 5);
        assert_eq!(difference(usize::MAX, 3), 0, "more came out than went in: it is being counted");
        assert_eq!(difference(7, 7), 0);
    }

    #[test]
    fn one_answer_for_each_question() {
        let side = Side::default();
        assert!(!side.add(1) && !side.answer() && !side.answer_wait());
        side.ask();
        assert!(side.add(1) && side.answer() && !side.answer());
        assert_eq!((0..WAITS + 9).filter(|_| side.answer_wait()).count(), WAITS);
        assert_eq!(side.count(), 2);
    }
}
