//! A `JUnit` report: a suite for each target, a case for each detector, and one for the verdict.
//!
//! It fails where the exit code of `check` is 1, and has an error where that is 3: what could not be judged never reads as passed.

use std::io;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::remark::{DIFFERENCES, Remark, of_comparison};
use crate::alert::classes::Level;
use crate::alert::event::{Summary, TargetSummary};
use crate::diagnosis::Verdict;
use crate::report::Severity;
use crate::report::comparison::ComparisonView;
use crate::report::lock::LockView;
use crate::report::outcome::{DetectorRow, FiredView};
use crate::report::repository::Repository;
use crate::report::sanitize::{shortened, xml};
use crate::report::verdict::VerdictView;
use crate::words;

/// Findings of one detector that are written; the others are counted.
const FINDINGS: usize = 20;
/// Characters of a text.
const TEXT: usize = 2_000;

/// The document about a run.
///
/// # Errors
/// The writer refuses something in it.
pub(super) fn render(summary: &Summary, repository: &Repository) -> io::Result<String> {
    written(summary.targets.iter().map(|target| suite(target, summary, repository)))
}

/// The document about a comparison: a case for each kind of difference, and one for the verdict.
///
/// # Errors
/// As [`render`].
pub(super) fn render_comparison(view: &ComparisonView, repository: &Repository) -> io::Result<String> {
    let mut suite = TestSuite::new("canary against stable");
    for (name, value) in [("verdict", view.verdict), ("unit", view.unit)] {
        suite.add_property(Property::new(name, value));
    }
    let said = [view.sentence.clone(), view.load(), view.method.clone()].join(" ");
    let (mut status, kind) = match view.exit_code {
        0 => (TestCaseStatus::success(), ""),
        1 => (TestCaseStatus::non_success(NonSuccessKind::Failure), view.verdict),
        _ => (TestCaseStatus::non_success(NonSuccessKind::Error), view.verdict),
    };
    if !kind.is_empty() {
        status.set_type(kind).set_message(text(&view.sentence));
    }
    let mut verdict = TestCase::new("verdict", status);
    verdict.set_classname("tokio-canary.compare").set_system_out(text(&said));
    suite.add_test_case(verdict);
    let remarks = of_comparison(view, repository);
    for (rule, ..) in DIFFERENCES {
        // What could not be compared reads as passed nowhere, also where something else was found.
        let (mine, is_judged) = (remarks.iter().filter(|it| it.rule == rule), view.reasons.is_empty());
        suite.add_test_case(case_of_comparison(rule, &mine.collect::<Vec<_>>(), is_judged));
    }
    written([suite].into_iter())
}

/// The case of a kind of difference: failed where one counts, skipped where nothing can be said.
fn case_of_comparison(rule: &str, remarks: &[&Remark], is_judged: bool) -> TestCase {
    let line = |remark: &&Remark| {
        let place = remark.place.as_ref().map_or_else(|_| String::new(), |it| format!(" ({}:{})", it.path, it.line));
        text(&format!("{}{place}: {}", remark.title, remark.message))
    };
    let lines: Vec<String> = remarks.iter().take(FINDINGS).map(line).collect();
    let more = remarks.len().saturating_sub(FINDINGS);
    let more = (more > 0).then(|| format!("And {}.", words::count(more, "more difference")));
    let said = lines.into_iter().chain(more).collect::<Vec<_>>().join("\n");
    let worst = remarks.iter().find(|remark| remark.level == Level::Error);
    let mut status = match worst {
        Some(_) => TestCaseStatus::non_success(NonSuccessKind::Failure),
        None if is_judged => TestCaseStatus::success(),
        None => TestCaseStatus::skipped(),
    };
    if let Some(worst) = worst {
        status.set_type(rule).set_message(text(&worst.message)).set_description(said.clone());
    } else if !is_judged {
        status.set_type("not_enough_data").set_message("there is not enough data");
    }
    let mut case = TestCase::new(rule, status);
    case.set_classname("tokio-canary.compare");
    if worst.is_none() && !said.is_empty() {
        case.set_system_out(said);
    }
    case
}

fn written(suites: impl Iterator<Item = TestSuite>) -> io::Result<String> {
    let mut report = Report::new("tokio-canary");
    suites.for_each(|suite| {
        report.add_test_suite(suite);
    });
    report.to_string().map_err(io::Error::other)
}

fn text(text: &str) -> String {
    xml(&shortened(text, TEXT))
}

fn suite(target: &TargetSummary, summary: &Summary, repository: &Repository) -> TestSuite {
    let verdict = &target.verdict;
    let mut suite = TestSuite::new(text(&target.target));
    if summary.is_verdict {
        suite.add_property(Property::new("verdict", verdict.verdict.as_str()));
    }
    suite.add_property(Property::new("fail-on", summary.fail_on.as_str()));
    suite.add_property(Property::new("updates", verdict.updates.to_string()));
    suite.add_test_case(verdict_case(verdict, summary.is_verdict));
    for detector in &target.detectors {
        suite.add_test_case(case(detector, target, summary.fail_on, repository));
    }
    suite
}

/// The case of the verdict: skipped where nobody has asked for one.
fn verdict_case(verdict: &VerdictView, is_verdict: bool) -> TestCase {
    let new =
        verdict.lock.iter().flat_map(LockView::lines).map(|line| format!(" {line}.")).collect::<Vec<_>>().concat();
    let said = if is_verdict { verdict.sentence() + &new } else { format!("{}.", verdict.fired_in_words()) };
    let (mut status, kind) = match verdict.verdict {
        _ if !is_verdict => (TestCaseStatus::skipped(), "no_verdict"),
        Verdict::Healthy => (TestCaseStatus::success(), ""),
        Verdict::Findings => (TestCaseStatus::non_success(NonSuccessKind::Failure), verdict.verdict.as_str()),
        Verdict::Inconclusive => (TestCaseStatus::non_success(NonSuccessKind::Error), verdict.verdict.as_str()),
    };
    if !kind.is_empty() {
        status.set_type(kind).set_message(text(&said));
    }
    let mut case = TestCase::new("verdict", status);
    case.set_classname("tokio-canary").set_system_out(text(&said));
    case
}

/// The case of a detector: skipped where it has not judged the target, failed where one of its findings counts.
fn case(row: &DetectorRow, target: &TargetSummary, fail_on: Severity, repository: &Repository) -> TestCase {
    let found: Vec<_> = target.findings.known.iter().filter(|it| it.finding.row.detector == row.id).collect();
    let fails = row.counts(fail_on);
    let mut status = match row.not_evaluated {
        Some(_) => TestCaseStatus::skipped(),
        None if fails => TestCaseStatus::non_success(NonSuccessKind::Failure),
        None => TestCaseStatus::success(),
    };
    let said = findings(row, &found, repository);
    if let Some(why) = row.not_evaluated {
        status.set_type(why.as_str()).set_message(why.describe());
    } else if fails {
        let counting = found.iter().filter(|it| it.counts(fail_on));
        let worst = counting.max_by_key(|it| it.worst).map_or(row.title, |it| &it.finding.headline);
        status.set_type(row.id).set_message(text(worst)).set_description(said.join("\n"));
    }
    let mut case = TestCase::new(row.id, status);
    case.set_classname(format!("tokio-canary.{}", row.family));
    if !said.is_empty() && !fails {
        case.set_system_out(said.join("\n"));
    }
    if let Some(place) = found.first().and_then(|it| repository.place(&it.finding.row.location).ok()) {
        case.extra.insert("file".into(), text(&place.path).into());
        case.extra.insert("line".into(), place.line.to_string().into());
    }
    case
}

/// A line for each finding of a detector, and one for those that are suppressed.
fn findings(row: &DetectorRow, found: &[&FiredView], repository: &Repository) -> Vec<String> {
    let line = |fired: &&FiredView| {
        let finding = &fired.finding;
        let place = match repository.place(&finding.row.location) {
            Ok(place) => format!("{}:{}", place.path, place.line),
            Err(_) => finding.row.location.clone(),
        };
        let place = if place.is_empty() { place } else { format!(" at {place}") };
        let resolved = if fired.is_resolved() { ", resolved since" } else { "" };
        let expected = if fired.is_expected { ", expected" } else { "" };
        let look_alikes: Vec<String> = finding.look_alikes.iter().map(|it| format!(" {it}")).collect();
        let look_alikes = look_alikes.concat();
        let (worst, headline, advice) = (fired.worst.as_str(), &finding.headline, &finding.advice);
        text(&format!("{worst}{resolved}{expected}{place}: {headline}{look_alikes} Next: {advice}"))
    };
    let mut lines: Vec<String> = found.iter().take(FINDINGS).map(line).collect();
    let left = row.fired.max(found.len()).saturating_sub(lines.len());
    if left > 0 {
        lines.push(format!("And {}.", words::count(left, "more finding")));
    }
    if row.suppressed > 0 {
        lines.push(format!("{} suppressed by the configuration.", words::count(row.suppressed, "finding")));
    }
    lines
}
