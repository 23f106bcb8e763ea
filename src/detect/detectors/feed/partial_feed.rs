//! The feed reports less than the truth: events dropped, late, or never sent.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{CATCH_UP, Detector, Needs, Timing};
use crate::detect::doubt::Doubt;
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::numbers::number;
use crate::model::health::lag::Outlook;
use crate::model::health::quality::LOSS_LASTS;
use crate::words;

static LAG: Setting<Duration> = Setting::new(
    "lag",
    Duration::from_secs(2),
    "time by which new tasks and waits may be reported late; never less than two publish intervals",
);

/// New tasks are counted over this time.
const LATELY: Duration = Duration::from_secs(10);

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
    look_alikes: &[],
    doubt: Some((Severity::Info, Doubt::Partial)),
    scan,
};

/// What helps if a task spins.
const END_SPIN: &str = "Fix the task that spins: it would fill an event buffer of any size.";

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    // Where updates are rare, a burst in between is reported with the next one.
    let (quality, limit) = (evidence.quality(), settings.get(&LAG).max(2 * evidence.clock().interval()));
    let lag = quality.lag.filter(|lag| *lag >= limit);
    let outlook = quality.lag_trend.outlook().filter(|_| lag.is_some());
    let lost = if quality.is_lossy(evidence.now()) { quality.dropped() } else { 0 };
    let mut reasons = Vec::new();
    if lost > 0 {
        let events = words::count(usize::try_from(lost).unwrap_or(usize::MAX), "event");
        reasons.push(format!("the target dropped {events} because its buffer was full"));
    }
    if let Some(lag) = lag {
        let (lag, limit) = (words::duration(lag), words::limit(limit));
        let outlook = outlook.map_or_else(String::new, |it| format!("; {}", describe::outlook(it)));
        reasons.push(format!("new tasks and waits are reported {lag} late (limit {limit}{outlook})"));
    }
    if quality.never_introduced > 0 {
        let count = usize::try_from(quality.never_introduced).unwrap_or(usize::MAX);
        let (entities, were) = (words::count(count, "entity"), words::agree(count, "was", "were"));
        reasons.push(format!("{entities} (tasks, resources, async ops) {were} never introduced"));
    }
    if quality.malformed > 0 {
        let count = usize::try_from(quality.malformed).unwrap_or(usize::MAX);
        let (parts, were) = (words::count(count, "malformed part"), words::agree(count, "was", "were"));
        reasons.push(format!("{parts} of messages {were} left out"));
    }
    if reasons.is_empty() {
        return;
    }
    let is_flooded = lost > 0 || lag.is_some();
    let spin = spin(evidence).filter(|_| is_flooded);
    let advice = if spin.is_some() { END_SPIN } else { advice(outlook, is_flooded && lost == 0) };
    let symptom = Symptom::of_feed()
        .severity(Severity::Info)
        .summary(format!("The feed is incomplete: {}. {}", reasons.join("; "), consequence(lost > 0, lag.is_some())))
        .because(Fact::number("events dropped by the target", "events", number(quality.dropped())).from(1.0))
        .because(Fact::time("lag of new tasks and waits", lag.unwrap_or_default()).from(limit))
        .because(Fact::number("never introduced", "entities", number(quality.never_introduced)).from(1.0))
        .cause(spin.or_else(|| flood(evidence).filter(|_| is_flooded)))
        .advice(advice);
    found.push(symptom);
}

/// Whose task spins, and floods the feed with that.
fn spin(evidence: &Evidence<'_>) -> Option<String> {
    let site = evidence.spinning_site(LATELY)?;
    Some(format!("{} spins, and every turn of its loop is an event.", describe::some_of(site, 1)))
}

/// Whose tasks flood the feed.
fn flood(evidence: &Evidence<'_>) -> Option<String> {
    let (site, born, share) = evidence.flooding_site(LATELY)?;
    let tasks = describe::some_of(site, usize::try_from(born).unwrap_or(usize::MAX));
    let (time, share) = (words::limit(LATELY), words::percent(share));
    Some(format!("Much of the feed is about {tasks} that it reported in the last {time}, {share} of all new tasks."))
}

/// What the detectors make of it: those that need complete data.
fn consequence(is_lossy: bool, is_late: bool) -> String {
    match (is_lossy, is_late) {
        (true, _) => {
            let limit = words::limit(LOSS_LASTS);
            format!("Detectors that need complete data are off until {limit} after the last loss.")
        }
        (false, true) => {
            let limit = words::limit(CATCH_UP);
            format!(
                "Detectors that need complete data start once it has caught up, or {limit} after attaching; findings come that much later."
            )
        }
        (false, false) => "Problems there may go unnoticed.".to_owned(),
    }
}

/// What helps a feed that lags, or has lost something, if no task spins.
fn advice(outlook: Option<Outlook>, only_lags: bool) -> &'static str {
    match outlook {
        Some(Outlook::CatchesUp(_)) if only_lags => {
            "Wait until the target has caught up, or attach before the load begins."
        }
        Some(Outlook::FallsBehind(_)) if only_lags => {
            "The target has more events than console-subscriber hands over. Shorten the retention (Builder::retention, 60 s), so that it \
             hands them over faster, or instrument one instance and send it a share of the traffic."
        }
        _ => {
            "Give the target a larger event buffer (console_subscriber's Builder::event_buffer_capacity) and a retention of 60 s \
             (Builder::retention), and attach before the load begins."
        }
    }
}
