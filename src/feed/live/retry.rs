//! How long to wait before the next attempt to connect.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The first wait, without its jitter.
const FIRST: Duration = Duration::from_millis(250);

/// Waits that double up to a longest one, for ever, with jitter: many clients of one service do not return at the same moment.
pub(super) struct Retry {
    delays: ExponentialBackoff,
    longest: Duration,
}

impl Retry {
    /// From the shortest wait on; none is longer than `longest`, jitter included.
    pub(super) fn new(longest: Duration) -> Self {
        let delays = ExponentialBuilder::new()
            .with_min_delay(FIRST.min(longest / 2))
            .with_factor(2.0)
            // Jitter adds up to the delay itself.
            .with_max_delay(longest / 2)
            .without_max_times()
            .with_jitter();
        Self { delays: delays.build(), longest }
    }

    /// The next wait.
    pub(super) fn next(&mut self) -> Duration {
        self.delays.next().unwrap_or(self.longest).min(self.longest)
    }

    /// Starts again: the last connection was a good one.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.longest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(5);

    #[test]
    fn waits_double_with_jitter_up_to_five_seconds_and_never_end() {
        let mut retry = Retry::new(LONGEST);
        let waits: Vec<_> = (0..1_000).map(|_| retry.next()).collect();
        for (n, wait) in (0_u32..).zip(&waits) {
            let base = (FIRST * 2_u32.pow(n.min(10))).min(LONGEST / 2);
            assert!(*wait >= base && *wait <= base * 2, "wait {n} is {wait:?}");
        }
        let longest = waits.iter().max();
        assert!(longest <= Some(&LONGEST) && longest > Some(&(LONGEST * 3 / 4)), "{longest:?}");
        assert!(waits.iter().skip(10).collect::<std::collections::BTreeSet<_>>().len() > 100, "no jitter");
    }

    #[test]
    fn after_a_good_connection_the_waits_are_short_again() {
        let mut retry = Retry::new(LONGEST);
        for _ in 0..20 {
            retry.next();
        }
        retry.reset();
        assert!(retry.next() <= FIRST * 2);
    }
}
