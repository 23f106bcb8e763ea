//! The feed tells less than the truth: events lost, late, or never sent.

use std::time::Duration;

use super::{Detector, Needs, Timing};
use crate::detect::finding::{Fact, Family, Grade, Scope, Severity, Symptom};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::wording;
use crate::evidence::Evidence;

const LAG: Setting = Setting::duration("lag", Duration::from_secs(2), "news of births may be this late");

pub(super) static DETECTOR: Detector = Detector {
    id: "partial-feed",
    family: Family::Feed,
    grade: Grade::Proof,
    title: "the feed is incomplete",
    explain: include_str!("../../../docs/detectors/partial-feed.md"),
    settings: &[LAG],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(3),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(3),
    },
    needs: Needs::Counters,
    scan,
};

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    // Where updates are rare, news of a burst in between wait for the next one.
    let (quality, limit) = (model.quality(), settings.duration(&LAG).max(2 * model.clock().interval()));
    let lag = quality.lag.filter(|lag| *lag >= limit);
    let lost = if quality.is_lossy(model.now()) { quality.dropped() } else { 0 };
    let mut reasons = Vec::new();
    if lost > 0 {
        reasons.push(format!("the target has dropped {lost} events because its buffer was full"));
    }
    if let Some(lag) = lag {
        let (lag, limit) = (wording::duration(lag), wording::duration(limit));
        reasons.push(format!("news of new tasks and waits arrive {lag} late (accepted: {limit})"));
    }
    if quality.never_introduced > 0 {
        reasons.push(format!("{} tasks, resources or ops were never introduced", quality.never_introduced));
    }
    if quality.malformed > 0 {
        reasons.push(format!("{} parts of messages made no sense", quality.malformed));
    }
    if reasons.is_empty() {
        return;
    }
    found.push(Symptom {
        severity: Severity::Info,
        grade: None,
        subject: wording::feed_subject(),
        summary: format!(
            "The feed is incomplete: {}. What needs to have seen everything is not judged.",
            reasons.join(", and ")
        ),
        evidence: vec![
            Fact::number("events dropped by the target", "events", as_number(quality.dropped()), Some(0.0)),
            Fact::time("lag of births", lag.unwrap_or_default(), Some(limit)),
            Fact::number("never introduced", "entities", as_number(quality.never_introduced), Some(0.0)),
        ],
        related: Vec::new(),
        cause: None,
        recommendation:
            "Give the target a larger event buffer (console_subscriber's Builder::event_buffer_capacity) and a shorter \
                         retention (Builder::retention, 60 s), and attach before the load begins. Leave the pump on."
                .to_owned(),
        class: Vec::new(),
        scope: Scope::default(),
        sustains_only: false,
    });
}

#[expect(clippy::cast_precision_loss, reason = "event counts stay far below 2^53")]
fn as_number(count: u64) -> f64 {
    count as f64
}
