//! Resources: introduced, tied to what they are part of, and changed.

use crate::model::resource::{Attribute, Permits, Resource, ResourceKind};
use crate::model::text::Text;
use crate::model::time::Timestamp;
use crate::model::waits::{Grants, WaitLog};
use crate::model::{Entity, Id, Model, ResourceKey};

/// A resource as it was introduced.
#[derive(Debug)]
pub(in crate::model) struct NewResource {
    pub(in crate::model) concrete_type: Text,
    pub(in crate::model) location: Text,
    pub(in crate::model) internal: bool,
    pub(in crate::model) has_parent: bool,
}

impl Model {
    pub(in crate::model) fn new_resource(&mut self, id: u64, created: Option<Timestamp>, new: NewResource) {
        let key = match self.ids.get(&Id::Resource(id)) {
            Some(Entity::Resource(key)) if created.is_none() || self.created(Id::Resource(id)) == created => *key,
            _ => {
                self.retire(Id::Resource(id), self.now());
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
        self.ever_seen.1 += 1;
        let key = self.resources.insert(Resource {
            id,
            kind: ResourceKind::Other,
            concrete_type: nothing.clone(),
            location: nothing,
            parent: None,
            internal: false,
            inner: None,
            free_at: None,
            is_fed: false,
            created: created.unwrap_or(self.now()),
            first_seen: self.now(),
            dropped: None,
            placeholder: true,
            attributes: Vec::new(),
            permits: Permits::default(),
            depths: Default::default(),
            ops: Vec::new(),
            grants: Grants::default(),
            waits: WaitLog::default(),
            given_up: Default::default(),
            futile: None,
            crowds: Default::default(),
        });
        self.ids.insert(Id::Resource(id), Entity::Resource(key));
        key
    }

    pub(in crate::model) fn link_resource(&mut self, child: u64, parent: u64) {
        let Some(Entity::Resource(child)) = self.ids.get(&Id::Resource(child)).copied() else {
            return;
        };
        let parent = self.resource_or_placeholder(parent);
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

    pub(super) fn resource_or_placeholder(&mut self, id: u64) -> ResourceKey {
        match self.ids.get(&Id::Resource(id)) {
            Some(Entity::Resource(key)) => *key,
            _ => {
                self.retire(Id::Resource(id), self.now());
                self.quality.never_introduced += 1;
                self.insert_resource(id, None)
            }
        }
    }

    pub(in crate::model) fn resource_changed(
        &mut self,
        id: u64,
        created: Timestamp,
        dropped: Option<Timestamp>,
        attributes: Vec<Attribute>,
    ) {
        let key = match self.ids.get(&Id::Resource(id)) {
            Some(Entity::Resource(key)) if self.created(Id::Resource(id)) == Some(created) => *key,
            _ => {
                self.retire(Id::Resource(id), self.now());
                self.quality.never_introduced += 1;
                self.insert_resource(id, Some(created))
            }
        };
        let (now, newborn) = (self.now(), self.is_newborn(created));
        let lock = self.lock(key).and_then(|lock| self.resources.get(lock));
        let used = lock.is_some_and(|lock| !lock.ops.is_empty());
        let Some(resource) = self.resources.get_mut(key) else {
            return;
        };
        // Whoever uses it was introduced in the same update, before its first report.
        let fresh = newborn && !resource.placeholder && resource.first_seen == now && !used;
        resource.change(attributes, fresh, now);
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
