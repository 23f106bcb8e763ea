//! The target keeps masses of finished tasks for its feed, and pays for them in memory.

use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::words;

static TASKS: Setting<usize> = Setting::new("tasks", 10_000, "so many finished tasks are kept");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "costly-retention",
    family: Family::Feed,
    grade: Grade::Proof,
    title: "the target keeps masses of finished tasks",
    explain: include_str!("../../../../docs/detectors/costly-retention.md"),
    settings: &[&TASKS],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(3),
        keep_firing: Duration::from_secs(30),
        window: Duration::from_secs(10),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: true,
    explained_by: &[],
    doubt: None,
    scan,
};

/// What console-subscriber 0.5 takes for a task that it keeps: two histograms of some 3,000 counters.
const BYTES_EACH: usize = 50_000;

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (retention, limit) = (model.target_retention(), settings.get(&TASKS));
    let kept = usize::try_from(retention.kept(model.now())).unwrap_or(usize::MAX);
    if kept < limit {
        return;
    }
    let reach = retention.reach();
    found.push(Symptom {
        severity: Severity::Info,
        grade: None,
        subject: describe::feed_subject(),
        summary: format!(
            "The target keeps about {kept} finished tasks for its feed (reported from {limit}), at some 50 kB each about {} of its memory: it \
             was seen to remember what ended {} ago.",
            words::bytes(kept.saturating_mul(BYTES_EACH)),
            words::duration(reach),
        ),
        facts: vec![
            Fact::count("finished tasks kept, at least", "tasks", kept).from(limit),
            Fact::time("how long they are kept, at least", reach),
            Fact::count("memory that they take, about", "bytes", kept.saturating_mul(BYTES_EACH)),
        ],
        related: Vec::new(),
        look_alikes: Vec::new(),
        cause: None,
        recommendation: "Let the target forget sooner: console_subscriber's Builder::retention(Duration::from_secs(10)), or \
                         TOKIO_CONSOLE_RETENTION=10s in its environment where it uses the defaults. tokio-canary remembers by itself what it \
                         needs; only what ended before it attached gets lost."
            .to_owned(),
        class: Vec::new(),
        scope: Scope::default(),
        strength: f64::INFINITY,
        since: None,
    });
}
