//! Tasks: introduced into their spawn site, counted, and put into the indices of those that run, wait or cannot be woken.

use std::time::Duration;

use super::cancellations::Cancellation;
use super::changes::Changes;
use crate::model::collections::KeySet;
use crate::model::entity::site::{End, Site, SiteId};
use crate::model::entity::stats::TaskStats;
use crate::model::entity::task::{Particulars, Task, TaskState};
use crate::model::history::activity::Activity;
use crate::model::history::delays::Delay;
use crate::model::history::seconds::Pace;
use crate::model::keys::{Entity, Id, SiteKey, TaskKey};
use crate::model::location::Location;
use crate::model::store::Model;
use crate::model::text::{self, Text};
use crate::model::time::Timestamp;
use crate::model::tokio::TaskKind;

/// So long after a stop of the process its news are in no order.
const AFTER_STOP: Duration = Duration::from_secs(4);
/// Fewer wakers of one task than this are never worth a note.
const MANY_WAKERS: u64 = 256;

/// A task as it was introduced.
#[derive(Debug)]
pub(super) struct NewTask {
    pub(super) name: Option<Text>,
    pub(super) kind: TaskKind,
    pub(super) target: Option<Text>,
    pub(super) task_id: Option<u64>,
    pub(super) location: Location,
    pub(super) sizes: (u64, u64),
    pub(super) function: Option<Text>,
    pub(super) fields: Box<[(Text, Text)]>,
}

impl Default for NewTask {
    fn default() -> Self {
        Self {
            name: None,
            kind: TaskKind::Other,
            target: None,
            task_id: None,
            location: Location::new("".into()),
            sizes: (0, 0),
            function: None,
            fields: Box::default(),
        }
    }
}

impl Model {
    pub(super) fn new_task(&mut self, id: u64, created: Option<Timestamp>, new: NewTask, changes: &mut Changes) {
        let known = self.ids.task(id).filter(|_| created.is_none() || self.created(Id::Task(id)) == created);
        if known.is_some_and(|key| !self.tasks.get(key).is_some_and(|task| task.placeholder)) {
            return;
        }
        let name = text::without_numbers(new.name.as_deref().unwrap_or_default());
        let name = self.strings.intern(&name);
        let site = self.site_of(SiteId { name, kind: new.kind, location: new.location, sizes: new.sizes });
        if let Some(site) = self.sites.get_mut(site) {
            site.target = site.target.take().or(new.target);
        }
        let key = if let Some(key) = known {
            self.leave_site(key, changes);
            key
        } else {
            self.retire(Id::Task(id), self.now(), changes);
            self.insert_task(id, site, created)
        };
        let Some(task) = self.tasks.get_mut(key) else {
            return;
        };
        let particulars = Particulars { name: new.name, function: new.function, fields: new.fields };
        task.introduce(new.kind, site, new.task_id, particulars);
        if task.is_block_in_place() {
            self.handovers.insert(task.stats.created.min(self.clock.now()));
            self.uses_block_in_place = true;
        }
        self.join_site(key, changes);
        self.index_task(key);
    }

    /// Notes which task has spawned another. Span ids come back: what is younger than the task has not spawned it.
    pub(super) fn link_task(&mut self, id: u64, spawner: u64) {
        let Some(key) = self.ids.task(id) else { return };
        let Some(created) = self.tasks.get(key).map(|task| task.stats.created) else { return };
        let spawner = self.task_of_span(spawner, created).filter(|spawner| *spawner != key);
        if let Some(task) = self.tasks.get_mut(key) {
            task.spawned_by = spawner.or(task.spawned_by);
        }
    }

    /// Adds a task of which nothing but the id, the site and perhaps the time of birth is known yet. It has not joined the site.
    fn insert_task(&mut self, id: u64, site: SiteKey, created: Option<Timestamp>) -> TaskKey {
        let now = self.now();
        self.ever_seen.0 += 1;
        let key = self.tasks.insert(Task::unknown(id, site, created.unwrap_or(now), now));
        self.ids.set(id, Entity::Task(key));
        self.target_retention.note_birth(id);
        key
    }

    /// Adds a task of which only the counters were sent.
    fn insert_placeholder(&mut self, id: u64, created: Timestamp, changes: &mut Changes) -> TaskKey {
        let nowhere = self.strings.intern("");
        let site =
            SiteId { name: nowhere.clone(), kind: TaskKind::Other, location: Location::new(nowhere), sizes: (0, 0) };
        let site = self.site_of(site);
        let key = self.insert_task(id, site, Some(created));
        self.join_site(key, changes);
        key
    }

    pub(super) fn task_changed(&mut self, id: u64, stats: TaskStats, changes: &mut Changes) {
        let is_known = |key: &TaskKey| self.tasks.get(*key).is_some_and(|it| it.stats.created == stats.created);
        let key = if let Some(key) = self.ids.task(id).filter(is_known) {
            key
        } else {
            self.retire(Id::Task(id), self.now(), changes);
            self.quality.never_introduced += 1;
            self.insert_placeholder(id, stats.created, changes)
        };
        let (now, newborn) = (self.now(), self.is_newborn(stats.created));
        let handed_over = stats.poll.started.zip(stats.poll.ended).is_some_and(|(from, to)| self.handed_over(from, to));
        let Some(task) = self.tasks.get_mut(key) else {
            return;
        };
        // A late introduction brings counters of a whole life: they are a starting point, not something that happened just now.
        let countable = newborn || task.first_seen < now;
        let (before, was_ended, site) = (task.stats, task.stats.dropped.is_some(), task.site);
        let time = now.since(task.changed.max(stats.created));
        let was_over = task.is_finished_but_listed();
        self.quality.clones_lost |= task.is_woken_without_waker(&stats);
        task.change(stats, now);
        let entered = was_over || task.is_span_entered_off_task();
        let (cancelled, state) = (task.cancelled, task.state());
        if entered
            && stats.can_be_polled()
            && let Some(site) = self.sites.get_mut(site)
        {
            site.spans_entered_off_task = true;
        }
        let is_async = task.kind.is_async();
        self.spend(key, &before);
        let pace = pace(key, time, &before, &stats);
        let is_own_time = !entered && !pace.is_of_library_thread();
        if is_async {
            self.last_poll = self.last_poll.max(stats.poll.started.max(stats.poll.ended).unwrap_or_default());
            let woken = stats.wakes.saturating_sub(before.wakes);
            // What a task that has ended waited last may be no wait for a worker.
            if countable
                && state != TaskState::Done
                && let Some(mean) = u32::try_from(woken).ok().and_then(|wakes| pace.scheduled.checked_div(wakes))
            {
                self.delays.note(Delay { at: now, site, mean });
            }
        }
        // After a stop the news of a `block_in_place` may come after those of its poll.
        let just_stopped = self.clock.gaps().next_back().is_some_and(|gap| now.since(gap.to) < AFTER_STOP);
        let unsure = self.uses_block_in_place && (just_stopped || self.quality.is_lagging());
        let ended_poll = stats.poll.started.zip(stats.poll.ended).filter(|(started, ended)| started <= ended);
        let stopped = ended_poll.map_or(Duration::ZERO, |(started, ended)| {
            ended.since(started).saturating_sub(self.clock.running_between(started, ended))
        });
        let is_trusted = !handed_over && !unsure;
        if countable && is_async {
            self.count_activity(site, &pace, (is_trusted && is_own_time).then_some(stopped), state);
        }
        if countable
            && is_trusted
            && let Some(site) = changes.touch(self, site)
        {
            if is_own_time {
                count_polls(site, key, &before, &stats, stopped);
            }
            if state != TaskState::Done {
                let second = site.history.current();
                Pace::note(&mut second.fastest, pace, Pace::polls_and_clones);
                if pace.self_wakes > 0 {
                    Pace::note(&mut second.self_waker, pace, |it| it.self_wakes);
                }
            }
        }
        if stats.dropped.is_some() && !was_ended {
            let end = if cancelled { End::Cancelled } else { End::Completed };
            if cancelled && countable {
                changes.cancellations.push(Cancellation::new(key, site, &before, stats));
            }
            self.end_task(key, &before, end, countable, changes);
        }
        self.index_task(key);
    }

    /// Adds what a task has done to what all have done. The time of its polls counts if it can be told what of it the process stood still.
    fn count_activity(&mut self, site: SiteKey, pace: &Pace, stopped: Option<Duration>, state: TaskState) {
        if self.sites.get(site).is_some_and(|site| site.is_of_console) {
            return;
        }
        let busy = stopped.map(|stopped| pace.busy.saturating_sub(stopped));
        // What a task that has ended waited last may be no wait for a worker.
        let scheduled = if state == TaskState::Done { Duration::ZERO } else { pace.scheduled };
        let (polls, wakes) = (pace.polls, pace.wakes);
        self.totals.activity.note(Activity { polls, busy: busy.unwrap_or_default(), wakes, scheduled });
    }

    /// Brings the sets of running, woken and unwakeable tasks up to date.
    fn index_task(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.get_mut(key) else {
            return;
        };
        let state = task.state();
        let ours = task.kind.is_async();
        let stranded = task.stats.wakers() == 0 && task.stats.poll.polls > 0;
        let waits_for_thread = task.kind == TaskKind::Blocking
            && task.stats.poll.polls == 0
            && task.stats.dropped.is_none()
            && !task.is_worker_thread()
            && !task.is_block_in_place();
        let worker = task.is_worker_thread() || task.is_block_in_place();
        let member = [
            ours && state == TaskState::Running,
            ours && state == TaskState::Scheduled,
            ours && stranded && state == TaskState::Idle,
            waits_for_thread,
            worker && state != TaskState::Done,
        ];
        let before = std::mem::replace(&mut task.listed, member);
        if before == member {
            return;
        }
        for (set, member) in self.task_sets().into_iter().zip(member) {
            if member {
                set.insert(key)
            } else {
                set.remove(&key)
            };
        }
    }

    /// Takes a task out of all sets.
    pub(super) fn unlist_task(&mut self, key: TaskKey) {
        if let Some(task) = self.tasks.get_mut(key) {
            task.listed = [false; 5];
        }
        for set in self.task_sets() {
            set.remove(&key);
        }
    }

    /// The sets of tasks that need to be found without looking at all of them, in the order in which tasks remember being in them.
    fn task_sets(&mut self) -> [&mut KeySet<TaskKey>; 5] {
        [&mut self.running, &mut self.woken, &mut self.unwakeable, &mut self.queued_jobs, &mut self.workers]
    }
}

/// What a task did between two reports of it, which lie so far apart.
fn pace(task: TaskKey, time: Duration, before: &TaskStats, after: &TaskStats) -> Pace {
    Pace {
        task,
        time,
        polls: after.completed_polls().saturating_sub(before.completed_polls()),
        busy: after.poll.busy.saturating_sub(before.poll.busy),
        scheduled: after.scheduled.saturating_sub(before.scheduled),
        clones: after.waker_clones.saturating_sub(before.waker_clones),
        wakes: after.wakes.saturating_sub(before.wakes),
        self_wakes: after.self_wakes.saturating_sub(before.self_wakes),
    }
}

/// Counts the polls that ended, in whose time the process stood still for so long.
fn count_polls(site: &mut Site, key: TaskKey, before: &TaskStats, after: &TaskStats, stopped: Duration) {
    let polls = after.completed_polls().saturating_sub(before.completed_polls());
    let busy = after.poll.busy.saturating_sub(before.poll.busy).saturating_sub(stopped);
    let second = site.history.current();
    second.polls += polls;
    second.busy += busy;
    if let Some(mean) = u32::try_from(polls).ok().and_then(|polls| busy.checked_div(polls))
        && second.longest.is_none_or(|(longest, _)| mean > longest)
    {
        second.longest = Some((mean, key));
    }
    second.busiest = second.busiest.max((polls > 0).then_some((busy, polls, key)));
    let wakers = after.wakers();
    if after.dropped.is_none() && wakers >= MANY_WAKERS && second.wakers.is_none_or(|(most, _)| wakers > most) {
        second.wakers = Some((wakers, key));
    }
}
