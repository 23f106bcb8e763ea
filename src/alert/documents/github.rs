//! Annotations of a GitHub workflow: commands that the runner reads from standard output, a line each.
//!
//! Source of the form and of the escapes: `actions/toolkit`, `packages/core/src/command.ts`.

use super::remark::{Remark, of_comparison, of_run};
use crate::alert::classes::Level;
use crate::alert::event::{Summary, TargetSummary};
use crate::diagnosis::Verdict;
use crate::report::comparison::ComparisonView;
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
    let (remarks, forgotten) = of_run(summary, repository);
    let of_verdict = match summary.verdict() {
        _ if !summary.is_verdict => Level::Note,
        Verdict::Healthy => Level::Note,
        Verdict::Findings | Verdict::Inconclusive => Level::Error,
    };
    written((of_verdict, said(summary)), &remarks, (forgotten, "finding"))
}

/// The commands about a comparison: the verdict, then the differences.
pub(super) fn render_comparison(view: &ComparisonView, repository: &Repository) -> String {
    let of_verdict = if view.exit_code == 0 { Level::Note } else { Level::Error };
    let said = [view.sentence.clone(), view.load(), view.method.clone()].into();
    written((of_verdict, said), &of_comparison(view, repository), (0, "difference"))
}

/// The command of the verdict, then those of the remarks, as far as they are shown.
fn written((level, mut said): (Level, Vec<String>), remarks: &[Remark], (left, noun): (usize, &str)) -> String {
    let (of_verdict, mut left, mut lines) = (level, left, Vec::new());
    for level in [Level::Error, Level::Warning, Level::Note] {
        let all: Vec<_> = remarks.iter().filter(|remark| remark.level == level).collect();
        let most = if level == of_verdict { SHOWN - 1 } else { SHOWN };
        left += all.len().saturating_sub(most);
        lines.extend(all.into_iter().take(most).map(annotation));
    }
    said.extend(
        (left > 0).then(|| format!("{} not shown as annotations.", words::count(left, &format!("more {noun}")))),
    );
    lines.insert(0, line(of_verdict, &[("title", "tokio-canary".to_owned())], &said.join(" ")));
    lines.concat()
}

/// What a run came to, in sentences.
fn said(summary: &Summary) -> Vec<String> {
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
    said
}

fn annotation(remark: &Remark) -> String {
    let mut properties = Vec::new();
    if let Ok(place) = &remark.place {
        properties.push(("file", shortened(&place.path, PATH).into_owned()));
        properties.push(("line", place.line.to_string()));
        properties.extend(place.column.map(|column| ("col", column.to_string())));
    }
    properties.push(("title", remark.title.clone()));
    line(remark.level, &properties, &remark.message)
}

/// One command. Nothing in it is a second one: a line begins only here.
fn line(level: Level, properties: &[(&str, String)], message: &str) -> String {
    let properties: Vec<_> =
        properties.iter().map(|(name, value)| format!("{name}={}", workflow_property(value))).collect();
    let message = workflow_message(&shortened(message, MESSAGE));
    format!("::{} {}::{message}\n", command(level), properties.join(","))
}
