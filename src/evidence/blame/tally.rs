//! What has been counted of each spawn site until a time: sums, of which the difference between two times is what happened in between.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::cause::Cause;
use crate::evidence::view::Evidence;
use crate::model::location::Location;
use crate::model::text::Text;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey};

/// Rows of one site: what its tasks were blocked by, times who held it. What comes when there are as many is counted together.
const ROWS: usize = 32;

/// What tasks wait for: everything of a kind that one line makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Awaited {
    /// Its kind.
    pub kind: ResourceKind,
    /// Its type, as the target names it.
    pub concrete_type: Text,
    /// Where it was made, if that says anything.
    pub made_at: Option<Location>,
}

/// How long the tasks of a site were blocked by one thing that one site held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blocked {
    pub(super) cause: Cause,
    /// What they waited for, and the last one of the kind; nothing for those that have no row of their own.
    pub(super) awaited: Option<(Awaited, ResourceKey)>,
    /// Who held it in the end, if that is known.
    pub(super) holder: Option<SiteKey>,
    pub(super) time: Duration,
}

impl Blocked {
    fn is_like(&self, other: &Self) -> bool {
        self.is_the_same(other) || {
            let [class, other_class] = [self, other].map(|it| it.awaited.as_ref().map(|(awaited, _)| awaited));
            (self.cause, self.holder) == (other.cause, other.holder) && class == other_class
        }
    }

    /// Whether both are about the same resource. Cheaper than [`is_like`](Self::is_like), which compares places.
    fn is_the_same(&self, other: &Self) -> bool {
        let [key, other_key] = [self, other].map(|it| it.awaited.as_ref().map(|(_, key)| *key));
        key == other_key && (self.cause, self.holder) == (other.cause, other.holder)
    }
}

/// How many tasks that rested, and waited for nothing that reports itself, did so on a timer, and how many did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Samples {
    pub(super) timer: u32,
    pub(super) unseen: u32,
}

/// The sums of one site.
#[derive(Debug, Clone, Default)]
pub(super) struct SiteTally {
    pub(super) lived: Duration,
    pub(super) running: Duration,
    pub(super) scheduled: Duration,
    pub(super) blocked: Vec<Blocked>,
    pub(super) timer: Duration,
    pub(super) message: Duration,
    pub(super) samples: Samples,
}

impl SiteTally {
    /// Adds a time in which a task was blocked.
    pub(super) fn block(&mut self, new: Blocked) {
        if new.time.is_zero() {
            return;
        }
        let known = self.blocked.iter().position(|known| known.is_the_same(&new));
        let known = known.or_else(|| self.blocked.iter().position(|known| known.is_like(&new)));
        let index = known.or_else(|| {
            let fits = self.blocked.len() < ROWS;
            fits.then(|| {
                self.blocked.push(Blocked { time: Duration::ZERO, ..new.clone() });
                self.blocked.len() - 1
            })
        });
        match index.map(|index| &mut self.blocked[index]) {
            Some(known) => {
                known.time += new.time;
                known.awaited = new.awaited;
            }
            None => self.block_by_others(new.cause, new.time),
        }
    }

    fn block_by_others(&mut self, cause: Cause, time: Duration) {
        let others = Blocked { cause, awaited: None, holder: None, time };
        match self.blocked.iter_mut().find(|known| known.is_like(&others)) {
            Some(known) => known.time += time,
            None => self.blocked.push(others),
        }
    }

    /// Adds a time in which a task waited for what nobody is to blame for.
    pub(super) fn rest(&mut self, cause: Cause, time: Duration) {
        if cause == Cause::Timer {
            self.timer += time;
        } else {
            self.message += time;
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        let blocked = self.blocked.iter().map(|row| {
            let before = earlier.blocked.iter().find(|known| known.is_like(row)).map_or(Duration::ZERO, |it| it.time);
            Blocked { time: row.time.saturating_sub(before), ..row.clone() }
        });
        Self {
            lived: self.lived.saturating_sub(earlier.lived),
            running: self.running.saturating_sub(earlier.running),
            scheduled: self.scheduled.saturating_sub(earlier.scheduled),
            blocked: blocked.filter(|row| !row.time.is_zero()).collect(),
            timer: self.timer.saturating_sub(earlier.timer),
            message: self.message.saturating_sub(earlier.message),
            samples: Samples {
                timer: self.samples.timer.saturating_sub(earlier.samples.timer),
                unseen: self.samples.unseen.saturating_sub(earlier.samples.unseen),
            },
        }
    }
}

/// The sums of all sites at a time.
#[derive(Debug, Clone, Default)]
pub(in crate::evidence) struct Tally {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) sites: FxHashMap<SiteKey, SiteTally>,
}

impl Tally {
    /// When it was taken.
    pub(in crate::evidence) fn taken(&self) -> Timestamp {
        self.to
    }

    /// What happened since an earlier one.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let nothing = SiteTally::default();
        let difference =
            |(key, site): (&SiteKey, &SiteTally)| (*key, site.since(earlier.sites.get(key).unwrap_or(&nothing)));
        Self { from: earlier.to, to: self.to, sites: self.sites.iter().map(difference).collect() }
    }
}

impl Evidence<'_> {
    /// What a resource is to those who wait for it.
    pub(super) fn awaited_class(&self, key: ResourceKey) -> Option<(Awaited, ResourceKey)> {
        let resource = self.resource(key)?;
        let awaited = Awaited {
            kind: resource.kind,
            concrete_type: resource.concrete_type.clone(),
            made_at: self.own_place(resource).cloned(),
        };
        Some((awaited, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked(line: usize, seconds: u64) -> Blocked {
        let awaited = Awaited {
            kind: ResourceKind::Mutex,
            concrete_type: "Mutex".into(),
            made_at: Some(Location::parse(&format!("src/a.rs:{line}:1"))),
        };
        // Two locks that are gone may have had the same key only if they are one.
        let key = slotmap::KeyData::from_ffi((1 << 32) | u64::try_from(line).expect("small")).into();
        let time = Duration::from_secs(seconds);
        Blocked { cause: Cause::Lock, awaited: Some((awaited, key)), holder: None, time }
    }

    #[test]
    fn rows_are_bounded_and_no_time_is_lost() {
        let mut site = SiteTally::default();
        for line in 0..3 * ROWS {
            site.block(blocked(line, 1));
            site.block(blocked(line, 1));
        }
        assert_eq!(site.blocked.len(), ROWS + 1);
        let all: Duration = site.blocked.iter().map(|row| row.time).sum();
        assert_eq!(all, Duration::from_secs(2 * 3 * u64::try_from(ROWS).expect("small")));
    }

    #[test]
    fn a_difference_is_what_was_added() {
        let mut site = SiteTally { lived: Duration::from_secs(9), ..SiteTally::default() };
        site.block(blocked(1, 5));
        let mut later = SiteTally { lived: Duration::from_secs(20), ..site.clone() };
        later.block(blocked(1, 2));
        later.block(blocked(2, 3));
        let between = later.since(&site);
        assert_eq!(between.lived, Duration::from_secs(11));
        assert_eq!(between.blocked, [blocked(1, 2), blocked(2, 3)]);
    }
}
