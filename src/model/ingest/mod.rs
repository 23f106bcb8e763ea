//! What an update changes: introductions, new counters, and the indices that detectors ask.

mod ops;
mod resources;
mod tasks;

pub(super) use self::ops::NewOp;
pub(super) use self::resources::NewResource;
pub(super) use self::tasks::NewTask;

use super::time::Timestamp;
use super::{Entity, Id, Model};

impl Model {
    /// When the entity of this id was born, if there is one.
    pub(super) fn created(&self, id: Id) -> Option<Timestamp> {
        Some(match *self.ids.get(&id)? {
            Entity::Task(key) => self.tasks.get(key)?.stats.created,
            Entity::Resource(key) => self.resources.get(key)?.created,
            Entity::Op(key) => self.ops.get(key)?.stats.created,
        })
    }

    /// Whether something born at `created` can be watched from its birth on: its counters then start at zero for us too.
    fn is_newborn(&self, created: Timestamp) -> bool {
        self.now().since(created) <= 2 * self.clock.interval() + self.quality.lag.unwrap_or_default()
    }
}
