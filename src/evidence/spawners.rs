//! Who spawns the tasks of a site, where the target says so.

use std::collections::BTreeMap;

use super::Evidence;
use super::numbers::ratio;
use crate::model::entity::site::Site;
use crate::model::{SiteKey, TaskKey};

/// Number of youngest tasks that are sampled.
const SAMPLE: usize = 200;
/// Minimum share of them that a common spawner has spawned.
const NEARLY_ALL: f64 = 0.9;

/// Who spawns the tasks of a site.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spawner {
    /// One task.
    Task(TaskKey),
    /// Tasks of one spawn site.
    Site(SiteKey),
}

impl Evidence<'_> {
    /// The task or site that spawned nearly all of the youngest tasks of a site; `None` if there is none, or the target does not report it.
    pub fn spawner(&self, site: &Site) -> Option<Spawner> {
        let youngest = || site.live.iter().rev().take(SAMPLE);
        let spawners = youngest().filter_map(|(_, task)| self.task(*task)?.spawned_by);
        let known = spawners.filter_map(|spawner| Some((spawner, self.task(spawner)?.site)));
        let (mut tasks, mut sites) = (BTreeMap::<TaskKey, usize>::new(), BTreeMap::<SiteKey, usize>::new());
        for (task, site) in known {
            *tasks.entry(task).or_default() += 1;
            *sites.entry(site).or_default() += 1;
        }
        let all = youngest().count();
        let nearly_all = |count: usize| ratio(count, all) >= NEARLY_ALL;
        let task = tasks.into_iter().find(|(_, count)| nearly_all(*count)).map(|(task, _)| Spawner::Task(task));
        task.or_else(|| sites.into_iter().find(|(_, count)| nearly_all(*count)).map(|(site, _)| Spawner::Site(site)))
    }
}
