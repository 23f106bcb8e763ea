//! What is in recorded updates: tasks, resources and async ops, what each belongs to, and which of them are alike.

use std::collections::{BTreeMap, BTreeSet};

use console_api::field::{Name, Value};
use console_api::instrument::Update;
use console_api::{Field, Location, async_ops, resources, tasks};

use crate::diagnosis::Arrived;
use crate::feed::FeedEvent;
use crate::model::text;
use crate::wire::Message;

/// Resources are parts of one another in this many steps at most; a hostile feed may claim a circle.
const DEEPEST: usize = 8;

/// One entity by its span id. One id that stands for several entities one after the other is taken for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Entity {
    Task(u64),
    /// With its parts.
    Resource(u64),
    Op(u64),
}

/// Everything that updates mention.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// What each task is like.
    tasks: BTreeMap<u64, String>,
    resources: BTreeMap<u64, Resource>,
    ops: BTreeMap<u64, Op>,
}

#[derive(Debug, Default)]
struct Resource {
    /// What it is like.
    group: String,
    parent: Option<u64>,
}

#[derive(Debug, Default)]
struct Op {
    resource: Option<u64>,
    parent: Option<u64>,
    /// Every task that had it.
    tasks: BTreeSet<u64>,
}

/// What of an inventory is kept. An op is only kept with its resource and its tasks.
#[derive(Debug, Clone, Default)]
pub(super) struct Keep {
    pub(super) tasks: BTreeSet<u64>,
    pub(super) resources: BTreeSet<u64>,
    pub(super) ops: BTreeSet<u64>,
}

impl Inventory {
    pub(super) fn of(events: &[Arrived]) -> Self {
        let mut inventory = Self::default();
        for update in messages(events).map(Message::decoded) {
            inventory.add(&update);
        }
        inventory
    }

    fn add(&mut self, update: &Update) {
        if let Some(part) = &update.task_update {
            for id in part.stats_update.keys() {
                self.tasks.entry(*id).or_default();
            }
            for (id, task) in part.new_tasks.iter().filter_map(|it| Some((it.id?.id, it))) {
                self.tasks.insert(id, site(task));
            }
        }
        if let Some(part) = &update.resource_update {
            for id in part.stats_update.keys() {
                self.resources.entry(*id).or_default();
            }
            for (id, resource) in part.new_resources.iter().filter_map(|it| Some((it.id?.id, it))) {
                let parent = resource.parent_resource_id.map(|id| id.id);
                self.resources.insert(id, Resource { group: group(resource), parent });
            }
        }
        if let Some(part) = &update.async_op_update {
            for (id, op) in part.new_async_ops.iter().filter_map(|it| Some((it.id?.id, it))) {
                self.introduce(id, op);
            }
            for (id, stats) in &part.stats_update {
                self.ops.entry(*id).or_default().tasks.extend(stats.task_id.map(|id| id.id));
            }
        }
    }

    fn introduce(&mut self, id: u64, op: &async_ops::AsyncOp) {
        let known = self.ops.entry(id).or_default();
        known.resource = op.resource_id.map(|id| id.id).or(known.resource);
        known.parent = op.parent_async_op_id.map(|id| id.id).or(known.parent);
    }

    /// Tasks by their spawn sites, and whole resources by their types and places.
    pub(super) fn groups(&self) -> Vec<Vec<Entity>> {
        let mut groups: BTreeMap<(bool, &str), Vec<Entity>> = BTreeMap::new();
        for (id, site) in &self.tasks {
            groups.entry((false, site)).or_default().push(Entity::Task(*id));
        }
        for (id, resource) in &self.resources {
            if self.whole(*id) == *id {
                groups.entry((true, &resource.group)).or_default().push(Entity::Resource(*id));
            }
        }
        groups.into_values().collect()
    }

    /// Every op.
    pub(super) fn ops(&self) -> Vec<Entity> {
        self.ops.keys().copied().map(Entity::Op).collect()
    }

    /// How many tasks, resources and async ops there are.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.tasks.len(), self.resources.len(), self.ops.len())
    }

    /// What is left if nothing is kept but these tasks and resources, and of the ops that belong to them those that are not left out.
    pub(super) fn keep(&self, entities: impl IntoIterator<Item = Entity>, keeps_op: impl Fn(u64) -> bool) -> Keep {
        let mut keep = Keep::default();
        let mut wholes = BTreeSet::new();
        for entity in entities {
            match entity {
                Entity::Task(id) => keep.tasks.insert(id),
                Entity::Resource(id) => wholes.insert(id),
                Entity::Op(_) => false,
            };
        }
        keep.resources = self.resources.keys().copied().filter(|id| wholes.contains(&self.whole(*id))).collect();
        let belongs = |op: &Op| {
            let has_tasks = op.tasks.iter().all(|id| keep.tasks.contains(id) || !self.tasks.contains_key(id));
            let has = |id: &u64| keep.resources.contains(id) || !self.resources.contains_key(id);
            has_tasks && op.resource.as_ref().is_none_or(has)
        };
        keep.ops = self.ops.iter().filter(|(id, op)| keeps_op(**id) && belongs(op)).map(|(id, _)| *id).collect();
        // An op inside another goes with it.
        let orphan = |id: &u64| {
            let parent = self.ops.get(id).and_then(|op| op.parent);
            parent.is_some_and(|parent| self.ops.contains_key(&parent) && !keep.ops.contains(&parent))
        };
        let ops = keep.ops.iter().copied().filter(|id| !orphan(id)).collect();
        Keep { ops, ..keep }
    }

    /// The resource that a resource is a part of.
    fn whole(&self, mut id: u64) -> u64 {
        for _ in 0..DEEPEST {
            match self.resources.get(&id).and_then(|it| it.parent).filter(|parent| self.resources.contains_key(parent))
            {
                Some(parent) => id = parent,
                None => break,
            }
        }
        id
    }
}

/// The updates among some events.
pub(super) fn messages(events: &[Arrived]) -> impl Iterator<Item = &Message> {
    events.iter().filter_map(|arrived| match &arrived.event {
        FeedEvent::Update(update) => Some(&update.message),
        _ => None,
    })
}

/// What tasks of one spawn site have in common: the place, and whatever text they carry, without its numbers.
fn site(task: &tasks::Task) -> String {
    let mut site = place(task.location.as_ref());
    for field in &task.fields {
        if let Field { value: Some(Value::StrVal(text) | Value::DebugVal(text)), name, .. } = field {
            let name = match name {
                Some(Name::StrName(name)) => name.clone(),
                Some(Name::NameIdx(index)) => index.to_string(),
                None => String::new(),
            };
            site.push_str(&format!(" {name}={}", text::without_numbers(text)));
        }
    }
    site
}

fn group(resource: &resources::Resource) -> String {
    format!("{} {}", resource.concrete_type, place(resource.location.as_ref()))
}

fn place(location: Option<&Location>) -> String {
    let Some(Location { file, module_path, line, column }) = location else { return String::new() };
    let file = file.as_deref().or(module_path.as_deref()).unwrap_or_default();
    format!("{file}:{}:{}", line.unwrap_or_default(), column.unwrap_or_default())
}
