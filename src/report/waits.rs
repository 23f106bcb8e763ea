//! Why a task makes no progress, step by step: what it waits for, who holds that, what the holder waits for in turn.

use super::snapshot::Snapshot;
use crate::detect::describe;
use crate::evidence::holders::{Confidence, Holder};
use crate::evidence::wait_chain::Step;
use crate::model::entity::task::Task;
use crate::model::entity::task::TaskState;
use crate::model::{ResourceKey, TaskKey};
use crate::words;

/// Most holders of one resource that a step lists.
const MOST: usize = 4;

/// What a task waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitView {
    /// Why there is no wait to show, as a sentence.
    pub note: Option<&'static str>,
    /// The wait chain: the task's own wait first, then that of the holder, and so on.
    pub steps: Vec<WaitStep>,
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
        let without = |note| WaitView { note: Some(note), steps: Vec::new(), timer: None };
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
                WaitView { note, steps, timer }
            }
        }
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
