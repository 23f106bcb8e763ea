//! What the five warnings of stock tokio-console say about a recorded feed, written anew from what they do, with its thresholds.
//!
//! They look at one task at a time and have no settings. Here they are asked after every update about every task, which is at least as
//! often as the console asks.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio_canary::feed::FeedEvent;
use tokio_canary::feed::recording::{self, Speed};
use tokio_canary::model::Model;
use tokio_canary::model::entity::site::SiteId;
use tokio_canary::model::entity::task::Task;
use tokio_canary::model::time::Timestamp;
use tokio_canary::model::tokio::TaskKind;

/// A warning about the tasks of one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Warning {
    /// The name of the warning.
    pub(crate) lint: &'static str,
    /// Where the task was spawned.
    pub(crate) location: String,
}

/// Warnings about how large a future is, which say nothing about what a program does.
const ABOUT_SIZE: [&str; 2] = ["auto-boxed-future", "large-future"];

type Rule = fn(&Task, &SiteId, Timestamp) -> bool;

const LINTS: [(&str, Rule); 5] = [
    ("self-wakes", wakes_itself),
    ("lost-waker", lost_its_waker),
    ("never-yielded", never_yielded),
    ("auto-boxed-future", was_boxed),
    ("large-future", is_large),
];

impl Warning {
    /// Whether it is only about the size of a future.
    pub(crate) fn is_about_size(&self) -> bool {
        ABOUT_SIZE.contains(&self.lint)
    }
}

/// Every warning that was given at any time, once for each place.
///
/// # Errors
///
/// When the recording cannot be read.
pub(crate) fn warnings(recording: &Path) -> io::Result<BTreeSet<Warning>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut feed = recording::open(recording, Speed::Max).map_err(io::Error::other)?;
        let mut model = Model::default();
        let mut given = BTreeSet::new();
        while let Some(arrived) = feed.events.recv().await {
            if let FeedEvent::Update(update) = arrived.event {
                model.apply(&update.message, update.lag);
                warn(&model, &mut given);
            }
        }
        Ok(given)
    })
}

fn warn(model: &Model, given: &mut BTreeSet<Warning>) {
    for (_, task) in model.tasks().filter(|(_, task)| !task.placeholder) {
        let Some(site) = model.site(task.site) else { continue };
        for (lint, _) in LINTS.iter().filter(|(_, applies)| applies(task, &site.id, model.now())) {
            given.insert(Warning { lint, location: site.id.location.to_string() });
        }
    }
}

/// More than half of all wakes came from inside its own polls.
fn wakes_itself(task: &Task, _: &SiteId, _: Timestamp) -> bool {
    let (wakes, own) = (task.stats.wakes, task.stats.self_wakes);
    !matches!(task.kind, TaskKind::BlockOn | TaskKind::Blocking) && wakes > 0 && 100 * own / wakes > 50
}

/// It waits, and no waker exists. The console says so of `main` as well; but the programs here let it rest in `pending()`, as few others do.
fn lost_its_waker(task: &Task, _: &SiteId, _: Timestamp) -> bool {
    let stats = &task.stats;
    let is_task = !matches!(task.kind, TaskKind::BlockOn | TaskKind::Blocking);
    let waits = stats.dropped.is_none() && !stats.poll.is_running() && !stats.is_scheduled();
    is_task && waits && stats.waker_clones == stats.waker_drops
}

/// Its first poll has run for a second.
fn never_yielded(task: &Task, _: &SiteId, now: Timestamp) -> bool {
    let poll = &task.stats.poll;
    let running = poll.started.map_or(Duration::ZERO, |started| now.since(started));
    task.kind != TaskKind::Blocking
        && task.stats.dropped.is_none()
        && poll.is_running()
        && poll.polls <= 1
        && poll.busy + running >= Duration::from_secs(1)
}

/// The runtime put its future into a box.
fn was_boxed(_: &Task, site: &SiteId, _: Timestamp) -> bool {
    let (size, original) = site.sizes;
    original != 0 && original != size
}

/// Its future takes a kibibyte or more.
fn is_large(task: &Task, site: &SiteId, _: Timestamp) -> bool {
    task.kind != TaskKind::Blocking && site.sizes.0 >= 1_024
}
