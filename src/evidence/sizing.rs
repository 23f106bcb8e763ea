//! How many permits a semaphore would need for those who come, where it has too few.
//!
//! Little's law: as many permits are out on average as arrive a second, times the seconds for which each is held. While somebody waits all the time,
//! all permits are out, so that the time for which one is held follows from how many are acquired.
//! Source: Little, "A Proof for the Queuing Formula: L = λW" (1961).

use std::time::Duration;

use super::numbers::number;
use super::view::Evidence;
use super::waiters::WaiterSnapshot;
use crate::model::ResourceKey;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;

/// The time over which arrivals are counted, and the least of it that says anything.
const WINDOW: Duration = Duration::from_secs(30);
const LEAST: Duration = Duration::from_secs(10);
/// Fewer arrivals or grants than this say nothing.
const ARRIVALS: u64 = 30;
const GRANTS: u64 = 20;
/// A need that is less than this many tenths of what there is may be chance.
const TENTHS: u64 = 12;

/// How many permits a semaphore would need, and what that follows from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sizing {
    /// How many it has.
    pub permits: u64,
    /// How many it would need for nobody to queue for long.
    pub needed: u64,
    /// Arrivals a second.
    pub arrivals: f64,
    /// For how long each permit is held.
    pub held: Duration,
    /// The time over which that was measured.
    pub window: Duration,
}

impl Evidence<'_> {
    /// How many permits a semaphore would need for those who come; nothing unless they kept coming for a while, somebody waited all the time, and
    /// more came than were served.
    pub fn sizing(&self, key: ResourceKey) -> Option<Sizing> {
        let semaphore = self.resource(key).filter(|it| it.kind == ResourceKind::Semaphore && !it.permits.drifted)?;
        let permits = semaphore.permits.capacity.filter(|permits| *permits > 0)?;
        let one_each = semaphore.grants.newest_first().all(|grant| grant.permits == 1);
        let (first, last) = self.always_contested(key).filter(|_| one_each)?;
        let (granted, given_up, since) = semaphore.waits.turnover(first.at);
        let window = last.at.since(since?);
        // Each that came was served, gave up, or still waits.
        let more_wait = u64::try_from(last.waiting.saturating_sub(first.waiting)).unwrap_or_default();
        let arrived = granted + given_up + more_wait;
        let is_enough = window >= LEAST && arrived >= ARRIVALS && granted >= GRANTS;
        if !is_enough || !self.keeps_coming(key, first.at) || !self.all_permits_are_out(semaphore) {
            return None;
        }
        let needed = needed(permits, arrived, granted);
        let arrivals = number(arrived) / window.as_secs_f64();
        let held = window.mul_f64(number(permits) / number(granted));
        let is_more = 10 * u128::from(needed) >= u128::from(TENTHS) * u128::from(permits);
        is_more.then_some(Sizing { permits, needed, arrivals, held, window })
    }

    /// The first and the last of the moments up to now at which somebody waited, without one in between at which nobody did.
    fn always_contested(&self, key: ResourceKey) -> Option<(WaiterSnapshot, WaiterSnapshot)> {
        let from: Timestamp = self.now().minus(WINDOW);
        let mut contested = self.waiter_history(key)?.since(from).rev().take_while(|it| it.waiting > 0);
        let last = contested.next()?;
        Some((*contested.last()?, *last))
    }
}

/// Permits needed to serve all arrivals: `permits * arrived / granted`, rounded. Saturates, because a target may report any number of permits.
fn needed(permits: u64, arrived: u64, granted: u64) -> u64 {
    let [permits, arrived, granted] = [permits, arrived, granted.max(1)].map(u128::from);
    let needed = permits.saturating_mul(2 * arrived).saturating_add(granted) / (2 * granted);
    u64::try_from(needed).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needed_permits_are_rounded_and_any_number_of_them_is_survived() {
        assert_eq!(needed(10, 38, 10), 38);
        assert_eq!(needed(3, 7, 2), 11);
        assert_eq!(needed(u64::MAX, 2, 1), u64::MAX);
        assert_eq!(needed(u64::MAX, u64::MAX, 1), u64::MAX);
    }
}
