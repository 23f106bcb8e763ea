//! What makes a thing the same again in every scan, run and process: names and places, never ids, fixed when it is first seen.

use std::collections::BTreeMap;

use super::view::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::location::Location;
use crate::model::text::Text;
use crate::model::tokio::ResourceKind;
use crate::model::{Model, ResourceKey, SiteKey};

/// The spawn site by which a resource is known that has no place of its own: one made by `Default` has Tokio's source as its place, and a bounded
/// channel has none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct User {
    /// The name of its tasks; empty for tasks without one.
    pub name: Text,
    /// Where they were spawned.
    pub location: Location,
}

/// By what a resource is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity<'a> {
    /// The line that made it, or, for the semaphore inside a channel, the queue that it is part of.
    MadeAt(&'a Location),
    /// The first tasks that used it.
    UsedBy(&'a User),
    /// Nothing: it has no place, and nobody was seen to use it.
    Unknown,
}

impl Evidence<'_> {
    /// By what a resource is known.
    pub fn identity(&self, key: ResourceKey) -> Identity<'_> {
        match self.resource(key).and_then(|resource| self.own_place(resource)) {
            Some(place) => Identity::MadeAt(place),
            None => self.memory.users.get(&key).map_or(Identity::Unknown, |(user, _)| Identity::UsedBy(user)),
        }
    }

    /// What makes the findings about a resource the same again.
    pub fn resource_class(&self, key: ResourceKey) -> String {
        let kind = self.resource(key).map_or("", |resource| match resource.kind {
            ResourceKind::Other => &*resource.concrete_type,
            kind => kind.as_str(),
        });
        match self.identity(key) {
            Identity::MadeAt(place) => format!("{kind} {place}"),
            Identity::UsedBy(user) => format!("{kind} of {} {}", user.name, user.location),
            Identity::Unknown => kind.to_owned(),
        }
    }

    /// What makes the findings about the tasks of a spawn site the same again.
    pub fn site_class(&self, key: SiteKey) -> String {
        self.site(key).map_or_else(String::new, |site| format!("{} {}", site.id.name, site.id.location))
    }
}

/// The one of its users by which a resource is known; nothing as long as nobody has used it. Whether it is the last word: it is as soon as tasks of
/// a spawn site have used it twice, for whoever made it may have been the first to use it.
pub(super) fn best_user(model: &Model, resource: &Resource) -> Option<(User, bool)> {
    let ops = resource.ops.iter().filter_map(|op| Some(model.task(model.op(*op)?.task?)?.site));
    let mut uses: BTreeMap<SiteKey, usize> = BTreeMap::new();
    for site in ops.chain(resource.grants.newest_first().filter_map(|grant| grant.site)) {
        *uses.entry(site).or_default() += 1;
    }
    let several = uses.values().any(|uses| *uses > 1);
    let best = uses.iter().filter(|(_, uses)| **uses > 1 || !several).filter_map(|(site, _)| model.site(*site));
    let user = best.map(|site| User { name: site.id.name.clone(), location: site.id.location.clone() }).min()?;
    Some((user, several))
}
