//! Ends: what is concluded when something ends, and when it is forgotten.

use std::time::Duration;

use super::changes::Changes;
use crate::model::entity::site::{End, Life};
use crate::model::entity::stats::TaskStats;
use crate::model::entity::task::Task;
use crate::model::history::completions::Completion;
use crate::model::history::push_bounded;
use crate::model::history::seconds::Second;
use crate::model::history::waits::{A_WAIT, GivenUp, Grant, Unserved};
use crate::model::keys::{Entity, Id, OpKey, ResourceKey, TaskKey};
use crate::model::links::Turn;
use crate::model::store::Model;
use crate::model::time::Timestamp;
use crate::model::tokio::{ResourceKind, attribute, is_inside_interval};

/// Waits shorter than this do not make a lock worth a log.
const NO_WAIT: Duration = Duration::from_micros(100);
/// Waits that were given up and are kept, per lock.
const GIVEN_UP: usize = 256;
/// How long a lock stays on the list of contested ones after the last op on it.
const CALM: Duration = Duration::from_secs(120);
/// How often what nobody refers to is swept out.
const SWEEP: Duration = Duration::from_secs(60);

impl Model {
    /// Ends whatever this id stands for: the id is taken by something else now, or its end was never reported.
    pub(super) fn retire(&mut self, id: Id, now: Timestamp, changes: &mut Changes) {
        match self.ids.remove(id) {
            Some(Entity::Task(key)) => {
                if let Some(task) = self.tasks.get_mut(key)
                    && task.stats.dropped.is_none()
                {
                    let alive = task.stats;
                    task.stats.dropped = Some(now);
                    // How it ended is not known, so its lifetime must not count among those that completed.
                    let before = task.stats;
                    self.spend(key, &alive);
                    self.end_task(key, &before, End::Unknown, false, changes);
                }
            }
            Some(Entity::Resource(key)) if self.resources.get(key).is_some_and(|it| it.dropped.is_none()) => {
                self.end_resource(key, now);
            }
            Some(Entity::Op(key)) => {
                if let Some(op) = self.ops.get_mut(key)
                    && op.is_alive()
                {
                    op.stats.dropped = Some(now);
                    changes.ended_ops.push(key);
                }
            }
            Some(Entity::Resource(_)) | None => {}
        }
    }

    pub(super) fn end_task(&mut self, key: TaskKey, before: &TaskStats, end: End, counts: bool, changes: &mut Changes) {
        let Some(task) = self.tasks.get(key) else {
            return;
        };
        let (site, created, stats, task_id) = (task.site, task.stats.created, task.stats, task.id);
        let at = stats.dropped.unwrap_or(self.now());
        let polls = stats.completed_polls();
        if let Some(site) = changes.touch(self, site) {
            site.live.remove(created, key);
            site.note_end(at, at.since(created), end);
            let life = Life { born: created, ended: at, polls, cancelled: end == End::Cancelled };
            site.last_life = (end != End::Unknown).then_some(life);
            let second = site.history.current();
            second.ended += u32::from(counts);
            second.cancelled += u32::from(counts && end == End::Cancelled);
            if counts && end == End::Completed {
                site.completions.note(Completion::by_itself(at, before, &stats));
            }
        }
        if end != End::Unknown {
            self.target_retention.note_end(task_id, at.min(self.now()), self.now());
        }
        self.unlist_task(key);
        self.bury(Entity::Task(key), at);
    }

    pub(super) fn end_resource(&mut self, key: ResourceKey, at: Timestamp) {
        let Some(resource) = self.resources.get_mut(key) else {
            return;
        };
        resource.dropped = Some(at);
        if resource.kind == ResourceKind::Sleep
            && !is_inside_interval(&resource.location)
            && let Some(millis) = resource.number(attribute::DURATION)
        {
            let (lived, duration) = (at.since(resource.created), Duration::from_millis(millis));
            self.timeouts.note(&resource.location, key, at, lived, duration);
        }
        self.ended_timers += usize::from(resource.kind.is_timer());
        self.queues.remove(&key);
        self.bury(Entity::Resource(key), at);
    }

    fn bury(&mut self, entity: Entity, ended: Timestamp) {
        self.earliest_end = Some(self.earliest_end.map_or(ended, |earliest| earliest.min(ended)));
        self.graveyard.push_back((self.now(), entity));
    }

    /// Works off what needs the whole update to have been read.
    pub(super) fn finish_update(&mut self, changes: &mut Changes) {
        self.hand_over_ops(&std::mem::take(&mut changes.moved_ops));
        self.note_cancellations(std::mem::take(&mut changes.cancellations));
        if self.clock.updates() == 1
            && let Some(earliest) = self.earliest_end
        {
            // What the first message still lists has not been forgotten since its end.
            self.target_retention.reaches(self.now().since(earliest));
        }
        let mut ended = std::mem::take(&mut changes.ended_ops);
        ended.sort_by_cached_key(|key| (self.ops.get(*key).and_then(|op| op.stats.dropped), *key));
        for key in &ended {
            self.end_op(*key);
        }
        self.count_waits(changes, &ended);
        self.unlist_ops(&ended);
        changes.ended_ops = ended;
        self.close_seconds(changes);
        let now = self.now();
        self.totals.waits.reach(now);
        self.totals.activity.reach(now);
        self.forget();
        if self.sites.len() > self.most_sites {
            self.forget_sites();
        }
        if self.strings.is_due() {
            self.strings.sweep();
        }
        if self.now() >= self.next_sweep {
            self.next_sweep = self.now().plus(SWEEP);
            self.sweep();
        }
    }

    fn end_op(&mut self, key: OpKey) {
        let Some(op) = self.ops.get(key) else { return };
        let lock = self.lock_of(key).filter(|_| !op.is_sleep() && op.parent.is_none());
        let ended = op.stats.dropped.unwrap_or(self.now());
        if let Some(lock) = lock {
            self.note_turn(lock, key);
        }
        self.bury(Entity::Op(key), ended);
    }

    /// Writes down how an ended wait turned out.
    fn note_turn(&mut self, lock: ResourceKey, key: OpKey) {
        let (Some(op), Some(Turn { from, to, granted })) = (self.ops.get(key), self.turn(key)) else { return };
        let wait = to.since(from);
        let grant = granted.then(|| Grant {
            task: op.task,
            site: op.task.and_then(|task| self.tasks.get(task)).map(|task| task.site),
            since: from,
            at: to,
            permits: self.acquisition(key).obtained.unwrap_or(1),
            kind: op.kind,
            owned: op.owned,
        });
        let (kind, task) = (op.kind, op.task);
        let Some(lock) = self.resources.get_mut(lock) else {
            return;
        };
        if granted {
            // The feed may report a grant late or twice; then it is from before the interval and does not end it.
            if let Some(unserved) = lock.unserved.take_if(|it| to >= it.since)
                && from <= unserved.until.plus(Unserved::PAUSE)
            {
                lock.waits.note_relief(unserved, to);
            }
        } else if wait >= A_WAIT {
            lock.unserved = Some(Unserved::and(lock.unserved, from, to));
            if let Some(task) = task {
                push_bounded(&mut lock.given_up, GivenUp { task, since: from, at: to }, GIVEN_UP);
            }
        }
        if wait >= NO_WAIT || lock.waits.kinds().next().is_some() {
            lock.waits.note(kind, to, wait, granted);
        }
        match lock.kind {
            ResourceKind::Oneshot if granted => self.answers.note(&lock.location, to, wait),
            ResourceKind::Oneshot => self.answers.note_given_up(&lock.location, wait),
            _ => {}
        }
        if let Some(grant) = grant {
            // Only one holds a mutex: whoever acquired it last.
            let is_shared = lock.kind != ResourceKind::Mutex;
            lock.grants.note(grant, |task| is_shared && self.tasks.get(task).is_some_and(Task::is_alive));
        }
    }

    /// Writes down whose a granted turn was that ended before that was told: who polled an op is reported by itself, and may come later
    /// than its end.
    pub(super) fn name_turn(&mut self, key: OpKey) {
        let Some(op) = self.ops.get(key) else { return };
        let Some((task, dropped)) = op.task.zip(op.stats.dropped) else { return };
        let at = op.stats.poll.ended.map_or(dropped, |last| last.min(dropped));
        let site = self.tasks.get(task).map(|task| task.site);
        if let Some(lock) = self.lock_of(key).and_then(|lock| self.resources.get_mut(lock)) {
            lock.grants.name(at, task, site);
        }
    }

    fn close_seconds(&mut self, changes: &mut Changes) {
        let now = self.now();
        let unreliable = self.quality.is_lossy(now) || self.quality.is_lagging();
        for key in &changes.sites {
            let Some(site) = self.sites.get_mut(*key) else {
                continue;
            };
            let (live, median_age) = (site.live.len(), site.median_age(now));
            let second = site.history.current();
            *second = Second { to: now, live, median_age, unreliable: second.unreliable || unreliable, ..*second };
            if site.history.is_due(now) {
                site.history.close(now);
            }
        }
    }

    fn forget(&mut self) {
        let now = self.now();
        while let Some((seen, entity)) = self.graveyard.front().copied()
            && now.since(seen) > self.retention
        {
            self.graveyard.pop_front();
            let id = match entity {
                Entity::Task(key) => {
                    self.details.remove(key);
                    self.tasks.remove(key).map(|task| Id::Task(task.id))
                }
                Entity::Resource(key) => {
                    self.active.remove(&key);
                    self.resources.remove(key).map(|resource| {
                        self.sleeps.remove(&(resource.created, key));
                        let is_timer = usize::from(resource.kind.is_timer());
                        // What it is may have become known after its end.
                        self.ended_timers = self.ended_timers.saturating_sub(is_timer);
                        Id::Resource(resource.id)
                    })
                }
                Entity::Op(key) => self.ops.remove(key).map(|op| Id::Op(op.id)),
            };
            if let Some(id) = id
                && self.ids.get(id) == Some(entity)
            {
                self.ids.remove(id);
            }
        }
    }

    fn sweep(&mut self) {
        let now = self.now();
        let resources = &self.resources;
        self.active.retain(|key, seen| {
            let busy = resources.get(*key).is_some_and(|lock| !lock.ops.is_empty());
            busy || now.since(*seen) < CALM
        });
        self.handovers = self.handovers.split_off(&now.minus(CALM));
        self.forget_sites();
        self.strings.sweep();
    }
}
