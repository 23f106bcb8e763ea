//! One sentence a line, for people and logs.

use std::time::SystemTime;

use super::classes::shared;
use super::event::{Digest, Event, EventKind, Summary, TargetSummary};
use crate::report::State;
use crate::report::finding::FindingView;
use crate::report::outcome::too_short_in_words;
use crate::words;

/// Shared findings that are listed; the others are counted.
const SHARED: usize = 20;

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
            let recording = finding.recording.as_ref().map(|path| format!(" Recording: {}", path.display()));
            let recording = recording.unwrap_or_default();
            if let Some(spread) = finding.spread().filter(|_| finding.is_shared()) {
                // The event of the first target has the advice.
                return Some(format!("{head}: {} The same finding is {spread} now.{recording}", finding.headline));
            }
            let look_alikes: Vec<String> = finding.look_alikes.iter().map(|it| format!(" {it}")).collect();
            let look_alikes = look_alikes.concat();
            Some(format!("{head}: {}{look_alikes} Next: {}{recording}", finding.headline, finding.advice))
        }
        State::Resolved if finding.caused_by.is_some() => {
            Some(format!("{head}: resolved, explained by another finding. {}", finding.headline))
        }
        State::Resolved => {
            let still = finding.spread().filter(|_| !finding.members.is_empty()).map(|it| format!(", still {it}"));
            let (lasted, still) = (words::age(finding.age), still.unwrap_or_default());
            Some(format!("{head}: resolved, lasted {lasted}{still}. {}", finding.headline))
        }
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

/// The last lines about a target: what it came to, and what is not in the lockfile.
pub(super) fn summary_lines(summary: &TargetSummary, is_verdict: bool) -> Vec<String> {
    let new = summary.verdict.lock.iter().flat_map(|lock| lock.lines());
    let new = new.map(|line| format!("{} {line}.", summary.target));
    [summary_line(summary, is_verdict)].into_iter().chain(new).collect()
}

fn summary_line(summary: &TargetSummary, is_verdict: bool) -> String {
    let TargetSummary { target, verdict, .. } = summary;
    let sentence = if is_verdict {
        verdict.sentence()
    } else if verdict.updates == 0 {
        "No update arrived: nothing is known of it.".to_owned()
    } else {
        format!("{}.{}", verdict.fired_in_words(), verdict.worst_in_words())
    };
    let left = if summary.has_left { " It left before the end." } else { "" };
    if verdict.updates == 0 {
        return format!("{target} {sentence}{left}");
    }
    let late = verdict.attachment.sentence().map_or_else(String::new, |sentence| format!(" {sentence}"));
    let skipped = too_short_in_words(&summary.detectors).map_or_else(String::new, |sentence| format!(" {sentence}"));
    format!("{target} {sentence} Based on {}.{left}{late}{skipped}", words::count(verdict.updates, "update"))
}

/// The last lines about a run of several targets: shared findings, and the result.
pub(super) fn last_lines(summary: &Summary) -> Vec<String> {
    let shared = shared(summary);
    let mut lines: Vec<String> =
        shared.iter().take(SHARED).map(|class| format!("shared: {}.", class.spread())).collect();
    let more = shared.len().saturating_sub(SHARED);
    lines.extend((more > 0).then(|| format!("shared: {} more.", words::count(more, "finding"))));
    lines.push(format!("all targets: {}.", summary.headline()));
    lines
}

fn time(at: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(at)
}
