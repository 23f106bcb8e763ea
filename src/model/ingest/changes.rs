//! What one update has changed: collected while it is read, worked off at its end, and told to those who keep more than facts.

use super::cancellations::Cancellation;
use crate::model::collections::KeySet;
use crate::model::entity::site::Site;
use crate::model::keys::{Entity, Id, OpKey, ResourceKey, SiteKey, TaskKey};
use crate::model::store::Model;
use crate::model::time::Timestamp;

/// What one update has changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Whether another process answers now, so that nothing learned before it holds any more.
    pub restarted: bool,
    /// Locks, semaphores and channels of which an op began, was polled or ended.
    pub locks: KeySet<ResourceKey>,
    /// Ops that began, were polled or ended, and are still kept.
    pub ops: Vec<OpKey>,
    /// Sites of which a task began, changed or ended.
    pub(in crate::model) sites: KeySet<SiteKey>,
    /// Ops that a task polls now that did not before, and which one did.
    pub(in crate::model) moved_ops: Vec<(OpKey, Option<TaskKey>)>,
    /// Ops that ended, in the order of their ends.
    pub ended_ops: Vec<OpKey>,
    /// Tasks that were dropped before they finished.
    pub(in crate::model) cancellations: Vec<Cancellation>,
}

impl Changes {
    /// The site of this key, noted as changed.
    pub(super) fn touch<'a>(&mut self, model: &'a mut Model, key: SiteKey) -> Option<&'a mut Site> {
        let site = model.sites.get_mut(key)?;
        self.sites.insert(key);
        Some(site)
    }
}

impl Model {
    /// When the entity of this id was born, if there is one.
    pub(super) fn created(&self, id: Id) -> Option<Timestamp> {
        Some(match self.ids.get(id)? {
            Entity::Task(key) => self.tasks.get(key)?.stats.created,
            Entity::Resource(key) => self.resources.get(key)?.created,
            Entity::Op(key) => self.ops.get(key)?.stats.created,
        })
    }

    /// Whether something born at `created` can be watched from its birth on: its counters then start at zero for us too.
    pub(super) fn is_newborn(&self, created: Timestamp) -> bool {
        self.now().since(created) <= 2 * self.clock.interval() + self.quality.lag.unwrap_or_default()
    }
}
