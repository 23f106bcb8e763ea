//! Whether more is asked of a lock or semaphore than it can give, all the time, and whether those who ask suffer from it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::places::{self, Part};
use super::view::Evidence;
use super::waiters::WaiterSnapshot;
use crate::model::entity::resource::Resource;
use crate::model::entity::task::Task;
use crate::model::history::waits::{GivenUp, WaitWindow};
use crate::model::time::Timestamp;
use crate::model::tokio::{AcquireKind, ResourceKind};
use crate::model::{ResourceKey, TaskKey};

/// The time in which arrivals are counted is cut into this many parts,
const PARTS: u32 = 5;
/// of which this many may be nearly empty. A batch that is worked off leaves more of them empty, as nobody comes meanwhile.
const EMPTY: usize = 1;
/// A part with less than one in this many of the usual arrivals is nearly empty.
const FEW: u64 = 3;
/// Numbers of those who wait that are further from the beginning of a time say nothing of it.
const APART: Duration = Duration::from_secs(3);
/// A lock that was granted fewer times than this hardly moves.
const MOVES: u64 = 3;
/// This many waits that were given up in each half of a time, and failed, show that they are not meant.
const FAILED: u64 = 5;
/// So many moments at which somebody waited tell what holders do meanwhile.
const MOMENTS: usize = 5;
/// A task that waits so soon after its birth has done nothing else.
const JUST_BORN: Duration = Duration::from_millis(100);

/// Why a queue for permits is not one that a limiter is meant to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suffering {
    /// Waits are given up again and again.
    GivenUp,
    /// Those who hold what a pool has lent them wait for this meanwhile.
    HeldOver(ResourceKey),
    /// Those who wait for what a pool lends are requests that have just come, not workers in a loop.
    Requests,
}

impl Evidence<'_> {
    /// Why those who wait for permits do not do so on purpose, if anything shows it.
    pub fn suffering(&self, key: ResourceKey, kind: AcquireKind, from: Timestamp, long: Duration) -> Option<Suffering> {
        let lock = self.resource(key)?;
        let is_pool = self.is_pool(key);
        let gives_up = self.gives_up(key, kind, from);
        if gives_up && (is_pool || self.most_waits_failed(lock, from, long)) {
            return Some(Suffering::GivenUp);
        }
        let held_over = is_pool.then(|| self.often_held_over(key, from)).flatten();
        let requests = is_pool && self.requests_wait(key);
        held_over.map(Suffering::HeldOver).or_else(|| requests.then_some(Suffering::Requests))
    }

    /// Whether the permits of a semaphore stand for connections or other things that a library lends.
    pub fn is_pool(&self, key: ResourceKey) -> bool {
        let place = self.resource(key).and_then(|it| places::of_resource(it.kind, &it.location));
        place.is_some_and(|place| place.part == Part::Pool)
    }

    /// What those who hold the permits of a semaphore wait for meanwhile, if that is so at half of the moments since a time or more.
    fn often_held_over(&self, key: ResourceKey, from: Timestamp) -> Option<ResourceKey> {
        let history = self.waiter_history(key)?;
        let contested: Vec<&WaiterSnapshot> = history.since(from).filter(|it| it.waiting > 0).collect();
        let over: Vec<ResourceKey> = contested.iter().filter_map(|it| it.held_over.1).collect();
        (contested.len() >= MOMENTS && 2 * over.len() >= contested.len()).then(|| over.last().copied()).flatten()
    }

    /// How many of those who hold the permits of a semaphore wait for something else that is seen and that what they were lent has no part in,
    /// and one such thing: a lock or an answer of the service's own code, another pool, an answer over HTTP.
    pub(super) fn held_over(&self, key: ResourceKey) -> (usize, Option<ResourceKey>) {
        let Some(lock) = self.resource(key).filter(|it| it.kind == ResourceKind::Semaphore) else { return (0, None) };
        let waits_here = |task: TaskKey| self.task_wait(task).is_for(key);
        let mut holders: Vec<TaskKey> = Vec::new();
        for task in lock.grants.newest_first().filter_map(|grant| grant.task) {
            if !holders.contains(&task) && self.task(task).is_some_and(Task::is_alive) && !waits_here(task) {
                holders.push(task);
            }
        }
        holders.truncate(self.count_permits(key).unwrap_or(usize::MAX));
        let elsewhere = |key: ResourceKey| {
            let it = self.resource(key)?;
            let place = places::of_resource(it.kind, &it.location);
            let known = place.is_some_and(|place| matches!(place.part, Part::HttpReply | Part::Pool));
            let counts = it.kind.is_held() || matches!(it.kind, ResourceKind::Oneshot | ResourceKind::Barrier);
            (counts && (known || !it.location.is_library())).then_some(key)
        };
        let awaited = |task: &TaskKey| self.task_wait(*task).awaited.iter().find_map(|it| elsewhere(it.resource));
        let over: Vec<ResourceKey> = holders.iter().filter_map(awaited).collect();
        (over.len(), over.first().copied())
    }

    /// Whether most of those who wait have hardly done anything else: requests that have just come.
    fn requests_wait(&self, key: ResourceKey) -> bool {
        let (mut new, mut all) = (0, 0);
        for op in self.waiters(key).map(|(_, op)| op) {
            let Some(task) = op.task.and_then(|task| self.task(task)) else { continue };
            all += 1;
            let before = self.waiting_since(op).since(task.stats.created);
            new += usize::from(before <= JUST_BORN);
        }
        all > 0 && 3 * new >= 2 * all
    }

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

    /// How many waits show that tasks queue for a lock, where `enough` of them do: those that ended since a time. If each holder keeps the lock for
    /// so long that too few ended, present waits count too, provided that at least as many tasks wait as were served and more keep coming. A batch
    /// that came at once is no queue.
    pub fn waits_that_count(&self, key: ResourceKey, waits: &WaitWindow, enough: usize, from: Timestamp) -> usize {
        let ended = waits.waits.len();
        if ended >= enough || waits.granted < MOVES {
            return ended;
        }
        let waiting = self.waiters(key).count();
        if waiting >= ended && self.keeps_coming(key, from) { ended + waiting } else { ended }
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
        // The median: next to a batch, what comes one after the other is little.
        let mut sorted = parts.clone();
        sorted.sort_unstable();
        let usual = sorted[sorted.len() / 2];
        let empty = parts.iter().filter(|came| FEW * **came < usual).count();
        usual > 0 && empty <= EMPTY && parts.last() > Some(&0) && first.at.since(from) <= APART
    }

    /// Whether waits were given up again and again since a time.
    fn gives_up(&self, key: ResourceKey, kind: AcquireKind, from: Timestamp) -> bool {
        let Some(semaphore) = self.resource(key) else { return false };
        let gave_up = |since: Timestamp| semaphore.waits.window(kind, since).cancelled;
        let late = gave_up(from.plus(self.now().since(from) / 2));
        late >= FAILED && gave_up(from).saturating_sub(late) >= FAILED
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
