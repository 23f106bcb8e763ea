//! The page about a resource: what it says about itself, who holds it, who waits for it, and how it changes hands.

use std::time::Duration;

use super::link::{Link, Linked};
use super::resources::{ResourceRow, value};
use super::sizing::SizingRow;
use super::snapshot::Snapshot;
use super::waits::HolderRow;
use crate::detect::describe;
use crate::model::ResourceKey;
use crate::model::entity::resource::Resource;

/// Most holders that are listed.
const MOST: usize = 12;
/// Most depths of a queue that are shown.
const DEPTHS: usize = 60;
/// The time over which waits are summed up.
const WINDOW: Duration = Duration::from_secs(30);

/// A resource on its page.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceView {
    /// What a list says of it.
    pub row: ResourceRow,
    /// What it is and where it was created.
    pub title: String,
    /// The resource that it is part of, with its title.
    pub parent: Option<(ResourceKey, String)>,
    /// Where it was created; empty if that is not known.
    pub created_at: String,
    /// The target of its span, as `tracing` calls it.
    pub target: Option<String>,
    /// Names and values of what it says about itself.
    pub attributes: Vec<(String, String)>,
    /// How much was queued in it lately, at most once a second, oldest first.
    pub depths: Vec<u64>,
    /// Who holds it, as far as can be inferred.
    pub holders: Vec<HolderRow>,
    /// The findings about it.
    pub findings: Vec<Linked>,
    /// What those who hold it wait for in turn, the longest wait first.
    pub waits: Vec<Linked>,
    /// Who waits for it: how many tasks of which spawn site, the longest wait first.
    pub waiters: Vec<Linked>,
    /// How it changes hands, if it ever did.
    pub turnover: Option<Turnover>,
    /// How many permits it would need, where it has too few.
    pub sizing: Option<SizingRow>,
}

/// How a resource changes hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turnover {
    /// How often it was acquired.
    pub grants: u64,
    /// How long ago the last time was.
    pub last: Option<Duration>,
    /// The time over which waits are summed up.
    pub window: Duration,
    /// The waits of each kind of acquisition in that time.
    pub waits: Vec<WaitsRow>,
}

/// The waits of one kind of acquisition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitsRow {
    /// The kind.
    pub kind: &'static str,
    /// How many acquired it.
    pub acquired: u64,
    /// How many gave up.
    pub gave_up: u64,
    /// The median wait of those who acquired it.
    pub median: Option<Duration>,
    /// The wait that nine in ten of them did not exceed.
    pub p90: Option<Duration>,
    /// The longest.
    pub longest: Option<Duration>,
}

impl Snapshot<'_> {
    /// The page about a resource, unless it was dropped and forgotten.
    pub fn resource(&self, key: ResourceKey) -> Option<ResourceView> {
        let evidence = &self.evidence;
        let resource = evidence.resource(key)?;
        let attributes = resource.attributes.iter().map(|it| (it.name.to_string(), value(it)));
        let holders = evidence.holders(key);
        Some(ResourceView {
            row: self.resource_row(key)?,
            title: describe::resource(evidence, key),
            parent: resource.parent.map(|parent| (parent, describe::resource(evidence, parent))),
            created_at: resource.location.to_string(),
            target: resource.target.as_deref().map(str::to_owned),
            attributes: attributes.collect(),
            depths: resource
                .depths
                .iter()
                .map(|it| it.depth)
                .skip(resource.depths.len().saturating_sub(DEPTHS))
                .collect(),
            holders: holders.tasks.iter().take(MOST).map(|holder| self.holder_row(holder)).collect(),
            findings: self.findings_about(&Link::Resource(key)),
            waits: self.waits_of(holders.tasks.iter().map(|holder| holder.task)),
            waiters: self.waiters_by_site(key),
            turnover: (resource.grants.total() > 0).then(|| self.turnover(resource)),
            sizing: self.sizing(key),
        })
    }

    fn turnover(&self, resource: &Resource) -> Turnover {
        let from = self.evidence.now().minus(WINDOW);
        let waits = resource.waits.kinds().map(|kind| {
            let window = resource.waits.window(kind, from);
            WaitsRow {
                kind: kind.as_str(),
                acquired: window.granted,
                gave_up: window.cancelled,
                median: window.quantile(0.5),
                p90: window.quantile(0.9),
                longest: window.quantile(1.0),
            }
        });
        Turnover {
            grants: resource.grants.total(),
            last: resource.grants.last().map(|grant| self.evidence.running_since(grant.at)),
            window: WINDOW,
            waits: waits.collect(),
        }
    }
}
