//! How a process does as a whole, apart from any fault: how much its tasks do, how busy its workers are, and how long woken tasks wait for one.

use std::time::Duration;

use super::numbers::number;
use super::view::Evidence;
use crate::model::time::Timestamp;

/// The time over which all of it is taken: short enough to show a change at once, long enough for slow publish intervals.
const WINDOW: Duration = Duration::from_secs(10);

/// What the async tasks of a process did lately.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pulse {
    /// Polls a second.
    pub polls_per_second: f64,
    /// Cores that their polls take.
    pub busy_cores: f64,
    /// The share of the workers' time that their polls take, where the workers are known: those of a current-thread runtime are not reported.
    pub busy_share: Option<f64>,
}

/// How long woken tasks waited for a worker lately: a sample of means, one for each task and update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelayQuantiles {
    /// Half of them waited no longer.
    pub median: Duration,
    /// Nine in ten waited no longer.
    pub p90: Duration,
    /// All but one in a hundred waited no longer.
    pub p99: Duration,
}

impl DelayQuantiles {
    /// The quantiles of these times; nothing of none.
    fn of(mut delays: Vec<Duration>) -> Option<Self> {
        delays.sort_unstable();
        let at = |percent: usize| delays.get((delays.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Self { median: at(50)?, p90: at(90)?, p99: at(99)? })
    }

    /// The longer of both, each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { median: self.median.max(other.median), p90: self.p90.max(other.p90), p99: self.p99.max(other.p99) }
    }
}

impl Evidence<'_> {
    /// What the async tasks did lately; nothing before the second update.
    pub fn pulse(&self) -> Option<Pulse> {
        let (activity, window) = self.totals().activity.lately(WINDOW)?;
        let seconds = window.as_secs_f64();
        let busy_cores = activity.busy.as_secs_f64() / seconds;
        let workers = self.worker_threads().filter(|(_, task)| task.is_worker_thread()).count();
        let busy_share = (workers > 0).then(|| busy_cores / number(workers));
        Some(Pulse { polls_per_second: number(activity.polls) / seconds, busy_cores, busy_share })
    }

    /// How long woken tasks waited for a worker lately; nothing if none was woken.
    pub fn delay_quantiles(&self) -> Option<DelayQuantiles> {
        self.delay_quantiles_since(self.now().minus(WINDOW))
    }

    /// The quantiles of what was reported at `from` or later.
    pub fn delay_quantiles_since(&self, from: Timestamp) -> Option<DelayQuantiles> {
        let is_ours = |site| self.site(site).is_none_or(|site| !site.is_of_console);
        let lately = self.delays().since(from);
        DelayQuantiles::of(lately.filter(|delay| is_ours(delay.site)).map(|delay| delay.mean).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_times_that_were_seen() {
        let millis = |from: u64, to: u64| (from..=to).rev().map(Duration::from_millis).collect::<Vec<_>>();
        let of = |delays| DelayQuantiles::of(delays).map(|it| [it.median, it.p90, it.p99].map(|it| it.as_millis()));
        assert_eq!(of(millis(1, 100)), Some([50, 90, 99]));
        assert_eq!(of(millis(1, 3)), Some([2, 3, 3]));
        assert_eq!(of(millis(7, 7)), Some([7, 7, 7]));
        assert_eq!(of(Vec::new()), None);
    }
}
