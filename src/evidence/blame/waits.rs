//! Waits as blame counts them: each moment of a task once, in however many places it waits.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::cause::Cause;
use crate::evidence::view::Evidence;
use crate::model::time::Timestamp;
use crate::model::{OpKey, ResourceKey, SiteKey, TaskKey};

/// Ended waits that are kept.
const KEPT: usize = 4_096;
/// Other waits of one task that are looked at.
const AT_ONCE: usize = 64;

/// A wait of a task, ended or until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) op: OpKey,
    pub(super) task: TaskKey,
    pub(super) site: SiteKey,
    pub(super) resource: ResourceKey,
    pub(super) cause: Cause,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

impl Wait {
    /// The part of it between two times.
    pub(super) fn within(self, from: Timestamp, to: Timestamp) -> Option<Self> {
        let part = Self { from: self.from.max(from), to: self.to.min(to), ..self };
        (part.from < part.to).then_some(part)
    }

    /// Whether it owns the time in which both last: who began to wait first does.
    fn goes_before(&self, other: &Self) -> bool {
        (self.from, self.op) < (other.from, other.op)
    }
}

impl Evidence<'_> {
    /// The part of an op's wait that was observed, until it ended or until now; nothing for an op that does not wait, or whose task is unknown.
    pub(super) fn wait_of(&self, key: OpKey) -> Option<Wait> {
        let op = self.op(key).filter(|op| op.parent.is_none() && !op.is_sleep())?;
        let to = match op.stats.dropped {
            Some(_) => self.turn(key)?.to,
            None if self.is_waiting(key) => self.now(),
            None => return None,
        };
        let (task, resource) = (op.task?, self.lock_of(key)?);
        let cause = Cause::of_wait(self.resource(resource)?.kind, op.kind);
        let (site, from) = (self.task(task)?.site, op.stats.poll.first?);
        let wait = Wait { op: key, task, site, resource, cause, from, to };
        wait.within(self.clock().began(), self.now())
    }

    /// The waits of a task that last until now and in which it is blocked, the first to begin in front.
    pub(super) fn present_blocks(&self, task: TaskKey) -> Vec<Wait> {
        let ops = self.task(task).map(|task| task.ops.as_slice()).unwrap_or_default();
        let waits = ops.iter().take(AT_ONCE).filter(|op| self.op(**op).is_some_and(|op| op.is_alive()));
        let mut waits: Vec<Wait> =
            waits.filter_map(|op| self.wait_of(*op)).filter(|it| it.cause.is_blocked()).collect();
        waits.sort_by_key(|wait| (wait.from, wait.op));
        waits
    }
}

/// The last ended waits in which tasks were blocked, by task.
#[derive(Debug, Clone, Default)]
pub(super) struct RecentWaits {
    by_task: FxHashMap<TaskKey, VecDeque<Wait>>,
    order: VecDeque<TaskKey>,
}

impl RecentWaits {
    /// Adds a wait that has ended.
    pub(super) fn note(&mut self, wait: Wait) {
        self.by_task.entry(wait.task).or_default().push_back(wait);
        self.order.push_back(wait.task);
        if self.order.len() > KEPT
            && let Some(task) = self.order.pop_front()
            && let Some(waits) = self.by_task.get_mut(&task)
        {
            waits.pop_front();
            if waits.is_empty() {
                self.by_task.remove(&task);
            }
        }
    }

    /// The waits of a task that ended after a time, newest first.
    pub(super) fn ended_after(&self, task: TaskKey, time: Timestamp) -> impl Iterator<Item = &Wait> {
        let waits = self.by_task.get(&task).into_iter().flat_map(|waits| waits.iter().rev());
        waits.take(AT_ONCE).take_while(move |wait| wait.to > time)
    }

    /// The part of a wait that no other of the same task owns.
    pub(super) fn own_part(&self, evidence: &Evidence<'_>, wait: Wait) -> Option<Wait> {
        let others = self.ended_after(wait.task, wait.from).filter(|other| other.goes_before(&wait));
        let from = others.map(|other| other.to).fold(wait.from, Timestamp::max);
        let present = evidence.present_blocks(wait.task);
        let is_owned = present.first().is_some_and(|first| first.op != wait.op && first.goes_before(&wait));
        if is_owned { None } else { wait.within(from, wait.to) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn no_more_ended_waits_are_kept_than_there_is_room_for() {
        let mut tasks: SlotMap<TaskKey, ()> = SlotMap::with_key();
        let tasks: Vec<TaskKey> = (0..KEPT).map(|_| tasks.insert(())).collect();
        let mut recent = RecentWaits::default();
        for second in 0..3 * KEPT {
            let time = at(u64::try_from(second).expect("small"));
            recent.note(Wait {
                op: OpKey::default(),
                task: tasks[second % KEPT],
                site: SiteKey::default(),
                resource: ResourceKey::default(),
                cause: Cause::Lock,
                from: time,
                to: time,
            });
        }
        assert_eq!((recent.order.len(), recent.by_task.len()), (KEPT, KEPT));
        assert!(recent.by_task.values().all(|waits| waits.len() == 1));
    }
}
