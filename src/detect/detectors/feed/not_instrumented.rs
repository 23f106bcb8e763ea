//! The feed is there, but it shows no tasks, or nothing that tasks wait for.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::doubt::Doubt;
use crate::detect::settings::Scoped;
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;

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
            "Build the service with --cfg tokio_unstable and Tokio's feature `tracing`, call console_subscriber::init() before the runtime \
             starts, let every filter pass tokio=trace and runtime=trace, and remove release_max_level_* features of tracing.",
        )
    } else if resources == 0 {
        (
            Severity::Info,
            "The target shows tasks but no lock, channel or timer: waits for them cannot be seen.",
            "If the service uses Tokio's locks or bounded channels, a filter drops their spans or the subscriber is installed late: let filters \
             pass runtime=trace, and call console_subscriber::init() before the runtime starts.",
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
