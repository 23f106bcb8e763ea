//! How many permits a semaphore would need, in words.

use std::time::Duration;

use super::snapshot::Snapshot;
use crate::detect::describe;
use crate::evidence::sizing::Sizing;
use crate::model::ResourceKey;
use crate::words;

/// A semaphore with too few permits for those who come.
#[derive(Debug, Clone, PartialEq)]
pub struct SizingRow {
    /// Which semaphore.
    pub key: ResourceKey,
    /// What it is and where it was made.
    pub title: String,
    /// Where it was made; empty if that is not known.
    pub location: String,
    /// How many permits it has.
    pub permits: u64,
    /// How many it would need.
    pub needed: u64,
    /// Arrivals a second.
    pub arrivals: f64,
    /// For how long each permit is held.
    pub held: Duration,
    /// The time over which that was measured.
    pub window: Duration,
}

impl SizingRow {
    /// The need in words: `has 10 permits and would need 38`.
    pub fn need(&self) -> String {
        let permits = words::count(self.permits, "permit");
        format!("has {permits} and would need {}", words::number(self.needed))
    }

    /// What that follows from.
    pub fn because(&self) -> String {
        format!(
            "In the last {}, {} tasks/s came and each held a permit for {}: {} at a time (Little's law).",
            words::duration(self.window),
            words::decimal(self.arrivals),
            words::duration(self.held),
            words::number(self.needed)
        )
    }
}

impl Snapshot<'_> {
    /// How many permits a semaphore would need; nothing where it has enough, or not enough is known.
    pub fn sizing(&self, key: ResourceKey) -> Option<SizingRow> {
        let Sizing { permits, needed, arrivals, held, window } = self.evidence.sizing(key)?;
        let title = describe::resource(&self.evidence, key);
        let location = describe::resource_location(&self.evidence, key);
        Some(SizingRow { key, title, location, permits, needed, arrivals, held, window })
    }

    /// The semaphores with too few permits, those that lack most first.
    pub fn sizings(&self) -> Vec<SizingRow> {
        let mut rows: Vec<SizingRow> = self.evidence.contested().filter_map(|(key, _)| self.sizing(key)).collect();
        rows.sort_by(|one, other| {
            let lacks = |it: &SizingRow| it.needed.saturating_sub(it.permits);
            lacks(other).cmp(&lacks(one)).then_with(|| (&one.title, one.key).cmp(&(&other.title, other.key)))
        });
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_is_said_with_what_it_follows_from() {
        let row = SizingRow {
            key: ResourceKey::default(),
            title: String::new(),
            location: String::new(),
            permits: 10,
            needed: 38,
            arrivals: 100.0,
            held: Duration::from_millis(380),
            window: Duration::from_secs(30),
        };
        assert_eq!(row.need(), "has 10 permits and would need 38");
        assert_eq!(
            row.because(),
            "In the last 30.0 s, 100 tasks/s came and each held a permit for 380 ms: 38 at a time (Little's law)."
        );
    }
}
