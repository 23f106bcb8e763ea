//! One JSON object a line, schema `tokio-canary.events/v1`: fields are only ever added.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::event::{Event, EventKind, TargetSummary};
use crate::report::connection::{ConnectionState, ConnectionView};
use crate::report::finding::{FactRow, FindingView};

/// The name of the schema, in the first line.
const SCHEMA: &str = "tokio-canary.events/v1";

/// The line for an event, without its end.
pub(super) fn line(event: &Event) -> String {
    let object = match &event.kind {
        EventKind::Hello => json!({"schema": SCHEMA, "type": "hello", "version": env!("CARGO_PKG_VERSION")}),
        EventKind::Connection(connection) => status(connection),
        EventKind::Left => json!({"type": "status", "state": "left", "reason": null}),
        EventKind::Finding(view) => finding(view),
        EventKind::Quality(quality) => {
            let reasons: Vec<_> = quality.withheld.iter().map(|it| it.as_str()).collect();
            json!({"type": "quality", "complete": reasons.is_empty(), "reasons": reasons})
        }
        EventKind::Heartbeat { tasks, findings } => json!({"type": "heartbeat", "tasks": tasks, "findings": findings}),
    };
    stamped(object, &event.target, event.at)
}

/// The last line about a target. A run that was not asked for a verdict ends with 0 whatever it saw.
pub(super) fn summary_line(summary: &TargetSummary, is_verdict: bool) -> String {
    let verdict = &summary.verdict;
    let findings: serde_json::Map<String, Value> = verdict
        .fired
        .by_severity()
        .map(|(severity, count)| (severity.as_str().to_owned(), count.into()))
        .into_iter()
        .collect();
    let object = json!({
        "type": "summary",
        "verdict": verdict.verdict.as_str(),
        "exit_code": if is_verdict { verdict.exit_code } else { 0 },
        "findings": findings,
        "worst": verdict.worst.as_ref().map(|it| json!({"detector": it.detector, "place": it.place})),
        "suppressed": verdict.suppressed,
        "updates": verdict.updates,
        "inconclusive_because": verdict.reasons.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(),
        "not_evaluated": verdict.not_evaluated,
        "attached": {
            "after_start_s": verdict.attachment.after_start.as_secs_f64(),
            "remembers_s": verdict.attachment.remembers.as_secs_f64(),
            "may_have_forgotten": verdict.attachment.may_have_forgotten,
        },
    });
    stamped(object, &summary.target, summary.at)
}

fn stamped(mut object: Value, target: &str, at: SystemTime) -> String {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("target".to_owned(), target.into());
        fields.insert("at".to_owned(), time(at).into());
    }
    object.to_string()
}

fn status(connection: &ConnectionView) -> Value {
    let has_reason =
        matches!(connection.state, ConnectionState::Lost | ConnectionState::Stranger | ConnectionState::Truncated);
    let reason = has_reason.then_some(&connection.sentence);
    json!({"type": "status", "state": connection.state.as_str(), "reason": reason})
}

fn finding(view: &FindingView) -> Value {
    let (row, subject) = (&view.row, &view.subject);
    let related = view.related.iter().map(
        |it| json!({"kind": it.kind.as_str(), "name": it.name, "location": it.location, "role": it.role.as_str()}),
    );
    json!({
        "type": "finding",
        "state": row.state.as_str(),
        "detector": row.detector,
        "family": view.family,
        "severity": row.severity.as_str(),
        "grade": row.grade.as_str(),
        "fingerprint": view.fingerprint,
        "subject": {
            "kind": subject.kind.as_str(),
            "name": subject.name,
            "location": subject.location,
            "ids": subject.ids,
            "count": subject.count,
        },
        "related": related.collect::<Vec<_>>(),
        "summary": view.headline,
        "evidence": view.facts.iter().map(evidence).collect::<Vec<_>>(),
        "look_alikes": view.look_alikes.iter().map(|it| json!({"summary": it})).collect::<Vec<_>>(),
        "ruled_out": view.ruled_out,
        "cause": view.cause,
        "caused_by": view.caused_by,
        "explains": view.explains.iter().map(|it| json!({"detector": it.detector, "summary": it.headline})).collect::<Vec<_>>(),
        "recommendation": view.advice,
        "help": view.help,
        "since": time(view.since),
        "first_seen": time(view.first_seen),
        "last_seen": time(view.last_seen),
        "count": view.sightings,
        "members": view.members,
        "targets": view.targets,
    })
}

fn evidence(fact: &FactRow) -> Value {
    json!({
        "metric": fact.metric,
        "observed": fact.observed,
        "threshold": fact.threshold,
        "fired": fact.fired,
        "unit": fact.unit,
        "window_s": fact.window.map(|window| window.as_secs_f64()),
    })
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}
