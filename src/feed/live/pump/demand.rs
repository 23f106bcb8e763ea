//! How many turns a target is asked for: as many as hand over what it buffers, and none where they change nothing.

use std::time::Duration;

use tokio::time::Instant;

use crate::feed::lag::News;

/// What a turn hands over at most: tokio's coop budget is 128 operations, and receiving the call takes one of them.
const EVENTS_PER_TURN: usize = 127;

/// Calls in the first interval, before anything is known of the backlog.
const CALLS_ON_ATTACH: usize = 64;

/// More are never asked for in one interval; the time budget usually ends it earlier.
const MAX_CALLS: usize = 4096;

/// Lag that needs no extra turns: the time from the last calls to the update.
const INEVITABLE_LAG: Duration = Duration::from_millis(100);

/// Above this the feed is late: waits and tasks of half a second do not show.
const TOLERATED_LAG: Duration = Duration::from_millis(400);

/// Updates without a smaller lag, of a target that drains itself, after which the calls pause.
const FUTILE: u32 = 5;

/// How many updates later they are tried again.
const REST: u32 = 30;

/// What an update says about how far the target is behind.
#[derive(Debug, Clone, Copy)]
pub(in crate::feed::live) struct Observation {
    /// When the update came.
    pub(in crate::feed::live) at: Instant,
    /// How many came on this connection, this one included.
    pub(in crate::feed::live) nth: u32,
    /// From one update to the next, where it is known.
    pub(in crate::feed::live) interval: Option<Duration>,
    pub(in crate::feed::live) news: News,
    pub(in crate::feed::live) lag: Option<Duration>,
}

/// Decides how many calls to make until the next update.
#[derive(Debug, Default)]
pub(super) struct Demand {
    last_lag: Option<Duration>,
    /// Updates in a row in which the calls before them were in vain.
    futile: u32,
    /// Updates left to rest.
    rest: u32,
}

impl Observation {
    pub(super) fn is_late(&self) -> bool {
        self.lag.is_some_and(|lag| lag > TOLERATED_LAG)
    }

    /// Whether more was handed over than the calls and the tick account for. A target drains itself while more than half of its buffer is
    /// full, so it is busy with that.
    fn drains_itself(&self, made: usize) -> bool {
        let capacity = capacity(made);
        self.news.total() > capacity + capacity / 4
    }

    /// Whether the turns handed over about as much as they can, so that there may be more.
    fn is_full(&self, made: usize) -> bool {
        self.news.total() >= capacity(made) / 10 * 9 || self.news.dropped > 0 || (self.is_late() && made > 0)
    }
}

impl Demand {
    /// How many calls to make, given how many were made since the update before this one.
    pub(super) fn next(&mut self, seen: &Observation, made: usize, interval: Duration) -> usize {
        if seen.nth <= 1 {
            return CALLS_ON_ATTACH;
        }
        let last_lag = self.last_lag;
        self.last_lag = seen.lag.or(last_lag);
        if self.rests(seen, last_lag, made) {
            return 0;
        }
        let turns = if seen.is_full(made) {
            match seen.lag {
                Some(lag) => turns_to_catch_up(seen.news.total(), lag, last_lag, interval).unwrap_or(2 * made + 2),
                None => 2 * (made + 1),
            }
        } else {
            seen.news.total().div_ceil(EVENTS_PER_TURN)
        };
        // The tick of the target is a turn, too.
        turns.saturating_sub(1).min(MAX_CALLS)
    }

    /// Whether calls are in vain: a target that drains itself and falls behind all the same has no time for more turns.
    fn rests(&mut self, seen: &Observation, last_lag: Option<Duration>, made: usize) -> bool {
        let overloaded = seen.drains_itself(made) && (seen.is_late() || seen.news.dropped > 0);
        if !overloaded {
            (self.futile, self.rest) = (0, 0);
            return false;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return self.rest > 0;
        }
        let falls = seen.lag.zip(last_lag).is_some_and(|(lag, last)| lag < last);
        self.futile = if falls { 0 } else { self.futile + 1 };
        if self.futile >= FUTILE {
            (self.futile, self.rest) = (0, REST);
        }
        self.rest > 0
    }
}

/// Events that a number of calls and the tick can hand over.
fn capacity(calls: usize) -> usize {
    (calls + 1) * EVENTS_PER_TURN
}

/// Turns that hand over what is buffered and what comes until the next update, if as many events happen in a second as did in the time
/// from which the last ones come; `None` if that cannot be told.
fn turns_to_catch_up(drained: usize, lag: Duration, last_lag: Option<Duration>, interval: Duration) -> Option<usize> {
    // The newest known birth has come nearer by what the clock went on and the lag has fallen.
    let covered = (interval + last_lag.unwrap_or(lag)).checked_sub(lag)?;
    if covered < interval / 20 {
        return None;
    }
    let wanted = interval + lag.saturating_sub(INEVITABLE_LAG);
    let turns = capacity_needed(drained, wanted.div_duration_f64(covered));
    Some(turns)
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
fn capacity_needed(drained: usize, times: f64) -> usize {
    let most = (MAX_CALLS * EVENTS_PER_TURN) as f64;
    ((drained as f64 * times).min(most) as usize).div_ceil(EVENTS_PER_TURN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn seen(nth: u32, events: usize, lag: Option<u64>) -> Observation {
        Observation {
            at: Instant::now(),
            nth,
            interval: Some(SECOND),
            news: News { births: events, ..News::default() },
            lag: lag.map(Duration::from_millis),
        }
    }

    fn next(demand: &mut Demand, made: usize, seen: Observation) -> usize {
        demand.next(&seen, made, SECOND)
    }

    #[test]
    fn pumps_on_attach_and_stops_when_nothing_is_held_back() {
        let mut demand = Demand::default();
        assert_eq!(next(&mut demand, 0, seen(1, 5_000, None)), CALLS_ON_ATTACH);
        assert_eq!(next(&mut demand, CALLS_ON_ATTACH, seen(2, 40, None)), 0);
        assert_eq!(next(&mut demand, 0, seen(3, 99, None)), 0);
    }

    #[test]
    fn makes_no_more_calls_than_hand_over_what_there_is() {
        let mut demand = Demand::default();
        let mut made = 64;
        for _ in 0..5 {
            made = next(&mut demand, made, seen(5, 1_800, Some(40)));
            assert_eq!(made, 14, "with the tick 15 turns of 127");
        }
    }

    #[test]
    fn a_lag_is_made_up_for_at_the_rate_of_its_events() {
        let mut demand = Demand::default();
        next(&mut demand, 15, seen(4, 2_000, Some(5_000)));
        // In a second it handed over a second's worth, 2,000 events: five more are buffered.
        assert_eq!(next(&mut demand, 15, seen(5, 2_032, Some(5_000))), (59 * 2_032_usize / 10).div_ceil(127) - 1);
        // It handed over half a second's worth: there is twice as much to a second.
        assert_eq!(next(&mut demand, 15, seen(6, 2_032, Some(5_500))), (128 * 2_032_usize / 10).div_ceil(127) - 1);
    }

    #[test]
    fn without_a_measure_full_turns_are_doubled_up_to_a_limit() {
        let mut demand = Demand::default();
        let mut made = 0;
        for expected in [1, 3, 7, 15] {
            made = next(&mut demand, made, seen(5, (made + 1) * 127, None));
            assert_eq!(made, expected);
        }
        assert_eq!(next(&mut demand, MAX_CALLS, seen(5, 127 * 5_000, None)), MAX_CALLS);
    }

    #[test]
    fn dropped_events_alone_make_it_pump() {
        let mut seen = seen(5, 10, None);
        seen.news.dropped = 1;
        assert_eq!(next(&mut Demand::default(), 0, seen), 1);
    }

    #[test]
    fn a_target_that_drains_itself_and_falls_behind_is_left_alone_until_it_drains_itself_no_more() {
        let mut demand = Demand::default();
        let overloaded = |lag| seen(9, 60_000, Some(lag));
        for n in 1..u64::from(FUTILE) {
            assert!(next(&mut demand, 50, overloaded(8_000 + n)) > 0, "{n}");
        }
        assert_eq!(next(&mut demand, 50, overloaded(9_000)), 0);
        assert_eq!(next(&mut demand, 0, overloaded(9_000)), 0);
        assert!(next(&mut demand, 0, seen(9, 127, Some(9_500))) > 0, "its load has ended");
    }

    #[test]
    fn a_lag_that_rises_while_the_target_drains_no_more_by_itself_is_a_backlog_of_a_load_that_has_ended() {
        let mut demand = Demand::default();
        let mut made = 30;
        for second in 0..60 {
            made = next(&mut demand, made, seen(9, (made + 1) * 127, Some(8_000 + second * 300))).min(30);
            assert_eq!(made, 30);
        }
    }

    #[test]
    fn what_was_left_alone_is_tried_again_in_time() {
        let mut demand = Demand::default();
        let calls: Vec<_> = (0..60).map(|_| next(&mut demand, 0, seen(9, 60_000, Some(8_000)))).collect();
        assert!(calls.iter().filter(|calls| **calls == 0).count() < 2 * REST as usize);
        assert!(calls[30..].iter().any(|calls| *calls > 0));
    }
}
