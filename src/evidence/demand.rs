//! Whether more is asked of a semaphore than it can give, all the time, and whether those who ask suffer from it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::view::Evidence;
use super::waiters::WaiterSnapshot;
use crate::model::entity::resource::Resource;
use crate::model::history::waits::GivenUp;
use crate::model::time::Timestamp;
use crate::model::tokio::AcquireKind;
use crate::model::{ResourceKey, TaskKey};

/// The time in which arrivals are counted is cut into this many parts,
const PARTS: u32 = 5;
/// of which this many may be nearly empty. A batch that is worked off leaves more of them empty, as nobody comes meanwhile.
const EMPTY: usize = 1;
/// A part with less than one in this many of the usual arrivals is nearly empty.
const FEW: u64 = 3;
/// Numbers of those who wait that are further from the beginning of a time say nothing of it.
const APART: Duration = Duration::from_secs(3);
/// This many waits that were given up in each half of a time, and failed, show that they are not meant.
const FAILED: u64 = 5;

impl Evidence<'_> {
    /// How many permits a semaphore has. Where it was not seen new: as many as there are tasks that acquired it and do not wait, or fewer;
    /// unknown where permits are of the kind that is passed on.
    pub fn count_permits(&self, key: ResourceKey) -> Option<usize> {
        let semaphore = self.resource(key)?;
        if let Some(capacity) = semaphore.permits.capacity {
            return usize::try_from(capacity).ok();
        }
        let grants = || semaphore.grants.newest_first();
        let waiting: BTreeSet<TaskKey> = self.waiters(key).filter_map(|(_, op)| op.task).collect();
        let inside = grants().filter_map(|grant| grant.task).filter(|task| !waiting.contains(task));
        let inside: BTreeSet<TaskKey> =
            inside.filter(|task| self.task(*task).is_some_and(|task| task.is_alive())).collect();
        grants().all(|grant| !grant.owned).then(|| inside.len().max(1))
    }

    /// Whether those who wait came one after the other from a time until now; those of a batch come at once.
    pub fn keeps_coming(&self, key: ResourceKey, from: Timestamp) -> bool {
        let Some(history) = self.waiter_history(key) else { return false };
        let counts: Vec<&WaiterSnapshot> = history.since(from).collect();
        let (Some(first), Some(last)) = (counts.first(), counts.last()) else { return false };
        let span = last.at.since(first.at);
        let come_by = |part: u32| {
            let until = first.at.plus(span * part / PARTS);
            counts.iter().rev().find(|it| it.at <= until).map_or(first.came, |it| it.came)
        };
        let parts: Vec<u64> = (0..PARTS).map(|part| come_by(part + 1).saturating_sub(come_by(part))).collect();
        let usual = parts.iter().sum::<u64>() / u64::from(PARTS);
        let empty = parts.iter().filter(|came| FEW * **came < usual).count();
        usual > 0 && empty <= EMPTY && parts.last() > Some(&0) && first.at.since(from) <= APART
    }

    /// Whether those who wait do so against their will: again and again some gave up after a long wait and failed. Others may wait on purpose,
    /// as a limit to how many work at a time is meant to make them.
    pub fn waits_fail(&self, key: ResourceKey, kind: AcquireKind, from: Timestamp, long: Duration) -> bool {
        let Some(semaphore) = self.resource(key) else { return false };
        let gave_up = |since: Timestamp| semaphore.waits.window(kind, since).cancelled;
        let late = gave_up(from.plus(self.now().since(from) / 2));
        let all_the_while = late >= FAILED && gave_up(from).saturating_sub(late) >= FAILED;
        all_the_while && self.most_waits_failed(semaphore, from, long)
    }

    /// Whether most of those who gave up a wait of some length since a time have failed: their task has ended, or it is a library's, such as
    /// the connection of a server. A task of the service may try again.
    pub fn most_waits_failed(&self, semaphore: &Resource, from: Timestamp, long: Duration) -> bool {
        let has_failed = |it: &GivenUp| {
            let Some(task) = self.task(it.task).filter(|task| task.is_alive()) else { return true };
            self.site(task.site).is_some_and(|site| site.id.location.is_library())
        };
        let given_up = semaphore.given_up.iter().filter(|it| it.at >= from && it.at.since(it.since) >= long);
        let (failed, tried): (Vec<bool>, Vec<bool>) = given_up.map(has_failed).partition(|failed| *failed);
        failed.len() > tried.len()
    }
}
