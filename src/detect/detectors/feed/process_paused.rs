//! The target's process did not run for a while: nothing that was slow meanwhile has a culprit in it.

use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::words;

static GAP: Setting<Duration> = Setting::new("gap", Duration::from_secs(1), "a stop of this length is worth telling");
static WINDOW: Setting<Duration> =
    Setting::new("window", Duration::from_secs(60), "stops of so long a time are added up");
static SHARE: Setting<Share> =
    Setting::new("share", Share(0.2), "stops that add up to this share of the window are a warning");

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
    doubt: None,
    scan,
};

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (least, window) = (settings.get(&GAP), settings.get(&WINDOW));
    let from = model.now().minus(window);
    let gaps: Vec<_> = model.clock().gaps().filter(|gap| gap.to >= from && gap.length() >= least).collect();
    let (Some(last), total) = (gaps.last(), gaps.iter().map(|gap| gap.length()).sum::<Duration>()) else {
        return;
    };
    let share = total.as_secs_f64() / window.as_secs_f64().max(1.0);
    let limit = settings.get(&SHARE).0;
    found.push(Symptom {
        severity: if share >= limit { Severity::Warning } else { Severity::Info },
        grade: None,
        subject: describe::feed_subject(),
        summary: format!(
            "The target's process did not run for {}, {} ago ({} in the last {}): what was slow then is not held against its code.",
            words::duration(last.length()),
            words::duration(model.now().since(last.to)),
            words::duration(total),
            words::duration(window),
        ),
        facts: vec![
            Fact::time("last stop", last.length()).from(least),
            Fact::share("share of time stopped", share).from(limit).over(window),
        ],
        related: Vec::new(),
        look_alikes: Vec::new(),
        cause: None,
        recommendation: "Look for a debugger, a suspended machine, a CPU limit that throttles the container, or a machine without free \
                         cores."
            .to_owned(),
        class: Vec::new(),
        scope: Scope::default(),
        strength: f64::INFINITY,
        since: None,
    });
}
