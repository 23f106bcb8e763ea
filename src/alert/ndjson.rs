//! One JSON object a line, schema `tokio-canary.events/v1`: fields are only ever added.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Event, Summary, tally};
use crate::detect::finding::Transition;
use crate::detect::subject::{Related, Subject};
use crate::detect::symptom::Fact;
use crate::diagnosis::{Diagnosis, Status};

/// The name of the schema, in the first line.
const SCHEMA: &str = "tokio-canary.events/v1";
/// Where the docs pages of detectors are, by id.
const HELP: &str = "docs/detectors/";

pub(super) fn line(diagnosis: &Diagnosis, event: &Event<'_>) -> String {
    let mut object = match event {
        Event::Hello => json!({"schema": SCHEMA, "type": "hello", "version": env!("CARGO_PKG_VERSION")}),
        Event::Status { at } => status(diagnosis.status(), *at),
        Event::Transition(transition) => finding(transition),
        Event::Quality { reasons } => json!({"type": "quality", "complete": reasons.is_empty(), "reasons": reasons}),
        Event::Heartbeat => {
            let tasks = diagnosis.model().tasks().filter(|(_, task)| task.is_alive()).count();
            json!({"type": "heartbeat", "tasks": tasks, "findings": diagnosis.findings().len()})
        }
        Event::Summary(it) => summary(diagnosis, it),
    };
    if let Some(fields) = object.as_object_mut() {
        fields.insert("target".to_owned(), diagnosis.target().into());
        let now = diagnosis.arrived().unwrap_or_else(SystemTime::now);
        fields.entry("at").or_insert_with(|| time(now).into());
    }
    object.to_string()
}

fn status(status: &Status, at: SystemTime) -> Value {
    let (state, reason) = match status {
        Status::Resolving => ("resolving", None),
        Status::Dialing => ("dialing", None),
        Status::Live => ("live", None),
        Status::Lost { reason, .. } => ("lost", Some(reason)),
    };
    json!({"type": "status", "at": time(at), "state": state, "reason": reason})
}

#[derive(Serialize)]
struct FindingLine<'a> {
    r#type: &'static str,
    at: String,
    state: &'static str,
    detector: &'static str,
    family: &'static str,
    severity: &'static str,
    grade: &'static str,
    fingerprint: &'a str,
    subject: Value,
    related: Vec<Value>,
    summary: &'a str,
    evidence: Vec<Value>,
    cause: Option<&'a str>,
    caused_by: Option<&'a str>,
    explains: Vec<Value>,
    recommendation: &'a str,
    help: String,
    first_seen: String,
    last_seen: String,
    count: u64,
}

fn finding(transition: &Transition) -> Value {
    let finding = &transition.finding;
    let (detector, symptom) = (finding.detector, &finding.symptom);
    let line = FindingLine {
        r#type: "finding",
        at: time(transition.at.system_time()),
        state: finding.state.as_str(),
        detector: detector.id,
        family: detector.family.as_str(),
        severity: finding.severity().as_str(),
        grade: finding.grade().as_str(),
        fingerprint: &finding.fingerprint,
        subject: subject(&symptom.subject),
        related: symptom.related.iter().map(related).collect(),
        summary: &symptom.summary,
        evidence: symptom.facts.iter().map(evidence).collect(),
        cause: symptom.cause.as_deref(),
        caused_by: finding.hidden_by.as_deref(),
        explains: finding.explains.iter().map(|it| json!({"detector": it.detector, "summary": it.summary})).collect(),
        recommendation: &symptom.recommendation,
        help: format!("{HELP}{}.md", detector.id),
        first_seen: time(finding.first_seen.system_time()),
        last_seen: time(finding.last_seen.system_time()),
        count: finding.count,
    };
    // A struct of strings and numbers always has a JSON form.
    serde_json::to_value(line).unwrap_or_default()
}

fn subject(subject: &Subject) -> Value {
    json!({
        "kind": subject.kind.as_str(),
        "name": subject.name,
        "location": subject.location,
        "ids": subject.ids,
        "count": subject.count,
    })
}

fn related(related: &Related) -> Value {
    json!({
        "kind": related.kind.as_str(),
        "name": related.name,
        "location": related.location,
        "role": related.role.as_str(),
    })
}

fn evidence(evidence: &Fact) -> Value {
    json!({
        "metric": evidence.metric,
        "observed": evidence.observed,
        "threshold": evidence.threshold,
        "fired": evidence.fired(),
        "unit": evidence.unit,
        "window_s": evidence.window.map(|window| window.as_secs_f64()),
    })
}

fn summary(diagnosis: &Diagnosis, summary: &Summary) -> Value {
    let findings: serde_json::Map<String, Value> =
        tally(diagnosis).into_iter().map(|(severity, count)| (severity.as_str().to_owned(), count.into())).collect();
    json!({
        "type": "summary",
        "verdict": summary.verdict.as_str(),
        "exit_code": summary.exit_code,
        "findings": findings,
        "suppressed": diagnosis.suppressed_so_far(),
        "updates": diagnosis.updates(),
        "inconclusive_because": summary.doubts,
        "not_evaluated": summary.not_evaluated,
    })
}

fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}
