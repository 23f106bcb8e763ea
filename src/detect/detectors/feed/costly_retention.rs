//! The target retains too many finished tasks for its feed, and pays for them in memory.

use std::time::Duration;

use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::words;

static TASKS: Setting<usize> =
    Setting::new("tasks", 10_000, "minimum number of finished tasks that the target retains");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "costly-retention",
    family: Family::Feed,
    grade: Grade::Proof,
    title: "the target retains too many finished tasks",
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
    look_alikes: &[],
    doubt: None,
    scan,
};

/// What console-subscriber 0.5 needs for a task that it retains, measured: two histograms of some 3,000 counters. It decides a sentence.
const BYTES_EACH: usize = 50_000;

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    // Such a target keeps what ended within bounds of its own, in bytes.
    if evidence.process().is_some() {
        return;
    }
    let (retention, limit) = (evidence.target_retention(), settings.get(&TASKS));
    let kept = usize::try_from(retention.kept(evidence.now())).unwrap_or(usize::MAX);
    if kept < limit {
        return;
    }
    let (reach, memory) = (retention.reach(), kept.saturating_mul(BYTES_EACH));
    let symptom = Symptom::of_feed()
        .severity(Severity::Info)
        .summary(format!(
            "The target retains about {} for its feed (reported from {}), about {} of its memory. It still remembers what ended {} ago.",
            words::count(kept, "finished task"),
            limit,
            words::bytes(memory),
            words::duration(reach),
        ))
        .because(Fact::count("finished tasks retained, at least", "tasks", kept).from(limit))
        .because(Fact::time("how long they are retained, at least", reach))
        .because(Fact::count("memory that they take, about", "bytes", memory))
        .advice(
            "Shorten the retention: console_subscriber's Builder::retention(Duration::from_secs(60)), or TOKIO_CONSOLE_RETENTION=60s in the \
             environment where the service uses the defaults. tokio-canary remembers what it needs; what ended before it attached is lost.",
        );
    found.push(symptom);
}
