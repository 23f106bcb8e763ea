//! Whether a series of numbers grows, told without being fooled by noise, steps and bursts.

use std::collections::VecDeque;

use crate::model::resource::Crowd;

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
const COUNTS: usize = 6;
/// Their number rises with this certainty (a normal deviate).
const RISES: f64 = 2.2;

/// Whether more and more have come to wait in the last seconds: the earliest sign of a pile-up.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 tasks wait")]
pub fn more_wait(crowds: &VecDeque<Crowd>) -> bool {
    let newest = crowds.iter().rev().take(COUNTS).rev();
    let counts: Vec<f64> = newest.map(|crowd| crowd.waiting as f64).collect();
    counts.len() == COUNTS && mann_kendall(&counts) >= RISES
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
