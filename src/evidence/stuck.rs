//! Tasks that wait for locks which only tasks of the same group could release.
//!
//! The wait-for graph goes from a task to the locks it waits for and on to their holders. What is left when everybody has been released who can
//! make progress after all is the greatest fixed point: the tasks that nobody outside can help. It covers cycles of any length, a task that waits
//! for itself, an upgrade of an `RwLock` and a second read behind a queued writer alike.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::view::Evidence;
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{OpKey, ResourceKey, TaskKey};

/// So many tasks that hold a permit and wait for another one of the same semaphore are no coincidence.
const NESTED: usize = 2;

/// One wait of a task, and who would have to release something for it to end.
#[derive(Debug, Clone)]
pub struct StuckWait {
    /// The op.
    pub op: OpKey,
    /// What it waits for.
    pub lock: ResourceKey,
    /// Everybody who may hold it; the first ones are the most plausible.
    holders: Vec<TaskKey>,
    /// How many of them do, at most.
    inside: usize,
    /// The wait may end as soon as any one of them releases it: of a semaphore any will do, and of many readers it is not known which are still
    /// inside. What one task holds keeps everybody out until that one releases it.
    any_frees: bool,
    /// It is not sure that they are all who may hold it, or still do: a guard that can be passed on, or too long a history.
    doubtful: bool,
}

impl StuckWait {
    /// Those who most plausibly hold it.
    pub fn named(&self) -> &[TaskKey] {
        &self.holders[..self.inside.min(self.holders.len())]
    }
}

/// What is known of a group of stuck tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// Nothing but a timeout can end it.
    Certain,
    /// A task of the group runs several futures at once, of which one may hold what another waits for.
    SeveralFutures,
    /// They hold all permits of a semaphore, as far as is known. Unlike a guard, a permit can be added by anybody.
    Permits,
    /// One task that runs several futures waits for itself, another future makes progress, a guard may have been passed on, or events were lost.
    Doubtful,
}

/// A group of tasks that wait for each other, and those that wait behind them.
#[derive(Debug, Clone)]
pub struct StuckGroup {
    /// The tasks at fault, each holding what another one of them waits for; whoever has waited longest first, who stands at the head of its
    /// queue.
    pub tasks: Vec<TaskKey>,
    /// Their waits.
    pub waits: BTreeMap<TaskKey, Vec<StuckWait>>,
    /// The locks they wait for.
    pub locks: BTreeSet<ResourceKey>,
    /// All others that wait for the same locks.
    pub victims: Vec<TaskKey>,
    /// For how long nothing has moved on their locks.
    pub still_for: Duration,
    /// How sure it is.
    pub certainty: Certainty,
}

/// The waits of every task that may be stuck.
type Waits = BTreeMap<TaskKey, Vec<StuckWait>>;

impl Evidence<'_> {
    /// The groups of tasks that wait for each other.
    pub fn stuck_groups(&self) -> Vec<StuckGroup> {
        let mut stuck = self.candidates();
        release(&mut stuck);
        cores(&stuck).into_iter().filter_map(|core| self.stuck_group(&core, &stuck)).collect()
    }

    /// Every idle task whose present waits are all for locks with holders known for sure. One that sleeps on a timer as well makes progress by
    /// itself.
    fn candidates(&self) -> Waits {
        let locks = self.contested().filter(|(_, lock)| lock.kind.is_held());
        let tasks: BTreeSet<TaskKey> =
            locks.flat_map(|(key, _)| self.waiters(key)).filter_map(|(_, op)| op.task).collect();
        let mut waits = Waits::new();
        for key in tasks {
            let wait = self.task_wait(key);
            // A timeout around the wait for a permit ends that wait, and the next one is as long.
            let is_permit = |key| self.resource(key).is_some_and(|it| it.kind == ResourceKind::Semaphore);
            let for_permits = wait.awaited.iter().all(|it| is_permit(it.resource));
            if wait.ends_by_itself(self.now()) && !for_permits {
                continue;
            }
            let known = wait.awaited.iter().map(|it| self.stuck_wait(it.op, it.resource));
            let known: Option<Vec<StuckWait>> = known.collect();
            if let Some(known) = known.filter(|known| !known.is_empty()) {
                waits.insert(key, known);
            }
        }
        waits
    }

    /// A wait, and who would have to release what it is for; nothing where that cannot be told.
    fn stuck_wait(&self, op: OpKey, lock: ResourceKey) -> Option<StuckWait> {
        let nested = self.hold_and_wait(lock);
        if nested.len() >= NESTED {
            return Some(StuckWait {
                op,
                lock,
                holders: nested.to_vec(),
                inside: usize::MAX,
                any_frees: true,
                doubtful: true,
            });
        }
        let holders = self.holders(lock);
        let sure = holders.are_sure();
        // Who has a permit that can be passed on usually does so; a guard is kept, as a rule.
        let tells = sure || self.resource(lock).is_some_and(|it| it.kind != ResourceKind::Semaphore);
        (tells && !holders.tasks.is_empty()).then(|| StuckWait {
            op,
            lock,
            holders: holders.tasks.iter().map(|holder| holder.task).collect(),
            inside: holders.inside.unwrap_or(usize::MAX),
            any_frees: !holders.each,
            doubtful: !sure,
        })
    }

    fn stuck_group(&self, core: &BTreeSet<TaskKey>, stuck: &Waits) -> Option<StuckGroup> {
        let own = |task: &TaskKey| stuck.get(task).map_or(&[][..], Vec::as_slice);
        let waits: Waits = core.iter().map(|task| (*task, own(task).to_vec())).collect();
        let locks: BTreeSet<ResourceKey> = waits.values().flatten().map(|wait| wait.lock).collect();
        let still_for = self.still_for(&waits);
        let is_at_work = core.iter().any(|task| self.is_at_work_beside(*task, still_for));
        let certainty = self.certainty(core, &waits, &locks, is_at_work)?;
        let mut tasks: Vec<TaskKey> = core.iter().copied().collect();
        tasks.sort_by_key(|task| own(task).iter().filter_map(|wait| self.began(wait.op)).min());
        let waiting: BTreeSet<TaskKey> =
            locks.iter().flat_map(|lock| self.waiters(*lock)).filter_map(|(_, op)| op.task).collect();
        let victims = waiting.difference(core).copied().collect();
        Some(StuckGroup { tasks, waits, locks, victims, still_for, certainty })
    }

    /// Whether a task that runs several futures was polled lately, although nothing has moved on the locks it waits for: another future of it makes
    /// progress, and may release what this one waits for.
    fn is_at_work_beside(&self, key: TaskKey, still_for: Duration) -> bool {
        let rest = self.rests_since(key).map_or(Duration::ZERO, |since| self.running_since(since));
        self.task(key).is_some_and(|task| self.runs_several_futures(task)) && 2 * rest < still_for
    }

    /// How sure a group is; nothing if it is a leak of permits, which is a fault of its own, or may be none.
    fn certainty(
        &self,
        core: &BTreeSet<TaskKey>,
        waits: &Waits,
        locks: &BTreeSet<ResourceKey>,
        is_at_work: bool,
    ) -> Option<Certainty> {
        let is_semaphore =
            |lock: &ResourceKey| self.resource(*lock).is_some_and(|it| it.kind == ResourceKind::Semaphore);
        let unsure = waits.values().flatten().any(|wait| wait.doubtful);
        let mut of_permits = locks.iter().filter(|lock| is_semaphore(lock));
        if let (Some(semaphore), 1) = (of_permits.next(), locks.len()) {
            let replenished = self.waiter_history(*semaphore).is_some_and(|it| it.is_replenished_externally());
            let nested = || self.hold_and_wait(*semaphore).len() >= NESTED;
            let holds_all =
                self.knows_all_permits(*semaphore) || nested() || (!unsure && self.grants_have_stalled(*semaphore));
            return (holds_all && !replenished && !is_at_work).then_some(Certainty::Permits);
        }
        let several = core.iter().any(|task| self.task(*task).is_some_and(|task| self.runs_several_futures(task)));
        Some(match core.len() {
            // Where events were lost, another task may have acquired it last.
            _ if unsure || is_at_work || self.quality().is_lossy(self.now()) => Certainty::Doubtful,
            1 if several => Certainty::Doubtful,
            _ if several => Certainty::SeveralFutures,
            _ => Certainty::Certain,
        })
    }

    fn began(&self, op: OpKey) -> Option<Timestamp> {
        self.op(op).map(|op| self.waiting_since(op))
    }

    /// For how long nothing has moved on the locks of a group.
    fn still_for(&self, waits: &Waits) -> Duration {
        let moved = waits.values().flatten().flat_map(|wait| [self.began(wait.op), self.flow(wait.lock).last_grant]);
        moved.flatten().max().map_or(Duration::ZERO, |last| self.running_since(last))
    }
}

/// Assumes all of them stuck and releases those that can make progress after all, until no more can: what is left is the greatest set of tasks in
/// which nobody can be helped by anybody outside.
fn release(stuck: &mut Waits) {
    loop {
        let can_end = |wait: &StuckWait| {
            let is_stuck = |holder: &TaskKey| stuck.contains_key(holder);
            let closed =
                if wait.any_frees { wait.holders.iter().all(is_stuck) } else { wait.holders.iter().any(is_stuck) };
            !closed
        };
        let free: Vec<TaskKey> =
            stuck.iter().filter(|(_, waits)| waits.iter().any(can_end)).map(|(task, _)| *task).collect();
        if free.is_empty() {
            return;
        }
        stuck.retain(|task, _| !free.contains(task));
    }
}

/// The tasks at fault, group by group: stuck ones that hold what another one at fault waits for. The rest are their victims.
fn cores(stuck: &Waits) -> Vec<BTreeSet<TaskKey>> {
    let held_by = |task: &TaskKey| stuck.get(task).into_iter().flatten().flat_map(|wait| wait.named().iter().copied());
    let mut core: BTreeSet<TaskKey> = stuck.keys().copied().collect();
    loop {
        let holders: BTreeSet<TaskKey> = core.iter().flat_map(held_by).filter(|holder| core.contains(holder)).collect();
        if holders.len() == core.len() {
            break;
        }
        core = holders;
    }
    let mut groups = Vec::new();
    while let Some(first) = core.pop_first() {
        let mut group = BTreeSet::from([first]);
        let joined = |group: &BTreeSet<TaskKey>, task: &TaskKey| {
            held_by(task).any(|holder| group.contains(&holder))
                || group.iter().any(|member| held_by(member).any(|it| it == *task))
        };
        while let Some(next) = core.iter().copied().find(|task| joined(&group, task)) {
            core.remove(&next);
            group.insert(next);
        }
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests {
    use slotmap::SlotMap;

    use super::*;

    /// Tasks by number, each waiting for what others hold, any of which (or each) has to release it. What is left of them is returned.
    fn stuck(waits: &[(usize, &[usize], bool)]) -> Vec<Vec<usize>> {
        let mut keys = SlotMap::<TaskKey, ()>::with_key();
        let keys: Vec<TaskKey> = (0..8).map(|_| keys.insert(())).collect();
        let number = |key: TaskKey| keys.iter().position(|it| *it == key).expect("a task");
        let mut all = Waits::new();
        for (task, holders, any_frees) in waits {
            all.entry(keys[*task]).or_default().push(StuckWait {
                op: OpKey::default(),
                lock: ResourceKey::default(),
                holders: holders.iter().map(|holder| keys[*holder]).collect(),
                inside: usize::MAX,
                any_frees: *any_frees,
                doubtful: false,
            });
        }
        release(&mut all);
        cores(&all).into_iter().map(|core| core.into_iter().map(number).collect()).collect()
    }

    #[test]
    fn what_is_left_is_what_nobody_outside_can_help() {
        for (case, waits, cores) in [
            ("two that wait for each other", &[(0, &[1][..], false), (1, &[0], false)][..], vec![vec![0, 1]]),
            (
                "three in a ring, and a victim",
                &[(0, &[1], false), (1, &[2], false), (2, &[0], false), (3, &[0], false)],
                vec![vec![0, 1, 2]],
            ),
            ("one that waits for itself", &[(0, &[0], false)], vec![vec![0]]),
            ("a holder that does not wait", &[(0, &[1], false)], vec![]),
            ("any of two holders would do, and one does not wait", &[(0, &[1, 2], true), (1, &[0], false)], vec![]),
            ("each of two holders has to release it", &[(0, &[1, 2], false), (1, &[0], false)], vec![vec![0, 1]]),
            (
                "two groups",
                &[(0, &[1], false), (1, &[0], false), (2, &[3], false), (3, &[2], false)],
                vec![vec![0, 1], vec![2, 3]],
            ),
        ] {
            assert_eq!(stuck(waits), cores, "{case}");
        }
    }
}
