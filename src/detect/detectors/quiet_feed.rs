//! The connection stands, but nothing arrives: the process is stopped, or out of reach, or paused by another client.

use std::time::Duration;

use super::{Detector, Needs, Timing};
use crate::detect::finding::{Fact, Family, Grade, Scope, Severity, Symptom};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::wording;
use crate::evidence::Evidence;

const WARNING: Setting = Setting::duration("warning", Duration::from_secs(5), "silence of this length is a warning");

pub(super) static DETECTOR: Detector = Detector {
    id: "quiet-feed",
    family: Family::Feed,
    grade: Grade::Proof,
    title: "nothing arrives from the target",
    explain: include_str!("../../../docs/detectors/quiet-feed.md"),
    settings: &[WARNING],
    timing: Timing { updates: 1, hold: Duration::ZERO, keep_firing: Duration::from_secs(2), window: Duration::ZERO },
    needs: Needs::Nothing,
    scan,
};

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (quality, limit) = (model.quality(), settings.duration(&WARNING));
    let silence = quality.quiet.unwrap_or_default();
    let (summary, recommendation) = if quality.paused {
        (
            "The target's feed is paused by some console client: nothing arrives until that client resumes it."
                .to_owned(),
            "Resume it in the tokio-console that paused it (space bar). While it is paused the target keeps everything in memory.",
        )
    } else if silence >= limit {
        (
            format!(
                "The target is connected but has sent nothing for {} (warning from {}): its process does not run, or cannot be reached.",
                wording::duration(silence),
                wording::duration(limit),
            ),
            "Look whether the process is stopped, swapped out or out of CPU quota, and whether the network path is up. A blocked runtime \
             is not the reason: the feed is served from a thread of its own.",
        )
    } else {
        return;
    };
    found.push(Symptom {
        severity: Severity::Warning,
        grade: None,
        subject: wording::feed_subject(),
        summary,
        evidence: vec![Fact::time("silence", silence, Some(limit))],
        related: Vec::new(),
        cause: None,
        recommendation: recommendation.to_owned(),
        class: Vec::new(),
        scope: Scope::default(),
        sustains_only: false,
    });
}
