//! A comparison as a line of ndjson, schema `tokio-canary.events/v1`.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::ndjson::{SCHEMA, time, written};
use crate::fleet::Fleet;
use crate::report::comparison::{ComparisonView, DifferenceView, SideView};

/// The line for a comparison of the targets of a fleet, without its end.
pub fn comparison_line(view: &ComparisonView, fleet: &Fleet) -> String {
    let arrived = fleet.members().filter_map(|member| member.diagnosis().arrived());
    let at = arrived.max().unwrap_or(SystemTime::UNIX_EPOCH);
    let reasons: Vec<_> = view.reasons.iter().map(|(word, _)| *word).collect();
    written(&json!({
        "type": "comparison",
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "at": time(at),
        "verdict": view.verdict,
        "exit_code": view.exit_code,
        "summary": view.sentence,
        "inconclusive_because": reasons,
        "unit": view.unit,
        "canary": side(&view.canary),
        "stable": side(&view.stable),
        "load_ratio": view.load_ratio,
        "compared": view.compared,
        "not_compared": view.not_compared,
        "differences": view.differences.iter().map(difference).collect::<Vec<_>>(),
    }))
}

fn side(side: &SideView) -> Value {
    json!({
        "targets": side.targets,
        "joined_later": side.late,
        "left": side.taken_away,
        "watched_s": side.watched.as_secs_f64(),
        "blocks": side.blocks,
        "tasks_started_per_s": side.started,
        "polls_per_s": side.polls,
    })
}

fn difference(it: &DifferenceView) -> Value {
    json!({
        "kind": it.kind,
        "counts": it.counts,
        "name": it.name,
        "subject": it.subject,
        "fingerprint": it.fingerprint,
        "location": it.location,
        "summary": it.summary,
        "details": it.details,
        "canary": it.numbers.as_ref().map(|it| it.canary),
        "stable": it.numbers.as_ref().map(|it| it.stable),
        "unit": it.numbers.as_ref().map(|it| it.unit),
        "ratio": it.numbers.as_ref().map(|it| it.ratio),
        "least_ratio": it.numbers.as_ref().map(|it| it.least_ratio),
        "chance": it.numbers.as_ref().map(|it| it.chance),
    })
}
