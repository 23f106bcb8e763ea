//! How long polls took and wakes waited, for a task whose details somebody watches.

use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2Serializer};

/// The longest poll and the longest delay that are told apart from longer ones.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) poll: Duration,
    pub(crate) scheduled: Duration,
}

/// The two histograms of a task. They begin when somebody asks for them.
#[derive(Debug)]
pub(crate) struct Histograms {
    pub(crate) polls: Clipped,
    pub(crate) scheduled: Clipped,
}

/// A histogram of nanoseconds with two significant digits.
#[derive(Debug)]
pub(crate) struct Clipped {
    /// Grows with what is recorded, up to a limit.
    histogram: Histogram<u32>,
    limit: u64,
    outliers: u64,
    highest_outlier: Option<u64>,
}

impl Histograms {
    /// Empty ones. `None` only for limits that no histogram can have.
    pub(crate) fn new(limits: Limits) -> Option<Self> {
        Some(Self { polls: Clipped::new(limits.poll)?, scheduled: Clipped::new(limits.scheduled)? })
    }
}

impl Clipped {
    fn new(limit: Duration) -> Option<Self> {
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX).max(2);
        let mut histogram = Histogram::new(2).ok()?;
        histogram.auto(true);
        Some(Self { histogram, limit, outliers: 0, highest_outlier: None })
    }

    /// Records a time in nanoseconds.
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        if nanoseconds > self.limit {
            self.outliers += 1;
            self.highest_outlier = self.highest_outlier.max(Some(nanoseconds));
        }
        // It grows to hold any value, and cannot count more than four thousand million of one.
        let _full = self.histogram.record(nanoseconds.min(self.limit));
    }

    /// The message that carries it.
    pub(crate) fn encode(&self) -> console_api::tasks::DurationHistogram {
        let mut raw_histogram = Vec::new();
        if V2Serializer::new().serialize(&self.histogram, &mut raw_histogram).is_err() {
            raw_histogram.clear();
        }
        console_api::tasks::DurationHistogram {
            raw_histogram,
            max_value: self.limit,
            high_outliers: self.outliers,
            highest_outlier: self.highest_outlier,
        }
    }
}
