//! Large futures: every task of a site is a block of memory of this size.

use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{DISABLED, Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::model::tokio::TaskKind;
use crate::words;

static BYTES: Setting<usize> = Setting::new("bytes", 1_024, "minimum size of a future, in bytes");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "large-future",
    family: Family::Size,
    grade: Grade::Proof,
    title: "the futures of tasks are large",
    explain: include_str!("../../../../docs/detectors/large-future.md"),
    settings: &[&DISABLED, &BYTES],
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

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let in_use = |site: &Site| site.id.kind != TaskKind::Blocking && site.is_in_use(evidence.now());
    for (key, site) in evidence.sites().filter(|(_, site)| in_use(site)) {
        // What was moved to the heap for its size is as large as before.
        let bytes = usize::try_from(site.id.sizes.0.max(site.id.sizes.1)).unwrap_or(usize::MAX);
        if bytes >= settings.get(&BYTES) {
            found.push(symptom(evidence, settings, (key, site), bytes));
        }
    }
}

fn symptom(evidence: &Evidence<'_>, settings: Scoped<'_>, (key, site): (SiteKey, &Site), bytes: usize) -> Symptom {
    let (limit, live) = (settings.get(&BYTES), site.live.len());
    let total = bytes.saturating_mul(live);
    Symptom::of_site(evidence, key, &[], live)
        .severity(Severity::Info)
        .summary(format!(
            "The futures of {} take {} each (reported from {}); {} {} alive, {} in total.",
            describe::tasks(site),
            words::bytes(bytes),
            words::bytes(limit),
            words::count(live, "task"),
            words::agree(live, "is", "are"),
            words::bytes(total),
        ))
        .because(Fact::count("size of a future", "bytes", bytes).from(limit))
        .because(Fact::count("tasks alive", "tasks", live))
        .because(Fact::count("memory of all of them", "bytes", total))
        .advice(format!(
            "Look for what lives across an await: arrays and buffers (use a Vec), a large value that could be dropped before, and calls of \
             large async functions (put Box::pin around them).{}",
            describe::library_hint(&site.id.location),
        ))
}
