//! The structure of a target as it shows while it is watched: what there is, and whether and how often it was exercised.

use std::collections::BTreeMap;
use std::time::Duration;

use super::item::{Item, Thing, Who};
use crate::evidence::Evidence;
use crate::evidence::lock_order::LockOrder;
use crate::model::ResourceKey;
use crate::model::entity::resource::Resource;
use crate::model::entity::site::Site;
use crate::model::time::Timestamp;

/// Parts that are kept; what is beyond that is counted.
const MOST: usize = 8_192;

/// What a process does only this soon after its start may be part of starting.
const STARTING: Duration = Duration::from_secs(30);

/// How a part of the structure was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exercise {
    /// How often, at least; zero for what is only there.
    pub times: u64,
    /// Whether also when the process had been started for a while.
    pub is_lasting: bool,
}

/// The structure of a target, over all its processes.
#[derive(Debug, Clone, Default)]
pub struct Structure {
    items: BTreeMap<Item, Exercise>,
    left_out: u64,
    /// Resources that were made before have been looked at.
    looked_at: Timestamp,
    epoch: u32,
}

impl Structure {
    /// The parts, sorted, and how each was exercised.
    pub fn items(&self) -> impl ExactSizeIterator<Item = (&Item, &Exercise)> {
        self.items.iter()
    }

    /// How a part was exercised, if it is there.
    pub fn get(&self, item: &Item) -> Option<&Exercise> {
        self.items.get(item)
    }

    /// How many parts were left out, because there were too many.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Adds what shows now. Costs what is new or in use, and a look at every resource.
    pub fn observe(&mut self, evidence: &Evidence<'_>) {
        let now = evidence.now();
        if self.epoch != evidence.epoch() {
            (self.epoch, self.looked_at) = (evidence.epoch(), Timestamp::default());
        }
        let is_started = now.since(evidence.birth()) > STARTING;
        self.observe_sites(evidence, is_started);
        let since = std::mem::replace(&mut self.looked_at, now);
        for (_, resource) in evidence.resources().filter(|(_, it)| it.first_seen >= since) {
            self.observe_resource(evidence, resource, is_started);
        }
        for (_, resource) in evidence.contested() {
            self.observe_resource(evidence, resource, is_started);
        }
        for (place, total) in evidence.totals().waits.rows().filter(|(_, total)| !total.waited(now).is_zero()) {
            if place.name.is_empty() && place.spawned_at.is_unknown() {
                continue;
            }
            let made_at = Some(&place.made_at).filter(|it| !it.is_unknown());
            let thing = Thing::new(place.kind.as_str(), "", made_at);
            let who = Who::new(&place.name, &place.spawned_at);
            let is_waiting = !total.waited(now).is_zero();
            self.note(Item::Waits { who, thing }, u64::from(is_waiting), is_started);
        }
        self.observe_orders(evidence, is_started);
    }

    fn observe_sites(&mut self, evidence: &Evidence<'_>, is_started: bool) {
        let mut born: BTreeMap<Item, (u64, bool)> = BTreeMap::new();
        for (_, site) in evidence.sites() {
            if let Some(item) = Item::of_site(site) {
                let known = born.entry(item).or_default();
                known.0 += site.born;
                known.1 |= !site.live.is_empty();
            }
        }
        for (item, (times, is_alive)) in born {
            let before = self.get(&item).map_or(0, |known| known.times);
            self.note(item, times, is_started && (is_alive || times > before));
        }
    }

    fn observe_resource(&mut self, evidence: &Evidence<'_>, resource: &Resource, is_started: bool) {
        if let Some(thing) = Thing::of(evidence, resource).filter(Thing::is_placed) {
            let times = resource.grants.total().max(u64::from(!resource.ops.is_empty()));
            self.note(Item::Makes(thing), times, is_started && resource.dropped.is_none());
        }
    }

    /// The orders in which locks are taken, of those whose locks are still known.
    fn observe_orders(&mut self, evidence: &Evidence<'_>, is_started: bool) {
        let mut seen: BTreeMap<Item, u64> = BTreeMap::new();
        for ((_, _, site), order) in evidence.lock_orders() {
            let LockOrder { locks: (outer, inner), times, .. } = order;
            let locks = thing(evidence, *outer).zip(thing(evidence, *inner));
            if let Some((site, (outer, inner))) = evidence.site(*site).zip(locks) {
                let who = who(site);
                *seen.entry(Item::Nests { who, outer, inner }).or_default() +=
                    u64::try_from(*times).unwrap_or(u64::MAX);
            }
        }
        for ((outer, inner, site), order) in evidence.lock_orders() {
            let reverse = evidence.lock_orders().iter().filter(|((first, then, _), _)| first == inner && then == outer);
            for ((_, _, opposite), other) in reverse.filter(|(_, other)| !order.shares_a_gate_with(other)) {
                let (one, two) = (evidence.site(*site), evidence.site(*opposite));
                let locks = thing(evidence, order.locks.0).zip(thing(evidence, order.locks.1));
                if let Some(((one, two), locks)) = one.zip(two).zip(locks) {
                    let item = Item::inverts(who(one), who(two), locks);
                    let times = order.times.min(other.times);
                    seen.insert(item, u64::try_from(times).unwrap_or(u64::MAX));
                }
            }
        }
        seen.into_iter().for_each(|(item, times)| self.note(item, times, is_started));
    }

    fn note(&mut self, item: Item, times: u64, is_lasting: bool) {
        if self.items.len() >= MOST && !self.items.contains_key(&item) {
            self.left_out += 1;
            return;
        }
        let known = self.items.entry(item).or_default();
        known.times = known.times.max(times);
        known.is_lasting |= is_lasting;
    }

    /// Adds the parts of another target; what both exercised adds up.
    pub fn join(&mut self, other: &Self) {
        for (item, exercise) in &other.items {
            let known = self.items.entry(item.clone()).or_default();
            known.times = known.times.saturating_add(exercise.times);
            known.is_lasting |= exercise.is_lasting;
        }
        self.left_out += other.left_out;
    }
}

/// What a resource is, if it is still known.
fn thing(evidence: &Evidence<'_>, key: ResourceKey) -> Option<Thing> {
    Thing::of(evidence, evidence.resource(key)?)
}

fn who(site: &Site) -> Who {
    Who::new(&site.id.name, &site.id.location)
}
