//! A crowd of tasks that only grows: whether its old members are still heard of, as clients that stay are, or were forgotten.

use std::time::Duration;

use super::view::Evidence;
use crate::model::TaskKey;
use crate::model::entity::site::Site;
use crate::model::time::Timestamp;

/// Members that are older than this are old,
const OLD: Duration = Duration::from_secs(15);
/// and still if they were last polled before they were this old.
const SETTLED: Duration = Duration::from_secs(10);
/// Old members that are looked at from either end.
const SAMPLE: usize = 128;
/// Parts of a time in each of which somebody must have come.
const PARTS: u32 = 10;

/// The tasks of a site of which hardly any ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Crowd {
    /// Old members that were looked at.
    pub old: usize,
    /// How many of them have not been polled since the first seconds of their lives.
    pub still: usize,
    /// Whether a member was ever seen to end that was not young.
    pub old_ones_end: bool,
}

impl Crowd {
    /// Whether nobody is heard of any more after the first seconds.
    pub fn is_still(&self) -> bool {
        self.old > 0 && self.still == self.old && !self.old_ones_end
    }
}

impl Evidence<'_> {
    /// What is seen of the tasks of a site as a crowd.
    pub fn crowd(&self, site: &Site) -> Crowd {
        let (_, sample) = site.live.sample_oldest(2 * SAMPLE, |born| self.running_since(born) > OLD);
        let still = sample.iter().filter(|(born, key)| self.is_still_since(*born, *key)).count();
        Crowd { old: sample.len(), still, old_ones_end: site.lifetime_at(1.0) > Some(SETTLED) }
    }

    /// Whether a task has rested since its first seconds.
    fn is_still_since(&self, born: Timestamp, key: TaskKey) -> bool {
        self.rests_since(key).is_some_and(|since| since.since(born) <= SETTLED)
    }

    /// Whether a crowd has grown for all of a time: in each part of it somebody came who is still there.
    pub fn has_grown_for(&self, site: &Site, time: Duration) -> bool {
        let at = |part: u32| self.now().minus(time * (PARTS - part) / PARTS);
        let came = |part: u32| site.live.first_since(at(part)).is_some_and(|born| born < at(part + 1));
        (0..PARTS).all(came)
    }
}
