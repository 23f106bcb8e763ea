//! Why a task makes no progress, step by step: what it waits for, who holds that, what the holder waits for in turn.

use std::collections::BTreeMap;

use super::link::{Link, Linked};
use super::snapshot::Snapshot;
use crate::detect::describe;
use crate::evidence::holders::{Confidence, Holder};
use crate::evidence::wait_chain::Step;
use crate::model::entity::task::Task;
use crate::model::entity::task::TaskState;
use crate::model::time::Timestamp;
use crate::model::{ResourceKey, SiteKey, TaskKey};
use crate::words;

/// Most holders of one resource that a step lists.
const MOST: usize = 4;
/// Most rows of a summary of waits.
const ROWS: usize = 6;
/// Most tasks that are asked what they wait for.
const ASKED: usize = 256;
/// Most locks that are looked at for those that a task holds.
const CONTESTED: usize = 1_000;

/// What a task waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitView {
    /// Why there is no wait to show, as a sentence.
    pub note: Option<&'static str>,
    /// The wait chain: the task's own wait first, then that of the holder, and so on.
    pub steps: Vec<WaitStep>,
    /// What else it waits for at the same time.
    pub others: Vec<Linked>,
    /// The timer that wakes it, in words.
    pub timer: Option<String>,
}

/// One step of a wait chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitStep {
    /// Who waits.
    pub task: TaskKey,
    /// For what.
    pub resource: ResourceKey,
    /// Who waits how long for what, in words. The first step does not name the task.
    pub text: String,
    /// Who holds it, as far as can be inferred; the first one is followed by the next step.
    pub holders: Vec<HolderRow>,
    /// What is to be said where not all holders are listed, or none.
    pub note: Option<String>,
}

/// A task that holds something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderRow {
    /// Which task.
    pub task: TaskKey,
    /// Who holds it how long, and how sure that is.
    pub text: String,
    /// Whether it is earlier in the chain, so that nobody in it can make progress.
    pub closes_cycle: bool,
}

impl Snapshot<'_> {
    /// What a task waits for.
    pub(super) fn wait_view(&self, key: TaskKey, task: &Task) -> WaitView {
        let without = |note| WaitView { note: Some(note), steps: Vec::new(), others: Vec::new(), timer: None };
        match task.state() {
            TaskState::Running => without("Being polled, not waiting."),
            TaskState::Scheduled => without("Woken, waiting for a worker thread."),
            TaskState::Done => without("Finished."),
            TaskState::Idle => {
                let chain = self.evidence.wait_chain(key);
                let steps: Vec<WaitStep> =
                    (0..chain.len()).filter_map(|index| self.wait_step(&chain[..=index])).collect();
                let timer = self.timer(key);
                let note = (steps.is_empty() && timer.is_none()).then_some(
                    "Nothing that the feed shows. It does not report sockets, files, unbounded channels, notifications and join \
                     handles.",
                );
                WaitView { note, steps, others: self.other_waits(key), timer }
            }
        }
    }

    /// What a task waits for besides the first step of its chain.
    fn other_waits(&self, key: TaskKey) -> Vec<Linked> {
        let wait = self.evidence.task_wait(key);
        let others = wait.awaited.iter().skip(1).take(MOST).map(|it| {
            let age = words::duration(self.evidence.running_since(it.since));
            let text = format!("also waiting {age} for the {}", describe::resource(&self.evidence, it.resource));
            Linked { text, link: Link::Resource(it.resource) }
        });
        others.collect()
    }

    /// What some tasks wait for, the longest wait first: how many of them, and for how long at most. If they are many, the first of them answer.
    pub(super) fn waits_of(&self, tasks: impl Iterator<Item = TaskKey>) -> Vec<Linked> {
        let mut waits: BTreeMap<ResourceKey, (Timestamp, usize)> = BTreeMap::new();
        let asked = tasks.take(ASKED).flat_map(|task| self.evidence.task_wait(task).awaited.clone());
        for it in asked {
            let (since, count) = waits.entry(it.resource).or_insert((it.since, 0));
            *since = it.since.min(*since);
            *count += 1;
        }
        let mut waits: Vec<_> = waits.into_iter().map(|(resource, (since, count))| (since, resource, count)).collect();
        waits.sort_unstable();
        let row = |(since, resource, count): &(Timestamp, ResourceKey, usize)| Linked {
            text: self.wait_sentence(*count, *since, *resource),
            link: Link::Resource(*resource),
        };
        waits.iter().take(ROWS).map(row).collect()
    }

    /// What others wait for that some tasks hold, the longest wait first.
    pub(super) fn blocked_by(&self, is_holder: impl Fn(TaskKey) -> bool) -> Vec<Linked> {
        let evidence = &self.evidence;
        let held = evidence.contested().filter(|(_, resource)| resource.kind.is_held()).take(CONTESTED);
        let mut rows: Vec<(Timestamp, ResourceKey, usize)> = Vec::new();
        for (key, _) in held {
            let since = evidence.waiters(key).map(|(_, op)| evidence.waiting_since(op)).min();
            let is_held = || evidence.holders(key).named().iter().any(|holder| is_holder(holder.task));
            if let Some(since) = since.filter(|_| is_held()) {
                rows.push((since, key, evidence.waiters(key).count()));
            }
        }
        rows.sort_unstable();
        let row = |(since, key, count): &(Timestamp, ResourceKey, usize)| Linked {
            text: self.wait_sentence(*count, *since, *key),
            link: Link::Resource(*key),
        };
        rows.iter().take(ROWS).map(row).collect()
    }

    /// Who waits for a resource, by spawn site, the longest wait first.
    pub(super) fn waiters_by_site(&self, key: ResourceKey) -> Vec<Linked> {
        let evidence = &self.evidence;
        let mut sites: BTreeMap<SiteKey, (Timestamp, usize)> = BTreeMap::new();
        for (_, op) in evidence.waiters(key) {
            let Some(task) = op.task.and_then(|task| evidence.task(task)) else { continue };
            let began = evidence.waiting_since(op);
            let (since, count) = sites.entry(task.site).or_insert((began, 0));
            *since = began.min(*since);
            *count += 1;
        }
        let mut sites: Vec<_> = sites.into_iter().map(|(site, (since, count))| (since, site, count)).collect();
        sites.sort_unstable();
        let row = |(since, site, count): &(Timestamp, SiteKey, usize)| {
            let age = words::duration(evidence.running_since(*since));
            let name = self.site_text(*site);
            let text = format!("{} of {name}, the longest for {age}", words::count(*count, "task"));
            Linked { text, link: Link::Site(*site) }
        };
        sites.iter().take(ROWS).map(row).collect()
    }

    fn wait_sentence(&self, count: usize, since: Timestamp, resource: ResourceKey) -> String {
        let age = words::duration(self.evidence.running_since(since));
        let (tasks, verb) = (words::count(count, "task"), words::agree(count, "waits", "wait"));
        let what = describe::resource(&self.evidence, resource);
        let longest = if count > 1 { ", the longest" } else { "" };
        format!("{tasks} {verb} for the {what}{longest} for {age}")
    }

    /// The last step of a chain up to there.
    fn wait_step(&self, chain: &[Step]) -> Option<WaitStep> {
        let step = chain.last()?;
        let op = self.evidence.op(step.op)?;
        let age = words::duration(self.evidence.running_since(self.evidence.waiting_since(op)));
        let what = describe::resource(&self.evidence, step.resource);
        let text = match self.evidence.task(step.task) {
            Some(task) if chain.len() > 1 => {
                let who = describe::task(&self.evidence, task);
                format!("{who} has been waiting {age} for the {what} ({})", op.source)
            }
            _ => format!("waiting {age} for the {what} ({})", op.source),
        };
        let holders = step.holders.tasks.iter().take(MOST).map(|holder| HolderRow {
            closes_cycle: chain.iter().any(|earlier| earlier.task == holder.task),
            ..self.holder_row(holder)
        });
        let note = match step.holders.tasks.len() {
            0 => Some("holder unknown (acquired before attaching, or not reported)".to_owned()),
            many if many > MOST => Some(format!("and {}", words::count(many - MOST, "other task"))),
            _ => None,
        };
        Some(WaitStep { task: step.task, resource: step.resource, text, holders: holders.collect(), note })
    }

    /// A holder, how long it has held, and how sure that is.
    pub(super) fn holder_row(&self, holder: &Holder) -> HolderRow {
        let task = self.evidence.task(holder.task);
        let who = task.map_or_else(|| "a task that is gone".to_owned(), |task| describe::task(&self.evidence, task));
        let sure = match holder.confidence {
            Confidence::Certain => "certain",
            Confidence::Likely => "likely",
            Confidence::Possible => "possibly",
        };
        let age = words::duration(self.evidence.running_since(holder.since));
        HolderRow { task: holder.task, text: format!("{who} for {age} ({sure})"), closes_cycle: false }
    }

    fn timer(&self, key: TaskKey) -> Option<String> {
        let wait = self.evidence.task_wait(key);
        let Some(timer) = self.evidence.timer(key) else {
            return wait.ticking.then(|| "the next tick of an Interval".to_owned());
        };
        let left = wait.sleeping.and_then(|it| it.until).map(|until| until.since(self.now()));
        let rest = left.filter(|left| !left.is_zero());
        let rest = rest.map_or_else(String::new, |left| format!(", due in {} unless reset", words::duration(left)));
        Some(format!("a {} created in its last poll{rest}", timer.kind.as_str()))
    }
}
