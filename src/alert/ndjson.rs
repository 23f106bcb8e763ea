//! One JSON object a line, schema `tokio-canary.events/v1`: fields are only ever added.

use std::io;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Value, json};

use super::classes::{Class, shared};
use super::event::{Event, EventKind, Summary, TargetSummary};
use crate::diagnosis::Verdict;
use crate::report::connection::{ConnectionState, ConnectionView};
use crate::report::finding::{FactRow, FindingView};
use crate::report::sanitize::is_hidden;
use crate::report::verdict::Tally;

/// The name of the schema, in the first line.
pub const SCHEMA: &str = "tokio-canary.events/v1";

/// The line for an event, without its end.
pub(super) fn line(event: &Event) -> String {
    let object = match &event.kind {
        EventKind::Hello => json!({"schema": SCHEMA, "type": "hello", "version": env!("CARGO_PKG_VERSION")}),
        EventKind::Connection(connection) => status(connection),
        EventKind::Left => {
            json!({"type": "status", "state": "left", "reason": null, "place": null, "retry_in_s": null})
        }
        EventKind::Finding(view) => finding(view),
        EventKind::Digest(digest) => json!({
            "type": "digest",
            "detector": digest.detector,
            "since": time(digest.since),
            "openings": digest.openings,
            "resolutions": digest.resolutions,
            "findings": digest.findings,
            "firing": digest.firing,
            "worst": digest.worst.as_str(),
            "next_s": digest.next.as_secs_f64(),
        }),
        EventKind::Quality(quality) => {
            let reasons: Vec<_> = quality.withheld.iter().map(|it| it.as_str()).collect();
            json!({
                "type": "quality",
                "complete": reasons.is_empty(),
                "reasons": reasons,
                "lag_s": quality.lag.map(|lag| lag.as_secs_f64()),
                "catches_up_in_s": quality.catches_up_in().map(|left| left.as_secs_f64()),
                "held_back": quality.held_back,
                "pump_cpu": quality.pumping,
            })
        }
        EventKind::Heartbeat { tasks, listed, lag, findings } => json!({
            "type": "heartbeat",
            "tasks": tasks,
            "tasks_listed": listed,
            "lag_s": lag.map(|lag| lag.as_secs_f64()),
            "findings": findings,
        }),
    };
    stamped(object, &event.target, event.at)
}

/// The last line about a target.
pub(super) fn summary_line(summary: &TargetSummary, is_verdict: bool) -> String {
    let verdict = &summary.verdict;
    let not_evaluated = summary.not_evaluated().map(|(id, why)| json!({"detector": id, "reason": why.as_str()}));
    let object = json!({
        "type": "summary",
        "verdict": verdict.verdict.as_str(),
        "exit_code": exit_code(verdict.verdict, is_verdict),
        "left": summary.has_left,
        "findings": tally(&verdict.fired),
        "worst": verdict.worst.as_ref().map(|it| json!({"detector": it.detector, "place": it.place})),
        "suppressed": verdict.suppressed,
        "expected": verdict.expected,
        "unmet": verdict.unmet,
        "lockfile": verdict.lock.as_ref().map(|it| {
            json!({"file": it.file, "parts": it.parts, "seen": it.seen, "new": it.new.len()})
        }),
        "updates": verdict.updates,
        "inconclusive_because": verdict.reasons.iter().map(|reason| reason.as_str()).collect::<Vec<_>>(),
        "not_evaluated": summary.too_short_for(),
        "detectors_not_evaluated": not_evaluated.collect::<Vec<_>>(),
        "attached": {
            "after_start_s": verdict.attachment.after_start.as_secs_f64(),
            "remembers_s": verdict.attachment.remembers.as_secs_f64(),
            "may_have_forgotten": verdict.attachment.may_have_forgotten,
        },
    });
    stamped(object, &summary.target, summary.at)
}

/// The last line about a run of several targets.
pub(super) fn run_line(summary: &Summary) -> String {
    let at = summary.targets.iter().map(|target| target.at).max().unwrap_or(SystemTime::UNIX_EPOCH);
    written(&json!({
        "type": "run",
        "at": time(at),
        "verdict": summary.verdict().as_str(),
        "exit_code": exit_code(summary.verdict(), summary.is_verdict),
        "targets": summary.targets.len(),
        "verdicts": {
            "findings": summary.count(Verdict::Findings),
            "inconclusive": summary.count(Verdict::Inconclusive),
            "healthy": summary.count(Verdict::Healthy),
        },
        "findings": tally(&summary.fired()),
        "shared": shared(summary).iter().map(class).collect::<Vec<_>>(),
        "left_earlier": summary.others.left,
        "not_watched": summary.others.unwatched,
    }))
}

/// A finding that several targets share.
fn class(class: &Class<'_>) -> Value {
    json!({
        "fingerprint": class.finding.fingerprint,
        "detector": class.finding.row.detector,
        "severity": class.worst.as_str(),
        "place": class.finding.subject_in_words(),
        "members": class.targets,
    })
}

/// A run that was not asked for a verdict ends with 0 whatever it saw.
fn exit_code(verdict: Verdict, is_verdict: bool) -> u8 {
    if is_verdict { verdict.exit_code() } else { 0 }
}

fn tally(fired: &Tally) -> Value {
    fired
        .by_severity()
        .into_iter()
        .map(|(severity, count)| (severity.as_str().to_owned(), Value::from(count)))
        .collect()
}

/// The line of an object about a target, without its end.
pub fn stamped(mut object: Value, target: &str, at: SystemTime) -> String {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("target".to_owned(), target.into());
        fields.insert("at".to_owned(), time(at).into());
    }
    written(&object)
}

/// The object in one line, in which nothing is hidden: readers get the same text, and a terminal that shows the line no control characters.
pub(super) fn written(object: &Value) -> String {
    let mut line = Vec::new();
    // Memory takes everything, and a value has no part that is not JSON.
    let _ = object.serialize(&mut Serializer::with_formatter(&mut line, Visible));
    // What a runner of GitHub takes for a command of its own: it can only stand in a text.
    String::from_utf8(line).unwrap_or_default().replace("##[", "##\\u005b")
}

/// Compact JSON that escapes what is hidden.
struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: io::Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for shown in fragment.split_inclusive(is_hidden) {
            match shown.chars().next_back().filter(|last| is_hidden(*last)) {
                None => writer.write_all(shown.as_bytes())?,
                Some(hidden) => {
                    writer.write_all(&shown.as_bytes()[..shown.len() - hidden.len_utf8()])?;
                    for unit in hidden.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn status(connection: &ConnectionView) -> Value {
    let has_reason =
        matches!(connection.state, ConnectionState::Lost | ConnectionState::Stranger | ConnectionState::Truncated);
    let reason = has_reason.then_some(&connection.sentence);
    json!({
        "type": "status",
        "state": connection.state.as_str(),
        "reason": reason,
        "place": connection.place,
        "retry_in_s": connection.retry_in.map(|time| time.as_secs_f64()),
    })
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
        "recording": view.recording.as_ref().map(|path| path.to_string_lossy()),
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

pub(super) fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_escaped_and_read_back_the_same() {
        for character in ('\0'..=char::MAX).filter(|it| is_hidden(*it)) {
            let object = json!({"name": format!("a{character}b\u{6f22}{character}")});
            let line = written(&object);
            assert!(!line.contains(is_hidden), "U+{:04X}: {line:?}", u32::from(character));
            assert_eq!(line.parse::<Value>().expect("JSON"), object);
        }
        assert_eq!(written(&json!(["\u{202e}x", "\u{e0041}"])), r#"["\u202ex","\udb40\udc41"]"#);
    }
}
