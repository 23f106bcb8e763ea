//! Futures so large that Tokio put them into a box when they were spawned.

use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{DISABLED, Scoped};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::Site;
use crate::words;

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "boxed-future",
    family: Family::Size,
    grade: Grade::Proof,
    title: "futures were too large to be spawned as they are",
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
    doubt: None,
    scan,
};

fn scan(model: &Evidence<'_>, _settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, site) in model.sites().filter(|(_, site)| site.is_in_use(model.now())) {
        let (size, original) = site.id.sizes;
        let original_bytes = usize::try_from(original).unwrap_or(usize::MAX);
        if original > 0 && original != size {
            found.push(symptom(model, (key, site), original_bytes));
        }
    }
}

fn symptom(model: &Evidence<'_>, (key, site): (SiteKey, &Site), bytes: usize) -> Symptom {
    let live = site.live.len();
    let total = bytes.saturating_mul(live);
    Symptom {
        severity: Severity::Info,
        grade: None,
        subject: describe::site_subject(model, site, &[], live),
        summary: format!(
            "The futures of {} take {} each, so that Tokio moves every one to a box of its own before it spawns it; {} alive, which makes {}.",
            describe::site(site),
            words::bytes(bytes),
            describe::tasks_are(live),
            words::bytes(total),
        ),
        facts: vec![
            Fact::count("size of a future before it was boxed", "bytes", bytes),
            Fact::count("tasks alive", "tasks", live),
            Fact::count("memory of all of them", "bytes", total),
        ],
        related: Vec::new(),
        look_alikes: Vec::new(),
        cause: None,
        recommendation: format!(
            "Make the future smaller: keep large values in a Vec or a Box, drop them before an await, and put Box::pin around the calls of \
             large async functions inside it. It is a copy at each spawn and a longer poll, not a fault.{}",
            describe::library_hint(&site.id.location),
        ),
        class: Vec::new(),
        scope: Scope { sites: vec![key], ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    }
}
