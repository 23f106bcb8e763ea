//! Annotations of a GitHub workflow: commands that the runner reads from standard output, a line each.
//!
//! Source of the form and of the escapes: `actions/toolkit`, `packages/core/src/command.ts`.

use crate::alert::classes::{Class, Level, classes};
use crate::alert::event::{Summary, TargetSummary};
use crate::diagnosis::Verdict;
use crate::report::repository::Repository;
use crate::report::sanitize::{shortened, workflow_message, workflow_property};
use crate::words;

/// Annotations of one level that GitHub shows of a step.
const SHOWN: usize = 10;
/// Characters of a message.
const MESSAGE: usize = 2_000;
/// Characters of a path.
const PATH: usize = 400;

/// The command for an annotation of this weight.
fn command(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "notice",
    }
}

/// The commands about a run: the verdict, then the findings.
pub(super) fn render(summary: &Summary, repository: &Repository) -> String {
    let (classes, forgotten) = classes(summary);
    let of_verdict = match summary.verdict() {
        _ if !summary.is_verdict => Level::Note,
        Verdict::Healthy => Level::Note,
        Verdict::Findings | Verdict::Inconclusive => Level::Error,
    };
    let mut left = forgotten;
    let mut lines = Vec::new();
    for level in [Level::Error, Level::Warning, Level::Note] {
        let all: Vec<_> = classes.iter().filter(|class| class.level() == level).collect();
        let most = if level == of_verdict { SHOWN - 1 } else { SHOWN };
        left += all.len().saturating_sub(most);
        lines.extend(all.into_iter().take(most).map(|class| annotation(level, class, summary, repository)));
    }
    lines.insert(0, verdict(of_verdict, summary, left));
    lines.concat()
}

fn verdict(level: Level, summary: &Summary, left: usize) -> String {
    let mut said = vec![format!("{}.", summary.headline())];
    let reasons = |target: &TargetSummary| {
        let reasons = target.verdict.reasons_in_words();
        (!reasons.is_empty()).then(|| format!("{}: could not be judged: {reasons}.", target.target))
    };
    said.extend(summary.targets.iter().filter_map(reasons));
    let unmet = |target: &TargetSummary| {
        let unmet: Vec<_> = target.verdict.unmet_sentences().collect();
        (!unmet.is_empty()).then(|| format!("{}: {}", target.target, unmet.join(" ")))
    };
    said.extend(summary.targets.iter().filter_map(unmet));
    said.extend((left > 0).then(|| format!("{} not shown as annotations.", words::count(left, "more finding"))));
    line(level, &[("title", "tokio-canary".to_owned())], &said.join(" "))
}

fn annotation(level: Level, class: &Class<'_>, summary: &Summary, repository: &Repository) -> String {
    let row = &class.finding.row;
    let place = class.place(repository);
    let elsewhere = place.as_ref().err().copied();
    let mut properties = Vec::new();
    if let Ok(place) = place {
        properties.push(("file", shortened(&place.path, PATH).into_owned()));
        properties.push(("line", place.line.to_string()));
        properties.extend(place.column.map(|column| ("col", column.to_string())));
    }
    properties.push(("title", format!("{} ({} {})", row.detector, row.grade.as_str(), class.worst.as_str())));
    let said = [Some(class.paragraph(elsewhere)), class.on_targets(summary.targets.len())];
    line(level, &properties, &said.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// One command. Nothing in it is a second one: a line begins only here.
fn line(level: Level, properties: &[(&str, String)], message: &str) -> String {
    let properties: Vec<_> =
        properties.iter().map(|(name, value)| format!("{name}={}", workflow_property(value))).collect();
    let message = workflow_message(&shortened(message, MESSAGE));
    format!("::{} {}::{message}\n", command(level), properties.join(","))
}
