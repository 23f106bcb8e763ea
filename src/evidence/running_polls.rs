//! Polls that have been running for long, told from those that only look so.

use std::rc::Rc;
use std::time::Duration;

use rustc_hash::FxHashSet;

use super::look_alike::LookAlike;
use super::view::Evidence;
use crate::model::entity::task::Task;
use crate::model::time::Timestamp;
use crate::model::tokio::TaskKind;
use crate::model::{SiteKey, TaskKey};

/// This many wakes and clones of the waker of a task inside one poll mean that it is polled all the same: a library entered its span on a
/// thread of its own, which hides the real polls.
const STIRRED: u64 = 2;
/// Reports may be this late without any sign of it, where little is born.
const SILENT_LAG: Duration = Duration::from_secs(2);
/// Polls that are younger than this are not sure to block while all threads of the process seem to stand still,
const SETTLED: Duration = Duration::from_secs(3);
/// which is so when several of different sites began within this time.
const AT_ONCE: Duration = Duration::from_millis(300);

/// A poll of an async task that has begun and not ended.
#[derive(Debug, Clone, Copy)]
pub struct RunningPoll {
    /// The task.
    pub task: TaskKey,
    /// Its spawn site.
    pub site: SiteKey,
    /// Its kind.
    pub kind: TaskKind,
    /// When the poll began.
    pub since: Timestamp,
    /// How long the process has been running since.
    pub age: Duration,
}

impl Evidence<'_> {
    /// Polls that have been running for at least this long and keep their thread from other tasks, longest first.
    pub fn polls_running_for(&self, least: Duration) -> Vec<RunningPoll> {
        self.all_running_polls().iter().filter(|poll| poll.age >= least).copied().collect()
    }

    fn all_running_polls(&self) -> Rc<[RunningPoll]> {
        self.running_polls.get((), || self.find_running_polls().into())
    }

    fn find_running_polls(&self) -> Vec<RunningPoll> {
        let handed_over = self.polls_in_block_in_place();
        // A `block_in_place` may not have been reported yet, where there are any.
        let late = self.quality().lag.unwrap_or_default() + SILENT_LAG;
        let blind = if self.uses_block_in_place() { late } else { Duration::ZERO };
        let running = self.running().filter(|(key, task)| !handed_over.contains(key) && !is_contradicted(task));
        let mut polls: Vec<RunningPoll> = running
            .filter_map(|(key, task)| {
                let since = task.stats.poll.started?;
                Some(RunningPoll { task: key, site: task.site, kind: task.kind, since, age: self.running_since(since) })
            })
            .filter(|poll| poll.age > blind)
            .collect();
        // A `LocalSet` is polled inside the future that drives it, which then seems to be in a poll as long as the local task's.
        let local = polls.iter().filter(|poll| poll.kind == TaskKind::Local).map(|poll| poll.since).max();
        polls.retain(|poll| poll.kind != TaskKind::BlockOn || local.is_none_or(|local| local < poll.since));
        polls.sort_by_key(|poll| (poll.since, poll.task));
        polls
    }

    /// Running polls that handed their worker's other tasks to a new thread first: each `block_in_place` belongs to the poll that began
    /// last before it.
    fn polls_in_block_in_place(&self) -> FxHashSet<TaskKey> {
        let sections = self.worker_threads().filter(|(_, task)| task.is_block_in_place());
        let mut sections: Vec<Timestamp> = sections.map(|(_, task)| task.stats.created).collect();
        sections.sort_unstable();
        let mut harmless = FxHashSet::default();
        for created in sections {
            let before = self
                .running()
                .filter(|(key, task)| !harmless.contains(key) && task.stats.poll.started <= Some(created));
            if let Some((key, _)) = before.max_by_key(|(_, task)| task.stats.poll.started) {
                harmless.insert(key);
            }
        }
        harmless
    }

    /// Whether the process has threads of its own for its tasks, so that the future of a `block_on`, which runs on the thread that called it,
    /// keeps none of them. On a current-thread runtime it would.
    pub fn has_workers(&self) -> bool {
        self.worker_threads().any(|(_, task)| task.is_worker_thread())
    }

    /// Why polls may only seem to block, if all of them may.
    pub fn running_polls_look_alike(&self, polls: &[RunningPoll], start_up: Duration) -> Option<LookAlike> {
        let is_early = |poll: &RunningPoll| poll.age < start_up && poll.since.since(self.birth()) < start_up;
        if polls.iter().all(is_early) {
            return Some(LookAlike::StartingUp);
        }
        self.more_polls_than_threads(polls.len()).then_some(LookAlike::MorePollsThanThreads)
    }

    /// Whether all of them may be waiting for a processor: they began together, at different sites, and have not lasted long yet. A process
    /// that is given no time looks like that.
    pub fn may_be_starved(&self, polls: &[RunningPoll]) -> bool {
        let (first, last) = (polls.iter().map(|poll| poll.since).min(), polls.iter().map(|poll| poll.since).max());
        let together = last.zip(first).is_some_and(|(last, first)| last.since(first) <= AT_ONCE);
        let differ = polls.iter().any(|poll| Some(poll.site) != polls.first().map(|first| first.site));
        together && differ && polls.iter().all(|poll| poll.age < SETTLED)
    }

    /// Whether more polls run than there are threads to run them, so that some of them only seem to.
    fn more_polls_than_threads(&self, polls: usize) -> bool {
        let workers = self.worker_threads().filter(|(_, task)| task.is_worker_thread()).count();
        let block_on = self.sites().filter(|(_, site)| site.id.kind == TaskKind::BlockOn);
        let others = block_on.map(|(_, site)| site.live.len()).sum::<usize>();
        workers > 0 && polls > workers + others + 1
    }

    /// Tasks that were woken after a time, at least this long ago, and have not been polled since.
    pub fn woken_and_not_polled(&self, start: Timestamp, least: Duration) -> Vec<TaskKey> {
        let hurt = self.woken().filter(|(_, task)| {
            let woken = told_to_run(task);
            woken > start && self.running_since(woken) >= least
        });
        hurt.map(|(key, _)| key).collect()
    }

    /// How long the one of these that has waited longest has waited to be polled since it was woken or spawned.
    pub fn longest_wait_for_poll(&self, tasks: &[TaskKey]) -> Duration {
        let waits = tasks.iter().filter_map(|key| self.task(*key)).map(|task| self.running_since(told_to_run(task)));
        waits.max().unwrap_or_default()
    }
}

/// When a task was last told to run: woken, or spawned.
fn told_to_run(task: &Task) -> Timestamp {
    task.stats.last_wake.map_or(task.stats.created, |wake| wake.max(task.stats.created))
}

fn is_contradicted(task: &Task) -> bool {
    let (wakes, clones) = task.wakes_during_poll();
    task.is_span_entered_off_task() || (wakes >= STIRRED && clones >= STIRRED)
}
