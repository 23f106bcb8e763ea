//! SARIF 2.1.0, kept to what GitHub code scanning reads: rules, and results that have a place in the repository.
//!
//! Code scanning refuses a whole file if one of its results has no place. What has none, because it is about the feed or about a line of a
//! library, is a notification of the run, which says so; it is not put at a line that has nothing to do with it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::alert::classes::{Class, Level, classes};
use crate::alert::event::{Summary, TargetSummary};
use crate::detect::detectors::DETECTORS;
use crate::diagnosis::Verdict;
use crate::report::Grade;
use crate::report::repository::{Elsewhere, Repository, RepositoryPlace};
use crate::report::sanitize::{sarif_message, shortened};
use crate::words;

/// The schema that the document keeps to.
const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// Results that code scanning takes of one run.
const RESULTS: usize = 5_000;
/// Characters of a message.
const MESSAGE: usize = 2_000;

/// The document about a run.
pub(super) fn render(summary: &Summary, repository: &Repository) -> String {
    let (classes, forgotten) = classes(summary);
    let (mut results, mut notifications) = (Vec::new(), Vec::new());
    for class in classes.iter().take(RESULTS) {
        match class.place(repository) {
            Ok(place) => results.push(result(class, &place, summary)),
            Err(elsewhere) => notifications.push(without_place(class, elsewhere, summary)),
        }
    }
    notifications.extend(summary.targets.iter().filter_map(doubts));
    notifications.extend(summary.targets.iter().flat_map(unmet));
    let left = forgotten + classes.len().saturating_sub(RESULTS);
    let not_listed = || format!("{} not listed.", words::count(left, "more finding"));
    notifications.extend((left > 0).then(|| notification(Level::Note, &not_listed(), None)));
    let mut invocation = json!({
        "executionSuccessful": summary.verdict() != Verdict::Inconclusive,
        "toolExecutionNotifications": notifications,
    });
    if let (true, Some(fields)) = (summary.is_verdict, invocation.as_object_mut()) {
        fields.insert("exitCode".to_owned(), summary.verdict().exit_code().into());
    }
    let document = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "tokio-canary",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [invocation],
            "results": results,
        }],
    });
    format!("{document:#}\n")
}

/// A rule for each detector, in the order of the registry, so that an index finds it.
fn rules() -> Vec<Value> {
    let rules = DETECTORS.iter().map(|detector| {
        let (id, title) = (detector.id, words::sentences(detector.title));
        let help =
            |command: String| format!("{title}. {command} says what it means, what to do, and when it is wrong.");
        json!({
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
        })
    });
    rules.collect()
}

fn precision(grade: Grade) -> &'static str {
    match grade {
        Grade::Proof => "very-high",
        Grade::Risk => "high",
        Grade::Trend => "medium",
    }
}

fn result(class: &Class<'_>, place: &RepositoryPlace, summary: &Summary) -> Value {
    let mut region = json!({"startLine": place.line});
    if let (Some(column), Some(fields)) = (place.column, region.as_object_mut()) {
        fields.insert("startColumn".to_owned(), column.into());
    }
    let detector = class.finding.row.detector;
    json!({
        "ruleId": detector,
        "ruleIndex": DETECTORS.iter().position(|it| it.id == detector),
        "level": level(class.level()),
        "message": {"text": message(class, None, summary)},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&place.path), "uriBaseId": "%SRCROOT%"},
            "region": region,
        }}],
        // The first is the name that code scanning reads.
        "partialFingerprints": {
            "primaryLocationLineHash": class.finding.fingerprint,
            "tokioCanaryFingerprint/v1": class.finding.fingerprint,
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

fn message(class: &Class<'_>, elsewhere: Option<Elsewhere>, summary: &Summary) -> String {
    let said = [Some(class.paragraph(elsewhere)), class.on_targets(summary.targets.len())];
    sarif_message(&shortened(&said.into_iter().flatten().collect::<Vec<_>>().join(" "), MESSAGE))
}

/// A finding that has no place in the repository.
fn without_place(class: &Class<'_>, elsewhere: Elsewhere, summary: &Summary) -> Value {
    notification(class.level(), &message(class, Some(elsewhere), summary), Some(class.finding.row.detector))
}

/// Why a target could not be judged.
fn doubts(target: &TargetSummary) -> Option<Value> {
    let reasons = target.verdict.reasons_in_words();
    let said = format!("{} could not be judged: {reasons}.", target.target);
    (!reasons.is_empty()).then(|| notification(Level::Error, &sarif_message(&shortened(&said, MESSAGE)), None))
}

/// The expectations that a target has not kept.
fn unmet(target: &TargetSummary) -> impl Iterator<Item = Value> {
    let said = target.verdict.unmet_sentences().map(|sentence| format!("{}: {sentence}", target.target));
    said.map(|said| notification(Level::Error, &sarif_message(&shortened(&said, MESSAGE)), None))
}

fn notification(weight: Level, message: &str, detector: Option<&str>) -> Value {
    let mut notification = json!({"level": level(weight), "message": {"text": message}});
    if let (Some(id), Some(fields)) = (detector, notification.as_object_mut()) {
        let index = DETECTORS.iter().position(|it| it.id == id);
        fields.insert("associatedRule".to_owned(), json!({"id": id, "index": index}));
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
