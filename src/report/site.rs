//! Spawn sites: the tasks of one place and what they have done together, as a row and as a page.

use std::time::Duration;

use super::blame::{BlameRow, BlameWindow};
use super::link::{Link, Linked};
use super::sites::WINDOW;
use super::snapshot::Snapshot;
use super::tasks::TaskRow;
use crate::detect::describe;
use crate::evidence::delays::DelayQuantiles;
use crate::model::SiteKey;
use crate::words;

/// Most tasks that the page of a site lists.
const MOST: usize = 12;
/// The quantiles of lifetimes, with their names.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.50), ("p90", 0.90), ("p99", 0.99)];

/// A spawn site in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteRow {
    /// The name of its tasks without numbers; empty if they have none.
    pub name: String,
    /// Their kind.
    pub kind: &'static str,
    /// Where they are spawned; empty if that is not known.
    pub location: String,
    /// How many are alive.
    pub alive: usize,
    /// How many were ever seen.
    pub seen: u64,
    /// How many ran to an end that is not known to be a cancellation.
    pub completed: u64,
    /// How many are known to have been dropped before they finished.
    pub cancelled: u64,
    /// The median age of those that are alive.
    pub median_age: Duration,
}

/// A spawn site on its page.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteView {
    /// What a list says of it.
    pub row: SiteRow,
    /// The name and the place of its tasks.
    pub title: String,
    /// Names and values of the quantiles of the lifetimes of those that completed; empty if none did.
    pub lifetimes: Vec<(&'static str, Duration)>,
    /// How long its polls take, and which value of them that is.
    pub polls: Option<(Duration, &'static str)>,
    /// How long its woken tasks waited for a worker lately.
    pub delays: Option<DelayQuantiles>,
    /// The findings about its tasks.
    pub findings: Vec<Linked>,
    /// What its tasks wait for, the longest wait first.
    pub waits: Vec<Linked>,
    /// What others wait for that its tasks hold.
    pub blocks: Vec<Linked>,
    /// What its tasks spent their time on lately, and what they cost others.
    pub blame: Option<BlameRow>,
    /// How many tasks are spawned in a second.
    pub rate: f64,
    /// The share of a core that their polls take.
    pub busy: f64,
    /// The size of the future in bytes, and its size before it was boxed, where the target reports them.
    pub sizes: (Option<u64>, Option<u64>),
    /// The dependency that spawns the tasks.
    pub package: Option<String>,
    /// The oldest tasks that are alive.
    pub tasks: Vec<TaskRow>,
    /// How many more are alive.
    pub more: usize,
}

impl Snapshot<'_> {
    /// A spawn site as a row, unless it was forgotten.
    pub fn site_row(&self, key: SiteKey) -> Option<SiteRow> {
        let site = self.evidence.site(key)?;
        Some(SiteRow {
            name: site.id.name.to_string(),
            kind: site.id.kind.as_str(),
            location: site.id.location.to_string(),
            alive: site.live.len(),
            seen: site.born,
            completed: site.completed(),
            cancelled: site.cancelled,
            median_age: site.median_age(self.now()),
        })
    }

    /// The page about a spawn site, unless it was forgotten.
    pub fn site(&self, key: SiteKey) -> Option<SiteView> {
        let site = self.evidence.site(key)?;
        let row = self.site_row(key)?;
        let title = words::sentences(&describe::tasks(site));
        let lifetimes = QUANTILES.iter().filter_map(|(name, share)| Some((*name, site.lifetime_at(*share)?)));
        let tasks: Vec<TaskRow> = site.live.iter().take(MOST).filter_map(|(_, task)| self.task_row(*task)).collect();
        let more = row.alive.saturating_sub(tasks.len());
        let is_own = |task| self.evidence.task(task).is_some_and(|task| task.site == key);
        Some(SiteView {
            title,
            lifetimes: lifetimes.collect(),
            polls: self.ended_polls_of(key, site),
            delays: self.evidence.delay_quantiles_of(key, WINDOW),
            findings: self.findings_about(&Link::Site(key)),
            waits: self.waits_of(site.live.iter().map(|(_, task)| *task)),
            blocks: self.blocked_by(is_own),
            blame: self.blame_of(key, BlameWindow::Recent),
            rate: self.evidence.births_per_second(site),
            busy: self.evidence.busy_share(key, site, WINDOW),
            sizes: self.sizes_of(key),
            package: self.package_of(key),
            tasks,
            more,
            row,
        })
    }

    /// The size of the future of a site's tasks, and its size before it was boxed, where the target reports them.
    pub(super) fn sizes_of(&self, key: SiteKey) -> (Option<u64>, Option<u64>) {
        let sizes = self.evidence.site(key).map_or((0, 0), |site| site.id.sizes);
        let known = |size| (size > 0).then_some(size);
        (known(sizes.0), known(sizes.1).filter(|original| *original != sizes.0))
    }

    /// The dependency that spawns the tasks of a site, with its version.
    pub(super) fn package_of(&self, key: SiteKey) -> Option<String> {
        let package = self.evidence.model().site(key)?.id.location.package()?;
        Some(format!("{} {}", package.name, package.version))
    }
}
