//! The target keeps masses of finished tasks for its feed, and pays for them in memory.

use std::time::Duration;

use super::{Detector, Needs, Timing};
use crate::detect::finding::{Fact, Family, Grade, Scope, Severity, Symptom};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::wording;
use crate::evidence::Evidence;

const TASKS: Setting = Setting::count("tasks", 10_000, "so many finished tasks are kept");

pub(super) static DETECTOR: Detector = Detector {
    id: "costly-retention",
    family: Family::Feed,
    grade: Grade::Proof,
    title: "the target keeps masses of finished tasks",
    explain: include_str!("../../../docs/detectors/costly-retention.md"),
    settings: &[TASKS],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(3),
        keep_firing: Duration::from_secs(30),
        window: Duration::from_secs(10),
    },
    needs: Needs::Counters,
    scan,
};

/// What console-subscriber 0.5 takes for a task that it keeps: two histograms of some 3,000 counters.
const BYTES_EACH: usize = 50_000;

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (retention, limit) = (model.target_retention(), settings.count(&TASKS));
    let kept = usize::try_from(retention.kept(model.now())).unwrap_or(usize::MAX);
    if kept < limit {
        return;
    }
    let reach = retention.reach();
    found.push(Symptom {
        severity: Severity::Info,
        grade: None,
        subject: wording::feed_subject(),
        summary: format!(
            "The target keeps about {kept} finished tasks for its feed (reported from {limit}), at some 50 kB each about {} of its memory: it \
             was seen to remember what ended {} ago.",
            wording::bytes(kept.saturating_mul(BYTES_EACH)),
            wording::duration(reach),
        ),
        evidence: vec![
            Fact::count("finished tasks kept, at least", "tasks", kept, Some(limit)),
            Fact::time("how long they are kept, at least", reach, None),
            Fact::count("memory that they take, about", "bytes", kept.saturating_mul(BYTES_EACH), None),
        ],
        related: Vec::new(),
        cause: None,
        recommendation: "Let the target forget sooner: console_subscriber's Builder::retention(Duration::from_secs(10)), or \
                         TOKIO_CONSOLE_RETENTION=10s in its environment where it uses the defaults. tokio-canary remembers by itself what it \
                         needs; only what ended before it attached gets lost."
            .to_owned(),
        class: Vec::new(),
        scope: Scope::default(),
        sustains_only: false,
    });
}
