//! Who keeps whom waiting, as a diagram: from the task that holds what others need down to those who wait.

use std::time::Duration;

use super::findings::FindingKey;
use super::link::{Link, Linked};
use super::snapshot::Snapshot;
use crate::detect::describe;
use crate::detect::finding::Finding;
use crate::detect::severity::State;
use crate::evidence::channel_cycle::ChannelCycle;
use crate::evidence::wait_chain::Step;
use crate::model::entity::task::TaskState;
use crate::model::{ResourceKey, TaskKey};
use crate::words;

/// Most tasks that wait side by side and are drawn.
const MOST: usize = 6;

/// Who keeps whom waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiagramView {
    /// Tasks and resources, each keeping the next one waiting.
    pub spine: Vec<DiagramNode>,
    /// Whether the last one keeps the first one waiting.
    pub is_cycle: bool,
    /// Other tasks that wait for the last resource of the spine, each with the age of its wait; the longest first.
    pub others: Vec<(Linked, Duration)>,
    /// How many more there are.
    pub more: usize,
    /// What the first task does instead of releasing what it holds, as a sentence; nothing in a cycle.
    pub note: Option<String>,
}

/// A task or a resource, and how it keeps the next one waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiagramNode {
    /// What it is, with its page.
    pub node: Linked,
    /// What it does to the next one.
    pub tie: Tie,
}

/// What a task does to a resource, or a resource to a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tie {
    /// `holds` or `blocks`; empty if nothing follows.
    pub verb: String,
    /// For how long, if that is known.
    pub time: Option<Duration>,
}

impl Tie {
    fn new(verb: impl Into<String>, time: Option<Duration>) -> Self {
        Self { verb: verb.into(), time }
    }

    /// The same in words, with the object of the verb if it needs one: `blocks the first task, for 9.0 s`.
    pub fn in_words(&self, object: &str) -> String {
        let time = self.time.map(|time| format!(", for {}", words::duration(time))).unwrap_or_default();
        format!("{}{object}{time}", self.verb)
    }
}

impl Snapshot<'_> {
    /// Who keeps whom waiting in a finding; nothing where nobody is known to wait, or where it is over.
    pub fn diagram(&self, key: &FindingKey) -> Option<DiagramView> {
        let finding = self.find(key).filter(|finding| finding.state != State::Resolved)?;
        self.channel_diagram(finding).or_else(|| self.chain_diagram(finding))
    }

    /// A lock and a channel that may close a cycle.
    fn channel_diagram(&self, finding: &Finding) -> Option<DiagramView> {
        let touches = |key: &ResourceKey| finding.symptom.scope.resources.contains(key);
        let cycles = self.evidence.channel_cycles().into_iter();
        let ChannelCycle { lock, channel, holder, receivers, .. } =
            cycles.into_iter().find(|cycle| touches(&cycle.lock) && touches(&cycle.channel))?;
        let receiver = *receivers.first()?;
        let held = self.evidence.holders(lock).first().map(|it| self.evidence.running_since(it.since));
        let spine = vec![
            self.task_node(receiver, Tie::new("may be the receiver of", None))?,
            self.resource_node(channel, Tie::new("is full and blocks", self.waiting(channel, holder))),
            self.task_node(holder, Tie::new("holds", held))?,
            self.resource_node(lock, Tie::new("blocks", self.waiting(lock, receiver))),
        ];
        let (others, more) = self.others(lock, &spine);
        Some(DiagramView { spine, is_cycle: true, others, more, note: None })
    }

    /// What a task of a finding waits for, and on to whoever does not wait, or is in the chain already.
    fn chain_diagram(&self, finding: &Finding) -> Option<DiagramView> {
        let scope = &finding.symptom.scope;
        let of_resources = scope.resources.iter().filter_map(|key| self.longest_waiter(*key));
        let mut starts = of_resources.chain(scope.tasks.iter().copied());
        let chain = starts.find_map(|task| Some(self.evidence.wait_chain(task)).filter(|chain| !chain.is_empty()))?;
        let last = chain.last()?;
        let end = last.holders.first();
        let closes_at = end.and_then(|end| chain.iter().position(|step| step.task == end.task));
        let steps = &chain[closes_at.unwrap_or(0)..];
        let spine = if closes_at.is_some() { self.cycle(steps) } else { self.path(steps) };
        let note = end.filter(|_| closes_at.is_none()).and_then(|end| self.instead(end.task));
        let (others, more) = self.others(steps.first()?.resource, &spine);
        Some(DiagramView { spine, is_cycle: closes_at.is_some(), others, more, note })
    }

    /// Each task of a cycle, followed by what it holds.
    fn cycle(&self, steps: &[Step]) -> Vec<DiagramNode> {
        let mut spine = Vec::new();
        for (index, step) in steps.iter().enumerate().rev() {
            // The holder of what one step waits for is the task of the next.
            let Some(held) = steps.get((index + steps.len() - 1) % steps.len()) else { continue };
            spine.extend(self.task_node(step.task, self.holds(held)));
            spine.push(self.resource_node(held.resource, self.blocks(held)));
        }
        spine
    }

    /// The holder at the end of a chain, if one is known, and down from there to the task at its beginning.
    fn path(&self, steps: &[Step]) -> Vec<DiagramNode> {
        let mut spine = Vec::new();
        for (index, step) in steps.iter().enumerate().rev() {
            if let Some(holder) = step.holders.first().filter(|_| index + 1 == steps.len()) {
                spine.extend(self.task_node(holder.task, self.holds(step)));
            }
            spine.push(self.resource_node(step.resource, self.blocks(step)));
            let held = index.checked_sub(1).and_then(|before| steps.get(before));
            spine.extend(self.task_node(step.task, held.map(|held| self.holds(held)).unwrap_or_default()));
        }
        spine
    }

    /// What a task that holds something does instead of releasing it.
    fn instead(&self, key: TaskKey) -> Option<String> {
        let task = self.evidence.task(key)?;
        let who = "The holder";
        Some(match task.state() {
            TaskState::Running => format!("{who} is being polled."),
            TaskState::Scheduled => format!("{who} was woken and waits for a worker thread."),
            TaskState::Idle => describe::awaited(&self.evidence, key, who),
            TaskState::Done => format!("{who} has ended."),
        })
    }

    fn task_node(&self, key: TaskKey, tie: Tie) -> Option<DiagramNode> {
        let text = describe::task(&self.evidence, self.evidence.task(key)?);
        Some(DiagramNode { node: Linked { text, link: Link::Task(key) }, tie })
    }

    fn resource_node(&self, key: ResourceKey, tie: Tie) -> DiagramNode {
        let text = describe::resource(&self.evidence, key);
        DiagramNode { node: Linked { text, link: Link::Resource(key) }, tie }
    }

    fn holds(&self, step: &Step) -> Tie {
        let held = step.holders.first().map(|holder| self.evidence.running_since(holder.since));
        Tie::new(if step.holders.are_sure() { "holds" } else { "possibly holds" }, held)
    }

    fn blocks(&self, step: &Step) -> Tie {
        Tie::new("blocks", self.waiting(step.resource, step.task))
    }

    /// How long a task has waited for a resource, if it does.
    fn waiting(&self, resource: ResourceKey, task: TaskKey) -> Option<Duration> {
        let wait = self.evidence.task_wait(task);
        let awaited = wait.awaited.iter().find(|it| it.resource == resource);
        awaited.map(|it| self.evidence.running_since(it.since))
    }

    fn longest_waiter(&self, resource: ResourceKey) -> Option<TaskKey> {
        let waiters = self.evidence.waiters(resource).filter_map(|(_, op)| Some((op, op.task?)));
        waiters.min_by_key(|(op, _)| self.evidence.waiting_since(op)).map(|(_, task)| task)
    }

    /// Those who wait for a resource and are not drawn yet, with the ages of their waits, and how many more there are.
    fn others(&self, resource: ResourceKey, drawn: &[DiagramNode]) -> (Vec<(Linked, Duration)>, usize) {
        let is_drawn = |task: TaskKey| drawn.iter().any(|it| it.node.link == Link::Task(task));
        let waiters = self.evidence.waiters(resource);
        let waiters = waiters.filter_map(|(_, op)| Some((self.evidence.waiting_since(op), op.task?)));
        let mut waiters: Vec<_> = waiters.filter(|(_, task)| !is_drawn(*task)).collect();
        waiters.sort_unstable();
        waiters.dedup_by_key(|(_, task)| *task);
        let more = waiters.len().saturating_sub(MOST);
        let shown = waiters.into_iter().take(MOST).filter_map(|(since, key)| {
            let text = describe::task(&self.evidence, self.evidence.task(key)?);
            Some((Linked { text, link: Link::Task(key) }, self.evidence.running_since(since)))
        });
        (shown.collect(), more)
    }
}
