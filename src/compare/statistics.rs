//! The tests that decide whether a difference is more than chance: pure functions of numbers.

// The same comparison may be looked at again and again, so the error that is allowed in all is spread over the looks (alpha spending: Lan and
// DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70, 1983), half of what is left at each. A union bound over the
// looks and over the metrics (Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979)
// needs no independence of either.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// The chance, at most, of calling any difference where there is none, over all looks and metrics.
pub(super) const ALPHA: f64 = 0.05;

/// Blocks of each side at the first look; each further look needs twice as many.
pub const FIRST_LOOK: usize = 5;

/// Samples up to this size are ranked exactly; larger ones by the normal approximation.
const EXACT: usize = 16;

/// What is known less exactly than this, in logarithms, is not taken for more exact: pods of a simulation are equal to the last digit.
const LEAST_DEVIATION: f64 = 0.05;

/// How many looks have been taken with so many blocks, one for each doubling; none before the first.
pub(super) fn looks(blocks: usize) -> u32 {
    let doubled = |look: u32| FIRST_LOOK.checked_shl(look).unwrap_or(usize::MAX);
    (0..usize::BITS).take_while(|look| doubled(*look) <= blocks).count().try_into().unwrap_or(u32::MAX)
}

/// How many blocks the first comparison of a look has; it goes on until there are twice as many.
pub(super) fn blocks_of(look: u32) -> usize {
    look.checked_sub(1).map_or(0, |doublings| FIRST_LOOK.checked_shl(doublings).unwrap_or(usize::MAX))
}

/// How many tests of blocks a look has, one for each number of blocks that belongs to it: they share what may be spent at the look.
pub(super) fn tests_of(look: u32) -> f64 {
    float(blocks_of(look).max(1))
}

/// The error that may be spent at a look, counted from one: a half, a quarter, an eighth of all, and none before the first.
pub(super) fn allowed(look: u32) -> f64 {
    if look == 0 {
        return 0.0;
    }
    ALPHA * 0.5_f64.powi(look.min(1_000).try_into().unwrap_or(1_000))
}

/// Which of these are significant together at a level, by Holm's procedure.
pub(super) fn holm(chances: &[f64], level: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|one, other| chances[*one].total_cmp(&chances[*other]));
    let mut significant = vec![false; chances.len()];
    for (rank, index) in order.into_iter().enumerate() {
        if chances[index] > level / float(chances.len() - rank) {
            break;
        }
        significant[index] = true;
    }
    significant
}

/// The chance that the first sample ranks as far above the second as it does, or farther, if both come from the same source: the
/// one-sided test of Mann and Whitney ("On a test of whether one of two random variables is stochastically larger than the other", 1947).
pub(super) fn rank_higher(sample: &[f64], others: &[f64]) -> f64 {
    if sample.is_empty() || others.is_empty() {
        return 1.0;
    }
    let ranks = doubled_ranks(sample, others);
    let observed: usize = ranks[..sample.len()].iter().sum();
    if sample.len() <= EXACT && others.len() <= EXACT {
        exactly_at_least(&ranks, sample.len(), observed)
    } else {
        about_at_least(&ranks, sample.len(), observed)
    }
}

/// The least chance that [`rank_higher`] can return for samples of these sizes.
pub(super) fn least_chance(sample: usize, others: usize) -> f64 {
    let drawn = sample.min(others);
    // One arrangement of all.
    (0..drawn).map(|taken| float(drawn - taken) / float(sample + others - taken)).product()
}

/// Twice the rank of each value of both samples, the first before the second; equal values share the mean of their ranks.
fn doubled_ranks(sample: &[f64], others: &[f64]) -> Vec<usize> {
    let all: Vec<f64> = sample.iter().chain(others).copied().collect();
    let mut sorted = all.clone();
    sorted.sort_by(f64::total_cmp);
    let rank = |value: &f64| {
        let below = sorted.partition_point(|it| it.total_cmp(value).is_lt());
        let until = sorted.partition_point(|it| it.total_cmp(value).is_le());
        below + until + 1
    };
    all.iter().map(rank).collect()
}

/// The share of all ways to draw so many of these ranks whose sum is at least this.
fn exactly_at_least(ranks: &[usize], drawn: usize, least: usize) -> f64 {
    let most: usize = ranks.iter().sum();
    // Ways to draw `count` ranks of a sum, for each count and sum.
    let mut ways = vec![vec![0.0_f64; most + 1]; drawn + 1];
    ways[0][0] = 1.0;
    for rank in ranks {
        for count in (1..=drawn).rev() {
            for sum in (*rank..=most).rev() {
                ways[count][sum] += ways[count - 1][sum - rank];
            }
        }
    }
    let all: f64 = ways[drawn].iter().sum();
    ways[drawn][least.min(most)..].iter().sum::<f64>() / all
}

/// The same for many ranks, whose sum is nearly normal; equal ones make it vary less.
fn about_at_least(ranks: &[usize], drawn: usize, least: usize) -> f64 {
    let (all, drawn) = (float(ranks.len()), float(drawn));
    let mean_rank = ranks.iter().map(|rank| float(*rank)).sum::<f64>() / all;
    let variance = ranks.iter().map(|rank| (float(*rank) - mean_rank).powi(2)).sum::<f64>() / all;
    let deviation = (drawn * (all - drawn) / (all - 1.0) * variance).sqrt();
    // Half a step, of two, towards the mean: sums are whole numbers.
    let above = float(least) - 1.0 - drawn * mean_rank;
    if deviation <= 0.0 {
        return 1.0;
    }
    Normal::new(0.0, 1.0).map_or(1.0, |normal| normal.sf(above / deviation))
}

/// The chance that the mean of the first sample is as far above that of the second as it is, or farther, if it is not above it: the one-sided
/// test of Welch ("The generalization of Student's problem when several different population variances are involved", 1947).
pub(super) fn mean_higher(sample: &[f64], others: &[f64]) -> f64 {
    if sample.len() < 2 || others.len() < 2 {
        return 1.0;
    }
    let (one, other) = (Moments::of(sample), Moments::of(others));
    let error = (one.of_mean() + other.of_mean()).sqrt();
    let freedom = (one.of_mean() + other.of_mean()).powi(2)
        / (one.of_mean().powi(2) / (one.count - 1.0) + other.of_mean().powi(2) / (other.count - 1.0));
    StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |student| student.sf((one.mean - other.mean) / error))
}

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(sample: &[f64]) -> Self {
        let count = float(sample.len());
        let mean = sample.iter().sum::<f64>() / count;
        let variance = sample.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self { count, mean, variance: variance.max(LEAST_DEVIATION.powi(2)) }
    }

    /// The variance of the mean.
    fn of_mean(&self) -> f64 {
        self.variance / self.count
    }
}

/// The value that this share of a sample does not exceed; zero for none.
pub(super) fn quantile(sample: &[f64], share: f64) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of a short list")]
    let rank = (float(last) * share.clamp(0.0, 1.0)).round() as usize;
    sorted[rank.min(last)]
}

/// The value in the middle of a sample, or between the two there; zero for none.
pub(super) fn median(sample: &[f64]) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 0 => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
        count => sorted[count / 2],
    }
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(super) fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-4 * expected.max(1e-3), "{value} instead of {expected}");
    }

    /// As `scipy.stats.mannwhitneyu` says, which counts ties the same way where it is exact without them.
    #[test]
    fn ranks_are_compared_exactly_and_about() {
        is_near(rank_higher(&[4.0, 5.0, 6.0], &[1.0, 2.0, 3.0]), 1.0 / 20.0);
        is_near(rank_higher(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]), 1.0);
        is_near(rank_higher(&[1.0, 4.0, 6.0], &[2.0, 3.0, 5.0]), 10.0 / 20.0);
        is_near(rank_higher(&[1.0, 1.0], &[1.0, 1.0]), 1.0);
        let (low, high): (Vec<f64>, Vec<f64>) = ((0..6).map(f64::from).collect(), (10..16).map(f64::from).collect());
        is_near(rank_higher(&high, &low), 1.0 / 924.0);
        is_near(least_chance(6, 6), 1.0 / 924.0);
        is_near(least_chance(3, 5), 1.0 / 56.0);
        let (low, high): (Vec<f64>, Vec<f64>) = ((0..40).map(f64::from).collect(), (20..60).map(f64::from).collect());
        let chance = rank_higher(&high, &low);
        assert!(chance > 1e-10 && chance < 1e-6, "{chance}");
        assert!(rank_higher(&low, &high) > 0.999);
        assert!((rank_higher(&[1.0; 30], &[1.0; 30]) - 1.0).abs() < 1e-9);
    }

    /// As `scipy.stats.ttest_ind(…, equal_var=False, alternative="greater")` says.
    #[test]
    fn means_are_compared_with_their_own_variances() {
        is_near(mean_higher(&[2.0, 2.5, 3.0], &[1.0, 1.2, 1.1]), 0.017_817_5);
        assert!(mean_higher(&[1.0, 1.0, 1.0], &[1.0, 1.0, 1.0]) > 0.49, "equal pods");
        assert!(mean_higher(&[1.1, 1.1, 1.1], &[1.0, 1.0, 1.0]) > 0.01, "equal to the last digit is no proof");
        is_near(mean_higher(&[1.0], &[1.0, 2.0]), 1.0);
    }

    #[test]
    fn several_tests_share_one_level() {
        assert_eq!(holm(&[0.01, 0.04, 0.03], 0.05), [true, false, false]);
        assert_eq!(holm(&[0.01, 0.02, 0.03], 0.06), [true, true, true]);
        assert!(holm(&[], 0.05).is_empty());
    }

    #[test]
    fn all_looks_together_spend_no_more_than_is_allowed() {
        assert_eq!([0, 4, 5, 9, 10, 19, 20].map(looks), [0, 0, 1, 1, 2, 2, 3]);
        let spent: f64 = (1..=60).map(allowed).sum();
        assert!(spent <= ALPHA, "{spent}");
        let spent: f64 = (0..=1_000).map(looks).map(|look| allowed(look) / tests_of(look)).sum();
        assert!(spent <= ALPHA, "{spent}");
    }

    /// One number of two equal sides, looked at after each block: in all that is an alarm less often than is allowed.
    #[test]
    fn looking_again_with_each_block_calls_no_more_equal_sides_different() {
        let mut dice = fastrand::Rng::with_seed(11);
        let mut is_alarm = || {
            let both: Vec<(f64, f64)> = (0..40).map(|_| (dice.f64(), dice.f64())).collect();
            let (canary, stable): (Vec<f64>, Vec<f64>) = both.into_iter().unzip();
            (FIRST_LOOK..=40).any(|blocks| {
                let look = looks(blocks);
                rank_higher(&canary[..blocks], &stable[..blocks]) * tests_of(look) <= allowed(look)
            })
        };
        let alarms = (0..400).filter(|_| is_alarm()).count();
        assert!(alarms <= 20, "{alarms} of 400");
    }

    #[test]
    fn middles() {
        is_near(median(&[3.0, 1.0, 2.0]), 2.0);
        is_near(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        is_near(quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.9), 5.0);
        is_near(quantile(&[], 0.9) + 1.0, 1.0);
    }
}
