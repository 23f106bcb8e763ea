//! The feed is there, but it shows no tasks, or nothing that tasks wait for.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::doubt::Doubt;
use crate::detect::settings::Scoped;
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::setup::{SHOW_RESOURCES, SHOW_TASKS};

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "not-instrumented",
    family: Family::Feed,
    grade: Grade::Proof,
    title: "the target is not fully instrumented",
    explain: include_str!("../../../../docs/detectors/not-instrumented.md"),
    settings: &[],
    timing: Timing {
        updates: 5,
        hold: Duration::from_secs(4),
        keep_firing: Duration::from_secs(2),
        window: Duration::from_secs(5),
        leave: 1.0,
    },
    needs: Needs::Nothing,
    recovers: true,
    explained_by: &[Cause::of_all("quiet-feed")],
    look_alikes: &[],
    doubt: Some((Severity::Warning, Doubt::NotInstrumented)),
    scan,
};

fn scan(evidence: &Evidence<'_>, _: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (tasks, resources) = evidence.ever_seen();
    let (severity, summary, advice) = if tasks == 0 {
        (
            Severity::Warning,
            "The target serves a console feed but shows no tasks: Tokio's instrumentation does not reach it.",
            SHOW_TASKS,
        )
    } else if resources == 0 {
        (
            Severity::Info,
            "The target shows tasks but no lock, channel or timer: waits for them cannot be seen.",
            SHOW_RESOURCES,
        )
    } else {
        return;
    };
    let symptom = Symptom::of_feed()
        .severity(severity)
        .summary(summary.to_owned())
        .because(Fact::count("tasks seen", "tasks", tasks).below(1))
        .because(Fact::count("resources seen", "resources", resources).below(1))
        .advice(advice);
    found.push(symptom);
}
