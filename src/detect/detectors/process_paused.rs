//! The target's process did not run for a while: nothing that was slow meanwhile has a culprit in it.

use std::time::Duration;

use super::{Detector, Needs, Timing};
use crate::detect::finding::{Fact, Family, Grade, Scope, Severity, Symptom};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::wording;
use crate::evidence::Evidence;

const GAP: Setting = Setting::duration("gap", Duration::from_secs(1), "a stop of this length is worth telling");
const WINDOW: Setting = Setting::duration("window", Duration::from_secs(60), "stops of so long a time are added up");
const SHARE: Setting = Setting::number("share", 0.2, "stops that add up to this share of the window are a warning");

pub(super) static DETECTOR: Detector = Detector {
    id: "process-paused",
    family: Family::Feed,
    grade: Grade::Proof,
    title: "the process did not run for a while",
    explain: include_str!("../../../docs/detectors/process-paused.md"),
    settings: &[GAP, WINDOW, SHARE],
    timing: Timing {
        updates: 1,
        hold: Duration::ZERO,
        keep_firing: Duration::from_secs(2),
        window: Duration::from_secs(2),
    },
    needs: Needs::Nothing,
    scan,
};

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (least, window) = (settings.duration(&GAP), settings.duration(&WINDOW));
    let from = model.now().minus(window);
    let gaps: Vec<_> = model.clock().gaps().filter(|gap| gap.to >= from && gap.length() >= least).collect();
    let (Some(last), total) = (gaps.last(), gaps.iter().map(|gap| gap.length()).sum::<Duration>()) else {
        return;
    };
    let share = total.as_secs_f64() / window.as_secs_f64().max(1.0);
    let limit = settings.number(&SHARE);
    found.push(Symptom {
        severity: if share >= limit { Severity::Warning } else { Severity::Info },
        grade: None,
        subject: wording::feed_subject(),
        summary: format!(
            "The target's process did not run for {}, {} ago ({} in the last {}): what was slow then is not held against its code.",
            wording::duration(last.length()),
            wording::duration(model.now().since(last.to)),
            wording::duration(total),
            wording::duration(window),
        ),
        evidence: vec![
            Fact::time("last stop", last.length(), Some(least)),
            Fact::number("share of time stopped", "ratio", share, Some(limit)).over(window),
        ],
        related: Vec::new(),
        cause: None,
        recommendation: "Look for a debugger, a suspended machine, a CPU limit that throttles the container, or a machine without free \
                         cores."
            .to_owned(),
        class: Vec::new(),
        scope: Scope::default(),
        sustains_only: false,
    });
}
