//! How much of their lives the tasks of a spawn site spent inside polls and waiting to be polled: sums that grow by themselves while tasks live.

use std::time::Duration;

use crate::model::entity::stats::TaskStats;
use crate::model::time::Timestamp;
use crate::model::tokio::TaskKind;

/// A task that completes is woken, polled, ready and dropped within this time. What was longer may have been a wait that was dropped.
const AT_ONCE: Duration = Duration::from_millis(5);

/// A sum of times, some of which still last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GrowingSum {
    /// The times that are over, less the beginnings of those that last: all of these grow at once.
    nanos: i128,
    lasting: i64,
}

impl GrowingSum {
    /// The sum at a time that is not before the last change.
    pub fn at(&self, now: Timestamp) -> Duration {
        let nanos = self.nanos + i128::from(self.lasting) * i128::from(now.nanos());
        Duration::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
    }

    fn add(&mut self, part: Part) {
        let since = part.since.map_or(0, |since| i128::from(since.nanos()));
        self.nanos += nanos(part.over) - since;
        self.lasting += i64::from(part.since.is_some());
    }

    fn remove(&mut self, part: Part) {
        let since = part.since.map_or(0, |since| i128::from(since.nanos()));
        self.nanos -= nanos(part.over) - since;
        self.lasting -= i64::from(part.since.is_some());
    }
}

fn nanos(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or(i128::MAX)
}

/// What one task adds to a sum: what is over, and since when the rest lasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Part {
    over: Duration,
    since: Option<Timestamp>,
}

impl Part {
    fn over(over: Duration) -> Self {
        Self { over, since: None }
    }

    /// Only what comes after a time.
    fn after(self, time: Timestamp) -> Self {
        Self { over: Duration::ZERO, since: self.since.map(|since| since.max(time)) }
    }
}

/// What one task adds to the sums of its site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::model) struct Life {
    lived: Part,
    running: Part,
    scheduled: Part,
}

impl Life {
    /// The life of a task with these counters, of which nothing counts before `began`.
    pub(in crate::model) fn of(kind: TaskKind, stats: &TaskStats, began: Timestamp) -> Self {
        let start = stats.created.max(began);
        let lived = match stats.dropped {
            Some(dropped) => Part::over(dropped.since(start)),
            None => Part { over: Duration::ZERO, since: Some(start) },
        };
        Self { lived, running: running(stats), scheduled: scheduled(kind, stats) }
    }

    /// The part of it that comes after a time, where nothing is known of what was before: the task was in the middle of its life when it was
    /// first seen.
    pub(in crate::model) fn after(self, time: Timestamp) -> Self {
        Self { lived: self.lived, running: self.running.after(time), scheduled: self.scheduled.after(time) }
    }

    /// Nothing but that it lives.
    pub(in crate::model) fn uncounted(self) -> Self {
        Self { lived: self.lived, ..Self::default() }
    }

    /// What lasts of it, from a time on.
    pub(in crate::model) fn lasting(self, now: Timestamp) -> Self {
        let from = |part: Part| Part { over: Duration::ZERO, since: part.since.map(|_| now) };
        Self { lived: from(self.lived), running: from(self.running), scheduled: from(self.scheduled) }
    }
}

fn running(stats: &TaskStats) -> Part {
    let since = stats.poll.started.filter(|_| stats.poll.is_running());
    match (since, stats.dropped) {
        (Some(since), Some(dropped)) => Part::over(stats.poll.busy + dropped.since(since)),
        (since, _) => Part { over: stats.poll.busy, since },
    }
}

/// Between being spawned or woken and being polled. The future of a `block_on` is polled without being woken: its waits count as time scheduled, all
/// of them.
fn scheduled(kind: TaskKind, stats: &TaskStats) -> Part {
    if kind == TaskKind::BlockOn {
        return Part::default();
    }
    let Some(first) = stats.poll.first else {
        return match stats.dropped {
            Some(dropped) => Part::over(dropped.since(stats.created)),
            None => Part { over: Duration::ZERO, since: Some(stats.created) },
        };
    };
    let until_first = first.since(stats.created);
    let is_over = stats.dropped.is_some() || stats.unexplained_polls() > 0;
    if is_over {
        // Dropping the future counts as a poll, and all the time since the last one as scheduled.
        let dropped = stats.poll.started.unwrap_or(first);
        let doubtful = dropped.since(stats.last_wake.map_or(first, |wake| wake.max(first)));
        let doubtful = if doubtful > AT_ONCE { doubtful } else { Duration::ZERO };
        return Part::over(until_first + stats.scheduled.saturating_sub(doubtful));
    }
    let woken = stats.last_wake.max(stats.poll.ended);
    Part { over: until_first + stats.scheduled, since: woken.filter(|_| stats.is_scheduled()) }
}

/// Where the time of a site's tasks went, since the target was first seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// How long they lived.
    pub lived: GrowingSum,
    /// How long they were inside polls.
    pub running: GrowingSum,
    /// How long they waited to be polled, after their birth or a wake. For blocking jobs that is the wait for a thread.
    pub scheduled: GrowingSum,
}

impl Spent {
    /// Counts a task.
    pub(in crate::model) fn add(&mut self, life: Life) {
        self.lived.add(life.lived);
        self.running.add(life.running);
        self.scheduled.add(life.scheduled);
    }

    /// A task went on: this is what it adds now, and that is what it added.
    pub(in crate::model) fn replace(&mut self, before: Life, after: Life) {
        self.lived.remove(before.lived);
        self.running.remove(before.running);
        self.scheduled.remove(before.scheduled);
        self.add(after);
    }

    /// A task adds nothing more from now on; what it has added stays.
    pub(in crate::model) fn leave(&mut self, life: Life, now: Timestamp) {
        let lasting = life.lasting(now);
        self.replace(lasting, Life::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::entity::stats::PollStats;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Spawned at 1 s and polled from 1.1 s to 1.2 s.
    fn idle() -> TaskStats {
        let (first, ended) = (Some(at(1_100)), Some(at(1_200)));
        let poll = PollStats { polls: 1, first, started: first, ended, busy: millis(100) };
        TaskStats { created: at(1_000), poll, ..TaskStats::default() }
    }

    /// Lived, running and scheduled, in milliseconds, at 3 s.
    fn spent(stats: TaskStats) -> [u128; 3] {
        let mut spent = Spent::default();
        spent.add(Life::of(TaskKind::Task, &stats, at(500)));
        [spent.lived, spent.running, spent.scheduled].map(|sum| sum.at(at(3_000)).as_millis())
    }

    #[test]
    fn each_state_grows_what_it_is() {
        let unpolled = TaskStats { created: at(1_000), ..TaskStats::default() };
        let woken = TaskStats { last_wake: Some(at(2_500)), wakes: 1, ..idle() };
        let running = TaskStats {
            poll: PollStats { polls: 2, started: Some(at(2_600)), ..idle().poll },
            scheduled: millis(100),
            ..woken
        };
        assert_eq!(spent(unpolled), [2_000, 0, 2_000]);
        assert_eq!(spent(idle()), [2_000, 100, 100]);
        assert_eq!(spent(woken), [2_000, 100, 600]);
        assert_eq!(spent(running), [2_000, 500, 200]);
    }

    #[test]
    fn a_wait_that_was_dropped_is_no_wait_for_a_worker() {
        let dropped = |scheduled, started| TaskStats {
            dropped: Some(at(started)),
            scheduled: millis(scheduled),
            poll: PollStats { polls: 2, started: Some(at(started)), ended: Some(at(started)), ..idle().poll },
            ..idle()
        };
        assert_eq!(spent(dropped(800, 2_000)), [1_000, 100, 100], "cancelled at its first await");
        let completed = TaskStats { last_wake: Some(at(1_998)), wakes: 1, ..dropped(2, 2_000) };
        assert_eq!(spent(completed), [1_000, 100, 102], "ready at once after a wake");
    }

    #[test]
    fn what_was_before_is_left_out_and_what_goes_on_is_the_same_however_often_it_was_looked_at() {
        let woken = TaskStats { last_wake: Some(at(2_500)), wakes: 1, ..idle() };
        let mut spent = Spent::default();
        let life = |stats: &TaskStats| Life::of(TaskKind::Task, stats, at(2_000));
        spent.add(life(&idle()).after(at(2_000)));
        spent.replace(life(&idle()), life(&woken));
        let ended = TaskStats {
            dropped: Some(at(2_700)),
            scheduled: millis(100),
            poll: PollStats {
                polls: 3,
                started: Some(at(2_604)),
                ended: Some(at(2_700)),
                busy: millis(200),
                ..idle().poll
            },
            ..woken
        };
        spent.replace(life(&woken), life(&ended));
        let now = at(9_000);
        assert_eq!((spent.lived.at(now), spent.running.at(now)), (millis(700), millis(100)));
    }

    #[test]
    fn a_task_that_turns_out_to_be_of_another_site_leaves_its_past_behind() {
        let (mut one, mut other) = (Spent::default(), Spent::default());
        let life = Life::of(TaskKind::Task, &idle(), at(500));
        one.add(life);
        one.leave(life, at(2_000));
        other.add(life.lasting(at(2_000)));
        let now = at(5_000);
        assert_eq!((one.lived.at(now), other.lived.at(now)), (millis(1_000), millis(3_000)));
        assert_eq!((one.running.at(now), other.running.at(now)), (millis(100), millis(0)));
    }
}
