//! Who may hold the permits of a semaphore that has stopped, and how long tasks like them hold one as a rule.

use std::time::Duration;

use super::holders::Holder;
use super::view::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, SiteKey, TaskKey};

/// Lifetimes of ended tasks, or turns of live ones, that make a habit.
const HABIT: usize = 10;

impl Evidence<'_> {
    /// Whether a task is at work, within this time, or whoever it waits for in the end is.
    pub fn goes_on(&self, task: TaskKey, within: Duration) -> bool {
        let chain = self.wait_chain(task);
        let ends = chain.last().map(|step| step.holders.tasks.as_slice()).unwrap_or_default();
        self.is_at_work(task, within) || ends.iter().any(|holder| self.is_at_work(holder.task, within))
    }

    /// The tasks that may hold the permits of a semaphore, if all of them have rested for so long, and no permit can have been passed on or
    /// acquired unseen. Empty otherwise.
    pub fn resting_holders(&self, semaphore: ResourceKey, within: Duration) -> Vec<Holder> {
        let Some(it) = self.resource(semaphore).filter(|it| it.kind == ResourceKind::Semaphore) else {
            return Vec::new();
        };
        let is_waiting = |task: TaskKey| self.task_wait(task).is_for(semaphore);
        let is_borrowed = it.grants.newest_first().all(|grant| !grant.owned && grant.task.is_some());
        let none_passed_on = is_borrowed && self.waiters(semaphore).all(|(_, op)| !op.owned);
        let permits_are_out = it.permits.now.is_none_or(|permits| permits == 0) && !it.permits.drifted;
        if !none_passed_on || it.grants.may_have_evicted_unknown_holder() || !permits_are_out {
            return Vec::new();
        }
        let mut holders = self.holders(semaphore).tasks.clone();
        holders.retain(|holder| !is_waiting(holder.task));
        let elders = it.grants.evicted_holders().filter(|task| !is_waiting(*task));
        let mut possible = holders.iter().map(|holder| holder.task).chain(elders);
        if possible.any(|task| self.goes_on(task, within)) { Vec::new() } else { holders }
    }

    /// How long tasks of this one's site hold a permit, at most: as long as they live, or until they acquire the next one. Nothing if too few
    /// were seen.
    pub fn usual_turn(&self, semaphore: ResourceKey, task: TaskKey) -> Option<Duration> {
        let site_key = self.task(task)?.site;
        let site = self.site(site_key)?;
        if site.completed() >= HABIT as u64 {
            return site.lifetime_at(0.99);
        }
        turns(self.resource(semaphore)?, |site| site == Some(site_key))
    }
}

/// The longest time between two grants to one and the same task; nothing if too few were seen.
fn turns(semaphore: &Resource, fits: impl Fn(Option<SiteKey>) -> bool) -> Option<Duration> {
    let grants = semaphore.grants.newest_first().filter(|grant| fits(grant.site));
    let mut grants: Vec<(TaskKey, Timestamp)> = grants.filter_map(|grant| Some((grant.task?, grant.at))).collect();
    grants.sort_unstable();
    let pairs = grants.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    let gaps: Vec<Duration> = pairs.map(|pair| pair[1].1.since(pair[0].1)).collect();
    gaps.iter().max().copied().filter(|_| gaps.len() >= HABIT)
}
