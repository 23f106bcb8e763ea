//! Futures so large that Tokio boxed them when they were spawned.

use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{DISABLED, Scoped};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::words;

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "boxed-future",
    family: Family::Size,
    grade: Grade::Proof,
    title: "futures are so large that Tokio boxes them",
    explain: include_str!("../../../../docs/detectors/boxed-future.md"),
    settings: &[&DISABLED],
    timing: Timing {
        updates: 2,
        hold: Duration::ZERO,
        keep_firing: Duration::from_secs(60),
        window: Duration::from_secs(2),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: true,
    explained_by: &[],
    look_alikes: &[],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, _settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, site) in evidence.sites().filter(|(_, site)| site.is_in_use(evidence.now())) {
        let (size, original) = site.id.sizes;
        if original > 0 && original != size {
            let bytes = usize::try_from(original).unwrap_or(usize::MAX);
            found.push(symptom(evidence, (key, site), bytes));
        }
    }
}

fn symptom(evidence: &Evidence<'_>, (key, site): (SiteKey, &Site), bytes: usize) -> Symptom {
    let live = site.live.len();
    let total = bytes.saturating_mul(live);
    Symptom::of_site(evidence, key, &[], live)
        .severity(Severity::Info)
        .summary(format!(
            "The futures of {} take {} each, so Tokio boxes every one before it spawns it; {} {} alive, {} in total.",
            describe::tasks(site),
            words::bytes(bytes),
            words::count(live, "task"),
            words::agree(live, "is", "are"),
            words::bytes(total),
        ))
        .because(Fact::count("size of a future before it was boxed", "bytes", bytes))
        .because(Fact::count("tasks alive", "tasks", live))
        .because(Fact::count("memory of all of them", "bytes", total))
        .advice(format!(
            "Make the future smaller: keep large values in a Vec or a Box, drop them before an await, and put Box::pin around the calls of large \
             async functions inside it. It costs a copy at each spawn and a longer poll; it is not a fault.{}",
            describe::library_hint(&site.id.location),
        ))
}
