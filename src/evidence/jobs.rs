//! Blocking jobs that have a thread: how many of each spawn site, and where they themselves wait.

use std::collections::BTreeMap;

use super::view::Evidence;
use crate::model::SiteKey;
use crate::model::entity::task::{Task, TaskState};
use crate::model::time::Timestamp;
use crate::model::tokio::TaskKind;

/// Blocking jobs that have a thread.
#[derive(Debug, Default)]
pub struct JobsAtWork {
    /// Their spawn sites with the number of each, most first.
    pub sites: Vec<(SiteKey, usize)>,
    /// How many they are.
    pub count: usize,
    /// Where they seem to wait in `block_on`: at least as many futures are idle there as jobs are at work. The feed does not tell which thread
    /// drives a future, but these were created after the first of the jobs had begun.
    pub wait_at: Option<SiteKey>,
}

impl Evidence<'_> {
    /// The blocking jobs that have a thread: they are what keeps others waiting for one.
    pub fn jobs_at_work(&self) -> JobsAtWork {
        let mut first: Option<Timestamp> = None;
        let mut sites = Vec::new();
        for (key, site) in self.sites().filter(|(_, site)| site.id.kind == TaskKind::Blocking) {
            let jobs = site.live.iter().filter_map(|(_, job)| self.task(*job)).filter(|job| is_at_work(job));
            let begun: Vec<Timestamp> = jobs.filter_map(|job| job.stats.poll.started).collect();
            first = first.into_iter().chain(begun.iter().copied()).min();
            sites.push((key, begun.len()));
        }
        sites.retain(|(_, count)| *count > 0);
        most_first(&mut sites);
        let count = sites.iter().map(|(_, count)| *count).sum();
        let wait_at = first.and_then(|first| self.waiting_futures_since(first, count));
        JobsAtWork { sites, count, wait_at }
    }

    /// The `block_on` site with the most idle futures that were created at `start` or later; `None` if there are fewer than `least` in all.
    fn waiting_futures_since(&self, start: Timestamp, least: usize) -> Option<SiteKey> {
        let mut sites: BTreeMap<SiteKey, usize> = BTreeMap::new();
        for (key, site) in self.sites().filter(|(_, site)| site.id.kind == TaskKind::BlockOn) {
            let futures = site.live.iter().filter_map(|(_, future)| self.task(*future));
            let waits = |future: &&Task| future.state() == TaskState::Idle && future.stats.created >= start;
            sites.insert(key, futures.filter(waits).count());
        }
        let mut sites: Vec<_> = sites.into_iter().collect();
        most_first(&mut sites);
        let all: usize = sites.iter().map(|(_, count)| *count).sum();
        sites.first().filter(|_| all >= least).map(|(site, _)| *site)
    }
}

fn most_first(sites: &mut [(SiteKey, usize)]) {
    sites.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
}

fn is_at_work(task: &Task) -> bool {
    task.stats.poll.is_running() && !task.is_worker_thread() && !task.is_block_in_place()
}
