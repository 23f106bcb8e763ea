//! The connection stands, but nothing arrives: the process is stopped, or out of reach, or paused by another client.

use std::time::Duration;

use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::words;

static WARNING: Setting<Duration> =
    Setting::new("warning", Duration::from_secs(5), "silence of this length is a warning");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "quiet-feed",
    family: Family::Feed,
    grade: Grade::Proof,
    title: "nothing arrives from the target",
    explain: include_str!("../../../../docs/detectors/quiet-feed.md"),
    settings: &[&WARNING],
    timing: Timing {
        updates: 1,
        hold: Duration::ZERO,
        keep_firing: Duration::from_secs(2),
        window: Duration::ZERO,
        leave: 1.0,
    },
    needs: Needs::Nothing,
    recovers: true,
    explained_by: &[],
    doubt: Some("quiet"),
    scan,
};

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (quality, limit) = (model.quality(), settings.get(&WARNING));
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
                words::duration(silence),
                words::duration(limit),
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
        subject: describe::feed_subject(),
        summary,
        facts: vec![Fact::time("silence", silence).from(limit)],
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
