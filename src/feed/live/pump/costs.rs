//! What calls cost the target, estimated from how long their answers take.

use std::collections::VecDeque;
use std::time::Duration;

/// Assumed cost of a call before one was made.
const USUAL: Duration = Duration::from_micros(500);

/// Largest cost that is believed, as a multiple of the usual one.
const OUTLIER: u32 = 4;

/// The last round trips that count: a machine may get busy later.
const ROUND_TRIPS_KEPT: usize = 5;

/// What calls have cost so far.
#[derive(Debug)]
pub(super) struct Costs {
    /// Of the last answers that took no work: the part of network and scheduling, not the target's.
    round_trips: VecDeque<Duration>,
    /// Running mean of the rest.
    of_call: Duration,
}

impl Default for Costs {
    fn default() -> Self {
        Self { round_trips: VecDeque::new(), of_call: USUAL }
    }
}

impl Costs {
    /// Of one call.
    pub(super) fn of_call(&self) -> Duration {
        self.of_call
    }

    /// The target's share of the time that a batch of calls took.
    pub(super) fn account(&mut self, calls: usize, took: Duration) -> Duration {
        let calls = u32::try_from(calls).unwrap_or(u32::MAX).max(1);
        let cost = took.saturating_sub(self.round_trip());
        // One call that met a stopped process says nothing about the next: the mean follows it by a bounded step only.
        let usual = (cost / calls).min(self.of_call.max(USUAL) * OUTLIER);
        self.of_call = (self.of_call * 7 + usual) / 8;
        cost
    }

    /// Takes in the time in which the target answers at all.
    pub(super) fn note_round_trip(&mut self, took: Duration) {
        if self.round_trips.len() == ROUND_TRIPS_KEPT {
            self.round_trips.pop_front();
        }
        self.round_trips.push_back(took);
    }

    /// The median of the last ones, which one that met a stopped process does not move.
    fn round_trip(&self) -> Duration {
        let mut sorted: Vec<Duration> = self.round_trips.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(round_trip: Duration) -> Costs {
        let mut costs = Costs::default();
        (0..ROUND_TRIPS_KEPT).for_each(|_| costs.note_round_trip(round_trip));
        costs
    }

    #[test]
    fn a_machine_that_got_busy_is_not_charged_to_the_target() {
        let mut costs = learned(Duration::from_micros(300));
        assert_eq!(costs.account(1, Duration::from_millis(9)), Duration::from_micros(8_700));
        (0..ROUND_TRIPS_KEPT).for_each(|_| costs.note_round_trip(Duration::from_millis(8)));
        assert_eq!(costs.account(1, Duration::from_millis(9)), Duration::from_millis(1));
        costs.note_round_trip(Duration::from_secs(2));
        assert_eq!(costs.round_trip(), Duration::from_millis(8), "one stop does not make a busy machine");
    }

    #[test]
    fn the_network_is_not_charged_to_the_target() {
        let mut costs = learned(Duration::from_millis(20));
        assert_eq!(costs.account(16, Duration::from_millis(21)), Duration::from_millis(1));
        assert_eq!(costs.account(1, Duration::from_millis(3)), Duration::ZERO);
    }

    #[test]
    fn calls_made_at_once_share_their_time() {
        let mut costs = learned(Duration::ZERO);
        (0..100).for_each(|_| {
            costs.account(10, Duration::from_millis(2));
        });
        assert!(costs.of_call().abs_diff(Duration::from_micros(200)) < Duration::from_micros(5), "{costs:?}");
    }

    #[test]
    fn a_process_that_stood_still_does_not_change_what_a_call_costs() {
        let mut costs = learned(Duration::ZERO);
        costs.account(1, Duration::from_secs(2));
        assert!(costs.of_call() < Duration::from_millis(1), "{costs:?}");
    }
}
