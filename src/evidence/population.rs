//! The tasks of a spawn site as a population: how long those lived that have ended, whether members still leave, what most of them wait for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::numbers::{number, ratio};
use super::view::Evidence;
use crate::model::entity::site::Site;
use crate::model::location::Location;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, TaskKey};

/// This many of the tasks alive are asked what they wait for.
const SAMPLE: usize = 64;
/// This share of them must wait for the same kind of thing for it to be what they all wait for.
const MOST: f64 = 0.7;
/// Fewer ends than one in this many births are hardly any.
const FEW: u32 = 5;
/// So many answers tell how soon they come.
const ENOUGH: u64 = 20;
/// A task that is older than this many times the sleep it is in sleeps again and again.
const TURNS: u32 = 10;
/// Minimum rate of spawns that is a flood, in tasks per second. A feed that lags reports only a part of them.
const FLOOD: f64 = 20.0;

/// What most tasks of a site wait for.
#[derive(Debug, Clone, PartialEq)]
pub enum CommonWait {
    /// One resource, which is the only one, or one of several made at the same place.
    Resource {
        /// One of them.
        key: ResourceKey,
        /// How many different ones the tasks that were asked wait for.
        distinct: usize,
        /// How many of the tasks that were asked wait for one of them.
        waiting: usize,
    },
    /// Nothing that the feed shows.
    Unseen,
    /// The next tick of an interval, each of its own: a heartbeat or a stream, which ends when somebody ends it.
    Tick,
    /// A timer that ends before long, so that they make progress by themselves.
    Timer,
    /// Such a timer for the umpteenth time: a loop, which lasts until somebody ends it.
    Loop,
}

impl Evidence<'_> {
    /// What most of the tasks alive wait for, and the share of those asked that do.
    pub fn common_wait(&self, site: &Site) -> (CommonWait, f64) {
        let step = site.live.len().div_ceil(SAMPLE).max(1);
        let asked: Vec<TaskKey> = site.live.iter().step_by(step).map(|(_, key)| *key).collect();
        let (mut sleeping, mut turning, mut ticking) = (0, 0, 0);
        let mut waits: BTreeMap<(ResourceKind, &Location), Vec<ResourceKey>> = BTreeMap::new();
        for key in &asked {
            let wait = self.task_wait(*key);
            if let Some((awaited, it)) = wait.awaited.first().and_then(|it| Some((it, self.resource(it.resource)?))) {
                // Who waits for what is in a queue may be a session that nobody has sent anything.
                if it.kind != ResourceKind::Other || it.depth().is_none() {
                    waits.entry((it.kind, &it.location)).or_default().push(awaited.resource);
                }
            } else if wait.ticking {
                ticking += 1;
            } else if let (Some(until), Some(timer)) = (wait.sleeps_until(self.now()), wait.sleeping) {
                sleeping += 1;
                let age = self.task(*key).map(|task| self.running_since(task.stats.created));
                turning += usize::from(age >= Some(until.since(timer.from) * TURNS));
            }
        }
        let share = |count: usize| ratio(count, asked.len());
        match waits.into_values().max_by_key(Vec::len) {
            Some(keys) if share(keys.len()) >= MOST => {
                let distinct = keys.iter().collect::<BTreeSet<_>>().len();
                (CommonWait::Resource { key: keys[0], distinct, waiting: keys.len() }, share(keys.len()))
            }
            _ if share(turning) > 0.5 => (CommonWait::Loop, share(turning)),
            _ if share(sleeping) > 0.5 => (CommonWait::Timer, share(sleeping)),
            _ if share(ticking) > 0.5 => (CommonWait::Tick, share(ticking)),
            _ => (CommonWait::Unseen, 0.0),
        }
    }

    /// Whether hardly any of the tasks that were spawned in the window have ended: clients that connect and stay look like that, too.
    pub fn nearly_all_stay(&self, site: &Site, window: Duration) -> bool {
        let (born, ended) = site.history.turnover(self.now().minus(window));
        number(ended) * number(FEW) < number(born)
    }

    /// The site that floods the feed, how many of its tasks were spawned lately, and which share of all new tasks that is: the one that spawns most, if
    /// that is at least a third of them.
    pub fn flooding_site(&self, window: Duration) -> Option<(&Site, u64, f64)> {
        let from = self.now().minus(window);
        let born: Vec<(u64, &Site)> = self.sites().map(|(_, site)| (site.history.turnover(from).0, site)).collect();
        let all: u64 = born.iter().map(|(born, _)| born).sum();
        let (most, site) = born.into_iter().max_by_key(|(born, _)| *born)?;
        let is_flood = 3 * most >= all && number(most) >= FLOOD * window.as_secs_f64();
        is_flood.then(|| (site, most, number(most) / number(all)))
    }

    /// Whether waits for a resource, or for those that the same line creates, end soon as a rule: a lock, or answers of which enough have come. A
    /// receiver that is kept for a shutdown has never been answered.
    pub fn used_to_end(&self, key: ResourceKey) -> bool {
        let Some(it) = self.resource(key) else { return false };
        match it.kind {
            ResourceKind::Oneshot => self.answers().at(&it.location).is_some_and(|answers| answers.count() >= ENOUGH),
            kind => kind.is_fair_queue(),
        }
    }

    /// Whether a task stands in a queue in which somebody's turn came within this time: Tokio's queues are fair, so its own will come.
    pub fn is_in_moving_queue(&self, key: TaskKey, within: Duration) -> bool {
        self.task_wait(key).awaited.iter().any(|it| {
            let is_fair = self.resource(it.resource).is_some_and(|queue| queue.kind.is_fair_queue());
            is_fair && self.flow(it.resource).turned_within(within)
        })
    }
}
