//! Whether a series of numbers grows, told without being fooled by noise, steps and bursts.

use std::time::Duration;

use super::view::Evidence;
use crate::model::ResourceKey;

/// The Mann-Kendall statistic of a series, as a standard normal deviate: above 2.3 a rise by chance is less likely than 1 in 100,
/// above 3 less likely than 1 in 700. Zero for fewer than four values.
///
/// Source: Mann (1945), Kendall (1975); ties are corrected for.
#[expect(clippy::cast_precision_loss, reason = "series are at most a few hundred values long")]
pub fn mann_kendall(values: &[f64]) -> f64 {
    let n = values.len();
    if n < 4 {
        return 0.0;
    }
    let pairs = (0..n).flat_map(|early| (early + 1..n).map(move |late| (early, late)));
    let score: i64 = pairs.map(|(early, late)| sign(values[late] - values[early])).sum();
    let spread = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let ties: f64 = tie_sizes(values).into_iter().map(|size| spread(size as f64)).sum();
    let variance = (spread(n as f64) - ties) / 18.0;
    if variance <= 0.0 || score == 0 {
        return 0.0;
    }
    let score = score as f64;
    (score - score.signum()) / variance.sqrt()
}

fn sign(difference: f64) -> i64 {
    i64::from(difference > 0.0) - i64::from(difference < 0.0)
}

fn tie_sizes(values: &[f64]) -> Vec<usize> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.chunk_by(|one, next| one == next).map(<[f64]>::len).collect()
}

/// The mean of some values; zero for none.
#[expect(clippy::cast_precision_loss, reason = "series are at most a few hundred values long")]
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// How much a series has grown: the mean of its last three values less that of its first three.
pub fn growth(values: &[f64]) -> f64 {
    let ends = values.len().min(3);
    mean(&values[values.len() - ends..]) - mean(&values[..ends])
}

/// Whether a series still grows at its end: its last third at half the pace of the whole or more.
#[expect(clippy::cast_precision_loss, reason = "series are at most a few hundred values long")]
pub fn still_grows(values: &[f64]) -> bool {
    let third = values.len() / 3;
    if third < 2 {
        return growth(values) > 0.0;
    }
    let pace = |part: &[f64]| (part[part.len() - 1] - part[0]) / (part.len() - 1) as f64;
    let whole = pace(values);
    whole > 0.0 && pace(&values[values.len() - third..]) >= whole / 2.0
}

/// Counts of waiters from which growth is told.
const COUNTS: u32 = 6;
/// Their number rises with this certainty (a normal deviate).
const RISES: f64 = 2.2;
/// A series is not told where it was not known who waits for longer than this.
const BLIND: usize = 15;

/// How many waited for a lock, and since when the first of them did, second by second.
#[derive(Debug, Clone, PartialEq)]
pub struct WaiterSeries {
    /// How many waited.
    pub waiting: Vec<f64>,
    /// How long the first of them had waited, in seconds.
    pub oldest: Vec<f64>,
}

impl Evidence<'_> {
    /// How many waited for a lock at each second of the last `window`, if that is known for nearly all of it.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 tasks wait")]
    pub fn waiter_series(&self, key: ResourceKey, window: Duration) -> Option<WaiterSeries> {
        let start = self.now().minus(window);
        let blind = self.memory.blind.iter().rev().take_while(|at| **at >= start).count();
        if blind > BLIND {
            return None;
        }
        let history = self.waiter_history(key)?;
        let mut series = WaiterSeries { waiting: Vec::new(), oldest: Vec::new() };
        for second in 0..=window.as_secs() {
            let time = start.plus(Duration::from_secs(second));
            let known = history.at(time)?;
            let oldest = known.oldest_since.map_or(Duration::ZERO, |since| self.clock().running_between(since, time));
            series.waiting.push(known.waiting as f64);
            series.oldest.push(oldest.as_secs_f64());
        }
        Some(series)
    }

    /// Whether more and more have come to wait for a lock in the last seconds: the earliest sign of a pile-up.
    pub fn more_wait(&self, key: ResourceKey) -> bool {
        let series = self.waiter_series(key, Duration::from_secs(u64::from(COUNTS) - 1));
        series.is_some_and(|series| mann_kendall(&series.waiting) >= RISES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rise_is_certain_and_noise_is_not() {
        let rise: Vec<f64> = (0..12).map(f64::from).collect();
        assert!(mann_kendall(&rise) > 3.0);
        assert!(still_grows(&rise));
        let noise = [5.0, 7.0, 4.0, 6.0, 5.0, 8.0, 4.0, 6.0, 7.0, 5.0];
        assert!(mann_kendall(&noise).abs() < 1.0);
        assert_eq!(mann_kendall(&[3.0; 20]), 0.0);
        assert_eq!(mann_kendall(&[1.0, 2.0, 3.0]), 0.0);
    }

    #[test]
    fn a_step_has_stopped_growing() {
        let step: Vec<f64> = (0..20).map(|n| if n < 6 { f64::from(n) * 20.0 } else { 120.0 }).collect();
        assert!(mann_kendall(&step) > 2.0);
        assert!(!still_grows(&step));
    }

    #[test]
    fn growth_compares_the_ends() {
        assert_eq!(growth(&[1.0, 2.0, 3.0, 10.0, 11.0, 12.0]), 9.0);
        assert_eq!(growth(&[]), 0.0);
    }
}
