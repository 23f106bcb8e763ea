//! The longest waits at present, whatever the detectors say of them: what is waited for, by how many, how long, and who holds it.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::place::named_place;
use super::snapshot::Snapshot;
use crate::detect::describe;
use crate::model::time::Timestamp;
use crate::model::{ResourceKey, TaskKey};

/// Tasks that wait for resources of one kind from one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongWaitRow {
    /// The resource of the longest of these waits.
    pub resource: ResourceKey,
    /// Its type, as users know it.
    pub what: String,
    /// Where it was created, or who uses it; empty if that is not known.
    pub place: String,
    /// How many ops wait.
    pub waiters: usize,
    /// The age of the longest of these waits.
    pub age: Duration,
    /// Whose wait that is.
    pub waiter: TaskKey,
    /// Name and place of whoever holds it, as far as can be inferred.
    pub holder: Option<String>,
}

/// The longest waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LongWaits {
    /// The longest ones, longest first.
    pub rows: Vec<LongWaitRow>,
    /// How many more places there are where tasks wait.
    pub more: usize,
}

/// The waits for resources of one kind from one place.
struct Waits {
    count: usize,
    since: Timestamp,
    resource: ResourceKey,
    waiter: TaskKey,
}

impl Snapshot<'_> {
    /// The longest present waits for locks, permits, room in channels and messages, at most this many places; timers are left out.
    pub fn long_waits(&self, most: usize) -> LongWaits {
        let evidence = &self.evidence;
        let mut places: BTreeMap<(&str, &str), Waits> = BTreeMap::new();
        for (resource, it) in evidence.contested().filter(|(_, it)| !it.kind.is_timer()) {
            for (_, op) in evidence.waiters(resource) {
                // What no task is known to wait in belongs to the runtime, or to a thread.
                let Some(waiter) = op.task else { continue };
                let since = evidence.waiting_since(op);
                let first = Waits { count: 0, since, resource, waiter };
                let waits = places.entry((it.kind.as_str(), it.location.as_str())).or_insert(first);
                waits.count += 1;
                if since < waits.since {
                    *waits = Waits { count: waits.count, since, resource, waiter };
                }
            }
        }
        let mut waits: Vec<Waits> = places.into_values().collect();
        waits.sort_by_key(|it| (it.since, Reverse(it.count)));
        let more = waits.len().saturating_sub(most);
        waits.truncate(most);
        LongWaits { rows: waits.iter().filter_map(|it| self.long_wait(it)).collect(), more }
    }

    fn long_wait(&self, waits: &Waits) -> Option<LongWaitRow> {
        let evidence = &self.evidence;
        let holder = evidence.holders(waits.resource).first().and_then(|holder| evidence.task(holder.task));
        let site = holder.and_then(|task| evidence.site(task.site));
        Some(LongWaitRow {
            resource: waits.resource,
            what: describe::type_name(evidence.resource(waits.resource)?),
            place: describe::resource_location(evidence, waits.resource),
            waiters: waits.count,
            age: evidence.running_since(waits.since),
            waiter: waits.waiter,
            holder: site.map(|site| named_place(&site.id.name, site.id.location.as_str())),
        })
    }
}
