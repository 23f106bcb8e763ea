//! Whether a lock, semaphore or channel still moves: how long somebody has waited for it, and how long nobody has acquired it.

use std::iter;
use std::time::Duration;

use super::view::Evidence;
use crate::model::ResourceKey;
use crate::model::history::waits::Unserved;
use crate::model::time::Timestamp;

/// How a lock, semaphore or channel moves. Times in which the process did not run do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flow {
    /// How many wait now.
    pub waiting: usize,
    /// How long the first of them has waited.
    pub oldest: Duration,
    /// How long the last of them has.
    pub youngest: Duration,
    /// When a task last acquired it.
    pub last_grant: Option<Timestamp>,
    /// For how long no task is known to have acquired it. The lag is subtracted, because the feed may not have reported a later grant yet.
    pub since_grant: Duration,
    /// For how long somebody has waited all the time, no matter whether the same one: many put a timeout around the wait, and then nobody
    /// waits for long. Nothing where nobody waits.
    unserved: Option<Duration>,
    /// How many gave up meanwhile.
    pub given_up: u64,
}

impl Flow {
    /// For how long somebody has waited, those who gave up included, and no task has acquired it.
    pub fn unserved_for(&self) -> Option<Duration> {
        self.unserved.map(|lasts| lasts.min(self.since_grant))
    }

    /// For how long one and the same has waited, and no task has acquired it; zero where nobody waits.
    pub fn stalled_for(&self) -> Duration {
        self.oldest.min(self.since_grant)
    }

    /// Whether a task acquired it within this time.
    pub fn turned_within(&self, time: Duration) -> bool {
        self.last_grant.is_some() && self.since_grant < time
    }
}

impl Evidence<'_> {
    /// How a lock, semaphore or channel moves.
    pub fn flow(&self, key: ResourceKey) -> Flow {
        self.flows.get(key, || self.find_flow(key))
    }

    fn find_flow(&self, key: ResourceKey) -> Flow {
        let Some(lock) = self.resource(key) else { return Flow::default() };
        let (mut waiting, mut first, mut last) = (0, None, None);
        for since in self.waiters(key).map(|(_, op)| self.waiting_since(op)) {
            waiting += 1;
            first = Some(first.map_or(since, |first: Timestamp| first.min(since)));
            last = last.max(Some(since));
        }
        let age = |since: Option<Timestamp>| since.map_or(Duration::ZERO, |since| self.running_since(since));
        let last_grant = lock.grants.last().map(|grant| grant.at);
        let no_grant_since = last_grant.unwrap_or_else(|| lock.created.max(self.knows_grants_since()));
        let lag = self.quality().lag.unwrap_or_default();
        let (since, given_up) = self.always_waited_since(key, first);
        Flow {
            waiting,
            oldest: age(first),
            youngest: age(last),
            last_grant,
            since_grant: self.running_since(no_grant_since).saturating_sub(lag),
            unserved: since.map(|since| self.running_since(since)),
            given_up,
        }
    }

    /// The median time from one grant to the next since a time: as long as somebody waits, that is how long a task holds a lock.
    pub fn between_grants(&self, key: ResourceKey, from: Timestamp) -> Duration {
        let grants = self.resource(key).into_iter().flat_map(|lock| lock.grants.newest_first());
        let at: Vec<Timestamp> = grants.map(|grant| grant.at).take_while(|at| *at >= from).collect();
        let mut gaps: Vec<Duration> = at.windows(2).map(|pair| pair[0].since(pair[1])).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied().unwrap_or_default()
    }

    /// The mean number of tasks that wait for a lock, outside of the longest interval between two grants since a time. If only that one hold
    /// makes tasks wait, the lock is not contended.
    pub fn waiters_without_longest_hold(&self, key: ResourceKey, from: Timestamp) -> f64 {
        let Some(lock) = self.resource(key) else { return 0.0 };
        let now = self.now();
        let granted = lock.grants.newest_first().map(|grant| (grant.since, grant.at));
        let (lately, before): (Vec<_>, Vec<_>) = granted.partition(|(_, at)| *at >= from);
        // Only the newest of many grants are kept.
        let known = if before.is_empty() { lately.last().map_or(from, |(_, at)| *at) } else { from };
        let ends: Vec<Timestamp> = iter::once(now).chain(lately.iter().map(|(_, at)| *at)).chain([known]).collect();
        let holds = ends.windows(2).map(|pair| (pair[0].since(pair[1]), pair[1], pair[0]));
        let (longest, begin, end) = holds.max().unwrap_or((Duration::ZERO, now, now));
        let waiting = self.waiters(key).map(|(_, op)| (self.waiting_since(op), now));
        let waits = lately.iter().copied().chain(waiting).map(|(since, until)| {
            let in_hold = until.min(end).since(since.max(begin));
            until.since(since.max(known)).saturating_sub(in_hold)
        });
        let rest = now.since(known).saturating_sub(longest);
        waits.sum::<Duration>().as_secs_f64() / rest.as_secs_f64().max(1.0)
    }

    /// Since when somebody has always waited without a grant, and how many gave up meanwhile.
    fn always_waited_since(&self, key: ResourceKey, first: Option<Timestamp>) -> (Option<Timestamp>, u64) {
        let Some(lock) = self.resource(key) else { return (None, 0) };
        let last_grant = lock.grants.last().map_or(lock.created, |grant| grant.at);
        let until = first.unwrap_or(self.now().minus(self.quality().lag.unwrap_or_default()));
        match lock.unserved.filter(|it| it.until > last_grant && until <= it.until.plus(Unserved::PAUSE)) {
            Some(unserved) => {
                let since = first.map_or(unserved.since, |first| first.min(unserved.since));
                (Some(since.max(last_grant)), unserved.waits)
            }
            None => (first, 0),
        }
    }
}
