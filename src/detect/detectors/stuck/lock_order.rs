//! Two spawn sites that take the same two locks in opposite order: a deadlock that has not happened yet.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::evidence::lock_order::{LockId, LockOrder};
use crate::model::{ResourceKey, SiteKey};

static TIMES: Setting<usize> = Setting::new("times", 2, "each order must have been seen so often");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "lock-order",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "two sites take the same two locks in opposite order",
    explain: include_str!("../../../../docs/detectors/lock-order.md"),
    settings: &[&TIMES],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(5),
        window: Duration::from_secs(10),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: false,
    explained_by: &[Cause::involved("deadlock")],
    doubt: None,
    scan,
};

/// One spawn site's order of two locks.
type Way<'a> = (SiteKey, &'a LockOrder);

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let orders = model.lock_orders();
    let mut told: BTreeSet<(&LockId, &LockId)> = BTreeSet::new();
    for ((outer, inner, site), one) in orders {
        let opposite = orders.iter().find(|((first, then, other), back)| {
            first == inner && then == outer && other != site && are_apart(settings, (*site, one), (*other, back))
        });
        let Some(((first, then, other), back)) = opposite else { continue };
        // A site that takes them both ways may run several futures in one task, which hold one lock each.
        let both_ways =
            |site: SiteKey, order: (&LockId, &LockId)| orders.contains_key(&(order.1.clone(), order.0.clone(), site));
        let doubtful = both_ways(*site, (outer, inner)) || both_ways(*other, (first, then));
        if !doubtful && outer < inner && told.insert((outer, inner)) {
            found.extend(symptom(model, settings, (*site, one), (*other, back)));
        }
    }
}

/// Whether both orders were seen often enough, and not always inside one common lock.
fn are_apart(settings: Scoped<'_>, one: Way<'_>, other: Way<'_>) -> bool {
    let enough = settings.get(&TIMES);
    one.1.times >= enough && other.1.times >= enough && !one.1.shares_a_gate_with(other.1)
}

fn symptom(model: &Evidence<'_>, settings: Scoped<'_>, one: Way<'_>, other: Way<'_>) -> Option<Symptom> {
    let (first, second) = (model.site(one.0)?, model.site(other.0)?);
    let (outer, inner) = one.1.locks;
    let enough = settings.get(&TIMES);
    let places = [outer, inner].map(|lock| describe::resource_location(model, lock));
    let locks: Vec<ResourceKey> = [outer, inner, other.1.locks.0, other.1.locks.1].into();
    let mut sites = [first, second].map(|site| format!("{} {}", site.id.name, site.id.location));
    sites.sort();
    Some(Symptom {
        severity: Severity::Info,
        grade: None,
        subject: describe::resource_subject(model, outer, 2),
        summary: format!(
            "Two sites take the same two locks in opposite order: {} holds the {} and takes the {} ({} times seen), {} does it the other \
             way round ({} times seen, from {enough} on it counts). When both get their first lock at the same time, neither can go on unless a \
             timeout ends its wait.",
            describe::site(first),
            describe::resource(model, outer),
            describe::resource(model, inner),
            one.1.times,
            describe::site(second),
            other.1.times,
        ),
        facts: vec![
            Fact::count("sightings of the one order", "sightings", one.1.times).from(enough),
            Fact::count("sightings of the other order", "sightings", other.1.times).from(enough),
        ],
        related: vec![
            describe::related_site(first, Role::Holder),
            describe::related_site(second, Role::Holder),
            describe::related_resource(model, inner),
        ],
        look_alikes: Vec::new(),
        cause: None,
        recommendation: "Take these locks in one order everywhere, or drop the first guard before taking the second, also across an await. If \
                         both are always needed together, put what they protect under one lock."
            .to_owned(),
        class: places.into_iter().chain(sites).collect(),
        scope: Scope { resources: locks, sites: vec![one.0, other.0], ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    })
}
