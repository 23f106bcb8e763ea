//! How long woken tasks wait for a worker, of all of them and of each spawn site.

use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::model::time::Timestamp;
use crate::model::{Model, SiteKey};

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
    pub(super) fn of(mut delays: Vec<Duration>) -> Option<Self> {
        delays.sort_unstable();
        let at = |percent: usize| delays.get((delays.len() * percent).div_ceil(100).max(1) - 1).copied();
        Some(Self { median: at(50)?, p90: at(90)?, p99: at(99)? })
    }

    /// Those of each spawn site whose tasks were woken since a time.
    pub(super) fn by_site(model: &Model, from: Timestamp) -> FxHashMap<SiteKey, Self> {
        let mut delays: FxHashMap<SiteKey, Vec<Duration>> = FxHashMap::default();
        for delay in model.delays().since(from) {
            delays.entry(delay.site).or_default().push(delay.mean);
        }
        delays.into_iter().filter_map(|(site, it)| Some((site, Self::of(it)?))).collect()
    }

    /// The longer of both, each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { median: self.median.max(other.median), p90: self.p90.max(other.p90), p99: self.p99.max(other.p99) }
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
