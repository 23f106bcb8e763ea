//! Documents of a run, each read as its reader reads it.

use std::fs;
use std::path::Path;

use roxmltree::{Document, Node};
use serde_json::Value;

use super::{Desk, changed, corpus, faults, name_tasks, place_all, schema};

/// A recording of a service that is sick, one of a service that is healthy, and one that cannot be judged.
const SICK: &str = "old-0.4-crossed-mutexes";
const HEALTHY: &str = "healthy-futures-unordered";
const PARTIAL: &str = "feed-partial-feed";

/// A finding of this recording is about a place of the service's own.
fn sick(desk: &Desk) -> String {
    changed(desk, SICK, "sick.mcap", |message| {
        name_tasks(message, "transfer");
        place_all(message, |location| location.file = Some("src/bank.rs".to_owned()));
    })
}

fn check(desk: &Desk, format: &str, target: &str, more: &[&str]) -> (Option<i32>, String) {
    let outcome = desk.run(&[&["check", target, "--for", "10m", "--output", format], more].concat());
    (outcome.code, outcome.stdout)
}

fn cases<'a>(document: &'a Document<'_>) -> Vec<Node<'a, 'a>> {
    document.descendants().filter(|it| it.has_tag_name("testcase")).collect()
}

/// How the case of this name ended.
fn ended(document: &Document<'_>, name: &str) -> String {
    let case = document.descendants().find(|it| it.has_tag_name("testcase") && it.attribute("name") == Some(name));
    let inside = case.unwrap().children().find(|it| it.is_element() && !it.has_tag_name("system-out"));
    inside.map_or("passed", |it| it.tag_name().name()).to_owned()
}

#[test]
fn junit_has_a_case_for_each_detector_and_one_for_the_verdict() {
    let desk = Desk::new();
    let (code, text) = check(&desk, "junit", &sick(&desk), &["--min-updates", "1"]);
    assert_eq!(code, Some(1));
    let document = Document::parse(&text).unwrap();
    let detectors = tokio_canary::detect::detectors::DETECTORS;
    assert_eq!(cases(&document).len(), detectors.len() + 1);
    assert_eq!([ended(&document, "verdict"), ended(&document, "deadlock")], ["failure", "failure"]);
    let skipped = cases(&document).iter().filter(|it| it.children().any(|it| it.has_tag_name("skipped"))).count();
    assert_eq!(document.root_element().attribute("skipped"), Some(skipped.to_string().as_str()));
    let deadlock = cases(&document).into_iter().find(|it| it.attribute("name") == Some("deadlock")).unwrap();
    assert_eq!(deadlock.attribute("file"), Some("src/bank.rs"));
    assert_eq!(deadlock.attribute("classname"), Some("tokio-canary.stuck"));
}

#[test]
fn junit_reads_as_passed_only_where_the_verdict_is_healthy() {
    let desk = Desk::new();
    for (recording, more, code, verdict) in [
        (HEALTHY, &[][..], 0, "passed"),
        (PARTIAL, &[], 3, "error"),
        (HEALTHY, &["--min-updates", "100000"], 3, "error"),
    ] {
        let (is, text) = check(&desk, "junit", corpus(recording).to_str().unwrap(), more);
        assert_eq!(is, Some(code), "{recording}");
        let document = Document::parse(&text).unwrap();
        assert_eq!(ended(&document, "verdict"), verdict, "{recording}");
        let failures = document.root_element().attribute("failures");
        assert_eq!(failures, Some("0"), "{recording}: a failure is what gives 1");
    }
}

#[test]
fn a_detector_that_did_not_judge_is_skipped_with_its_reason() {
    let desk = Desk::new();
    let healthy = corpus(HEALTHY);
    let (_, text) = check(&desk, "junit", healthy.to_str().unwrap(), &["--set", "deadlock.enabled=false"]);
    let document = Document::parse(&text).unwrap();
    assert_eq!(ended(&document, "deadlock"), "skipped");
    let reason = |name: &str| {
        let case = cases(&document).into_iter().find(|it| it.attribute("name") == Some(name)).unwrap();
        case.first_element_child().and_then(|it| it.attribute("message")).map(str::to_owned)
    };
    assert_eq!(reason("deadlock").as_deref(), Some("turned off"));
    let text = desk.run(&["check", "127.0.0.1:1", "--for", "1s", "--output", "junit"]).stdout;
    let document = Document::parse(&text).unwrap();
    assert!(cases(&document).len() > 1);
    for case in cases(&document) {
        let name = case.attribute("name").unwrap();
        let expected = if name == "verdict" { "error" } else { "skipped" };
        // The silence of a target is a finding of its own.
        assert!(ended(&document, name) == expected || name == "quiet-feed", "{name} of a target that never answered");
    }
}

#[test]
fn sarif_keeps_to_its_schema_and_to_what_code_scanning_reads() {
    let desk = Desk::new();
    let published = schema("vendored/sarif-2.1.0.json");
    let sick = sick(&desk);
    for target in [sick.as_str(), corpus(HEALTHY).to_str().unwrap(), corpus(PARTIAL).to_str().unwrap()] {
        let (_, text) = check(&desk, "sarif", target, &[]);
        let document: Value = text.parse().unwrap();
        assert_eq!(faults(&published, &document), [""; 0], "{target}");
        for result in document["runs"][0]["results"].as_array().unwrap() {
            // Without these code scanning refuses the file.
            let place = &result["locations"][0]["physicalLocation"];
            assert!(place["artifactLocation"]["uri"].is_string() && place["region"]["startLine"].is_u64(), "{result}");
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            let rule = &document["runs"][0]["tool"]["driver"]["rules"][index];
            assert_eq!(rule["id"], result["ruleId"]);
            assert!(rule["help"]["text"].is_string());
        }
    }
    let (_, text) = check(&desk, "sarif", &sick, &["--path-prefix", "src=services/bank/src"]);
    let document: Value = text.parse().unwrap();
    let result = &document["runs"][0]["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&"deadlock".into(), &"error".into()));
    assert_eq!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "services/bank/src/bank.rs");
    let fingerprint = result["partialFingerprints"]["primaryLocationLineHash"].as_str().unwrap().to_owned();
    let (_, lines) = check(&desk, "ndjson", &sick, &[]);
    assert!(lines.contains(&fingerprint), "the same as everywhere: {fingerprint}");
}

#[test]
fn a_finding_in_a_library_has_no_place_and_that_is_said() {
    let desk = Desk::new();
    let registry = "/home/me/.cargo/registry/src/index.crates.io-1949cf8c/axum-0.8.9/src/serve/mod.rs";
    let target = changed(&desk, SICK, "library.mcap", |message| {
        place_all(message, |location| location.file = Some(registry.to_owned()));
    });
    let (code, text) = check(&desk, "sarif", &target, &[]);
    assert_eq!(code, Some(1));
    let document: Value = text.parse().unwrap();
    assert_eq!(faults(&schema("vendored/sarif-2.1.0.json"), &document), [""; 0]);
    let run = &document["runs"][0];
    assert!(run["results"].as_array().unwrap().iter().all(|it| it["ruleId"] != "deadlock"), "{text}");
    let notes = run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap();
    let deadlock = notes.iter().find(|it| it["associatedRule"]["id"] == "deadlock").unwrap();
    let said = deadlock["message"]["text"].as_str().unwrap();
    assert!(said.contains("Its place is in a library, not in this repository."), "{said}");
    let (_, text) = check(&desk, "github", &target, &[]);
    let deadlock = text.lines().find(|line| line.contains("title=deadlock")).unwrap();
    assert!(deadlock.starts_with("::error title=") && deadlock.contains("in a library"), "{deadlock}");
}

#[test]
fn github_gets_annotations_and_the_summary_of_the_job() {
    let desk = Desk::new();
    let sick = sick(&desk);
    let summary = desk.file("summary.md");
    fs::write(&summary, "before\n").unwrap();
    let arguments = ["check", sick.as_str(), "--for", "10m", "--output", "github"];
    let outcome = desk.run_with(&[("GITHUB_STEP_SUMMARY", summary.to_str().unwrap())], &arguments);
    assert_eq!(outcome.code, Some(1));
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(lines[0].starts_with("::error title=tokio-canary::FAIL (exit 1): "), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("::error file=src/bank.rs,line=")), "{lines:?}");
    let summary = desk.text("summary.md");
    assert!(summary.starts_with("before\n## tokio-canary: FAIL (exit 1): "), "{summary}");
    let (_, brief) = check(&desk, "brief", &sick, &[]);
    assert_eq!(summary.strip_prefix("before\n"), Some(brief.as_str()));
}

#[test]
fn the_summary_of_a_job_is_one_output_that_has_to_be_writable() {
    let desk = Desk::new();
    let sick = sick(&desk);
    let (summary, nowhere) = (desk.file("summary.md"), desk.file("no/such/summary.md"));
    let run = |path: &Path| {
        let arguments =
            ["check", sick.as_str(), "--for", "10m", "--output", "github=a.txt", "--output", "github=b.txt"];
        desk.run_with(&[("GITHUB_STEP_SUMMARY", path.to_str().unwrap())], &arguments)
    };
    assert_eq!(run(&summary).code, Some(1));
    assert_eq!(desk.text("summary.md").matches("## tokio-canary: ").count(), 1, "however many outputs there are");
    let refused = run(&nowhere);
    assert_eq!(refused.code, Some(2), "before anything is watched: {refused:?}");
    let says = format!("The job summary {} (GITHUB_STEP_SUMMARY) cannot be opened: ", nowhere.display());
    assert!(refused.stderr.contains(&says), "{refused:?}");
    let full = run(Path::new("/dev/full"));
    assert_eq!(full.code, Some(4));
    assert!(full.stderr.contains("Cannot write to /dev/full: "), "{full:?}");
}

#[test]
fn an_expected_finding_is_listed_as_expected_and_fails_nothing() {
    let desk = Desk::new();
    let sick = sick(&desk);
    let expecting = ["--expect-finding", "deadlock", "--min-activity", "0", "--min-updates", "1"];
    let document = |format: &str| {
        let (code, text) = check(&desk, format, &sick, &expecting);
        assert_eq!(code, Some(0), "{format}: {text}");
        text
    };
    let brief = document("brief");
    assert!(brief.starts_with("## tokio-canary: PASS (exit 0): no findings, 1 as expected"), "{brief}");
    assert!(brief.contains("`deadlock` (proof, expected)"), "{brief}");
    let junit = document("junit");
    let read = Document::parse(&junit).unwrap();
    assert_eq!([ended(&read, "verdict"), ended(&read, "deadlock")], ["passed", "passed"]);
    assert!(junit.contains("critical, expected at src/bank.rs:"), "{junit}");
    let github = document("github");
    assert!(
        github.contains("::notice file=src/bank.rs,line=") && github.contains("It was expected to fire."),
        "{github}"
    );
    let sarif: Value = document("sarif").parse().unwrap();
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&"deadlock".into(), &"note".into()));
}

#[test]
fn of_many_expectations_that_are_not_kept_some_are_listed_and_the_others_counted() {
    let desk = Desk::new();
    let sick = sick(&desk);
    let places: Vec<String> = (1..=20).map(|n| format!("lost-waker@a{n}.rs")).collect();
    let expecting: Vec<&str> = places.iter().flat_map(|place| ["--expect-finding", place.as_str()]).collect();
    for format in ["text", "brief", "github", "sarif"] {
        let (code, text) = check(&desk, format, &sick, &expecting);
        assert_eq!(code, Some(1), "{format}");
        assert_eq!(text.matches(" did not fire").count(), 6, "{format}: {text}");
        assert!(text.contains("And 14 more."), "{format}: {text}");
    }
}

#[test]
fn one_run_has_one_exit_code_in_all_its_outputs() {
    let desk = Desk::new();
    let sick = sick(&desk);
    for format in ["text", "brief", "github", "junit"] {
        let (code, text) = check(&desk, format, &sick, &["--exit-zero"]);
        assert_eq!(code, Some(0), "{format}");
        assert!(text.contains("FAIL (exit 1): ") && !text.contains("(exit 0)"), "{format}: {text}");
    }
    let sarif: Value = check(&desk, "sarif", &sick, &["--exit-zero"]).1.parse().unwrap();
    assert_eq!(sarif["runs"][0]["invocations"][0]["exitCode"], 1);
    let outcome =
        desk.run(&["check", &sick, &sick, "--for", "10m", "--output", "ndjson", "--exit-zero", "--min-activity", "0"]);
    let lines: Vec<Value> = outcome.stdout.lines().map(|line| line.parse().unwrap()).collect();
    let codes: Vec<_> = lines.iter().filter(|line| !line["verdict"].is_null()).map(|it| &it["exit_code"]).collect();
    assert_eq!((codes, outcome.code), (vec![&Value::from(1); 3], Some(0)));
}

#[test]
fn a_brief_fits_on_a_screen_and_begins_with_the_verdict() {
    let desk = Desk::new();
    let (_, brief) = check(&desk, "brief", &sick(&desk), &[]);
    assert!(brief.starts_with("## tokio-canary: FAIL (exit 1): "), "{brief}");
    for part in ["**critical** `deadlock` (proof)", "src/bank.rs:", "- Next: `", "untrusted data"] {
        assert!(brief.contains(part), "{part}: {brief}");
    }
    let many: Vec<_> = ["sick-nested-jobs", "old-0.2-moving-pipeline", "sick-std-lock-order", SICK].map(corpus).into();
    let many: Vec<&str> = many.iter().filter_map(|path| path.to_str()).collect();
    let outcome = desk.run(&[&["check", "--for", "10m", "--output", "brief"], many.as_slice()].concat());
    assert!(outcome.stdout.lines().count() <= 80 && outcome.stdout.len() < 16_000, "{}", outcome.stdout);
    let (_, partial) = check(&desk, "brief", corpus(PARTIAL).to_str().unwrap(), &[]);
    assert!(partial.starts_with("## tokio-canary: INCONCLUSIVE (exit 3): "), "{partial}");
    assert!(partial.contains("### Could not be judged\n\n- The feed was incomplete"), "{partial}");
}

#[test]
fn several_documents_are_written_at_once_and_replace_what_was_there() {
    let desk = Desk::new();
    let sick = sick(&desk);
    fs::write(desk.file("canary.xml"), "old".repeat(100_000)).unwrap();
    let outputs = ["text", "junit=canary.xml", "sarif=canary.sarif", "brief=canary.md", "github=canary.txt"];
    let outputs: Vec<&str> = outputs.iter().flat_map(|output| ["--output", output]).collect();
    let outcome = desk.run(&[&["watch", sick.as_str()], outputs.as_slice()].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains(" critical deadlock: "), "{}", outcome.stdout);
    assert!(Document::parse(&desk.text("canary.xml")).is_ok());
    assert!(desk.text("canary.sarif").parse::<Value>().is_ok());
    assert!(desk.text("canary.md").starts_with("## tokio-canary: 1 critical"), "{}", desk.text("canary.md"));
    assert!(desk.text("canary.txt").starts_with("::notice title=tokio-canary::1 critical"));
    let junit = desk.text("canary.xml");
    assert_eq!(ended(&Document::parse(&junit).unwrap(), "verdict"), "skipped");
    for name in ["canary.xml", "canary.sarif", "canary.md", "canary.txt"] {
        let text = desk.text(name);
        assert!(!text.contains("FAIL") && !text.contains("PASS"), "nobody has asked for a verdict: {name}: {text}");
    }
    let refused = desk.run(&["check", &sick, "--output", "junit=no/such/canary.xml"]);
    assert_eq!(refused.code, Some(2), "before anything is watched: {}", refused.stderr);
    assert!(refused.stderr.contains("The output junit=no/such/canary.xml cannot be opened: "), "{}", refused.stderr);
}

#[test]
fn several_targets_have_a_verdict_each_and_one_in_all() {
    let desk = Desk::new();
    let (sick, healthy, partial) = (sick(&desk), corpus(HEALTHY), corpus(PARTIAL));
    let targets = [sick.as_str(), healthy.to_str().unwrap(), partial.to_str().unwrap()];
    let check =
        |format: &str, targets: &[&str]| desk.run(&[&["check", "--for", "10m", "--output", format], targets].concat());
    let outcome = check("text", &targets);
    assert_eq!(outcome.code, Some(1));
    let last = outcome.stdout.lines().last().unwrap();
    let expected = "all targets: FAIL (exit 1): 3 targets, 1 with findings, 1 inconclusive, 1 healthy; 1 critical";
    assert!(last.starts_with(expected), "{last}");
    assert!(!check("text", &targets[..1]).stdout.contains("all targets"), "one target has one verdict");
    let outcome = check("ndjson", &targets[1..]);
    let last: Value = outcome.stdout.lines().last().unwrap().parse().unwrap();
    assert_eq!((&last["type"], &last["verdict"]), (&"run".into(), &"inconclusive".into()));
    assert_eq!((last["exit_code"].as_u64(), last["targets"].as_u64()), (Some(3), Some(2)));
    let text = check("junit", &targets).stdout;
    let document = Document::parse(&text).unwrap();
    assert_eq!(document.descendants().filter(|it| it.has_tag_name("testsuite")).count(), 3);
}
