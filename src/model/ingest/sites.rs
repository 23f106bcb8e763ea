//! Spawn sites: joined and left by tasks; of those without tasks a bounded number is kept.

use std::cmp::Reverse;
use std::time::Duration;

use super::changes::Changes;
use crate::model::entity::site::{Site, SiteId};
use crate::model::entity::stats::TaskStats;
use crate::model::entity::task::Task;
use crate::model::history::spent::Life;
use crate::model::keys::{SiteKey, TaskKey};
use crate::model::store::Model;

/// How long a spawn site without tasks is remembered.
const FORGET: Duration = Duration::from_secs(3_600);
/// Most sites without tasks that are remembered: a program has fewer places that spawn, but it may make up a name for each task.
const MOST_AT_REST: usize = 2_048;
/// Number to which they are reduced when there are more.
const FEWER_AT_REST: usize = MOST_AT_REST / 2;
/// A task that lived for longer than this may be one that the process needs, although it was the only one of its site.
const LONG_LIFE: Duration = Duration::from_secs(60);

impl Model {
    pub(super) fn site_of(&mut self, id: SiteId) -> SiteKey {
        if let Some(key) = self.site_keys.get(&id) {
            return *key;
        }
        let key = self.sites.insert(Site::new(id.clone(), self.now()));
        self.site_keys.insert(id, key);
        key
    }

    pub(super) fn join_site(&mut self, key: TaskKey, changes: &mut Changes) {
        let Some(task) = self.tasks.get(key) else {
            return;
        };
        let (site, created, alive) = (task.site, task.stats.created, task.stats.dropped.is_none());
        let newborn = self.is_newborn(created);
        let (life, now) = (self.life(task), self.now());
        let life = if task.counted { life.lasting(now) } else { life.uncounted() };
        self.birth = Some(self.birth.map_or(created, |birth| birth.min(created)));
        let Some(site) = changes.touch(self, site) else { return };
        site.born += 1;
        site.spent.add(life);
        site.history.current().born += u32::from(newborn);
        if alive {
            site.live.insert(created, key);
        }
    }

    pub(super) fn leave_site(&mut self, key: TaskKey, changes: &mut Changes) {
        let Some(task) = self.tasks.get(key) else {
            return;
        };
        let created = task.stats.created;
        let newborn = self.is_newborn(created);
        let (life, now) = (self.life(task), self.now());
        let life = if task.counted { life } else { life.uncounted() };
        let Some(site) = changes.touch(self, task.site) else {
            return;
        };
        site.spent.leave(life, now);
        site.live.remove(created, key);
        site.born = site.born.saturating_sub(1);
        let born = &mut site.history.current().born;
        *born = born.saturating_sub(u32::from(newborn));
    }

    /// What a task adds to what its site has spent.
    fn life(&self, task: &Task) -> Life {
        Life::of(task.kind, &task.stats, self.clock.began())
    }

    /// Counts what a task has done since it had these counters.
    pub(super) fn spend(&mut self, key: TaskKey, before: &TaskStats) {
        let (began, Some(task)) = (self.clock.began(), self.tasks.get_mut(key)) else { return };
        let was_counted = std::mem::replace(&mut task.counted, true);
        let (before, after) = (Life::of(task.kind, before, began), Life::of(task.kind, &task.stats, began));
        let (before, after) = if was_counted {
            (before, after)
        } else if task.stats.created < began {
            (before.uncounted(), after.after(task.first_seen))
        } else {
            (before.uncounted(), after)
        };
        if let Some(site) = self.sites.get_mut(task.site).filter(|_| before != after) {
            site.spent.replace(before, after);
        }
    }

    /// Forgets sites at which nothing happens any more, and of many of them the least worth keeping. Looks at all sites, so not before as many
    /// have been added as a look costs.
    pub(super) fn forget_sites(&mut self) {
        let now = self.now();
        let mut resting = Vec::new();
        for (key, site) in &self.sites {
            let rests_for = now.since(site.history.last_change());
            // What has ended there is still listed for a while.
            if site.live.is_empty() && rests_for > self.retention {
                let lived_long = site.last_life.is_some_and(|life| life.ended.since(life.born) >= LONG_LIFE);
                resting.push((rests_for < FORGET, site.born > 1, lived_long, Reverse(rests_for), key));
            }
        }
        resting.sort_unstable();
        let room = if resting.len() > MOST_AT_REST { FEWER_AT_REST } else { MOST_AT_REST };
        let surplus = resting.len().saturating_sub(room);
        for (index, (wanted, .., key)) in resting.into_iter().enumerate() {
            if wanted && index >= surplus {
                break;
            }
            if let Some(site) = self.sites.remove(key) {
                self.site_keys.remove(&site.id);
                self.forgotten_sites += u64::from(wanted);
            }
        }
        self.most_sites = self.sites.len() + MOST_AT_REST.max(self.sites.len() / 2);
    }
}
