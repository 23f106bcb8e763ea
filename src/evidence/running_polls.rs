//! Polls that have been running for long, told from those that only look so.

use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use rustc_hash::FxHashSet;

use super::look_alike::LookAlike;
use super::pace::{CLONES, KNOWN};
use super::view::Evidence;
use crate::model::entity::task::{Task, TaskState};
use crate::model::time::Timestamp;
use crate::model::tokio::TaskKind;
use crate::model::{OpKey, SiteKey, TaskKey};

/// Reports may be this late without any sign of it, where little is born.
const SILENT_LAG: Duration = Duration::from_secs(2);
/// Polls that are younger than this are not sure to block while all threads of the process seem to stand still,
const SETTLED: Duration = Duration::from_secs(3);
/// which is so when several of different sites began within this time.
const AT_ONCE: Duration = Duration::from_millis(300);
/// Minimum irregularity of the updates of a process that is short of CPU. On an idle machine it is a millisecond or two, also while all
/// workers compute, because the scheduler prefers a thread that slept.
const SHORT_OF_CPU: Duration = Duration::from_millis(10);
/// A poll shorter than this many times that irregularity may have spent most of its time waiting for a core, for several periods of a CPU
/// quota in a row.
const PERIODS: u32 = 20;
/// A task may have been in the queue of a thread for this long when the poll that blocks it began, on a machine without free cores too.
const QUEUED_BEFORE: Duration = Duration::from_secs(1);

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

    /// How often a second a task registers for a wake-up inside the poll that runs, if it does so all the time: it does not block, it loops. What it
    /// did in the second in which the poll began may be from before.
    pub fn registrations_in_poll(&self, poll: &RunningPoll) -> Option<f64> {
        let seconds = self.site(poll.site)?.history.since(poll.since);
        let its = seconds.filter_map(|second| second.fastest).rfind(|it| it.task == poll.task)?;
        (its.time >= KNOWN && its.registers_all_the_time(CLONES)).then(|| its.clones_per_second())
    }

    /// The polls that run and take the time of a thread, longest first: not those that only seem to.
    pub fn busy_polls(&self) -> Vec<RunningPoll> {
        self.all_running_polls().iter().filter(|poll| !self.only_seems_to_run(poll.task)).copied().collect()
    }

    fn all_running_polls(&self) -> Rc<[RunningPoll]> {
        self.running_polls.get((), || self.find_running_polls().into())
    }

    fn find_running_polls(&self) -> Vec<RunningPoll> {
        let handed_over = self.polls_in_block_in_place();
        // A `block_in_place` may not have been reported yet, where there are any.
        let late = self.quality().lag.unwrap_or_default() + SILENT_LAG;
        let blind = if self.uses_block_in_place() { late } else { Duration::ZERO };
        let real = |task: &Task| !task.is_span_entered_off_task() && !task.may_live_on_during_poll(self.now());
        let running = self.running().filter(|(key, task)| !handed_over.contains(key) && real(task));
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
        if sections.is_empty() {
            return FxHashSet::default();
        }
        sections.sort_unstable();
        let mut polls: Vec<_> = self.running().map(|(key, task)| (task.stats.poll.started, key)).collect();
        polls.sort_by_key(|(started, _)| *started);
        let mut polls = polls.into_iter().peekable();
        // Those that began before a section and belong to none yet, the last to begin on top.
        let mut open = Vec::new();
        let mut harmless = FxHashSet::default();
        for created in sections {
            open.extend(std::iter::from_fn(|| polls.next_if(|(started, _)| *started <= Some(created))));
            harmless.extend(open.pop().map(|(_, key)| key));
        }
        harmless
    }

    /// Whether a task is inside a poll only by its counters: something other than its runtime enters its span, or does so to its siblings, as a
    /// library does that works for them on a thread of its own. Or it waits for a lock in this very poll: hardly any code blocks after that.
    pub fn only_seems_to_run(&self, key: TaskKey) -> bool {
        let Some(task) = self.task(key).filter(|task| task.state() == TaskState::Running) else { return false };
        let waits_for_lock = |op: &OpKey| {
            let lock = self.lock_of(*op).and_then(|lock| self.resource(lock));
            self.is_waiting(*op) && lock.is_some_and(|lock| lock.kind.is_held())
        };
        task.is_span_entered_off_task()
            || task.is_in_poll_of_library_thread()
            || self.site(task.site).is_some_and(|site| site.spans_entered_off_task)
            || task.ops.iter().any(waits_for_lock)
    }

    /// Whether the process has threads of its own for its tasks, so that the future of a `block_on`, which runs on the thread that called it,
    /// keeps none of them. On a current-thread runtime it would.
    pub fn has_workers(&self) -> bool {
        self.workers() > 0
    }

    /// How many worker threads the runtimes of the process have, as far as the feed shows them.
    pub fn workers(&self) -> usize {
        self.threads().workers
    }

    /// Why polls may only seem to block, if all of them may.
    pub fn running_polls_look_alike(&self, polls: &[RunningPoll], start_up: Duration) -> Option<LookAlike> {
        let is_early = |poll: &RunningPoll| poll.age < start_up && poll.since.since(self.birth()) < start_up;
        if polls.iter().all(is_early) {
            return Some(LookAlike::StartingUp);
        }
        if polls.iter().all(|poll| self.only_seems_to_run(poll.task)) {
            return Some(LookAlike::SpanEnteredElsewhere);
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

    /// Whether threads of the process wait for a core, because the machine is busy or the CPU quota of the container is used up. Unlike
    /// [`may_be_starved`](Self::may_be_starved), it tells of the last updates and not of this moment.
    pub fn is_short_of_cpu(&self) -> bool {
        self.clock().irregularity() >= Some(SHORT_OF_CPU)
    }

    /// Whether all of them may have waited for a core for most of their time, in a process that is short of CPU: none has lasted long yet.
    pub fn may_wait_for_a_core(&self, polls: &[RunningPoll]) -> bool {
        let longest = SETTLED.min(self.clock().irregularity().unwrap_or_default() * PERIODS);
        self.is_short_of_cpu() && polls.iter().all(|poll| poll.age < longest)
    }

    /// Whether more polls run than there are threads to run them, so that some of them only seem to.
    fn more_polls_than_threads(&self, polls: usize) -> bool {
        let Threads { workers, block_on } = self.threads();
        workers > 0 && polls > workers + block_on + 1
    }

    /// Counted once, for every site with long polls asks.
    fn threads(&self) -> Threads {
        self.threads.get((), || {
            let block_on = self.sites().filter(|(_, site)| site.id.kind == TaskKind::BlockOn);
            Threads {
                workers: self.worker_threads().filter(|(_, task)| task.is_worker_thread()).count(),
                block_on: block_on.map(|(_, site)| site.live.len()).sum(),
            }
        })
    }

    /// Tasks that were woken at least this long ago and not polled since, perhaps because of a poll that began at `start`: they were woken after
    /// that, or so shortly before that they may have been behind it in one queue.
    pub fn woken_and_not_polled(&self, start: Timestamp, least: Duration) -> WaitingForPoll {
        let start = start.minus(QUEUED_BEFORE);
        let woken = self.woken_by_age.get((), || {
            let mut woken: Vec<_> = self.woken().map(|(key, task)| (told_to_run(task), key)).collect();
            woken.sort_by_key(|(woken, _)| *woken);
            woken.into()
        });
        // The later one was woken, the shorter it has waited.
        let from = woken.partition_point(|(woken, _)| *woken <= start);
        let to = woken.partition_point(|(woken, _)| self.running_since(*woken) >= least).max(from);
        let longest = woken[from..to].first().map(|(woken, _)| self.running_since(*woken)).unwrap_or_default();
        WaitingForPoll { woken, range: from..to, longest }
    }

    /// How long the one of these that has waited longest has waited to be polled since it was woken or spawned.
    pub fn longest_wait_for_poll(&self, tasks: &[TaskKey]) -> Duration {
        let waits = tasks.iter().filter_map(|key| self.task(*key)).map(|task| self.running_since(told_to_run(task)));
        waits.max().unwrap_or_default()
    }
}

/// The threads of a process that poll tasks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Threads {
    /// Workers of runtimes.
    workers: usize,
    /// Futures that are driven on the threads that called `block_on`.
    block_on: usize,
}

/// Tasks that wait to be polled: a part of all of them, which are put in order once.
#[derive(Debug, Clone)]
pub struct WaitingForPoll {
    woken: Rc<[(Timestamp, TaskKey)]>,
    range: Range<usize>,
    longest: Duration,
}

impl WaitingForPoll {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// How long the one that has waited longest has waited since it was woken or spawned.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The tasks, the one that has waited longest first.
    pub fn tasks(&self) -> impl Iterator<Item = TaskKey> + '_ {
        self.woken[self.range.clone()].iter().map(|(_, key)| *key)
    }
}

/// When a task was last told to run: woken, or spawned.
fn told_to_run(task: &Task) -> Timestamp {
    task.stats.last_wake.map_or(task.stats.created, |wake| wake.max(task.stats.created))
}
