//! The feed is there, but it shows no tasks, or nothing that tasks wait for.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::Scoped;
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "not-instrumented",
    family: Family::Feed,
    grade: Grade::Proof,
    title: "the target shows no tasks",
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
    doubt: Some("not_instrumented"),
    scan,
};

fn scan(model: &Evidence<'_>, _: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (tasks, resources) = model.ever_seen();
    let (severity, summary, recommendation) = if tasks == 0 {
        (
            Severity::Warning,
            "The target serves a console feed but shows no task at all: Tokio's own instrumentation does not reach it.",
            "Build the service with --cfg tokio_unstable and tokio's feature `tracing`, call console_subscriber::init() before the \
             runtime starts, let every filter pass tokio=trace and runtime=trace, and remove release_max_level_* features of tracing.",
        )
    } else if resources == 0 {
        (
            Severity::Info,
            "The target shows tasks but no lock, channel or timer: waits for them cannot be seen.",
            "If the service uses Tokio's locks or bounded channels, its filter drops their spans or it installs the subscriber late: let \
             filters pass runtime=trace, and call console_subscriber::init() before the runtime starts.",
        )
    } else {
        return;
    };
    found.push(Symptom {
        severity,
        grade: None,
        subject: describe::feed_subject(),
        summary: summary.to_owned(),
        facts: vec![
            Fact::count("tasks seen", "tasks", tasks).from(1),
            Fact::count("resources seen", "resources", resources).from(1),
        ],
        related: Vec::new(),
        look_alikes: Vec::new(),
        cause: None,
        recommendation: recommendation.to_owned(),
        class: Vec::new(),
        scope: Scope::default(),
        strength: f64::INFINITY,
        since: None,
    });
}
