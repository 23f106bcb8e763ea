//! How things depend on each other: what a task waits for, who holds that, and what the holder in turn waits for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::async_op::{AsyncOp, OpStats};
use super::resource::{Resource, ResourceKind};
use super::task::{Task, TaskState};
use super::time::Timestamp;
use super::waits::Grant;
use super::{Model, OpKey, ResourceKey, SiteKey, TaskKey};

/// Most levels of resources or ops inside each other that are followed.
const NESTING: usize = 8;
/// Two threads stamp the start of a task's poll and of its op's poll: so much disorder is allowed.
pub(super) const SAME_POLL: Duration = Duration::from_micros(100);
/// A writer that lacks fewer permits than this waits for readers, one that lacks more for a writer.
const MOST_READERS: u64 = 1_000;
/// A grant and the permits left after it are reported one after the other: so much disorder is allowed.
const SAME_REPORT: Duration = Duration::from_millis(10);
/// So many of the last users of a queue, and of those that wait, are looked at.
const USERS: usize = 64;
/// Most steps of a wait chain that are followed.
const CHAIN: usize = 16;

/// How sure an inferred relation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// It may be otherwise: what was acquired can be passed on, or has been taken in a way that is not reported.
    Possible,
    /// Nothing the feed reports speaks against it.
    Likely,
}

/// A task that holds a lock, as far as can be inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The task.
    pub task: TaskKey,
    /// When it got in.
    pub since: Timestamp,
    /// How sure that is.
    pub confidence: Confidence,
}

/// One step of a wait chain: a task waits, in an op, for a resource that others hold.
#[derive(Debug, Clone)]
pub struct Step {
    /// Who waits.
    pub task: TaskKey,
    /// In which op.
    pub op: OpKey,
    /// For what.
    pub resource: ResourceKey,
    /// Who holds it, as far as can be inferred; the first one is followed.
    pub holders: Vec<Holder>,
}

impl Model {
    /// The lock, semaphore or channel that a resource is (part of).
    pub fn lock(&self, mut resource: ResourceKey) -> Option<ResourceKey> {
        for _ in 0..NESTING {
            let it = self.resource(resource)?;
            match it.parent {
                Some(parent) if it.kind != ResourceKind::Channel => resource = parent,
                _ => return Some(resource),
            }
        }
        None
    }

    /// The spawn sites of tasks that put something into a queue or wait for room in it, as far as the feed tells.
    pub fn senders(&self, queue: ResourceKey) -> BTreeSet<SiteKey> {
        self.users(queue, |kind, source| kind == ResourceKind::Channel || is_send(source))
    }

    /// The spawn sites of tasks that took something out of a queue or wait for it, as far as the feed tells.
    pub fn receivers(&self, queue: ResourceKey) -> BTreeSet<SiteKey> {
        self.users(queue, |kind, source| kind != ResourceKind::Channel && !is_send(source))
    }

    fn users(&self, queue: ResourceKey, takes_part: impl Fn(ResourceKind, &str) -> bool) -> BTreeSet<SiteKey> {
        let Some(it) = self.resource(queue) else { return BTreeSet::new() };
        let granted = it.grants.newest_first().take(USERS).filter(|grant| takes_part(it.kind, &grant.source));
        let waiting = self.waiters(queue).take(USERS).filter(|(_, op)| takes_part(it.kind, &op.source));
        let waiting = waiting.filter_map(|(_, op)| Some(self.task(op.task?)?.site));
        waiting.chain(granted.filter_map(|grant| grant.site)).collect()
    }

    /// The lock, semaphore or channel that an op wants.
    pub fn lock_of(&self, op: OpKey) -> Option<ResourceKey> {
        self.lock(self.op(op)?.resource?)
    }

    /// The counters of the acquisition of permits that an op consists of: its inner op's, or its own.
    pub fn acquisition(&self, op: OpKey) -> OpStats {
        let outer = self.op(op);
        let inner = outer.and_then(|outer| self.op(outer.inner?));
        inner.or(outer).map(|op| op.stats).unwrap_or_default()
    }

    /// Whether an op has been polled, is alive and has not got what it wants.
    pub fn is_waiting(&self, key: OpKey) -> bool {
        let Some(op) = self.op(key) else { return false };
        op.is_alive()
            && op.stats.poll.polls > 0
            && op.ready != Some(true)
            && self.acquisition(key).is_granted() != Some(true)
    }

    /// Ops that wait for a lock, semaphore or channel, in no order.
    pub fn waiters(&self, lock: ResourceKey) -> impl Iterator<Item = (OpKey, &AsyncOp)> {
        let ops = self.resource(lock).map(|lock| lock.ops.as_slice()).unwrap_or_default();
        ops.iter().filter(|key| self.is_waiting(**key)).filter_map(|key| Some((*key, self.op(*key)?)))
    }

    /// Since when an op has been waiting.
    pub fn waiting_since(&self, op: &AsyncOp) -> Timestamp {
        op.stats.poll.first.map_or(op.stats.created, |first| first.min(op.stats.created))
    }

    /// What an idle task waits for at present: ops that it polled in its last poll. An op that it holds but did not poll does not keep
    /// it from going on.
    pub fn waits(&self, task: TaskKey) -> impl Iterator<Item = (OpKey, &AsyncOp)> {
        let waiting = self.task(task).filter(|task| task.state() == TaskState::Idle);
        let last_poll = waiting.and_then(|task| task.stats.poll.started).unwrap_or_default();
        let ops = waiting.map(|task| task.ops.as_slice()).unwrap_or_default();
        ops.iter()
            .filter(|key| self.is_waiting(**key))
            .filter_map(|key| Some((*key, self.op(*key)?)))
            .filter(move |(_, op)| op.stats.poll.started.is_some_and(|started| started.plus(SAME_POLL) >= last_poll))
    }

    /// The timer that an idle task sleeps on, if it made it in its last poll: a timer does not say whose it is.
    pub fn timer(&self, task: &Task) -> Option<&Resource> {
        if task.state() != TaskState::Idle {
            return None;
        }
        let (from, to) = (task.stats.poll.started?, task.stats.poll.ended?);
        let born = self.sleeps.range((from, ResourceKey::default())..).take_while(|(created, _)| *created <= to);
        born.filter_map(|(_, key)| self.resource(*key)).find(|timer| timer.dropped.is_none())
    }

    /// How many timers and ops a task made or polled in its last poll, all of which were traced.
    pub fn made_in_last_poll(&self, task: &Task) -> usize {
        let (Some(from), Some(to)) = (task.stats.poll.started, task.stats.poll.ended.max(task.stats.poll.started))
        else {
            return 0;
        };
        let timers =
            self.sleeps.range((from, ResourceKey::default())..).take_while(|(created, _)| *created <= to).count();
        let made = |key: &&OpKey| self.op(**key).is_some_and(|op| (from..=to).contains(&op.stats.created));
        timers + task.ops.iter().filter(made).count()
    }

    /// When a timer runs out, as far as is known: it is set anew by every reset, which is not reported.
    pub fn due(&self, timer: &Resource) -> Option<Timestamp> {
        let duration = timer.number("duration")?;
        Some(timer.created.plus(Duration::from_millis(duration)))
    }

    /// Who holds a lock or semaphore that is waited for. Empty where nothing can be inferred; never stated by the feed.
    ///
    /// Several readers of an `RwLock`, or holders of a semaphore, may be more than hold it in fact: nobody says who of them let go (see
    /// [`knows_each_holder`](Self::knows_each_holder)). Those who got in least often come first, for they cannot have let go often.
    pub fn holders(&self, lock: ResourceKey) -> Vec<Holder> {
        let Some(resource) = self.resource(lock) else {
            return Vec::new();
        };
        match resource.kind {
            // Somebody who got in unseen, with `try_lock`, may wait for its end with the lock reported as free.
            _ if self.is_free(lock) => Vec::new(),
            ResourceKind::Mutex => self.newest_grant(resource, |_| true),
            ResourceKind::RwLock if self.readers_inside(lock).is_some() => self.possible_holders(resource, is_read),
            ResourceKind::RwLock => self.newest_grant(resource, |source| !is_read(source)),
            ResourceKind::Semaphore => self.possible_holders(resource, |_| true),
            _ => Vec::new(),
        }
    }

    /// How many of the holders of a lock hold it in fact, where that is known. The first ones are the most plausible.
    pub fn count_inside(&self, lock: ResourceKey) -> Option<usize> {
        let resource = self.resource(lock)?;
        match resource.kind {
            ResourceKind::Mutex => Some(1),
            ResourceKind::RwLock => Some(self.readers_inside(lock).unwrap_or(1)),
            _ => None,
        }
    }

    /// Whether each of the holders of a lock holds it for sure, and not just some of them.
    pub fn knows_each_holder(&self, lock: ResourceKey) -> bool {
        let (Some(resource), Some(inside)) = (self.resource(lock), self.count_inside(lock)) else {
            return false;
        };
        self.readers_inside(lock).is_none() || self.possible_grants(resource, is_read).count() == inside
    }

    /// Whether every task that may hold a lock or a permit, as far as was seen, is gone, waits here itself or did so in vain since.
    ///
    /// A borrowed permit cannot outlive its task, so what a task that is gone had is either back, and then the first in the queue has it, or
    /// was forgotten. An owned one may have been passed on to anybody.
    pub fn nobody_can_release(&self, lock: ResourceKey) -> bool {
        let Some(resource) = self.resource(lock) else { return false };
        let waits_here = |task: TaskKey| self.waits(task).any(|(op, _)| self.lock_of(op) == Some(lock));
        let is_gone = |task: TaskKey| !self.task(task).is_some_and(Task::is_alive);
        let cannot = |task: TaskKey| is_gone(task) || waits_here(task);
        // Who came again and gave up has let go of what it had got before.
        let came_again = |task: TaskKey, from: Timestamp| {
            resource.given_up.iter().any(|given_up| given_up.task == task && given_up.since > from)
        };
        let grants = &resource.grants;
        let of_grant =
            |grant: &Grant| !grant.owned && grant.task.is_some_and(|task| cannot(task) || came_again(task, grant.at));
        let ended = match resource.kind {
            // One that asks again for what it holds is in a deadlock of its own.
            ResourceKind::Mutex => grants.last().is_some_and(|last| !last.owned && last.task.is_some_and(is_gone)),
            _ => {
                let oldest = grants.newest_first().last().map(|grant| grant.at).unwrap_or_default();
                let of_elder = |elder: TaskKey| cannot(elder) || came_again(elder, oldest);
                grants.newest_first().all(of_grant) && grants.elders().all(of_elder) && !grants.has_unknown_elder()
            }
        };
        // A future that was granted and lives holds its permits; who waits with an owned acquire is of the kind that passes them on.
        let mut live = resource.ops.iter().filter_map(|op| Some((*op, self.op(*op)?)));
        let none_held = live.all(|(key, op)| self.is_waiting(key) && !op.is_owned());
        let permits =
            resource.inner.and_then(|inner| self.resource(inner)).map_or(resource.permits, |inner| inner.permits);
        let none_left = permits.now.is_none_or(|permits| permits == 0) && !resource.permits.drifted;
        ended && none_held && none_left && !self.some_do_several_things(resource)
    }

    /// Whether one of the live tasks that got in was seen to wait here twice at a time: what one of its futures waits for another may have,
    /// and give back.
    fn some_do_several_things(&self, lock: &Resource) -> bool {
        let grants = || lock.grants.newest_first().filter_map(|grant| Some((grant.task?, grant.since, grant.at)));
        let got_in: BTreeSet<TaskKey> = grants().map(|(task, ..)| task).chain(lock.grants.elders()).collect();
        let given_up = lock.given_up.iter().map(|it| (it.task, it.since, it.at));
        let ops = lock.ops.iter().filter_map(|key| self.op(*key));
        let present = ops.filter_map(|op| Some((op.task?, self.waiting_since(op), self.now())));
        let mut waits: Vec<_> = grants().chain(given_up).chain(present).collect();
        waits.retain(|(task, ..)| got_in.contains(task) && self.task(*task).is_some_and(Task::is_alive));
        waits.sort_unstable();
        waits.windows(2).any(|pair| pair[0].0 == pair[1].0 && pair[1].1 < pair[0].2)
    }

    /// Whether all permits of a semaphore are out, and on grants that are all known: as many permits as it has were taken since all of
    /// them were there last, so that none of them can have come back.
    pub fn knows_all_permits(&self, semaphore: ResourceKey) -> bool {
        let Some(resource) = self.resource(semaphore).filter(|it| it.kind == ResourceKind::Semaphore) else {
            return false;
        };
        let since = resource.free_at.unwrap_or_default().minus(SAME_REPORT);
        let taken =
            resource.grants.newest_first().take_while(|grant| grant.at > since).map(|grant| grant.permits).sum();
        self.all_grants_are_known(resource) && resource.permits.capacity == Some(taken)
    }

    /// Whether all permits of a lock or semaphore are there, as far as is reported: taking one with `try_lock` and the like is not.
    pub(super) fn is_free(&self, lock: ResourceKey) -> bool {
        let Some(resource) = self.resource(lock) else {
            return false;
        };
        let all = match resource.kind {
            ResourceKind::Mutex => Some(1),
            ResourceKind::RwLock => resource.number("max_readers"),
            ResourceKind::Semaphore => resource.permits.capacity,
            _ => None,
        };
        let there = resource.inner.and_then(|inner| self.resource(inner)?.permits.now);
        there.zip(all).is_some_and(|(there, all)| there >= all)
    }

    /// How many readers are inside an `RwLock` at whose head a writer waits for them.
    pub(super) fn readers_inside(&self, lock: ResourceKey) -> Option<usize> {
        let lacking = |op: OpKey| {
            let stats = self.acquisition(op);
            let (requested, obtained) = (stats.requested?, stats.obtained?);
            (obtained > 0 && requested > 1).then(|| requested - obtained)
        };
        let missing = self.waiters(lock).filter_map(|(key, _)| lacking(key)).min()?;
        (missing < MOST_READERS).then(|| usize::try_from(missing).unwrap_or(usize::MAX))
    }

    /// Grants, newest first: those of ops that are still alive, for they were granted and not let go, then those of ops that have ended.
    fn grants<'a>(
        &'a self,
        lock: &'a Resource,
        fits: fn(&str) -> bool,
    ) -> impl Iterator<Item = (Option<TaskKey>, Timestamp, bool)> + 'a {
        let alive = lock.ops.iter().filter_map(move |key| {
            let op = self.op(*key)?;
            let granted = op.is_alive() && fits(&op.source) && self.acquisition(*key).is_granted() == Some(true);
            granted.then_some((Some(op.task?), op.stats.poll.ended?, op.is_owned()))
        });
        let ended = lock.grants.newest_first().filter(move |grant| fits(&grant.source));
        alive.chain(ended.map(|grant| (grant.task, grant.at, grant.owned)))
    }

    /// The task of the newest grant of what only one can hold.
    fn newest_grant(&self, lock: &Resource, fits: fn(&str) -> bool) -> Vec<Holder> {
        let newest = self.grants(lock, fits).next();
        newest.and_then(|(task, since, owned)| self.holder(task, since, !owned)).into_iter().collect()
    }

    /// Grants that may still be held: those since everybody was last seen to have let go, by tasks that live.
    fn possible_grants<'a>(
        &'a self,
        lock: &'a Resource,
        fits: fn(&str) -> bool,
    ) -> impl Iterator<Item = (Option<TaskKey>, Timestamp, bool)> + 'a {
        let free_at = lock.free_at.unwrap_or_default().minus(SAME_REPORT);
        let lives = |task: Option<TaskKey>| task.is_none_or(|task| self.task(task).is_some_and(Task::is_alive));
        self.grants(lock, fits).filter(move |(task, at, _)| *at > free_at && lives(*task))
    }

    /// The tasks that may be among those who hold what several can hold. All of them are, or none is known to.
    fn possible_holders(&self, lock: &Resource, fits: fn(&str) -> bool) -> Vec<Holder> {
        let mut holders: Vec<(usize, Holder)> = Vec::new();
        let mut sure = self.all_grants_are_known(lock);
        for (task, since, owned) in self.possible_grants(lock, fits) {
            sure &= task.is_some() && !owned;
            match holders.iter_mut().find(|(_, holder)| Some(holder.task) == task) {
                Some((times, _)) => *times += 1,
                None => holders.extend(self.holder(task, since, true).map(|holder| (1, holder))),
            }
        }
        // Whoever got in so long ago that it is no longer kept may be inside still, unless all have let go since.
        let oldest = lock.grants.newest_first().last().map(|grant| grant.at);
        if lock.free_at.is_none_or(|free| oldest.is_some_and(|oldest| oldest > free)) {
            let elders = lock.grants.elders().filter(|elder| !holders.iter().any(|(_, holder)| holder.task == *elder));
            let elders: Vec<Holder> = elders.filter_map(|elder| self.holder(Some(elder), lock.created, true)).collect();
            holders.extend(elders.into_iter().map(|holder| (usize::MAX, holder)));
        }
        holders.sort_by_key(|(times, holder)| (*times, std::cmp::Reverse(holder.since)));
        let confidence = if sure { Confidence::Likely } else { Confidence::Possible };
        holders.into_iter().map(|(_, holder)| Holder { confidence, ..holder }).collect()
    }

    /// Whether every grant that may still be held is known: none has fallen out of the ring, or was forgotten before we attached.
    fn all_grants_are_known(&self, lock: &Resource) -> bool {
        let from = lock.free_at.unwrap_or(lock.created);
        let oldest = lock.grants.newest_first().last().map(|grant| grant.at);
        let fell_out = lock.grants.newest_first().count() < usize::try_from(lock.grants.total()).unwrap_or(usize::MAX)
            && oldest.is_none_or(|oldest| oldest > from);
        !(fell_out && lock.grants.has_unknown_elder()) && (lock.free_at.is_some() || self.knows_all_since(lock.created))
    }

    fn holder(&self, task: Option<TaskKey>, since: Timestamp, sure: bool) -> Option<Holder> {
        let task = task.filter(|task| self.task(*task).is_some_and(Task::is_alive))?;
        let confidence = if sure { Confidence::Likely } else { Confidence::Possible };
        Some(Holder { task, since, confidence })
    }

    /// Why a task does not go on: it waits for a resource, whose holder waits for another, and so on until a task that does not wait,
    /// or one that is in the chain already.
    pub fn wait_chain(&self, task: TaskKey) -> Vec<Step> {
        let mut chain: Vec<Step> = Vec::new();
        let mut next = Some(task);
        while let Some(task) = next.take()
            && chain.len() < CHAIN
            && !chain.iter().any(|step| step.task == task)
        {
            let wait = self.waits(task).find_map(|(op, _)| Some((op, self.lock_of(op)?)));
            let Some((op, resource)) = wait else { break };
            let holders = self.holders(resource);
            next = holders.first().map(|holder| holder.task);
            chain.push(Step { task, op, resource, holders });
        }
        chain
    }
}

fn is_read(source: &str) -> bool {
    source.contains("read")
}

/// Whether an op of this source, such as `Sender::try_send`, puts something into a queue.
fn is_send(source: &str) -> bool {
    source.rsplit("::").next().is_some_and(|method| method.contains("send"))
}
