//! The structure of a target as it shows while it is watched: what there is, and whether and how often it was exercised.

use std::collections::BTreeMap;
use std::time::Duration;

use super::item::{Item, Thing, Who};
use crate::evidence::Evidence;
use crate::model::ResourceKey;
use crate::model::entity::resource::Resource;
use crate::model::entity::site::Site;
use crate::model::location::Location;
use crate::model::time::Timestamp;

/// Parts that are kept. Where there are more, what is not listed may be there all the same.
const MOST: usize = 8_192;

/// What a process does only this soon after its start may be part of starting.
const STARTING: Duration = Duration::from_secs(30);

/// How a part of the structure was used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exercise {
    /// How often, at least; zero for what is only there.
    pub times: u64,
    /// Whether also when the process had been started for a while.
    pub is_lasting: bool,
    /// A place of it with its line, which moves from one version to the next.
    pub place: Option<Location>,
}

/// The structure of a target, over all its processes.
#[derive(Debug, Clone, Default)]
pub struct Structure {
    items: BTreeMap<Item, Exercise>,
    is_full: bool,
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

    /// Whether parts were left out, because there are too many.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Adds what shows now. Costs what is new or in use, and a look at every resource.
    pub fn observe(&mut self, evidence: &Evidence<'_>) {
        let now = evidence.now();
        if self.epoch != evidence.epoch() {
            (self.epoch, self.looked_at) = (evidence.epoch(), Timestamp::default());
        }
        let is_started = is_after_start(evidence, now);
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
            // A total never falls, so that it says nothing of when.
            let is_lasting = (is_started && total.is_waiting()) || is_after_start(evidence, total.changed());
            self.note(Item::Waits { who, thing }, 1, is_lasting, &place.spawned_at);
        }
        self.observe_orders(evidence);
    }

    fn observe_sites(&mut self, evidence: &Evidence<'_>, is_started: bool) {
        let mut born: BTreeMap<Item, (u64, bool, &Location)> = BTreeMap::new();
        for (_, site) in evidence.sites() {
            if let Some(item) = Item::of_site(site) {
                let known = born.entry(item).or_insert((0, false, &site.id.location));
                known.0 += site.born;
                known.1 |= !site.live.is_empty();
            }
        }
        for (item, (times, is_alive, place)) in born {
            let before = self.get(&item).map_or(0, |known| known.times);
            self.note(item, times, is_started && (is_alive || times > before), place);
        }
    }

    fn observe_resource(&mut self, evidence: &Evidence<'_>, resource: &Resource, is_started: bool) {
        if let Some(thing) = Thing::of(evidence, resource).filter(Thing::is_placed) {
            let times = resource.grants.total().max(u64::from(!resource.ops.is_empty()));
            self.note(Item::Makes(thing), times, is_started && resource.dropped.is_none(), &resource.location);
        }
    }

    /// The orders in which locks are taken, of those whose locks are still known.
    fn observe_orders(&mut self, evidence: &Evidence<'_>) {
        let mut seen: BTreeMap<Item, (u64, bool, &Location)> = BTreeMap::new();
        let count = |times: usize| u64::try_from(times).unwrap_or(u64::MAX);
        for ((_, _, site), order) in evidence.lock_orders() {
            let locks = thing(evidence, order.locks.0).zip(thing(evidence, order.locks.1));
            if let Some((site, (outer, inner))) = evidence.site(*site).zip(locks) {
                let known = seen.entry(Item::Nests { who: who(site), outer, inner });
                let known = known.or_insert((0, false, &site.id.location));
                known.0 += count(order.times);
                known.1 |= is_after_start(evidence, order.last);
            }
        }
        for ((outer, inner, site), order) in evidence.lock_orders() {
            let reverse = evidence.lock_orders().iter().filter(|((first, then, _), _)| first == inner && then == outer);
            for ((_, _, opposite), other) in reverse.filter(|(_, other)| !order.shares_a_gate_with(other)) {
                let (one, two) = (evidence.site(*site), evidence.site(*opposite));
                let locks = thing(evidence, order.locks.0).zip(thing(evidence, order.locks.1));
                if let Some(((one, two), locks)) = one.zip(two).zip(locks) {
                    let known = seen.entry(Item::inverts(who(one), who(two), locks));
                    let known = known.or_insert((0, false, &one.id.location));
                    known.0 = known.0.max(count(order.times.min(other.times)));
                    known.1 |= is_after_start(evidence, order.last.min(other.last));
                }
            }
        }
        seen.into_iter().for_each(|(item, (times, is_lasting, place))| self.note(item, times, is_lasting, place));
    }

    fn note(&mut self, item: Item, times: u64, is_lasting: bool, place: &Location) {
        if self.items.len() >= MOST && !self.items.contains_key(&item) {
            self.is_full = true;
            return;
        }
        let known = self.items.entry(item).or_default();
        known.times = known.times.max(times);
        known.is_lasting |= is_lasting;
        if known.place.is_none() && !place.is_unknown() {
            known.place = Some(place.clone());
        }
    }

    /// Adds the parts of another target; what both exercised adds up.
    pub fn join(&mut self, other: &Self) {
        for (item, exercise) in &other.items {
            let known = self.items.entry(item.clone()).or_default();
            known.times = known.times.saturating_add(exercise.times);
            known.is_lasting |= exercise.is_lasting;
            known.place = known.place.take().or_else(|| exercise.place.clone());
        }
        self.is_full |= other.is_full;
    }
}

/// Whether a time is later than what may be part of starting.
fn is_after_start(evidence: &Evidence<'_>, at: Timestamp) -> bool {
    at.since(evidence.birth()) > STARTING
}

/// What a resource is, if it is still known.
fn thing(evidence: &Evidence<'_>, key: ResourceKey) -> Option<Thing> {
    Thing::of(evidence, evidence.resource(key)?)
}

fn who(site: &Site) -> Who {
    Who::new(&site.id.name, &site.id.location)
}
