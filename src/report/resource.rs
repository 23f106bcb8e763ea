//! The page about a resource: what it says about itself, who holds it, who waits for it, and how it changes hands.

use std::time::Duration;

use super::resources::{ResourceRow, value};
use super::sizing::SizingRow;
use super::snapshot::Snapshot;
use super::waits::HolderRow;
use crate::detect::describe;
use crate::model::OpKey;
use crate::model::entity::async_op::AsyncOp;
use crate::model::entity::resource::Resource;
use crate::model::{ResourceKey, TaskKey};
use crate::words;

/// Most holders or ops that are listed.
const MOST: usize = 50;
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
    /// Names and values of what it says about itself.
    pub attributes: Vec<(String, String)>,
    /// How much was queued in it lately, at most once a second, oldest first.
    pub depths: Vec<u64>,
    /// Who holds it, as far as can be inferred.
    pub holders: Vec<HolderRow>,
    /// Who wants something of it: those that wait first, the longest first.
    pub ops: Vec<OpRow>,
    /// How many more there are.
    pub more_ops: usize,
    /// How it changes hands, if it ever did.
    pub turnover: Option<Turnover>,
    /// How many permits it would need, where it has too few.
    pub sizing: Option<SizingRow>,
}

/// An async op on a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpRow {
    /// The task that polls it, if known.
    pub task: Option<TaskKey>,
    /// Who waits how long, in which call.
    pub text: String,
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
        let (ops, more_ops) = self.ops_on(resource);
        Some(ResourceView {
            row: self.resource_row(key)?,
            title: describe::resource(evidence, key),
            parent: resource.parent.map(|parent| (parent, describe::resource(evidence, parent))),
            created_at: resource.location.to_string(),
            attributes: attributes.collect(),
            depths: resource
                .depths
                .iter()
                .map(|it| it.depth)
                .skip(resource.depths.len().saturating_sub(DEPTHS))
                .collect(),
            holders: evidence.holders(key).tasks.iter().take(MOST).map(|holder| self.holder_row(holder)).collect(),
            ops,
            more_ops,
            turnover: (resource.grants.total() > 0).then(|| self.turnover(resource)),
            sizing: self.sizing(key),
        })
    }

    fn ops_on(&self, resource: &Resource) -> (Vec<OpRow>, usize) {
        let evidence = &self.evidence;
        let ops = resource.ops.iter().filter_map(|key| Some((*key, evidence.op(*key)?)));
        let mut ops: Vec<(bool, Duration, OpKey, &AsyncOp)> = ops
            .map(|(key, op)| (!evidence.is_waiting(key), evidence.running_since(evidence.waiting_since(op)), key, op))
            .collect();
        ops.sort_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(&one.1)).then(one.2.cmp(&other.2)));
        let more = ops.len().saturating_sub(MOST);
        let row = |(done, age, _, op): &(bool, Duration, OpKey, &AsyncOp)| self.op_row(op, *done, *age);
        (ops.iter().take(MOST).map(row).collect(), more)
    }

    fn op_row(&self, op: &AsyncOp, done: bool, age: Duration) -> OpRow {
        let who = op.task.and_then(|task| self.evidence.task(task));
        let who = who.map_or_else(|| "an unknown task".to_owned(), |task| describe::task(&self.evidence, task));
        let age = words::duration(age);
        let doing = if done { format!("acquired it, called {age} ago") } else { format!("has been waiting for {age}") };
        let polls = words::count(op.stats.poll.polls, "poll");
        let permits = match (op.stats.obtained, op.stats.requested) {
            (Some(obtained), Some(requested)) => format!(", {obtained} of {requested} permits"),
            _ => String::new(),
        };
        OpRow { task: op.task, text: format!("{who} {doing} ({}, {polls}{permits})", op.source) }
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
