//! What an update changes: introductions, new counters, and the indices that detectors ask.

use super::async_op::{AsyncOp, OpStats};
use super::resource::{Attribute, Permits, Resource, ResourceKind};
use super::site::{Site, SiteId};
use super::task::{Task, TaskKind, TaskState, TaskStats};
use super::text::{self, Text};
use super::time::Timestamp;
use super::waits::{Grants, WaitLog};
use super::{Entity, Model, OpKey, ResourceKey, SiteKey, TaskKey};

/// A task as it was introduced.
#[derive(Debug)]
pub(super) struct NewTask {
    pub(super) name: Option<Text>,
    pub(super) kind: TaskKind,
    pub(super) task_id: Option<u64>,
    pub(super) location: Text,
    pub(super) sizes: (u64, u64),
    pub(super) function: Option<Text>,
    pub(super) fields: Box<[(Text, Text)]>,
}

impl Default for NewTask {
    fn default() -> Self {
        Self {
            name: None,
            kind: TaskKind::Other,
            task_id: None,
            location: "".into(),
            sizes: (0, 0),
            function: None,
            fields: Box::default(),
        }
    }
}

/// A resource as it was introduced.
#[derive(Debug)]
pub(super) struct NewResource {
    pub(super) concrete_type: Text,
    pub(super) location: Text,
    pub(super) internal: bool,
    pub(super) has_parent: bool,
}

/// An async op as it was introduced.
#[derive(Debug)]
pub(super) struct NewOp {
    pub(super) source: Text,
}

impl Model {
    /// When the entity of this id was born, if there is one.
    pub(super) fn created(&self, id: u64) -> Option<Timestamp> {
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

    pub(super) fn new_task(&mut self, id: u64, created: Option<Timestamp>, new: NewTask) {
        let key = match self.ids.get(&id) {
            Some(Entity::Task(key)) if created.is_none() || self.created(id) == created => *key,
            _ => {
                self.retire(id, self.now());
                self.insert_task(id, created)
            }
        };
        if !self.tasks.get(key).is_some_and(|task| task.placeholder) {
            return;
        }
        self.leave_site(key);
        let name = text::without_numbers(new.name.as_deref().unwrap_or_default());
        let name = self.strings.intern(&name);
        let site = self.site_of(SiteId { name, kind: new.kind, location: new.location, sizes: new.sizes });
        let Some(task) = self.tasks.get_mut(key) else {
            return;
        };
        task.placeholder = false;
        task.site = site;
        task.name = new.name;
        task.kind = new.kind;
        task.task_id = new.task_id;
        task.function = new.function;
        task.fields = new.fields;
        self.join_site(key);
        self.index_task(key);
    }

    /// Adds a task of which nothing but the id and perhaps the time of birth is known yet.
    fn insert_task(&mut self, id: u64, created: Option<Timestamp>) -> TaskKey {
        let now = self.now();
        let nowhere = self.strings.intern("");
        let site = SiteId { name: nowhere.clone(), kind: TaskKind::Other, location: nowhere, sizes: (0, 0) };
        let site = self.site_of(site);
        let key = self.tasks.insert(Task {
            id,
            task_id: None,
            name: None,
            kind: TaskKind::Other,
            site,
            function: None,
            fields: Box::default(),
            stats: TaskStats { created: created.unwrap_or(now), ..TaskStats::default() },
            first_seen: now,
            changed: now,
            placeholder: true,
            cancelled: false,
            ops: Vec::new(),
            sighting: Default::default(),
        });
        self.ids.insert(id, Entity::Task(key));
        self.join_site(key);
        key
    }

    fn site_of(&mut self, id: SiteId) -> SiteKey {
        if let Some(key) = self.site_keys.get(&id) {
            return *key;
        }
        let key = self.sites.insert(Site::new(id.clone(), self.now()));
        self.site_keys.insert(id, key);
        key
    }

    fn join_site(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.get(key) else {
            return;
        };
        let (site, created, alive) = (task.site, task.stats.created, task.stats.dropped.is_none());
        let newborn = self.is_newborn(created);
        self.birth = Some(self.birth.map_or(created, |birth| birth.min(created)));
        let Some(site) = self.touch(site) else { return };
        site.born += 1;
        site.history.current().born += u32::from(newborn);
        if alive {
            site.live.insert((created, key));
        }
    }

    fn leave_site(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.get(key) else {
            return;
        };
        let created = task.stats.created;
        let newborn = self.is_newborn(created);
        let Some(site) = self.touch(task.site) else {
            return;
        };
        site.live.remove(&(created, key));
        site.born = site.born.saturating_sub(1);
        let born = &mut site.history.current().born;
        *born = born.saturating_sub(u32::from(newborn));
    }

    /// The site of this key, put on the list of those that the present update changes.
    pub(super) fn touch(&mut self, key: SiteKey) -> Option<&mut Site> {
        let site = self.sites.get_mut(key)?;
        if !std::mem::replace(&mut site.touched, true) {
            self.touched.push(key);
        }
        Some(site)
    }

    pub(super) fn task_changed(&mut self, id: u64, stats: TaskStats) {
        let key = match self.ids.get(&id) {
            Some(Entity::Task(key)) if self.created(id) == Some(stats.created) => *key,
            _ => {
                self.retire(id, self.now());
                self.quality.never_introduced += 1;
                self.insert_task(id, Some(stats.created))
            }
        };
        let (now, newborn) = (self.now(), self.is_newborn(stats.created));
        let Some(task) = self.tasks.get_mut(key) else {
            return;
        };
        // A late introduction brings counters of a whole life: they are a starting point, not something that happened just now.
        let countable = newborn || task.first_seen < now;
        let (before, was_ended, site) = (task.stats, task.stats.dropped.is_some(), task.site);
        task.change(stats, now);
        let cancelled = task.cancelled;
        if task.kind.is_async() {
            self.last_poll = self.last_poll.max(stats.poll.started.max(stats.poll.ended).unwrap_or_default());
        }
        if countable && let Some(site) = self.touch(site) {
            count_polls(site, key, &before, &stats);
        }
        if let (Some(dropped), false) = (stats.dropped, was_ended) {
            self.end_task(key, dropped, cancelled, countable);
        }
        self.index_task(key);
    }

    /// Brings the sets of running, woken and unwakeable tasks up to date.
    fn index_task(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.get(key) else {
            return;
        };
        let state = task.state();
        let ours = task.kind.is_async();
        let stranded = task.stats.wakers() == 0 && task.stats.poll.polls > 0;
        let worker = task.is_worker_thread() || task.is_block_in_place();
        for (set, member) in [
            (&mut self.running, ours && state == TaskState::Running),
            (&mut self.woken, ours && state == TaskState::Scheduled),
            (&mut self.unwakeable, ours && stranded && state == TaskState::Idle),
            (&mut self.workers, worker && state != TaskState::Done),
        ] {
            if member {
                set.insert(key)
            } else {
                set.remove(&key)
            };
        }
    }

    pub(super) fn new_resource(&mut self, id: u64, created: Option<Timestamp>, new: NewResource) {
        let key = match self.ids.get(&id) {
            Some(Entity::Resource(key)) if created.is_none() || self.created(id) == created => *key,
            _ => {
                self.retire(id, self.now());
                self.insert_resource(id, created)
            }
        };
        let Some(resource) = self.resources.get_mut(key).filter(|resource| resource.placeholder) else {
            return;
        };
        resource.placeholder = false;
        resource.kind = ResourceKind::of(&new.concrete_type, new.internal, new.has_parent);
        resource.concrete_type = new.concrete_type;
        resource.internal = new.internal;
        resource.location = new.location;
        if resource.kind == ResourceKind::Sleep && !resource.location.contains("interval.rs") {
            self.sleeps.insert((resource.created, key));
        }
    }

    fn insert_resource(&mut self, id: u64, created: Option<Timestamp>) -> ResourceKey {
        let nothing = self.strings.intern("");
        let key = self.resources.insert(Resource {
            id,
            kind: ResourceKind::Other,
            concrete_type: nothing.clone(),
            location: nothing,
            parent: None,
            internal: false,
            created: created.unwrap_or(self.now()),
            dropped: None,
            placeholder: true,
            attributes: Vec::new(),
            permits: Permits::default(),
            depths: Default::default(),
            ops: Vec::new(),
            grants: Grants::default(),
            waits: WaitLog::default(),
        });
        self.ids.insert(id, Entity::Resource(key));
        key
    }

    pub(super) fn link_resource(&mut self, child: u64, parent: u64) {
        let Some(Entity::Resource(child)) = self.ids.get(&child).copied() else {
            return;
        };
        let parent = self.resource_or_placeholder(parent);
        if let Some(child) = self.resources.get_mut(child) {
            child.parent = Some(parent);
        }
    }

    fn resource_or_placeholder(&mut self, id: u64) -> ResourceKey {
        match self.ids.get(&id) {
            Some(Entity::Resource(key)) => *key,
            _ => {
                self.retire(id, self.now());
                self.quality.never_introduced += 1;
                self.insert_resource(id, None)
            }
        }
    }

    pub(super) fn resource_changed(
        &mut self,
        id: u64,
        created: Timestamp,
        dropped: Option<Timestamp>,
        attributes: Vec<Attribute>,
    ) {
        let key = match self.ids.get(&id) {
            Some(Entity::Resource(key)) if self.created(id) == Some(created) => *key,
            _ => {
                self.retire(id, self.now());
                self.quality.never_introduced += 1;
                self.insert_resource(id, Some(created))
            }
        };
        let (now, newborn) = (self.now(), self.is_newborn(created));
        let Some(resource) = self.resources.get_mut(key) else {
            return;
        };
        let first = resource.attributes.is_empty() && !resource.placeholder;
        resource.change(attributes, first && newborn, now);
        if resource.depth().is_some() && resource.dropped.is_none() {
            self.queues.insert(key);
        }
        if let (Some(dropped), None) = (dropped, resource.dropped) {
            self.end_resource(key, dropped);
        }
    }

    pub(super) fn new_op(&mut self, id: u64, created: Option<Timestamp>, new: NewOp) {
        let known =
            matches!(self.ids.get(&id), Some(Entity::Op(_))) && (created.is_none() || self.created(id) == created);
        if !known {
            self.retire(id, self.now());
            self.insert_op(id, created);
        }
        let Some(Entity::Op(key)) = self.ids.get(&id) else {
            return;
        };
        if let Some(op) = self.ops.get_mut(*key) {
            op.source = new.source;
        }
    }

    fn insert_op(&mut self, id: u64, created: Option<Timestamp>) -> OpKey {
        let source = self.strings.intern("");
        let stats = OpStats { created: created.unwrap_or(self.now()), ..OpStats::default() };
        let key = self.ops.insert(AsyncOp {
            id,
            source,
            resource: None,
            parent: None,
            inner: None,
            task: None,
            stats,
            ready: None,
        });
        self.ids.insert(id, Entity::Op(key));
        key
    }

    /// Ties an op to its resource and to the op that it is part of, both of which may have been introduced after it.
    pub(super) fn link_op(&mut self, id: u64, resource: Option<u64>, parent: Option<u64>) {
        let Some(Entity::Op(key)) = self.ids.get(&id).copied() else {
            return;
        };
        if self.ops.get(key).is_none_or(|op| op.resource.is_some()) {
            return;
        }
        let resource = resource.map(|id| self.resource_or_placeholder(id));
        let parent = match parent.and_then(|id| self.ids.get(&id)) {
            Some(Entity::Op(parent)) if *parent != key => Some(*parent),
            _ => None,
        };
        if let Some(op) = self.ops.get_mut(key) {
            op.resource = resource;
            op.parent = parent;
        }
        if let Some(outer) = parent.and_then(|parent| self.ops.get_mut(parent)) {
            outer.inner = Some(key);
        } else if let Some(lock) = resource.and_then(|resource| self.lock(resource)) {
            if let Some(lock) = self.resources.get_mut(lock) {
                lock.ops.push(key);
            }
            self.active.insert(lock, self.now());
        }
    }

    pub(super) fn op_changed(&mut self, id: u64, stats: OpStats) {
        let key = match self.ids.get(&id) {
            Some(Entity::Op(key)) if self.created(id) == Some(stats.created) => *key,
            _ => {
                self.retire(id, self.now());
                self.quality.never_introduced += 1;
                self.insert_op(id, Some(stats.created))
            }
        };
        let task = stats.task.and_then(|id| self.task_at(id, stats.poll.started));
        let now = self.now();
        let Some(op) = self.ops.get_mut(key) else {
            return;
        };
        let (was_alive, outermost, before) = (op.is_alive(), op.parent.is_none(), op.task);
        op.stats = stats;
        op.task = task.or(op.task);
        if outermost && op.task != before {
            let after = op.task;
            self.move_op(key, before, after);
        }
        if was_alive && stats.dropped.is_some() {
            self.ended_ops.push(key);
        }
        if let Some(lock) = self.lock_of(key)
            && let Some(seen) = self.active.get_mut(&lock)
        {
            *seen = now;
        }
    }

    /// The task of this id, if it lived at that time: by now the id may stand for another.
    fn task_at(&self, id: u64, at: Option<Timestamp>) -> Option<TaskKey> {
        match self.ids.get(&id)? {
            Entity::Task(key)
                if at.is_none_or(|at| self.tasks.get(*key).is_some_and(|task| task.stats.created <= at)) =>
            {
                Some(*key)
            }
            _ => None,
        }
    }

    fn move_op(&mut self, key: OpKey, from: Option<TaskKey>, to: Option<TaskKey>) {
        if let Some(task) = from.and_then(|from| self.tasks.get_mut(from)) {
            task.ops.retain(|op| *op != key);
        }
        if let Some(task) = to.and_then(|to| self.tasks.get_mut(to)) {
            task.ops.push(key);
        }
    }

    pub(super) fn op_polled(&mut self, id: u64, ready: bool) {
        if let Some(Entity::Op(key)) = self.ids.get(&id)
            && let Some(op) = self.ops.get_mut(*key)
        {
            op.ready = Some(ready);
        }
    }
}

/// Adds the polls that ended between two reports of a task to its site's history.
fn count_polls(site: &mut Site, key: TaskKey, before: &TaskStats, after: &TaskStats) {
    let polls = after.completed_polls().saturating_sub(before.completed_polls());
    let busy = after.poll.busy.saturating_sub(before.poll.busy);
    let second = site.history.current();
    second.polls += polls;
    second.busy += busy;
    if let Some(mean) = u32::try_from(polls).ok().and_then(|polls| busy.checked_div(polls))
        && second.longest.is_none_or(|(longest, _)| mean > longest)
    {
        second.longest = Some((mean, key));
    }
}
