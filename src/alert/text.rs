//! One sentence a line, for people and logs.

use std::time::SystemTime;

use super::event::{Digest, Event, EventKind, Summary, TargetSummary};
use crate::report::State;
use crate::report::finding::FindingView;
use crate::words;

/// The line for an event, without its end; none for what is said on standard error, where it does not mix with what was found.
pub(super) fn line(event: &Event) -> Option<String> {
    match &event.kind {
        EventKind::Finding(finding) => finding_line(event, finding),
        EventKind::Digest(digest) => Some(digest_line(event, digest)),
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
            let recording = finding.recording.as_ref().map(|path| format!(" Recording: {}", path.display()));
            let recording = recording.unwrap_or_default();
            Some(format!("{head}: {}{look_alikes}{spread} Next: {}{recording}", finding.headline, finding.advice))
        }
        State::Resolved if finding.caused_by.is_some() => {
            Some(format!("{head}: resolved, explained by another finding. {}", finding.headline))
        }
        State::Resolved => Some(format!("{head}: resolved, lasted {}. {}", words::age(finding.age), finding.headline)),
    }
}

/// What was held back.
fn digest_line(event: &Event, digest: &Digest) -> String {
    let Digest { detector, since, openings, resolutions, findings, firing, worst, next } = digest;
    let (at, target, worst) = (time(event.at), &event.target, worst.as_str());
    let (openings, resolutions) = (words::count(*openings, "opening"), words::count(*resolutions, "resolution"));
    let findings = words::count(*findings, "finding");
    let now = match firing {
        0 => "none fires now".to_owned(),
        firing => format!("{firing} {} now", words::agree(*firing, "fires", "fire")),
    };
    let (since, next) = (time(*since), words::age(*next));
    format!(
        "{at} {target} digest {detector}: held back {openings} and {resolutions} of {findings} since {since}, worst {worst}; {now}. \
         Repeats are held back for {next} at a time."
    )
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
    let skipped = match summary.too_short_for() {
        skipped if skipped.is_empty() => String::new(),
        skipped => format!(" Too short to evaluate {}.", skipped.join(", ")),
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
