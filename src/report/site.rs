//! Spawn sites: the tasks of one place and what they have done together, as a row and as a page.

use std::time::Duration;

use super::snapshot::Snapshot;
use super::tasks::TaskRow;
use crate::detect::describe;
use crate::model::SiteKey;
use crate::words;

/// Most tasks that the page of a site lists.
const MOST: usize = 50;
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteView {
    /// What a list says of it.
    pub row: SiteRow,
    /// The name and the place of its tasks.
    pub title: String,
    /// Names and values of the quantiles of the lifetimes of those that completed; empty if none did.
    pub lifetimes: Vec<(&'static str, Duration)>,
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
        Some(SiteView { title, lifetimes: lifetimes.collect(), tasks, more, row })
    }
}
