//! A task: what it is, and what its counters say of its state.

use std::num::NonZeroU64;
use std::time::Duration;

use thin_vec::ThinVec;

use crate::model::entity::stats::{TaskStats, are_of_library_thread};
use crate::model::keys::{OpKey, SiteKey, TaskKey};
use crate::model::text::Text;
use crate::model::time::Timestamp;
use crate::model::tokio::{TaskKind, is_block_in_place, is_worker_thread};

/// A task that has been idle for this long is at rest.
const AT_REST: Duration = Duration::from_millis(100);
/// A wake this soon after an update may have changed the counters while they were read for it.
const READ: Duration = Duration::from_millis(1);

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskState {
    /// Inside a poll.
    Running,
    /// Woken, waiting for a worker.
    Scheduled,
    /// Waiting to be woken.
    Idle,
    /// Completed, cancelled or panicked; perhaps still listed.
    Done,
}

impl TaskState {
    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Scheduled => "scheduled",
            Self::Idle => "idle",
            Self::Done => "done",
        }
    }
}

/// The counters of a task when a poll was first seen running, and at how many updates since then it had been woken again: whatever rises
/// contradicts the poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PollStart {
    started: Option<Timestamp>,
    wakes: u64,
    clones: u64,
    wakers: u64,
    rises: u32,
    /// Whether only its runtime polled it before, so that it can be in this poll itself: then its wakes of itself contradict nothing.
    is_genuine: bool,
}

/// A task polled fewer times than this may yet be one whose span a library enters.
const POLLED: u64 = 20;

impl PollStart {
    /// The start of a poll that the counters show to run, and those of the update before did not.
    fn of(stats: &TaskStats, before: &TaskStats) -> Self {
        // A library that enters the span adds polls without wakes. Polls inside its own are not counted, but their wakes are.
        let polls = before.poll.polls;
        let is_genuine = polls >= POLLED && before.unexplained_polls() == 0 && before.wakes <= 2 * polls;
        let (clones, wakers) = (stats.waker_clones, stats.wakers());
        let mut start = Self { started: stats.poll.started, wakes: 0, clones, wakers, rises: 0, is_genuine };
        start.wakes = start.contradicting_wakes(stats);
        start
    }

    /// How often the task was woken since, as far as that contradicts the poll.
    fn contradicting_wakes(&self, now: &TaskStats) -> u64 {
        let own = if self.is_genuine { now.self_wakes } else { 0 };
        now.wakes.saturating_sub(own.saturating_add(self.wakes))
    }
}

/// What the target says of a task and most tasks do not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::model) struct Particulars {
    /// Its name, if it was given one.
    pub(in crate::model) name: Option<Text>,
    /// For blocking tasks, the type name of the closure.
    pub(in crate::model) function: Option<Text>,
    /// Its fields that have no place of their own here, as text.
    pub(in crate::model) fields: Box<[(Text, Text)]>,
}

/// A task of the target. There may be a million, so what few of them have is boxed.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other, in one byte each")]
#[expect(clippy::struct_field_names, reason = "a span that is entered off the task is called so everywhere")]
pub struct Task {
    /// The span id that the feed uses for it; reused after its death.
    pub id: u64,
    /// Its kind.
    pub kind: TaskKind,
    /// Where it was spawned, together with its siblings.
    pub site: SiteKey,
    /// Its counters as of [`changed`](Self::changed).
    pub stats: TaskStats,
    /// The task that spawned it, where the target says so.
    pub spawned_by: Option<TaskKey>,
    /// Time of the update that introduced it.
    pub first_seen: Timestamp,
    /// Time of the update that last changed it.
    pub changed: Timestamp,
    /// Whether only its counters are known, because its introduction was lost.
    pub placeholder: bool,
    /// Whether it is certain that it was dropped before it finished.
    pub cancelled: bool,
    /// Live operations it was the last to poll, outermost ones only.
    pub ops: ThinVec<OpKey>,
    /// Which sets of the model it is in, so that most changes need not look into them.
    pub(in crate::model) listed: [bool; 5],
    /// Whether what it does is counted among what its site has spent; until its first counters come, only that it lives.
    pub(in crate::model) counted: bool,
    own_id: Option<NonZeroU64>,
    particulars: Option<Box<Particulars>>,
    first_seen_running: Option<Box<PollStart>>,
    span_entered_off_task: bool,
}

impl Task {
    /// A task of which nothing but the id, the site and the time of birth is known yet.
    pub(in crate::model) fn unknown(id: u64, site: SiteKey, created: Timestamp, now: Timestamp) -> Self {
        Self {
            id,
            kind: TaskKind::Other,
            site,
            stats: TaskStats { created, ..TaskStats::default() },
            spawned_by: None,
            first_seen: now,
            changed: now,
            placeholder: true,
            cancelled: false,
            ops: ThinVec::new(),
            listed: [false; 5],
            counted: false,
            own_id: None,
            particulars: None,
            first_seen_running: None,
            span_entered_off_task: false,
        }
    }

    /// Takes over what it was introduced with.
    pub(in crate::model) fn introduce(
        &mut self,
        kind: TaskKind,
        site: SiteKey,
        own_id: Option<u64>,
        particulars: Particulars,
    ) {
        self.placeholder = false;
        self.kind = kind;
        self.site = site;
        self.own_id = own_id.and_then(NonZeroU64::new);
        self.particulars = (particulars != Particulars::default()).then(|| Box::new(particulars));
    }

    /// Reads from every cache line of the task without branching: calling it prefetches the task.
    pub(in crate::model) fn prefetch(&self) -> u64 {
        let Self { id, stats, placeholder, .. } = self;
        let TaskStats { wakes, waker_drops, poll, scheduled, .. } = stats;
        let nanos = u64::from(poll.busy.subsec_nanos()) ^ u64::from(scheduled.subsec_nanos());
        id ^ wakes ^ waker_drops ^ poll.polls ^ nanos ^ u64::from(*placeholder)
    }

    /// `task.id`, which is what the target's own code can print. Tokio counts from one.
    pub fn task_id(&self) -> Option<u64> {
        self.own_id.map(NonZeroU64::get)
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&Text> {
        self.particulars.as_ref()?.name.as_ref()
    }

    /// For blocking tasks, the type name of the closure.
    pub fn function(&self) -> Option<&Text> {
        self.particulars.as_ref()?.function.as_ref()
    }

    /// Its fields that have no place of their own here, as text.
    pub fn fields(&self) -> &[(Text, Text)] {
        self.particulars.as_ref().map_or(&[], |it| &it.fields)
    }

    /// What it is doing, as far as the feed tells.
    ///
    /// The future of `block_on` is woken by its thread being unparked, which counts as no wake: it is not over because of that.
    pub fn state(&self) -> TaskState {
        if self.stats.dropped.is_some() {
            TaskState::Done
        } else if self.stats.poll.is_running() {
            TaskState::Running
        } else if self.is_finished_but_listed() {
            TaskState::Done
        } else if self.stats.is_scheduled() {
            TaskState::Scheduled
        } else {
            TaskState::Idle
        }
    }

    /// Whether its future is gone although its span is still open: dropping the future counted as a poll that no wake explains, and dropped the
    /// last waker. A library that enters the span of its caller adds such a poll too, but while the caller waits, somebody has its waker.
    pub fn is_finished_but_listed(&self) -> bool {
        self.kind != TaskKind::BlockOn
            && self.stats.unexplained_polls() > 0
            && self.stats.wakers() == 0
            && !self.span_entered_off_task
    }

    /// Whether these counters show a wake although by the last ones it was at rest and had no waker. Then a clone was not counted.
    pub(in crate::model) fn is_woken_without_waker(&self, after: &TaskStats) -> bool {
        self.state() == TaskState::Idle
            && self.stats.wakers() == 0
            && self.kind != TaskKind::BlockOn
            && self.changed.since(self.stats.idle_from()) >= AT_REST
            && after.wakes == self.stats.wakes + 1
            && after.last_wake > Some(self.changed.plus(READ))
    }

    /// Whether its future still exists.
    pub fn is_alive(&self) -> bool {
        self.state() != TaskState::Done
    }

    /// Whether it is one of the runtime's own worker threads, which look like blocking jobs that never end.
    pub fn is_worker_thread(&self) -> bool {
        self.kind == TaskKind::Blocking && self.function().is_some_and(|it| is_worker_thread(it))
    }

    /// Whether it stands for a `block_in_place`, which hands its worker's other tasks to a new thread.
    pub fn is_block_in_place(&self) -> bool {
        self.kind == TaskKind::Blocking && self.function().is_some_and(|it| is_block_in_place(it))
    }

    /// Whether it was woken several times between the last two updates, although it seems to be inside one poll, and gave away new wakers: the next
    /// update tells whether it lives on.
    pub fn may_live_on_during_poll(&self, now: Timestamp) -> bool {
        let Some(first) = self.first_seen_running.as_deref() else { return false };
        let stats = &self.stats;
        self.changed == now
            && first.started == stats.poll.started
            && first.rises >= 1
            && first.contradicting_wakes(stats) >= 2
            && stats.waker_clones.saturating_sub(first.clones) >= 2
    }

    /// Whether it was woken again and again, at more than one update, since its present poll was first seen running, and more often than others
    /// had wakers of it then, which they cannot have got from inside that poll: its real polls are hidden by the one that only seems to run.
    fn lives_on_during_poll(&self) -> bool {
        let Some(first) = self.first_seen_running.as_deref() else { return false };
        let now = &self.stats;
        first.started == now.poll.started
            && first.rises >= 2
            && first.contradicting_wakes(now) > first.wakers + 1
            && now.waker_clones.saturating_sub(first.clones) >= 2
    }

    /// Whether something other than its runtime was seen inside its span, as a library does that enters the span on a thread of its own:
    /// its polls are not what they seem. Every real poll but the first is preceded by a wake.
    pub fn is_span_entered_off_task(&self) -> bool {
        self.span_entered_off_task || self.is_in_unexplained_poll()
    }

    /// Whether its wakes show that the poll in which it seems to be is the work of a library's thread. Not if only its runtime polled it before.
    pub fn is_in_poll_of_library_thread(&self) -> bool {
        let TaskStats { self_wakes, waker_clones, poll, .. } = self.stats;
        self.first_seen_running.as_deref().is_some_and(|first| !first.is_genuine)
            && are_of_library_thread(poll.polls, self_wakes, waker_clones)
    }

    /// The counters of wakes are read after those of polls, so they cannot be behind by chance.
    fn is_in_unexplained_poll(&self) -> bool {
        self.kind == TaskKind::Task
            && self.stats.dropped.is_none()
            && self.stats.poll.is_running()
            && self.stats.unexplained_polls() > 0
    }

    /// Takes over new counters, and keeps what the difference to the old ones proves.
    pub(in crate::model) fn change(&mut self, stats: TaskStats, now: Timestamp) {
        let (was_idle, was_over) = (self.state() == TaskState::Idle, self.is_finished_but_listed());
        let before = std::mem::replace(&mut self.stats, stats);
        // What is over is polled no more, and a future is dropped once.
        let lives_on = was_over && stats.poll.polls > before.poll.polls;
        let listed = self.kind == TaskKind::Task && stats.dropped.is_none();
        self.span_entered_off_task |= listed && stats.can_be_polled() && (lives_on || stats.unexplained_polls() > 1);
        if stats.dropped.is_some() && before.dropped.is_none() {
            self.cancelled = stats.was_cancelled.unwrap_or_else(|| {
                stats.was_dropped_at_first_await()
                    || (was_idle
                        && !self.span_entered_off_task
                        && stats.poll.polls == before.poll.polls + 1
                        && stats.wakes == before.wakes)
            });
        }
        self.first_seen_running = match self.first_seen_running.take() {
            Some(mut first) if first.started == stats.poll.started => {
                first.rises += u32::from(stats.poll.is_running() && stats.wakes > before.wakes);
                Some(first)
            }
            _ => stats.poll.is_running().then(|| Box::new(PollStart::of(&stats, &before))),
        };
        self.span_entered_off_task |= self.is_in_unexplained_poll() || (listed && self.lives_on_during_poll());
        self.changed = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There may be a million tasks: what is added here costs as many megabytes as it has bytes.
    #[test]
    fn a_task_is_small() {
        assert!(size_of::<Task>() <= 216, "{} bytes", size_of::<Task>());
    }
}
