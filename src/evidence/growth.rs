//! Whether a series of numbers grows, told without being fooled by noise, steps and bursts.

use std::time::Duration;

use super::numbers::number;
use super::view::Evidence;
use crate::model::ResourceKey;
use crate::model::entity::resource::Resource;
use crate::model::entity::site::Site;
use crate::model::history::seconds::Second;

/// A series of numbers, one a second.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    values: Vec<f64>,
}

impl Series {
    /// The series of these numbers, oldest first.
    pub fn new(values: Vec<f64>) -> Self {
        Self { values }
    }

    /// The first number; zero of none.
    pub fn first(&self) -> f64 {
        self.values.first().copied().unwrap_or_default()
    }

    /// The last number; zero of none.
    pub fn last(&self) -> f64 {
        self.values.last().copied().unwrap_or_default()
    }

    /// The time from the first number to the last.
    pub fn window(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.values.len().saturating_sub(1)).unwrap_or_default())
    }

    /// How much it has changed a second, from the first number to the last.
    pub fn rate(&self) -> f64 {
        (self.last() - self.first()) / self.window().as_secs_f64().max(1.0)
    }

    /// How much it has grown: the mean of its last three values less that of its first three.
    pub fn growth(&self) -> f64 {
        let ends = self.values.len().min(3);
        mean(&self.values[self.values.len() - ends..]) - mean(&self.values[..ends])
    }

    /// Whether it still grows at its end: its last third at half the pace of the whole or more.
    pub fn still_grows(&self) -> bool {
        let third = self.values.len() / 3;
        if third < 2 {
            return self.growth() > 0.0;
        }
        let pace = |part: &[f64]| (part[part.len() - 1] - part[0]) / number(part.len() - 1);
        let whole = pace(&self.values);
        whole > 0.0 && pace(&self.values[self.values.len() - third..]) >= whole / 2.0
    }

    /// The Mann-Kendall statistic, as a standard normal deviate: above 2.3 a rise by chance is less likely than 1 in 100, above 3 less likely
    /// than 1 in 700. Zero for fewer than four values.
    ///
    /// Source: Mann (1945), Kendall (1975); ties are corrected for.
    pub fn certainty(&self) -> f64 {
        let (values, n) = (&self.values, self.values.len());
        if n < 4 {
            return 0.0;
        }
        let pairs = (0..n).flat_map(|early| (early + 1..n).map(move |late| (early, late)));
        let score: i64 = pairs.map(|(early, late)| sign(values[late] - values[early])).sum();
        let spread = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
        let ties: f64 = tie_sizes(values).into_iter().map(|size| spread(number(size))).sum();
        let variance = (spread(number(n)) - ties) / 18.0;
        if variance <= 0.0 || score == 0 {
            return 0.0;
        }
        let score = i32::try_from(score).map_or(f64::MAX, f64::from);
        (score - score.signum()) / variance.sqrt()
    }

    /// Whether it rises by at least this much, with this certainty, and still does at its end.
    pub fn rises(&self, least: f64, certainty: f64) -> bool {
        self.growth() >= least && self.still_grows() && self.certainty() >= certainty
    }

    /// Whether no number falls below this share of the one before.
    pub fn never_falls_below(&self, share: f64) -> bool {
        self.values.windows(2).all(|pair| pair[1] >= share * pair[0])
    }
}

/// Growth below this may be chance: a floor, and five times the root of the number of things that come and go by themselves (a Poisson number
/// varies by its root).
pub fn noise(floor: f64, exchanged: f64) -> f64 {
    floor + 5.0 * exchanged.max(0.0).sqrt()
}

fn sign(difference: f64) -> i64 {
    i64::from(difference > 0.0) - i64::from(difference < 0.0)
}

#[expect(clippy::float_cmp, reason = "a tie is of equal numbers")]
fn tie_sizes(values: &[f64]) -> Vec<usize> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.chunk_by(|one, next| one == next).map(<[f64]>::len).collect()
}

fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / number(values.len()) }
}

/// How many waited for a lock, and since when the first of them did, second by second.
#[derive(Debug, Clone, PartialEq)]
pub struct WaiterSeries {
    /// How many waited.
    pub waiting: Series,
    /// How long the first of them had waited, in seconds.
    pub oldest: Series,
}

/// Tasks of a site that were alive, and their median age in seconds, second by second.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveSeries {
    /// How many were alive.
    pub live: Series,
    /// Their median age.
    pub ages: Series,
    /// Those that were spawned meanwhile and are still alive, and those that were alive before and have ended.
    pub exchanged: f64,
}

/// Counts of waiters that show an early rise,
const EARLY: Duration = Duration::from_secs(5);
/// with this certainty (a normal deviate).
const EARLY_CERTAINTY: f64 = 2.2;
/// No growth is told where it was unknown who waits at more updates than this.
const BLIND: usize = 15;
/// No growth is told where counts were doubtful for more than this share of the time.
const DOUBTFUL: f64 = 0.4;

impl Evidence<'_> {
    /// How many waited for a lock at each second of the last `window`, if that is known for nearly all of it.
    pub fn waiter_series(&self, key: ResourceKey, window: Duration) -> Option<WaiterSeries> {
        let start = self.now().minus(window);
        let blind = self.memory.blind.iter().rev().take_while(|at| **at >= start).count();
        let history = self.waiter_history(key).filter(|_| blind <= BLIND)?;
        let (mut waiting, mut oldest) = (Vec::new(), Vec::new());
        for second in 0..=window.as_secs() {
            let time = start.plus(Duration::from_secs(second));
            let known = history.at(time)?;
            let wait = known.oldest_since.map_or(Duration::ZERO, |since| self.clock().running_between(since, time));
            waiting.push(number(known.waiting));
            oldest.push(wait.as_secs_f64());
        }
        Some(WaiterSeries { waiting: Series::new(waiting), oldest: Series::new(oldest) })
    }

    /// Whether more and more have come to wait for a lock in the last seconds: the earliest sign of a pile-up.
    pub fn more_wait(&self, key: ResourceKey) -> bool {
        self.waiter_series(key, EARLY).is_some_and(|series| series.waiting.certainty() >= EARLY_CERTAINTY)
    }

    /// Tasks alive at each second of the last `window`, if most of those seconds can be relied on. Where nothing changed, or what did was not
    /// reported in time, the same tasks got older.
    pub fn live_series(&self, site: &Site, window: Duration) -> Option<LiveSeries> {
        let start = self.now().minus(window);
        let (doubtful, known): (Vec<&Second>, Vec<&Second>) = site.history.all().partition(|second| second.unreliable);
        let unknown: Duration = doubtful.iter().map(|second| second.to.since(second.from.max(start))).sum();
        if known.first()?.to > start || unknown > window.mul_f64(DOUBTFUL) {
            return None;
        }
        let (mut live, mut ages) = (Vec::new(), Vec::new());
        for second in 0..=window.as_secs() {
            let time = start.plus(Duration::from_secs(second));
            let then = known.get(known.partition_point(|known| known.to <= time).checked_sub(1)?)?;
            live.push(number(then.live));
            ages.push((then.median_age + time.since(then.to)).as_secs_f64());
        }
        let came = site.live.iter().rev().take_while(|(born, _)| *born > start).count();
        let left = (live.first()? - number(site.live.len() - came)).max(0.0);
        Some(LiveSeries { live: Series::new(live), ages: Series::new(ages), exchanged: number(came) + left })
    }

    /// The depth of a queue at each second of the last `window`, if it is known for all of it. Between two reports it did not change.
    pub fn depth_series(&self, queue: &Resource, window: Duration) -> Option<Series> {
        let seconds = window.as_secs().max(4);
        let start = self.now().minus(Duration::from_secs(seconds));
        if queue.depths.front()?.at > start {
            return None;
        }
        let at = |second| queue.depth_at(start.plus(Duration::from_secs(second))).map(|depth| number(depth.depth));
        (0..=seconds).map(at).collect::<Option<Vec<f64>>>().map(Series::new)
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "zero is exact")]
mod tests {
    use super::*;

    fn series(values: impl IntoIterator<Item = f64>) -> Series {
        Series::new(values.into_iter().collect())
    }

    #[test]
    fn a_steady_rise_is_certain_and_noise_is_not() {
        let rise = series((0..12).map(f64::from));
        assert!(rise.certainty() > 3.0 && rise.still_grows() && rise.rises(5.0, 3.0));
        assert!(!rise.rises(12.0, 3.0), "it has not grown by so much");
        let noise = series([5.0, 7.0, 4.0, 6.0, 5.0, 8.0, 4.0, 6.0, 7.0, 5.0]);
        assert!(noise.certainty().abs() < 1.0);
        assert_eq!(series([3.0; 20]).certainty(), 0.0);
        assert_eq!(series([1.0, 2.0, 3.0]).certainty(), 0.0);
    }

    #[test]
    fn a_step_has_stopped_growing() {
        let step = series((0..20).map(|n| if n < 6 { f64::from(n) * 20.0 } else { 120.0 }));
        assert!(step.certainty() > 2.0);
        assert!(!step.still_grows());
    }

    #[test]
    fn growth_compares_the_ends() {
        assert_eq!(series([1.0, 2.0, 3.0, 10.0, 11.0, 12.0]).growth(), 9.0);
        assert_eq!((series([]).growth(), series([]).rate(), series([]).last()), (0.0, 0.0, 0.0));
        assert_eq!(series([0.0, 5.0, 10.0]).rate(), 5.0);
        assert!(series([10.0, 9.5, 12.0]).never_falls_below(0.9) && !series([10.0, 8.0]).never_falls_below(0.9));
    }

    #[test]
    fn noise_is_a_floor_and_the_root_of_what_turns_over() {
        assert_eq!((noise(10.0, 0.0), noise(10.0, 100.0), noise(10.0, -1.0)), (10.0, 60.0, 10.0));
    }
}
