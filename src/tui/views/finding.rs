//! The page about a finding: the sentence, the numbers behind it, who is involved, and what to do.

use std::time::Duration;

use ratatui::style::Style;

use crate::detect::describe;
use crate::detect::finding::Finding;
use crate::detect::severity::State;
use crate::detect::subject::Related;
use crate::detect::symptom::Fact;
use crate::diagnosis::Diagnosis;
use crate::tui::format::number;
use crate::tui::state::About;
use crate::tui::tables::findings::FindingKey;
use crate::tui::widgets::page::Page;
use crate::words;

/// Most tasks, resources or other findings that are listed.
const MOST: usize = 12;

pub(super) fn write(page: &mut Page<About>, diagnosis: &Diagnosis, key: &FindingKey) {
    let theme = page.theme();
    let Some(finding) = key.find(diagnosis) else {
        return page.text("This finding is over, and was forgotten.", theme.dim());
    };
    let symptom = &finding.symptom;
    let style = if finding.state == State::Resolved { theme.dim() } else { theme.severity(finding.severity()) };
    page.text(&symptom.summary, style);
    page.text(&standing(finding, diagnosis), theme.dim());
    if let Some(cause) = &symptom.cause {
        page.heading("Why");
        page.text(cause, Style::new());
    }
    page.heading("What to do");
    page.text(&symptom.recommendation, Style::new());
    let explain = format!("More about it: tokio-canary explain {}", finding.detector.id);
    page.text(&explain, theme.dim());
    evidence(page, &symptom.facts);
    involved(page, finding, diagnosis);
    if !finding.explains.is_empty() {
        page.heading("It explains");
        for explained in finding.explains.iter().take(MOST) {
            page.item("-", &format!("{}: {}", explained.detector, explained.summary), None);
        }
    }
}

/// Severity, grade, age and how often seen, in one sentence.
fn standing(finding: &Finding, diagnosis: &Diagnosis) -> String {
    let ago = |at| words::duration(diagnosis.now().since(at));
    let times = words::count(usize::try_from(finding.count).unwrap_or(usize::MAX), "time");
    let kind = format!("{} ({})", finding.severity().as_str(), finding.grade().as_str());
    let first = ago(finding.first_seen);
    match finding.state {
        State::Resolved => {
            format!("Resolved: {kind}, first seen {first} ago, last {} ago, {times}.", ago(finding.last_seen))
        }
        _ => format!("{kind}, found by {} {first} ago, seen {times} since.", finding.detector.id),
    }
}

fn evidence(page: &mut Page<About>, evidence: &[Fact]) {
    if evidence.is_empty() {
        return;
    }
    page.heading("Fact");
    let row = |it: &Fact| {
        let threshold = it.threshold.map_or_else(|| "-".to_owned(), |limit| value(limit, it.unit));
        let window = it.window.map_or_else(|| "now".to_owned(), words::duration);
        vec![it.metric.to_owned(), value(it.observed, it.unit), threshold, window]
    };
    page.grid(&["measured", "value", "threshold", "over"], &evidence.iter().map(row).collect::<Vec<_>>());
}

/// A number with its unit; seconds as durations are written everywhere else.
fn value(observed: f64, unit: &str) -> String {
    match (unit, Duration::try_from_secs_f64(observed)) {
        ("s", Ok(duration)) => words::duration(duration),
        ("ratio", _) => words::percent(observed),
        ("", _) => number(observed),
        _ => format!("{} {unit}", number(observed)),
    }
}

/// The subject, those with a part in it, and the tasks and resources themselves, which can be opened.
fn involved(page: &mut Page<About>, finding: &Finding, diagnosis: &Diagnosis) {
    let symptom = &finding.symptom;
    page.heading("Involved");
    let subject = &symptom.subject;
    let named = [subject.name.as_str(), subject.location.as_str()].join(" ");
    page.field(subject.kind.as_str(), &format!("{} ({} affected)", named.trim(), subject.count));
    for related in symptom.related.iter().take(MOST) {
        page.field(related.role.as_str(), &part(related));
    }
    // Keys of a finding that is over may belong to a process that is gone.
    if finding.state == State::Resolved {
        return;
    }
    let model = &diagnosis.evidence();
    for key in symptom.scope.tasks.iter().take(MOST) {
        if let Some(task) = model.task(*key) {
            page.item("-", &describe::task(model, task), Some(About::Task(*key)));
        }
    }
    for key in symptom.scope.resources.iter().take(MOST) {
        if model.resource(*key).is_some() {
            page.item("-", &describe::resource(model, *key), Some(About::Resource(*key)));
        }
    }
}

fn part(related: &Related) -> String {
    match (related.name.as_str(), related.location.as_str()) {
        (name, "") => name.to_owned(),
        ("", location) => location.to_owned(),
        (name, location) => format!("{name} ({location})"),
    }
}
