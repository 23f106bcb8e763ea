//! Polls that go on too long, told from those that only look so.

use std::time::Duration;

use rustc_hash::FxHashSet;

use crate::evidence::Evidence;
use crate::model::TaskKey;
use crate::model::entity::task::Task;
use crate::model::history::seconds::Pace;
use crate::model::time::Timestamp;
use crate::model::tokio::TaskKind;

/// So many wakes and clones of the waker of a task inside one poll mean that it is polled all the same: a library entered its span on a
/// thread of its own, which hides the real polls.
const STIRRED: u64 = 2;

/// News may be this late without any sign of it, where few things are born.
const UNTOLD_LAG: Duration = Duration::from_secs(2);

/// A poll of an async task that has been running for long.
#[derive(Debug, Clone, Copy)]
pub(super) struct LongPoll {
    /// The task.
    pub(super) task: TaskKey,
    /// When the poll began.
    pub(super) since: Timestamp,
    /// How long the process has been running since.
    pub(super) age: Duration,
}

/// Polls that have been running for at least so long and keep their thread from other tasks, longest first.
pub(super) fn running_for(model: &Evidence<'_>, least: Duration) -> Vec<LongPoll> {
    let handed_over = polls_in_block_in_place(model);
    // News of a `block_in_place` may be on their way still, where there are any.
    let late = model.quality().lag.unwrap_or_default() + UNTOLD_LAG;
    let blind = if model.uses_block_in_place() { late } else { Duration::ZERO };
    let mut polls: Vec<LongPoll> = model
        .running()
        .filter(|(key, task)| !handed_over.contains(key) && !is_contradicted(task))
        .filter_map(|(key, task)| {
            let since = task.stats.poll.started?;
            Some(LongPoll { task: key, since, age: model.running_since(since) })
        })
        .filter(|poll| poll.age >= least && poll.age > blind)
        .collect();
    let kind = |poll: &LongPoll| model.task(poll.task).map(|task| task.kind);
    // A `LocalSet` is polled inside the future that drives it, which then seems to be in a poll as long as the local task's.
    let local = polls.iter().filter(|poll| kind(poll) == Some(TaskKind::Local)).map(|poll| poll.since).max();
    polls.retain(|poll| kind(poll) != Some(TaskKind::BlockOn) || local.is_none_or(|local| local < poll.since));
    polls.sort_by_key(|poll| (poll.since, poll.task));
    polls
}

/// Whether the process has threads of its own for its tasks, so that the future of a `block_on`, which runs on the thread that called it,
/// keeps none of them. On a current-thread runtime it would.
pub(super) fn has_workers(model: &Evidence<'_>) -> bool {
    model.worker_threads().any(|(_, task)| task.is_worker_thread())
}

/// A task whose polls end only when the budget of the scheduler is used up is polled or about to be for this share of the time,
const FULL: f64 = 0.8;
/// is polled for this share of it, where other threads want its core too,
const BUSY: f64 = 0.4;
/// and registers for a wake-up so many times in each poll.
const TURNS: f64 = 10.0;

/// So many registrations for a wake-up a second are no ordinary waiting.
pub(super) const CLONES: f64 = 5_000.0;

/// Whether a task turns around something that is always ready: its polls are long because of that, and registers for a wake-up so many
/// times a second or more.
pub(super) fn turns(pace: &Pace, clones: f64) -> bool {
    let share = |time: Duration| time.as_secs_f64() / pace.time.as_secs_f64().max(1e-9);
    let each = per_second(pace.clones, pace.time) / per_second(pace.polls, pace.time).max(1.0);
    per_second(pace.clones, pace.time) >= clones
        && each >= TURNS
        && share(pace.busy) >= BUSY
        && share(pace.busy + pace.scheduled) >= FULL
}

/// A count as a rate.
#[expect(clippy::cast_precision_loss, reason = "counts of one second")]
pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(1e-9)
}

/// Polls that are younger than this are not sure to block while all threads of the process seem to stand still,
const SETTLED: Duration = Duration::from_secs(3);
/// which is so when several of different sites began within so long.
const AT_ONCE: Duration = Duration::from_millis(300);

/// Whether all of them may be waiting for a processor: they began together, at different sites, and have not lasted long yet. A process that
/// is given no time looks like that.
pub(super) fn may_be_starved(model: &Evidence<'_>, polls: &[LongPoll]) -> bool {
    let site = |poll: &LongPoll| model.task(poll.task).map(|task| task.site);
    let (first, last) = (polls.iter().map(|poll| poll.since).min(), polls.iter().map(|poll| poll.since).max());
    let together = last.zip(first).is_some_and(|(last, first)| last.since(first) <= AT_ONCE);
    let differ = polls.iter().any(|poll| site(poll) != polls.first().and_then(site));
    together && differ && polls.iter().all(|poll| poll.age < SETTLED)
}

/// Whether all of them began in the first moments of the process, so long, and have not lasted longer yet.
pub(super) fn are_starting_up(model: &Evidence<'_>, polls: &[LongPoll], limit: Duration) -> bool {
    polls.iter().all(|poll| poll.age < limit && poll.since.since(model.birth()) < limit)
}

fn is_contradicted(task: &Task) -> bool {
    let (wakes, clones) = task.wakes_during_poll();
    task.is_span_entered_off_task() || (wakes >= STIRRED && clones >= STIRRED)
}

/// Running polls that handed their worker's other tasks to a new thread first: each `block_in_place` belongs to the poll that began
/// last before it.
fn polls_in_block_in_place(model: &Evidence<'_>) -> FxHashSet<TaskKey> {
    let mut sections: Vec<Timestamp> = model
        .worker_threads()
        .filter(|(_, task)| task.is_block_in_place())
        .map(|(_, task)| task.stats.created)
        .collect();
    sections.sort_unstable();
    let mut harmless = FxHashSet::default();
    for created in sections {
        let before =
            model.running().filter(|(key, task)| !harmless.contains(key) && task.stats.poll.started <= Some(created));
        if let Some((key, _)) = before.max_by_key(|(_, task)| task.stats.poll.started) {
            harmless.insert(key);
        }
    }
    harmless
}

/// When a task was last told to run: woken, or spawned.
pub(super) fn told_to_run(task: &Task) -> Timestamp {
    task.stats.last_wake.map_or(task.stats.created, |wake| wake.max(task.stats.created))
}

/// Tasks that were woken after a time, at least so long ago, and have not been polled since.
pub(super) fn waiting_since(model: &Evidence<'_>, start: Timestamp, least: Duration) -> Vec<TaskKey> {
    let hurt = model.woken().filter(|(_, task)| {
        let woken = told_to_run(task);
        woken > start && model.running_since(woken) >= least
    });
    hurt.map(|(key, _)| key).collect()
}
