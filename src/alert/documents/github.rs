//! Annotations of a GitHub workflow: commands that the runner reads from standard output, a line each.
//!
//! Source of the form and of the escapes: `actions/toolkit`, `packages/core/src/command.ts`.

use super::classes::{Class, classes};
use crate::alert::event::{Summary, TargetSummary};
use crate::diagnosis::Verdict;
use crate::report::Severity;
use crate::report::repository::Repository;
use crate::report::sanitize::{shortened, workflow_message, workflow_property};
use crate::words;

/// Annotations of one level that GitHub shows of a step.
const SHOWN: usize = 10;
/// Characters of a message.
const MESSAGE: usize = 2_000;
/// Characters of a path.
const PATH: usize = 400;

/// How much an annotation weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Error,
    Warning,
    Notice,
}

impl Level {
    fn of(class: &Class<'_>) -> Self {
        match class.worst {
            _ if class.counts => Self::Error,
            Severity::Critical | Severity::Warning => Self::Warning,
            Severity::Info => Self::Notice,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// The commands about a run: the verdict, then the findings.
pub(super) fn render(summary: &Summary, repository: &Repository) -> String {
    let (classes, forgotten) = classes(summary);
    let of_verdict = match summary.verdict() {
        _ if !summary.is_verdict => Level::Notice,
        Verdict::Healthy => Level::Notice,
        Verdict::Findings | Verdict::Inconclusive => Level::Error,
    };
    let mut left = forgotten;
    let mut lines = Vec::new();
    for level in [Level::Error, Level::Warning, Level::Notice] {
        let all: Vec<_> = classes.iter().filter(|class| Level::of(class) == level).collect();
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
    format!("::{} {}::{message}\n", level.word(), properties.join(","))
}
