//! One sentence a line, for people and logs.

use std::time::SystemTime;

use super::event::{Event, EventKind, Summary, TargetSummary};
use crate::report::State;
use crate::report::finding::FindingView;
use crate::words;

/// The line for an event, without its end; none for what is said on standard error, where it does not mix with what was found.
pub(super) fn line(event: &Event) -> Option<String> {
    match &event.kind {
        EventKind::Finding(finding) => finding_line(event, finding),
        EventKind::Hello
        | EventKind::Connection(_)
        | EventKind::Left
        | EventKind::Quality(_)
        | EventKind::Heartbeat { .. } => None,
    }
}

fn finding_line(event: &Event, finding: &FindingView) -> Option<String> {
    let (at, severity, detector) = (time(event.at), finding.row.severity.as_str(), finding.row.detector);
    let head = format!("{at} {} {severity} {detector}", event.target);
    match finding.row.state {
        State::Pending => None,
        State::Firing => {
            let spread = finding.spread().filter(|_| finding.is_shared()).map(|it| format!(" Seen {it}."));
            let spread = spread.unwrap_or_default();
            let look_alikes: Vec<String> = finding.look_alikes.iter().map(|it| format!(" {it}")).collect();
            let look_alikes = look_alikes.concat();
            Some(format!("{head}: {}{look_alikes}{spread} Next: {}", finding.headline, finding.advice))
        }
        State::Resolved if finding.caused_by.is_some() => {
            Some(format!("{head}: resolved, explained by another finding. {}", finding.headline))
        }
        State::Resolved => Some(format!("{head}: resolved, lasted {}. {}", words::age(finding.age), finding.headline)),
    }
}

/// The last line about a target.
pub(super) fn summary_line(summary: &TargetSummary, is_verdict: bool) -> String {
    let TargetSummary { target, verdict, .. } = summary;
    let sentence = if is_verdict {
        verdict.sentence()
    } else {
        format!("{}.{}", verdict.fired_in_words(), verdict.worst_in_words())
    };
    if verdict.updates == 0 {
        return format!("{target} {sentence}");
    }
    let late = verdict.attachment.sentence().map_or_else(String::new, |sentence| format!(" {sentence}"));
    let skipped = match verdict.not_evaluated.as_slice() {
        [] => String::new(),
        skipped => format!(" Too short for {}.", skipped.join(", ")),
    };
    format!("{target} {sentence} Based on {}.{late}{skipped}", words::count(verdict.updates, "update"))
}

/// The last line about a run of several targets.
pub(super) fn last_line(summary: &Summary) -> String {
    format!("all targets: {}.", summary.headline())
}

fn time(at: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(at)
}
