//! Who uses a lock or a queue: the spawn sites of its holders, senders and receivers.

use std::collections::BTreeSet;

use super::view::Evidence;
use crate::model::tokio::{AcquireKind, ResourceKind};
use crate::model::{ResourceKey, SiteKey};

/// This many of the last users of a queue, and of those that wait, are looked at.
const USERS: usize = 64;

impl Evidence<'_> {
    /// The spawn sites of tasks that put something into a queue or wait for room in it, as far as the feed says.
    pub fn senders(&self, queue: ResourceKey) -> BTreeSet<SiteKey> {
        self.users(queue, |of_channel, kind| of_channel || kind == AcquireKind::Send)
    }

    /// The spawn sites of tasks that took something out of a queue or wait for it, as far as the feed says.
    pub fn receivers(&self, queue: ResourceKey) -> BTreeSet<SiteKey> {
        self.users(queue, |of_channel, kind| !of_channel && kind != AcquireKind::Send)
    }

    /// The spawn sites of the tasks that acquired a lock last.
    pub fn recent_holders(&self, lock: ResourceKey) -> BTreeSet<SiteKey> {
        let grants = self.resource(lock).into_iter().flat_map(|lock| lock.grants.newest_first().take(USERS));
        grants.filter_map(|grant| grant.site).collect()
    }

    fn users(&self, queue: ResourceKey, takes_part: impl Fn(bool, AcquireKind) -> bool) -> BTreeSet<SiteKey> {
        let Some(it) = self.resource(queue) else { return BTreeSet::new() };
        let of_channel = it.kind == ResourceKind::Channel;
        let granted = it.grants.newest_first().take(USERS).filter(|grant| takes_part(of_channel, grant.kind));
        let waiting = self.waiters(queue).take(USERS).filter(|(_, op)| takes_part(of_channel, op.kind));
        let waiting = waiting.filter_map(|(_, op)| Some(self.task(op.task?)?.site));
        waiting.chain(granted.filter_map(|grant| grant.site)).collect()
    }
}
