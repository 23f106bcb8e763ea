//! Resources: introduced, tied to what they are part of, and changed.

use std::collections::VecDeque;

use thin_vec::ThinVec;

use super::changes::Changes;
use crate::model::entity::resource::{Attribute, Permits, ReportedHolders, Resource};
use crate::model::history::waits::{Grants, WaitLog};
use crate::model::keys::{Entity, Id, ResourceKey};
use crate::model::location::Location;
use crate::model::store::Model;
use crate::model::text::Text;
use crate::model::time::Timestamp;
use crate::model::tokio::{ResourceKind, is_inside_interval};

/// A resource as it was introduced.
#[derive(Debug)]
pub(super) struct NewResource {
    pub(super) target: Option<Text>,
    pub(super) concrete_type: Text,
    pub(super) location: Location,
    pub(super) internal: bool,
    pub(super) has_parent: bool,
}

impl Model {
    pub(super) fn new_resource(
        &mut self,
        id: u64,
        created: Option<Timestamp>,
        new: NewResource,
        changes: &mut Changes,
    ) {
        let key = match self.ids.resource(id) {
            Some(key) if created.is_none() || self.created(Id::Resource(id)) == created => key,
            _ => {
                self.retire(Id::Resource(id), self.now(), changes);
                self.insert_resource(id, created)
            }
        };
        let Some(resource) = self.resources.get_mut(key).filter(|resource| resource.placeholder) else {
            return;
        };
        resource.placeholder = false;
        resource.kind = ResourceKind::of(&new.concrete_type, new.internal, new.has_parent);
        resource.target = new.target;
        resource.concrete_type = new.concrete_type;
        resource.internal = new.internal;
        resource.location = new.location;
        if resource.kind == ResourceKind::Sleep && !is_inside_interval(&resource.location) {
            self.sleeps.insert((resource.created, key));
        }
    }

    fn insert_resource(&mut self, id: u64, created: Option<Timestamp>) -> ResourceKey {
        let nothing = self.strings.intern("");
        self.ever_seen.1 += 1;
        let key = self.resources.insert(Resource {
            id,
            kind: ResourceKind::Other,
            target: None,
            concrete_type: nothing.clone(),
            location: Location::new(nothing),
            parent: None,
            internal: false,
            inner: None,
            free_at: None,
            created: created.unwrap_or(self.now()),
            first_seen: self.now(),
            dropped: None,
            placeholder: true,
            attributes: Box::default(),
            permits: Permits::default(),
            depths: VecDeque::default(),
            ops: ThinVec::new(),
            grants: Grants::default(),
            holders: ReportedHolders::default(),
            waits: WaitLog::default(),
            given_up: VecDeque::default(),
            unserved: None,
            wait_row: None,
        });
        self.ids.set(id, Entity::Resource(key));
        key
    }

    pub(super) fn link_resource(&mut self, child: u64, parent: u64, changes: &mut Changes) {
        let Some(child) = self.ids.resource(child) else {
            return;
        };
        let parent = self.resource_or_placeholder(parent, changes);
        let in_queue = self.resource(parent).is_some_and(|it| it.kind == ResourceKind::Other && !it.placeholder);
        let Some(inner) = self.resources.get_mut(child).filter(|_| child != parent) else {
            return;
        };
        inner.parent = Some(parent);
        if in_queue && inner.kind == ResourceKind::Inner {
            // Those who wait for a place in a queue are none of those who wait for what is in it.
            inner.kind = ResourceKind::Channel;
        }
        if inner.kind == ResourceKind::Inner
            && let Some(parent) = self.resources.get_mut(parent)
        {
            parent.inner = Some(child);
        }
    }

    pub(super) fn resource_or_placeholder(&mut self, id: u64, changes: &mut Changes) -> ResourceKey {
        if let Some(key) = self.ids.resource(id) {
            return key;
        }
        self.retire(Id::Resource(id), self.now(), changes);
        // tokio-canary-subscriber introduces everything, and may forget what an ended op waited for a little before the op.
        self.quality.never_introduced += u64::from(self.process.is_none());
        self.insert_resource(id, None)
    }

    pub(super) fn resource_changed(
        &mut self,
        id: u64,
        created: Timestamp,
        dropped: Option<Timestamp>,
        attributes: Vec<Attribute>,
        holders: ReportedHolders,
        changes: &mut Changes,
    ) {
        let is_known = |key: &ResourceKey| self.resources.get(*key).is_some_and(|it| it.created == created);
        let key = if let Some(key) = self.ids.resource(id).filter(is_known) {
            key
        } else {
            self.retire(Id::Resource(id), self.now(), changes);
            self.quality.never_introduced += 1;
            self.insert_resource(id, Some(created))
        };
        let (now, newborn) = (self.now(), self.is_newborn(created));
        let lock = self.lock(key);
        let used = lock.and_then(|lock| self.resources.get(lock)).is_some_and(|lock| !lock.ops.is_empty());
        changes.locks.extend(lock.filter(|lock| self.active.contains_key(lock)));
        let Some(resource) = self.resources.get_mut(key) else {
            return;
        };
        // Whoever uses it was introduced in the same update, before its first report.
        let untouched = !used && holders.oldest.is_empty();
        let fresh = newborn && !resource.placeholder && resource.first_seen == now && untouched;
        resource.change(attributes, fresh, now);
        resource.holders = holders;
        let was_dropped = resource.dropped.is_some();
        if resource.depth().is_some() && resource.dropped.is_none() {
            self.queues.insert(key);
        }
        if let (ResourceKind::Inner, Some(parent)) = (resource.kind, resource.parent)
            && self.is_free(parent)
            && let Some(parent) = self.resources.get_mut(parent)
        {
            parent.free_at = Some(now);
        }
        if let (Some(dropped), false) = (dropped, was_dropped) {
            self.end_resource(key, dropped);
        }
    }
}
