//! The exact distribution of a task's polls, for tasks whose details stream is open.

use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

/// How long the polls of a task took, and how long it waited to be polled, over its whole life.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// Durations of its polls.
    pub polls: Option<Durations>,
    /// Times between being woken and being polled.
    pub scheduled: Option<Durations>,
}

/// A distribution of durations, cut off at a maximum.
#[derive(Debug, Clone)]
pub struct Durations {
    histogram: Histogram<u64>,
    /// Values above the maximum that the target records.
    pub outliers: u64,
    /// The largest of them.
    pub highest_outlier: Option<Duration>,
}

impl Durations {
    /// Reads a distribution in the format of `HdrHistogram`, of either version; `None` for bytes that are not one.
    pub(in crate::model) fn decode(bytes: &[u8], outliers: u64, highest_outlier: Option<u64>) -> Option<Self> {
        let histogram = Deserializer::new().deserialize(&mut &*bytes).ok()?;
        Some(Self { histogram, outliers, highest_outlier: highest_outlier.map(Duration::from_nanos) })
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.histogram.len() + self.outliers
    }

    /// The duration that this share of the values did not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_quantile(share))
    }

    /// The longest duration.
    pub fn longest(&self) -> Duration {
        self.highest_outlier.unwrap_or(Duration::from_nanos(self.histogram.max()))
    }

    /// How many values fall into each of so many equal steps between the shortest and the longest recorded one.
    pub fn columns(&self, columns: usize) -> Vec<u64> {
        let (low, high) = (self.histogram.min(), self.histogram.max());
        let step = (high - low) / u64::try_from(columns.max(1)).unwrap_or(1) + 1;
        let mut counts = vec![0; columns];
        for value in self.histogram.iter_recorded() {
            let column = usize::try_from((value.value_iterated_to().saturating_sub(low)) / step).unwrap_or(usize::MAX);
            if let Some(count) = counts.get_mut(column.min(columns.saturating_sub(1))) {
                *count += value.count_at_value();
            }
        }
        counts
    }
}
