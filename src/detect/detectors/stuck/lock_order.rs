//! Two spawn sites that take the same two locks in opposite order: a deadlock that has not happened yet.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::lock_order::{LockId, LockOrder};
use crate::model::SiteKey;
use crate::words;

static TIMES: Setting<usize> = Setting::new("times", 2, "minimum number of times that each order was seen");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "lock-order",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "two sites acquire the same two locks in opposite order",
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
    look_alikes: &[],
    doubt: None,
    scan,
};

/// One spawn site's order of two locks.
type SiteOrder<'a> = (SiteKey, &'a LockOrder);

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let orders = evidence.lock_orders();
    let mut reported: BTreeSet<(&LockId, &LockId)> = BTreeSet::new();
    for ((outer, inner, site), one) in orders {
        let opposite = orders.iter().find(|((first, then, other), back)| {
            first == inner && then == outer && other != site && are_apart(settings, (*site, one), (*other, back))
        });
        let Some(((first, then, other), back)) = opposite else { continue };
        // A site that takes them both ways may run several futures in one task, which hold one lock each.
        let both_ways =
            |site: SiteKey, order: (&LockId, &LockId)| orders.contains_key(&(order.1.clone(), order.0.clone(), site));
        let doubtful = both_ways(*site, (outer, inner)) || both_ways(*other, (first, then));
        if !doubtful && outer < inner && reported.insert((outer, inner)) {
            found.extend(symptom(evidence, settings, (*site, one), (*other, back)));
        }
    }
}

/// Whether both orders were seen often enough, and not always inside one common lock.
fn are_apart(settings: Scoped<'_>, one: SiteOrder<'_>, other: SiteOrder<'_>) -> bool {
    let enough = settings.get(&TIMES);
    one.1.times >= enough && other.1.times >= enough && !one.1.shares_a_gate_with(other.1)
}

fn symptom(evidence: &Evidence<'_>, settings: Scoped<'_>, one: SiteOrder<'_>, other: SiteOrder<'_>) -> Option<Symptom> {
    let (first, second) = (evidence.site(one.0)?, evidence.site(other.0)?);
    let (outer, inner) = one.1.locks;
    let enough = settings.get(&TIMES);
    let symptom = Symptom::of_resource(evidence, outer, 2)
        .severity(Severity::Info)
        .class([
            evidence.resource_class(outer),
            evidence.resource_class(inner),
            evidence.site_class(one.0),
            evidence.site_class(other.0),
        ])
        .summary(format!(
            "Two sites acquire the same two locks in opposite order (reported from {}): {} holds the {} and acquires the {}, {} does the reverse. When \
             both acquire their first lock at the same time, they deadlock.",
            words::count(enough, "sighting"),
            describe::site(first),
            describe::resource(evidence, outer),
            describe::resource(evidence, inner),
            describe::site(second),
        ))
        .because(Fact::count("sightings of the one order", "sightings", one.1.times).from(enough))
        .because(Fact::count("sightings of the other order", "sightings", other.1.times).from(enough))
        .involving(describe::related_sites(evidence, &[one.0, other.0], Role::Holder))
        .involving([describe::related_resource(evidence, inner)])
        .advice(format!(
            "Acquire these locks in one order everywhere, or drop the first guard before acquiring the second, also across an await. If both are \
             always needed together, put what they protect under one lock.{}",
            describe::place_hint(evidence, outer),
        ))
        .touching([inner, other.1.locks.0, other.1.locks.1])
        .touching_sites([one.0, other.0]);
    Some(symptom)
}
