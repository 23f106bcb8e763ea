//! Futures so large that Tokio put them into a box when they were spawned.

use std::time::Duration;

use super::{Detector, Needs, Timing};
use crate::detect::finding::{Fact, Family, Grade, Scope, Severity, Symptom};
use crate::detect::settings::{DISABLED, Scoped};
use crate::detect::wording;
use crate::evidence::Evidence;
use crate::model::SiteKey;
use crate::model::entity::site::Site;

pub(super) static DETECTOR: Detector = Detector {
    id: "boxed-future",
    family: Family::Size,
    grade: Grade::Proof,
    title: "futures were too large to be spawned as they are",
    explain: include_str!("../../../docs/detectors/boxed-future.md"),
    settings: &[DISABLED],
    timing: Timing {
        updates: 2,
        hold: Duration::ZERO,
        keep_firing: Duration::from_secs(60),
        window: Duration::from_secs(2),
    },
    needs: Needs::Counters,
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
        subject: wording::site_subject(model, site, &[], live),
        summary: format!(
            "The futures of {} take {} each, so that Tokio moves every one to a box of its own before it spawns it; {} alive, which makes {}.",
            wording::site(site),
            wording::bytes(bytes),
            wording::tasks_are(live),
            wording::bytes(total),
        ),
        evidence: vec![
            Fact::count("size of a future before it was boxed", "bytes", bytes, None),
            Fact::count("tasks alive", "tasks", live, None),
            Fact::count("memory of all of them", "bytes", total, None),
        ],
        related: Vec::new(),
        cause: None,
        recommendation: format!(
            "Make the future smaller: keep large values in a Vec or a Box, drop them before an await, and put Box::pin around the calls of \
             large async functions inside it. It is a copy at each spawn and a longer poll, not a fault.{}",
            wording::library_hint(&site.id.location),
        ),
        class: Vec::new(),
        scope: Scope { sites: vec![key], ..Scope::default() },
        sustains_only: false,
    }
}
