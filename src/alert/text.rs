//! One sentence a line, for people and logs.

use std::time::SystemTime;

use super::{Event, Summary, tally};
use crate::detect::finding::Transition;
use crate::detect::severity::State;
use crate::diagnosis::Diagnosis;
use crate::escape::plain;

pub(super) fn line(diagnosis: &Diagnosis, event: &Event<'_>) -> Option<String> {
    match event {
        Event::Transition(transition) => transition_line(diagnosis, transition),
        Event::Summary(summary) => Some(summary_line(diagnosis, summary)),
        // Said on standard error, where they do not mix with what was found.
        Event::Hello | Event::Status { .. } | Event::Quality { .. } | Event::Heartbeat => None,
    }
}

fn transition_line(diagnosis: &Diagnosis, transition: &Transition) -> Option<String> {
    let finding = &transition.finding;
    let symptom = &finding.symptom;
    let head = format!(
        "{} {} {} {}",
        time(transition.at.system_time()),
        plain(diagnosis.target()),
        finding.severity().as_str(),
        finding.detector.id,
    );
    match finding.state {
        State::Pending => None,
        State::Firing => Some(format!("{head}: {} Next: {}", plain(&symptom.summary), plain(&symptom.recommendation))),
        State::Resolved => {
            let explained = if finding.hidden_by.is_some() { " (explained by another finding)" } else { "" };
            Some(format!("{head}: resolved{explained}. {}", plain(&symptom.summary)))
        }
    }
}

fn summary_line(diagnosis: &Diagnosis, summary: &Summary) -> String {
    let counts = tally(diagnosis).map(|(severity, count)| format!("{count} {}", severity.as_str())).join(", ");
    let doubts = match summary.doubts.as_slice() {
        [] => String::new(),
        doubts => format!("; not judged because of: {}", doubts.join(", ").replace('_', " ")),
    };
    let cause = match diagnosis.findings().first() {
        Some(worst) => {
            format!("; first of all {} at {}", worst.detector.id, plain(place(&worst.symptom.subject.location)))
        }
        None => String::new(),
    };
    let suppressed = match diagnosis.suppressed_so_far() {
        0 => String::new(),
        count => format!("; {count} suppressed"),
    };
    let skipped = match summary.not_evaluated.as_slice() {
        skipped if skipped.is_empty() || diagnosis.updates() == 0 => String::new(),
        skipped => format!("; the run was too short for: {}", skipped.join(", ")),
    };
    format!(
        "{} verdict {} (exit code {}) after {} updates: {counts}{suppressed}{cause}{doubts}{skipped}.",
        plain(diagnosis.target()),
        summary.verdict.as_str(),
        summary.exit_code,
        diagnosis.updates(),
    )
}

fn place(location: &str) -> &str {
    if location.is_empty() { "no place in the source" } else { location }
}

fn time(at: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(at)
}
