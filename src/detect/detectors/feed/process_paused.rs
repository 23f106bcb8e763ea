//! The target's process did not run for a while: nothing that was slow meanwhile has a culprit in it.

use std::time::Duration;

use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::words;

static GAP: Setting<Duration> = Setting::new("gap", Duration::from_secs(1), "minimum length of a pause");
static WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(60), "time in which pauses are added up");
static SHARE: Setting<Share> = Setting::new("share", Share(0.2), "share of the window spent paused that is a warning");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "process-paused",
    family: Family::Feed,
    grade: Grade::Proof,
    title: "the process did not run for a while",
    explain: include_str!("../../../../docs/detectors/process-paused.md"),
    settings: &[&GAP, &WINDOW, &SHARE],
    timing: Timing {
        updates: 1,
        hold: Duration::ZERO,
        keep_firing: Duration::from_secs(2),
        window: Duration::from_secs(2),
        leave: 1.0,
    },
    needs: Needs::Nothing,
    recovers: true,
    explained_by: &[],
    look_alikes: &[],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (least, window, limit) = (settings.get(&GAP), settings.get(&WINDOW), settings.get(&SHARE));
    let from = evidence.now().minus(window);
    let pauses: Vec<_> = evidence.clock().gaps().filter(|gap| gap.to >= from && gap.length() >= least).collect();
    let Some(last) = pauses.last() else { return };
    let total: Duration = pauses.iter().map(|gap| gap.length()).sum();
    let share = total.as_secs_f64() / window.as_secs_f64().max(1.0);
    let symptom = Symptom::of_feed()
        .severity(if share >= limit.0 { Severity::Warning } else { Severity::Info })
        .summary(format!(
            "The target's process was paused for {}, {} ago ({} in the last {}). Delays from that pause are ignored.",
            words::duration(last.length()),
            words::duration(evidence.now().since(last.to)),
            words::duration(total),
            words::limit(window),
        ))
        .because(Fact::time("last pause", last.length()).from(least))
        .because(Fact::share("time paused", share).from(limit).over(window))
        .advice(
            "Look for a debugger, a suspended machine, a CPU limit that throttles the container, or a machine without free cores.",
        );
    found.push(symptom);
}
