//! A finding as Markdown, to be put into an issue or a chat. Whatever may come from the target stands in code spans.

use super::finding::{FactRow, FindingView};
use super::sanitize::code_span;
use crate::words;

/// A finding of a target.
pub fn finding(view: &FindingView, target: &str) -> String {
    let row = &view.row;
    let mut text = format!("**{}** `{}`", row.severity.as_str(), row.detector);
    if !row.place().is_empty() {
        text.push_str(&format!(" at {}", code_span(&row.place())));
    }
    text.push_str(&format!("\n\n{}\n\n{}\n", code_span(&view.headline), view.standing));
    let mut section = |heading: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("\n**{heading}**\n\n{}\n", lines.join("\n")));
        }
    };
    section("What to do", vec![code_span(&view.advice)]);
    section("Cause", view.cause.iter().map(|cause| code_span(cause)).collect());
    section("Not ruled out", view.look_alikes.iter().map(|it| format!("- {it}")).collect());
    section("Evidence", evidence(&view.facts));
    let related = view.related.iter().map(|it| format!("- {}: {}", it.role.as_str(), code_span(&it.place)));
    section("Involved", related.collect());
    text.push_str(&format!(
        "\nTarget {}, fingerprint `{}`. More: `tokio-canary explain {}`\n",
        code_span(target),
        view.fingerprint,
        row.detector
    ));
    text
}

fn evidence(facts: &[FactRow]) -> Vec<String> {
    if facts.is_empty() {
        return Vec::new();
    }
    let head = ["| measured | value | threshold | over |".to_owned(), "|---|---|---|---|".to_owned()];
    let row = |fact: &FactRow| {
        let mark = if fact.fired == Some(true) { "**" } else { "" };
        let threshold = fact.threshold_in_words().unwrap_or_else(|| "-".to_owned());
        let window = fact.window.map_or_else(|| "now".to_owned(), words::limit);
        format!("| {} | {mark}{}{mark} | {threshold} | {window} |", fact.metric, fact.value_in_words())
    };
    head.into_iter().chain(facts.iter().map(row)).collect()
}
