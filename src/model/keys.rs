//! Keys of the model, and what an id of the feed stands for.

use slotmap::{Key, new_key_type};

use super::collections::{SeededMap, SeededSet};

new_key_type! {
    /// A task of the model; never reused, unlike the feed's ids.
    pub struct TaskKey;
    /// A spawn site of the model.
    pub struct SiteKey;
    /// A resource of the model; never reused.
    pub struct ResourceKey;
    /// An async op of the model; never reused.
    pub struct OpKey;
}

impl ResourceKey {
    /// A small number that no other resource has at the same time; the feed's ids have sixteen digits.
    pub fn number(self) -> u32 {
        number(self)
    }
}

impl OpKey {
    /// A small number that no other async op has at the same time.
    pub fn number(self) -> u32 {
        number(self)
    }
}

/// The place of a key, which is the lower half of its number in slotmap's format.
#[expect(clippy::cast_possible_truncation, reason = "the upper half is the version")]
fn number(key: impl Key) -> u32 {
    key.data().as_ffi() as u32
}

/// An id of the feed. The target keeps tasks, resources and async ops apart and lists what has ended for long, so that one number can stand
/// for a timer that is gone and for a task that lives, both in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::model) enum Id {
    Task(u64),
    Resource(u64),
    Op(u64),
}

/// What an id of the feed stands for at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) enum Entity {
    Task(TaskKey),
    Resource(ResourceKey),
    Op(OpKey),
}

/// What the ids of the feed stand for at present.
#[derive(Debug, Clone, Default)]
pub(in crate::model) struct Ids {
    tasks: SeededMap<u64, TaskKey>,
    resources: SeededMap<u64, ResourceKey>,
    ops: SeededMap<u64, OpKey>,
}

impl Ids {
    /// What an id stands for, if for anything.
    pub(in crate::model) fn get(&self, id: Id) -> Option<Entity> {
        match id {
            Id::Task(id) => self.task(id).map(Entity::Task),
            Id::Resource(id) => self.resource(id).map(Entity::Resource),
            Id::Op(id) => self.op(id).map(Entity::Op),
        }
    }

    /// The task of an id.
    pub(in crate::model) fn task(&self, id: u64) -> Option<TaskKey> {
        self.tasks.get(&id).copied()
    }

    /// The resource of an id.
    pub(in crate::model) fn resource(&self, id: u64) -> Option<ResourceKey> {
        self.resources.get(&id).copied()
    }

    /// The async op of an id.
    pub(in crate::model) fn op(&self, id: u64) -> Option<OpKey> {
        self.ops.get(&id).copied()
    }

    /// Lets an id stand for something else from now on.
    pub(in crate::model) fn set(&mut self, id: u64, entity: Entity) {
        match entity {
            Entity::Task(key) => drop(self.tasks.insert(id, key)),
            Entity::Resource(key) => drop(self.resources.insert(id, key)),
            Entity::Op(key) => drop(self.ops.insert(id, key)),
        }
    }

    /// Lets an id stand for nothing, and returns what it stood for.
    pub(in crate::model) fn remove(&mut self, id: Id) -> Option<Entity> {
        match id {
            Id::Task(id) => self.tasks.remove(&id).map(Entity::Task),
            Id::Resource(id) => self.resources.remove(&id).map(Entity::Resource),
            Id::Op(id) => self.ops.remove(&id).map(Entity::Op),
        }
    }

    /// The ids that stand for something and are not among these, in an order that is the same in every run.
    pub(in crate::model) fn not_among(&self, known: &SeededSet<Id>) -> Vec<Id> {
        let tasks = self.tasks.keys().map(|id| Id::Task(*id));
        let resources = self.resources.keys().map(|id| Id::Resource(*id));
        let all = tasks.chain(resources).chain(self.ops.keys().map(|id| Id::Op(*id)));
        let mut others: Vec<Id> = all.filter(|id| !known.contains(id)).collect();
        others.sort_unstable();
        others
    }
}
