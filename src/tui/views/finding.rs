//! The page about a finding: what it says, what speaks for and against it, who is involved, and what to do.

use ratatui::style::Style;

use super::diagram;
use crate::report::finding::{FactRow, FindingView};
use crate::report::{FindingKey, Link, Snapshot, State};
use crate::tui::widgets::chart::{Curve, chart};
use crate::tui::widgets::page::Draft;
use crate::words;

/// Most other parties or findings that are listed.
const MOST: usize = 12;

pub(super) fn write(draft: &mut Draft<Link>, shown: &Snapshot<'_>, key: &FindingKey) {
    let theme = draft.theme();
    let Some(finding) = shown.finding(key) else {
        return draft.text("This finding was resolved long ago and is not kept any more.", theme.dim());
    };
    let is_over = finding.row.state == State::Resolved;
    draft.text(&finding.headline, if is_over { theme.dim() } else { theme.severity(finding.row.severity) });
    draft.text(&finding.standing, theme.dim());
    if !finding.look_alikes.is_empty() {
        draft.heading("Not ruled out");
        finding.look_alikes.iter().for_each(|it| draft.item("-", it, None));
    }
    let caused_by = finding.caused_by.as_ref().and_then(|cause| shown.finding_of(cause));
    if finding.cause.is_some() || caused_by.is_some() {
        draft.heading("Cause");
        finding.cause.iter().for_each(|cause| draft.text(cause, Style::new()));
    }
    if let Some(cause) = caused_by {
        draft.item("-", "the finding that explains this one", Some(Link::Finding(cause)));
    }
    draft.heading("What to do");
    draft.text(&finding.advice, Style::new());
    draft.text(&format!("More: tokio-canary explain {}", finding.row.detector), theme.dim());
    if let Some(it) = shown.diagram(&finding.row.key) {
        diagram::write(draft, &it);
    }
    evidence(draft, &finding.facts);
    development(draft, shown, &finding);
    if !finding.ruled_out.is_empty() {
        draft.heading("Ruled out");
        finding.ruled_out.iter().for_each(|it| draft.item("-", it, None));
    }
    involved(draft, shown, &finding);
    let explained = shown.explained(key);
    if explained.is_empty() {
        return;
    }
    draft.heading("Explains");
    let more = explained.len().saturating_sub(MOST);
    for (text, link) in explained.into_iter().take(MOST) {
        draft.item("-", &text, link);
    }
    if more > 0 {
        draft.text(&format!("and {}", words::count(more, "other finding")), theme.dim());
    }
}

/// The numbers; those that are beyond their thresholds are marked.
fn evidence(draft: &mut Draft<Link>, facts: &[FactRow]) {
    if facts.is_empty() {
        return;
    }
    draft.heading("Evidence");
    let row = |fact: &FactRow| {
        let mark = if fact.fired == Some(true) { "!" } else { "" };
        let threshold = fact.threshold_in_words().unwrap_or_else(|| "-".to_owned());
        let window = fact.window.map_or_else(|| "now".to_owned(), words::limit);
        vec![mark.to_owned(), fact.metric.to_owned(), fact.value_in_words(), threshold, window]
    };
    draft.grid(&["", "measured", "value", "threshold", "over"], &facts.iter().map(row).collect::<Vec<_>>());
}

/// How the number behind it developed, as a chart.
fn development(draft: &mut Draft<Link>, shown: &Snapshot<'_>, finding: &FindingView) {
    let Some(trace) = shown.trace(&finding.row.key) else { return };
    let fact = &trace.fact;
    let curve = Curve { samples: &trace.samples, threshold: fact.threshold, unit: fact.unit };
    let lines = chart(&draft.theme(), draft.width().into(), &curve);
    if lines.is_empty() {
        return;
    }
    let limit = fact.threshold_in_words().map_or_else(String::new, |limit| format!(", threshold {limit}"));
    draft.heading(&format!("Over time: {}{limit}", fact.metric));
    draft.drawing(lines);
}

/// The subject, the targets, those with a part in it, and the tasks and resources themselves, which can be opened.
fn involved(draft: &mut Draft<Link>, shown: &Snapshot<'_>, finding: &FindingView) {
    draft.heading("Involved");
    let affected = format!("{} ({} affected)", finding.subject_in_words(), words::number(finding.row.count));
    let subject = &finding.subject;
    let link = shown.site_link(subject.site);
    draft.linked_field(subject.kind.as_str(), affected.trim(), link);
    if let Some(spread) = finding.spread() {
        draft.field("targets", &format!("{spread}: {}", finding.members.join(", ")));
    }
    for related in finding.related.iter().take(MOST) {
        let link = shown.site_link(related.site);
        draft.linked_field(related.role.as_str(), &related.place, link);
    }
    for party in shown.parties(&finding.row.key) {
        draft.item("-", &party.text, Some(party.link));
    }
}
