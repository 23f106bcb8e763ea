//! The exact distribution of a task's polls, for tasks whose details stream is open.

use std::collections::VecDeque;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use crate::model::keys::TaskKey;

/// Tasks whose details are kept at a time; a feed opens a few streams, and a hostile one may send those of every task.
const MOST_KEPT: usize = 64;
/// What an uncompressed distribution begins with (V2 of the `HdrHistogram` format); the others can claim any size.
const COOKIE: u32 = 0x1c84_9313;
/// Bytes before the counts, in the same format.
const HEADER: usize = 40;
/// The lowest number that a count can be in that format. The library computes its negative, which is none.
const LOWEST: [u8; 9] = [0xff; 9];
/// Most significant digits of a value; console-subscriber records two, and every further one takes ten times the memory.
const MOST_DIGITS: u32 = 3;

/// The details of the tasks for which they came last.
#[derive(Debug, Clone, Default)]
pub(in crate::model) struct RecentDetails(VecDeque<(TaskKey, Details)>);

impl RecentDetails {
    pub(in crate::model) fn get(&self, key: TaskKey) -> Option<&Details> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, details)| details)
    }

    pub(in crate::model) fn iter(&self) -> impl Iterator<Item = (TaskKey, &Details)> {
        self.0.iter().map(|(key, details)| (*key, details))
    }

    pub(in crate::model) fn insert(&mut self, key: TaskKey, details: Details) {
        self.remove(key);
        if self.0.len() == MOST_KEPT {
            self.0.pop_front();
        }
        self.0.push_back((key, details));
    }

    pub(in crate::model) fn remove(&mut self, key: TaskKey) {
        self.0.retain(|(known, _)| *known != key);
    }
}

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
    /// Reads a distribution in the format of `HdrHistogram`; `None` for bytes that are not one, or would take far more memory than a
    /// target's do.
    pub(in crate::model) fn decode(bytes: &[u8], outliers: u64, highest_outlier: Option<u64>) -> Option<Self> {
        let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (cookie, payload, digits) = (number(0)?, number(4)?, number(12)?);
        let arrived = bytes.len().checked_sub(HEADER)?;
        if cookie != COOKIE || usize::try_from(payload).ok()? > arrived || digits > MOST_DIGITS {
            return None;
        }
        if bytes[HEADER..].windows(LOWEST.len()).any(|window| window == LOWEST) {
            return None;
        }
        let histogram = Deserializer::new().deserialize(&mut &*bytes).ok()?;
        Some(Self { histogram, outliers, highest_outlier: highest_outlier.map(Duration::from_nanos) })
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.histogram.len().saturating_add(self.outliers)
    }

    /// The duration that this share of the values did not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_quantile(share))
    }

    /// The longest duration.
    pub fn longest(&self) -> Duration {
        self.highest_outlier.unwrap_or(Duration::from_nanos(self.histogram.max()))
    }

    /// The shortest duration.
    pub fn shortest(&self) -> Duration {
        Duration::from_nanos(self.histogram.min())
    }

    /// How many values, of those that are not above the maximum that the target records, do not exceed each of these bounds and exceed the one
    /// before it. The bounds rise; what exceeds them all counts to the last.
    pub fn steps(&self, bounds: &[Duration]) -> Vec<u64> {
        let mut counts = vec![0_u64; bounds.len()];
        for value in self.histogram.iter_recorded() {
            let time = Duration::from_nanos(self.histogram.lowest_equivalent(value.value_iterated_to()));
            let step = bounds.partition_point(|bound| *bound < time).min(bounds.len().saturating_sub(1));
            if let Some(count) = counts.get_mut(step) {
                *count = count.saturating_add(value.count_at_value());
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::{Serializer, V2Serializer};

    use super::*;

    fn encoded(digits: u8, values: u64) -> Vec<u8> {
        let mut histogram = Histogram::<u64>::new_with_max(1_000_000_000, digits).unwrap();
        (1..=values).for_each(|value| histogram.record(value * 1_000).unwrap());
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&histogram, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_distribution_is_read_with_its_outliers() {
        let durations = Durations::decode(&encoded(2, 100), 3, Some(5_000_000_000)).unwrap();
        assert_eq!((durations.count(), durations.longest()), (103, Duration::from_secs(5)));
        let micros = [10, 50, 60].map(Duration::from_micros);
        assert_eq!(durations.steps(&micros), [10, 40, 50], "100 values from 1 to 100 µs");
        assert!(durations.steps(&[]).is_empty());
    }

    #[test]
    fn one_that_claims_more_than_it_has_is_refused() {
        assert!(Durations::decode(&encoded(4, 100), 0, None).is_none(), "too many digits");
        let mut claims = encoded(2, 100);
        claims[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(Durations::decode(&claims, 0, None).is_none());
        let lowest = [&encoded(2, 100)[..HEADER], &LOWEST].concat();
        assert!(Durations::decode(&lowest, 0, None).is_none());
        let compressed = [&0x1c84_9314_u32.to_be_bytes(), &encoded(2, 100)[4..]].concat();
        assert!(Durations::decode(&compressed, 0, None).is_none());
        assert!((0..HEADER).all(|length| Durations::decode(&encoded(2, 1)[..length], 0, None).is_none()));
    }

    #[test]
    fn those_that_came_last_are_kept() {
        let mut keys = slotmap::SlotMap::<TaskKey, ()>::with_key();
        let mut recent = RecentDetails::default();
        let keys: Vec<_> = (0..=MOST_KEPT).map(|_| keys.insert(())).collect();
        keys.iter().chain(&keys[..1]).for_each(|key| recent.insert(*key, Details::default()));
        assert!(recent.get(keys[0]).is_some() && recent.get(keys[1]).is_none());
        assert_eq!(recent.0.len(), MOST_KEPT);
    }
}
