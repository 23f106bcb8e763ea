//! Why a task does not make progress: what it waits for, who holds that, what the holder in turn waits for.

use std::rc::Rc;

use super::holders::Holders;
use super::task_wait::Awaited;
use super::view::Evidence;
use crate::model::{OpKey, ResourceKey, TaskKey};

/// Most steps of a wait chain that are followed.
const CHAIN: usize = 16;

/// One step of a wait chain: a task waits, in an op, for a resource that others hold.
#[derive(Debug, Clone)]
pub struct Step {
    /// Who waits.
    pub task: TaskKey,
    /// In which op.
    pub op: OpKey,
    /// For what.
    pub resource: ResourceKey,
    /// Who holds it, as far as can be inferred; the first one is followed.
    pub holders: Rc<Holders>,
}

impl Evidence<'_> {
    /// Why a task does not make progress: it waits for a resource, whose holder waits for another, and so on until a task that does not wait,
    /// or one that is in the chain already.
    pub fn wait_chain(&self, task: TaskKey) -> Vec<Step> {
        let mut chain: Vec<Step> = Vec::new();
        let mut next = Some(task);
        while let Some(task) = next.take()
            && chain.len() < CHAIN
            && !chain.iter().any(|step| step.task == task)
        {
            let Some(Awaited { op, resource, .. }) = self.task_wait(task).awaited.first().copied() else { break };
            let holders = self.holders(resource);
            next = holders.first().map(|holder| holder.task);
            chain.push(Step { task, op, resource, holders });
        }
        chain
    }
}
