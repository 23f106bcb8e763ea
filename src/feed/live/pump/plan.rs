//! When the calls of an interval are made: together, and as late as the next update still has what they drain.

use std::time::Duration;

use tokio::time::Instant;

/// Calls that are made at once. One read, one write and one wake-up serve them all, which costs a target less than the same calls one by
/// one.
const BATCH: usize = 16;

/// How long before the expected tick the last batch ends, with some reserve for what an update takes to arrive.
const RESERVE: Duration = Duration::from_millis(40);

/// Calls to make at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) at: Instant,
    pub(super) calls: usize,
}

/// Spreads calls of this cost each over an interval: most batches evenly, the last one just before its end, or in its last half if it is short.
pub(super) fn batches(from: Instant, interval: Duration, calls: usize, cost: Duration) -> Vec<Batch> {
    let count = calls.div_ceil(BATCH);
    let size = |nth: usize| calls * (nth + 1) / count - calls * nth / count;
    let most = u32::try_from(calls.min(BATCH)).unwrap_or(u32::MAX);
    let reserve = RESERVE.saturating_add(cost.saturating_mul(most).saturating_mul(3) / 2);
    let last = interval.saturating_sub(reserve.min(interval / 2));
    (0..count).map(|nth| Batch { at: from + last.mul_f64(part(nth + 1, count)), calls: size(nth) }).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred at most")]
fn part(nth: usize, of: usize) -> f64 {
    nth as f64 / of as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(interval: Duration, calls: usize, cost: Duration) -> Vec<(Duration, usize)> {
        let from = Instant::now();
        batches(from, interval, calls, cost).into_iter().map(|batch| (batch.at - from, batch.calls)).collect()
    }

    #[test]
    fn few_calls_are_one_batch_just_before_the_tick() {
        let all = planned(Duration::from_secs(1), 14, Duration::from_millis(1));
        assert_eq!(all, [(Duration::from_millis(939), 14)]);
    }

    #[test]
    fn many_calls_are_spread_evenly() {
        let all = planned(Duration::from_secs(1), 70, Duration::from_millis(1));
        assert_eq!(all.iter().map(|(_, calls)| calls).sum::<usize>(), 70);
        assert!(all.iter().all(|(_, calls)| (1..=BATCH).contains(calls)), "{all:?}");
        let gaps: Vec<_> = all.windows(2).map(|pair| pair[1].0.abs_diff(pair[0].0)).collect();
        assert!(gaps.iter().all(|gap| gap.abs_diff(gaps[0]) < Duration::from_micros(1)), "{gaps:?}");
        assert!(all.last().unwrap().0 > Duration::from_millis(900));
    }

    #[test]
    fn any_interval_and_number_of_calls_has_a_plan_within_the_interval() {
        for interval in [0, 1, 10, 100, 1_000, 10_000].map(Duration::from_millis) {
            for calls in [0, 1, 2, 15, 16, 17, 100, 4_096] {
                for cost in [Duration::ZERO, Duration::from_micros(300), Duration::from_secs(2), Duration::MAX] {
                    let all = planned(interval, calls, cost);
                    assert_eq!(all.iter().map(|(_, calls)| calls).sum::<usize>(), calls);
                    assert!(all.is_sorted_by_key(|(at, _)| *at), "{interval:?} {calls}");
                    assert!(all.iter().all(|(at, _)| *at <= interval), "{interval:?} {calls}");
                }
            }
        }
    }
}
