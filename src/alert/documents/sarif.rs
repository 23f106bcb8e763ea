//! SARIF 2.1.0, kept to what GitHub code scanning reads: rules, and results that have a place in the repository.
//!
//! Code scanning refuses a whole file if one of its results has no place. What has none, because it is about the feed or about a line of a
//! library, is a notification of the run, which says so; it is not put at a line that has nothing to do with it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::remark::{DIFFERENCES, Remark, of_comparison, of_run};
use crate::alert::classes::Level;
use crate::alert::event::{Summary, TargetSummary};
use crate::detect::detectors::DETECTORS;
use crate::diagnosis::Verdict;
use crate::report::Grade;
use crate::report::comparison::ComparisonView;
use crate::report::repository::{Repository, RepositoryPlace};
use crate::report::sanitize::{sarif_message, shortened};
use crate::words;

/// The schema that the document keeps to.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// Results that code scanning takes of one run.
const RESULTS: usize = 5_000;
/// Characters of a message.
const MESSAGE: usize = 2_000;

/// What is in a document.
struct Content {
    rules: Vec<Rule>,
    remarks: Vec<Remark>,
    /// How many more there were, and what they are.
    left: (usize, &'static str),
    /// What keeps it from being complete, or was asked for and is not so.
    errors: Vec<String>,
    is_judged: bool,
    /// The exit code, where the run was asked for a verdict.
    exit_code: Option<u8>,
}

/// A rule: its id and its object.
type Rule = (&'static str, Value);

/// The document about a run.
pub(super) fn render(summary: &Summary, repository: &Repository) -> String {
    let (remarks, forgotten) = of_run(summary, repository);
    let errors = summary.targets.iter().filter_map(doubts).chain(summary.targets.iter().flat_map(unmet));
    let errors = errors.collect();
    written(Content {
        rules: rules(),
        remarks,
        left: (forgotten, "more finding"),
        errors,
        is_judged: summary.verdict() != Verdict::Inconclusive,
        exit_code: summary.is_verdict.then(|| summary.verdict().exit_code()),
    })
}

/// The document about a comparison.
pub(super) fn render_comparison(view: &ComparisonView, repository: &Repository) -> String {
    let reasons: Vec<&str> = view.reasons.iter().map(|(_, sentence)| sentence.as_str()).collect();
    let errors = (!reasons.is_empty()).then(|| format!("Not fully compared: {}.", reasons.join("; ")));
    written(Content {
        rules: DIFFERENCES.iter().map(|(id, _, title)| (*id, rule_of_comparison(id, title))).collect(),
        remarks: of_comparison(view, repository),
        left: (0, "more difference"),
        errors: errors.into_iter().collect(),
        is_judged: view.exit_code != 3,
        exit_code: Some(view.exit_code),
    })
}

fn written(content: Content) -> String {
    let Content { rules, remarks, left: (mut left, noun), errors, is_judged, exit_code } = content;
    let ids: Vec<&str> = rules.iter().map(|(id, _)| *id).collect();
    let (mut results, mut notifications) = (Vec::new(), Vec::new());
    for remark in remarks.iter().take(RESULTS) {
        match &remark.place {
            Ok(place) => results.push(result(remark, place, &ids)),
            Err(_) => notifications.push(notification(remark.level, &remark.message, Some((remark, &ids)))),
        }
    }
    notifications.extend(errors.iter().map(|said| notification(Level::Error, said, None)));
    left += remarks.len().saturating_sub(RESULTS);
    let not_listed = || format!("{} not listed.", words::count(left, noun));
    notifications.extend((left > 0).then(|| notification(Level::Note, &not_listed(), None)));
    let mut invocation = json!({
        "executionSuccessful": is_judged,
        "toolExecutionNotifications": notifications,
    });
    if let (Some(code), Some(fields)) = (exit_code, invocation.as_object_mut()) {
        fields.insert("exitCode".to_owned(), code.into());
    }
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "tokio-canary",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.into_iter().map(|(_, rule)| rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [invocation],
            "results": results,
        }],
    });
    format!("{document:#}\n")
}

/// A rule for each detector, in the order of the registry, so that an index finds it.
fn rules() -> Vec<Rule> {
    let rules = DETECTORS.iter().map(|detector| {
        let (id, title) = (detector.id, words::sentences(detector.title));
        let help =
            |command: String| format!("{title}. {command} says what it means, what to do, and when it is wrong.");
        let rule = json!({
            "id": id,
            "name": id,
            "shortDescription": {"text": title},
            "fullDescription": {"text": format!("{title}.")},
            "defaultConfiguration": {"level": "warning"},
            "help": {
                "text": help(format!("tokio-canary explain {id}")),
                "markdown": help(format!("`tokio-canary explain {id}`")),
            },
            "properties": {
                "tags": ["tokio", detector.family.as_str()],
                "precision": precision(detector.grade),
                "problem.severity": "warning",
            },
        });
        (id, rule)
    });
    rules.collect()
}

fn rule_of_comparison(id: &str, title: &str) -> Value {
    json!({
        "id": id,
        "name": id,
        "shortDescription": {"text": title},
        "fullDescription": {"text": format!("{title}.")},
        "defaultConfiguration": {"level": "note"},
        "help": {"text": format!("{title}. `tokio-canary man compare` says what is compared and what counts.")},
        "properties": {"tags": ["tokio", "compare"], "precision": "high", "problem.severity": "warning"},
    })
}

fn precision(grade: Grade) -> &'static str {
    match grade {
        Grade::Proof => "very-high",
        Grade::Risk => "high",
        Grade::Trend => "medium",
    }
}

fn result(remark: &Remark, place: &RepositoryPlace, ids: &[&str]) -> Value {
    let mut region = json!({"startLine": place.line});
    if let (Some(column), Some(fields)) = (place.column, region.as_object_mut()) {
        fields.insert("startColumn".to_owned(), column.into());
    }
    json!({
        "ruleId": remark.rule,
        "ruleIndex": ids.iter().position(|id| *id == remark.rule),
        "level": level(remark.level),
        "message": {"text": message(&remark.message)},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&place.path), "uriBaseId": "%SRCROOT%"},
            "region": region,
        }}],
        // The first is the name that code scanning reads.
        "partialFingerprints": {
            "primaryLocationLineHash": remark.fingerprint,
            "tokioCanaryFingerprint/v1": remark.fingerprint,
        },
    })
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    }
}

fn message(text: &str) -> String {
    sarif_message(&shortened(text, MESSAGE))
}

/// Why a target could not be judged.
fn doubts(target: &TargetSummary) -> Option<String> {
    let reasons = target.verdict.reasons_in_words();
    (!reasons.is_empty()).then(|| format!("{} could not be judged: {reasons}.", target.target))
}

/// The expectations that a target has not kept.
fn unmet(target: &TargetSummary) -> impl Iterator<Item = String> {
    target.verdict.unmet_sentences().map(|sentence| format!("{}: {sentence}", target.target))
}

/// Something without a place in the repository, and the rule of a remark among all.
fn notification(weight: Level, text: &str, of: Option<(&Remark, &[&str])>) -> Value {
    let mut notification = json!({"level": level(weight), "message": {"text": message(text)}});
    if let (Some((remark, ids)), Some(fields)) = (of, notification.as_object_mut()) {
        let index = ids.iter().position(|id| *id == remark.rule);
        fields.insert("associatedRule".to_owned(), json!({"id": remark.rule, "index": index}));
    }
    notification
}

/// A path as a relative reference of RFC 3986: whatever is not unreserved is escaped, the slashes between folders are not.
fn uri(path: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
    utf8_percent_encode(path, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_escaped_and_its_folders_stay() {
        assert_eq!(uri("src/a b#1?.rs"), "src/a%20b%231%3F.rs");
        assert_eq!(uri("src/b\u{e4}nk%\n.rs"), "src/b%C3%A4nk%25%0A.rs");
    }
}
