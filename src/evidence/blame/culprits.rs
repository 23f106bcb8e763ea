//! Who held a lock while a task waited for it, followed through holders that waited themselves.
//!
//! The feed never says who releases a lock when. But as long as somebody waits, no permit is free: each one that was acquired is held until another
//! task acquires it. So a Mutex is held by whoever acquired it last, and of a semaphore with N permits the last N grants are held, those that came
//! first being released first.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::cause::Cause;
use super::waits::{RecentWaits, Wait};
use crate::evidence::view::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::history::waits::Grant;
use crate::model::time::Timestamp;
use crate::model::tokio::{AcquireKind, ResourceKind};
use crate::model::{ResourceKey, SiteKey, TaskKey};

/// Most holders that are followed from one.
const DEPTH: usize = 8;
/// Maximum number of holds of one lock that one wait is attributed to; the newest ones count.
const HOLDS: usize = 64;
/// Most holds that are looked at for one wait, over all locks.
const STEPS: usize = 256;
/// Who holds a lock for less time than this is not asked what it waited for meanwhile.
const SHORT: Duration = Duration::from_millis(1);

/// Whom a wait is attributed to: nothing where the holder is not known, and its share of the wait. The shares of a wait sum up to 1.
pub(super) type Culprits = Vec<(Option<SiteKey>, f64)>;

/// A time in which somebody held a lock.
#[derive(Debug, Clone, Copy)]
struct Hold {
    task: Option<TaskKey>,
    site: Option<SiteKey>,
    from: Timestamp,
    to: Timestamp,
    /// How much of the lock that was.
    weight: f64,
}

impl Hold {
    fn of(grant: &Grant, from: Timestamp, to: Timestamp) -> Self {
        Self { task: grant.task, site: grant.site, from, to, weight: to.since(from).as_secs_f64() }
    }
}

/// Finds out whom waits are attributed to.
#[derive(Debug)]
pub(super) struct Tracer<'a> {
    evidence: &'a Evidence<'a>,
    recent: &'a RecentWaits,
    /// How many permits semaphores have, as far as that was asked.
    permits: FxHashMap<ResourceKey, Option<usize>>,
    /// Whether locks are used by idle workers, as far as that was asked.
    idle: FxHashMap<ResourceKey, bool>,
    steps: usize,
    /// Whose waits are being followed, each with its site.
    path: Vec<(TaskKey, SiteKey)>,
    found: Culprits,
}

impl<'a> Tracer<'a> {
    pub(super) fn new(evidence: &'a Evidence<'a>, recent: &'a RecentWaits) -> Self {
        Self {
            evidence,
            recent,
            permits: FxHashMap::default(),
            idle: FxHashMap::default(),
            steps: 0,
            path: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Whether those who use a lock are workers that take turns at one receiver: they wait for work, whichever of them has the lock.
    pub(super) fn is_for_work(&mut self, lock: ResourceKey) -> bool {
        let evidence = self.evidence;
        // Where nobody is known who ever had it, nothing is known of what they do.
        let had = || evidence.resource(lock).is_some_and(|lock| lock.grants.last().is_some());
        *self.idle.entry(lock).or_insert_with(|| had() && evidence.is_idle_pool(lock))
    }

    /// Whom a wait for a lock is attributed to.
    pub(super) fn culprits(&mut self, wait: &Wait) -> Culprits {
        self.steps = STEPS;
        self.follow(wait, 1.0);
        std::mem::take(&mut self.found)
    }

    /// Attributes this share of a whole to those who held what a task waited for.
    fn follow(&mut self, wait: &Wait, share: f64) {
        let (holds, full) = self.holds(wait);
        let known: f64 = holds.iter().map(|hold| hold.weight).sum();
        let whole = known.max(full);
        if whole <= 0.0 {
            return self.lay_to(None, share);
        }
        self.path.push((wait.task, wait.site));
        for hold in &holds {
            self.ask(wait.resource, hold, share * hold.weight / whole);
        }
        self.path.pop();
        self.lay_to(None, share * (whole - known) / whole);
    }

    /// Attributes a share to a holder, but for the time in which it waited for another lock itself. In a circle nobody is at the end: then it is attributed to
    /// the first holder.
    fn ask(&mut self, held: ResourceKey, hold: &Hold, share: f64) {
        let is_in_circle = hold.task.is_some_and(|task| self.path.iter().any(|(earlier, _)| *earlier == task));
        if is_in_circle {
            let first = self.path.get(1).map(|(_, site)| *site);
            return self.lay_to(first.or(hold.site), share);
        }
        let length = hold.to.since(hold.from);
        let mut left = share;
        if let Some(task) = hold.task.filter(|_| length >= SHORT && self.path.len() <= DEPTH) {
            for wait in self.waits(task, hold).into_iter().filter(|wait| wait.resource != held) {
                let part = share * wait.to.since(wait.from).as_secs_f64() / length.as_secs_f64();
                self.follow(&wait, part);
                left -= part;
            }
        }
        self.lay_to(hold.site, left);
    }

    /// The waits of a holder for other locks while it held one, in order, without overlap.
    fn waits(&self, task: TaskKey, hold: &Hold) -> Vec<Wait> {
        let ended = self.recent.ended_after(task, hold.from).copied();
        let mut waits: Vec<Wait> = ended.chain(self.evidence.present_blocks(task)).collect();
        waits.retain(|wait| wait.cause == Cause::Lock);
        waits.sort_by_key(|wait| (wait.from, wait.op));
        let mut until = hold.from;
        let parts = waits.into_iter().filter_map(|wait| {
            let part = wait.within(until, hold.to)?;
            until = part.to;
            Some(part)
        });
        parts.collect()
    }

    fn lay_to(&mut self, site: Option<SiteKey>, share: f64) {
        if share <= 0.0 {
            return;
        }
        match self.found.iter_mut().find(|(known, _)| *known == site) {
            Some((_, known)) => *known += share,
            None => self.found.push((site, share)),
        }
    }

    /// Who held what a task waited for meanwhile, and how much there was to hold.
    fn holds(&mut self, wait: &Wait) -> (Vec<Hold>, f64) {
        let room = HOLDS.min(self.steps);
        let length = wait.to.since(wait.from).as_secs_f64();
        let Some(lock) = self.evidence.resource(wait.resource).filter(|_| room > 0) else {
            return (Vec::new(), length);
        };
        let (holds, full) = match lock.kind {
            ResourceKind::Mutex => (in_turn(lock, wait, 1, room), length),
            ResourceKind::RwLock => (of_rwlock(lock, wait, room), length),
            _ => match self.permits_of(wait.resource) {
                Some(0) => (Vec::new(), length),
                #[expect(clippy::cast_precision_loss, reason = "the permits of a semaphore that somebody waits for")]
                Some(permits) => (in_turn(lock, wait, permits, room), length * permits as f64),
                None => (of_last_users(lock, wait), 0.0),
            },
        };
        self.steps = self.steps.saturating_sub(holds.len().max(1));
        // Where there were more, those that are left out are taken to be like the others.
        let full = if holds.len() >= room { 0.0 } else { full };
        (holds, full)
    }

    fn permits_of(&mut self, semaphore: ResourceKey) -> Option<usize> {
        let evidence = self.evidence;
        *self.permits.entry(semaphore).or_insert_with(|| evidence.count_permits(semaphore))
    }
}

/// Who held a permit of a semaphore while a task waited, if each is held until as many more have been acquired as there are permits.
fn in_turn(lock: &Resource, wait: &Wait, permits: usize, most: usize) -> Vec<Hold> {
    let mut holds: Vec<Hold> = Vec::new();
    let mut acquired: Vec<Timestamp> = Vec::new();
    for grant in lock.grants.before(wait.to).take(most) {
        let released = acquired.len().checked_sub(permits).map_or(wait.to, |newer| acquired[newer]);
        if released <= wait.from {
            break;
        }
        acquired.push(grant.at);
        holds.push(Hold::of(grant, grant.at.max(wait.from), released));
    }
    holds
}

/// Who held an `RwLock` while a task waited: whoever acquired it last to write, or all who acquired it to read since then, one of whom keeps it.
fn of_rwlock(lock: &Resource, wait: &Wait, most: usize) -> Vec<Hold> {
    let mut holds: Vec<Hold> = Vec::new();
    let mut until = wait.to;
    let mut grants = lock.grants.before(wait.to).take(most).peekable();
    while let Some(grant) = grants.next().filter(|_| until > wait.from) {
        let mut together = vec![grant];
        while let Some(reader) =
            grants.next_if(|next| grant.kind == AcquireKind::Read && next.kind == AcquireKind::Read)
        {
            together.push(reader);
        }
        let from = together.last().map_or(grant.at, |first| first.at).max(wait.from);
        #[expect(clippy::cast_precision_loss, reason = "grants of a bounded ring")]
        let share = 1.0 / together.len() as f64;
        holds.extend(together.into_iter().map(|grant| {
            let hold = Hold::of(grant, from, until);
            Hold { weight: hold.weight * share, ..hold }
        }));
        until = from;
    }
    holds
}

/// Those who acquired permits last, where it is not known how many there are.
fn of_last_users(lock: &Resource, wait: &Wait) -> Vec<Hold> {
    let last = lock.grants.before(wait.to).take(16);
    last.map(|grant| Hold { weight: 1.0, ..Hold::of(grant, wait.from.max(grant.at), wait.to) }).collect()
}
