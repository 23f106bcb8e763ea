//! The connection stands, but nothing arrives: the process is stopped, unreachable, or its feed is paused by another client.

use std::time::Duration;

use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::doubt::Doubt;
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::words;

static WARNING: Setting<Duration> = Setting::new("warning", Duration::from_secs(5), "minimum time without an update");

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
    look_alikes: &[],
    doubt: Some((Severity::Info, Doubt::Quiet)),
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let (quality, limit) = (evidence.quality(), settings.get(&WARNING));
    let silence = quality.quiet.unwrap_or_default();
    let (summary, advice) = if quality.paused {
        (
            "A console client has paused the target's feed: nothing arrives until it resumes it.".to_owned(),
            "Resume it in the tokio-console that paused it (space bar). While it is paused, the target keeps everything in memory.",
        )
    } else if silence >= limit {
        (
            format!(
                "The target is connected but has sent nothing for {} (warning from {}): its process is stopped or unreachable.",
                words::duration(silence),
                words::limit(limit),
            ),
            "Check whether the process is stopped, swapped out or out of CPU quota, and whether the network path is up. A blocked runtime is not \
             the reason: the feed is served from a thread of its own.",
        )
    } else {
        return;
    };
    let symptom =
        Symptom::of_feed().summary(summary).because(Fact::time("silence", silence).from(limit)).advice(advice);
    found.push(symptom);
}
