//! The feed tells less than the truth: events lost, late, or never sent.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::words;

static LAG: Setting<Duration> = Setting::new("lag", Duration::from_secs(2), "news of births may be this late");

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "partial-feed",
    family: Family::Feed,
    grade: Grade::Proof,
    title: "the feed is incomplete",
    explain: include_str!("../../../../docs/detectors/partial-feed.md"),
    settings: &[&LAG],
    timing: Timing {
        updates: 3,
        hold: Duration::from_secs(3),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(3),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: true,
    explained_by: &[Cause::of_all("quiet-feed")],
    doubt: Some("partial"),
    scan,
};

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    // Where updates are rare, news of a burst in between wait for the next one.
    let (quality, limit) = (model.quality(), settings.get(&LAG).max(2 * model.clock().interval()));
    let lag = quality.lag.filter(|lag| *lag >= limit);
    let lost = if quality.is_lossy(model.now()) { quality.dropped() } else { 0 };
    let mut reasons = Vec::new();
    if lost > 0 {
        reasons.push(format!("the target has dropped {lost} events because its buffer was full"));
    }
    if let Some(lag) = lag {
        let (lag, limit) = (words::duration(lag), words::duration(limit));
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
        subject: describe::feed_subject(),
        summary: format!(
            "The feed is incomplete: {}. What needs to have seen everything is not judged.",
            reasons.join(", and ")
        ),
        facts: vec![
            Fact::number("events dropped by the target", "events", as_number(quality.dropped())).from(0.0),
            Fact::time("lag of births", lag.unwrap_or_default()).from(limit),
            Fact::number("never introduced", "entities", as_number(quality.never_introduced)).from(0.0),
        ],
        related: Vec::new(),
        look_alikes: Vec::new(),
        cause: None,
        recommendation:
            "Give the target a larger event buffer (console_subscriber's Builder::event_buffer_capacity) and a shorter \
                         retention (Builder::retention, 60 s), and attach before the load begins. Leave the pump on."
                .to_owned(),
        class: Vec::new(),
        scope: Scope::default(),
        strength: f64::INFINITY,
        since: None,
    });
}

#[expect(clippy::cast_precision_loss, reason = "event counts stay far below 2^53")]
fn as_number(count: u64) -> f64 {
    count as f64
}
