//! What `compare` writes: each format as its reader reads it, with names and without them.

use std::fs;

use roxmltree::Document;
use serde_json::Value;

use super::{Desk, changed, corpus, faults, name_tasks, place_all, schema};

const STABLE: &str = "field/redis_blpop_shared-healthy";
const FAULTY: &str = "field/sqlx_stream_nested-faulty";
const SECRET: &str = "xyzzy";

/// A canary with a finding at a place of its own, and what is known to work.
fn sides(desk: &Desk, name: &str) -> [String; 2] {
    [(FAULTY, "canary.mcap"), (STABLE, "stable.mcap")].map(|(recording, file)| {
        changed(desk, recording, file, |message| {
            name_tasks(message, name);
            place_all(message, |location| location.file = Some(format!("src/{name}.rs")));
        })
    })
}

fn compared(desk: &Desk, [canary, stable]: &[String; 2], more: &[&str]) -> (Option<i32>, String) {
    let outcome = desk.run(&[&["compare", "--canary", canary, "--stable", stable][..], more].concat());
    (outcome.code, outcome.stdout)
}

fn document(desk: &Desk, sides: &[String; 2], format: &str) -> String {
    let (code, text) = compared(desk, sides, &["--output", format]);
    assert_eq!(code, Some(1), "{format}: {text}");
    text
}

#[test]
fn a_regression_is_one_in_every_document() {
    let desk = Desk::new();
    let sides = sides(&desk, "bank");
    let brief = document(&desk, &sides, "brief");
    assert!(brief.starts_with("## tokio-canary: REGRESSION (exit 1): "), "{brief}");
    assert!(brief.contains("1. **regression: ") && brief.contains(" at `src/bank.rs:"), "{brief}");
    assert!(brief.contains("untrusted data") && brief.lines().count() < 80, "{brief}");

    let github = document(&desk, &sides, "github");
    assert!(github.starts_with("::error title=tokio-canary::REGRESSION (exit 1): "), "{github}");
    assert!(github.contains("\n::error file=src/bank.rs,line="), "{github}");

    let junit = document(&desk, &sides, "junit");
    let read = Document::parse(&junit).unwrap();
    let ended = |name: &str| {
        let case = read.descendants().find(|it| it.has_tag_name("testcase") && it.attribute("name") == Some(name));
        let inside = case.unwrap().children().find(|it| it.is_element() && !it.has_tag_name("system-out"));
        inside.map_or("passed", |it| it.tag_name().name()).to_owned()
    };
    assert_eq!([ended("verdict"), ended("compare-finding")], ["failure", "failure"], "{junit}");
    assert_eq!(ended("compare-structure"), "skipped", "the canary is idle, so that it was not compared: {junit}");

    let sarif: Value = document(&desk, &sides, "sarif").parse().unwrap();
    assert_eq!(faults(&schema("vendored/sarif-2.1.0.json"), &sarif), [""; 0]);
    let run = &sarif["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert_eq!((&results[0]["ruleId"], &results[0]["level"]), (&"compare-finding".into(), &"error".into()));
    for result in results {
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["artifactLocation"]["uri"].is_string() && place["region"]["startLine"].is_u64(), "{result}");
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
    }
    assert_eq!(run["invocations"][0]["exitCode"], 1);
}

#[test]
fn a_part_that_is_new_is_a_note_at_the_line_where_the_canary_has_it() {
    let desk = Desk::new();
    let path = |recording: &str| corpus(recording).to_str().unwrap().to_owned();
    let sides = [path("field/pg_open_row_stream-healthy"), path(STABLE)];
    let (code, text) = compared(&desk, &sides, &["--output", "sarif"]);
    assert_eq!(code, Some(0), "{text}");
    let sarif: Value = text.parse().unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let part = results.iter().find(|it| it["ruleId"] == "compare-structure").unwrap_or_else(|| panic!("{results:#?}"));
    let place = &part["locations"][0]["physicalLocation"];
    assert_eq!(
        (&part["level"], &place["artifactLocation"]["uri"]),
        (&"note".into(), &"warehouse/src/crates.rs".into())
    );
    assert!(place["region"]["startLine"].as_u64() > Some(1), "{part}");
}

#[test]
fn the_same_difference_has_the_same_fingerprint_where_its_line_has_moved() {
    let desk = Desk::new();
    let sides = sides(&desk, "bank");
    let fingerprints = |sides: &[String; 2]| -> Vec<String> {
        let line: Value = document(&desk, sides, "ndjson").trim().parse().unwrap();
        let differences = line["differences"].as_array().unwrap().clone();
        differences.iter().map(|it| it["fingerprint"].as_str().unwrap().to_owned()).collect()
    };
    let before = fingerprints(&sides);
    let mut apart = before.clone();
    apart.sort();
    apart.dedup();
    assert_eq!(apart.len(), before.len(), "each difference has its own: {before:?}");
    let moved = changed(&desk, FAULTY, "moved.mcap", |message| {
        name_tasks(message, "bank");
        place_all(message, |location| {
            location.file = Some("src/bank.rs".to_owned());
            location.line = location.line.map(|line| line + 17);
        });
    });
    assert_eq!(fingerprints(&[moved, sides[1].clone()]), before);
    let sarif: Value = document(&desk, &sides, "sarif").parse().unwrap();
    let named = &sarif["runs"][0]["results"][0]["partialFingerprints"]["primaryLocationLineHash"];
    assert_eq!(named.as_str(), before.first().map(String::as_str), "code scanning tracks it by that");
}

#[test]
fn several_outputs_are_written_at_once_and_the_summary_of_a_job_is_a_brief() {
    let desk = Desk::new();
    let [canary, stable] = sides(&desk, "bank");
    let summary = desk.file("summary.md");
    fs::write(&summary, "before\n").unwrap();
    fs::write(desk.file("out.sarif"), "old".repeat(100_000)).unwrap();
    let run = desk.run_with(
        &[("GITHUB_STEP_SUMMARY", summary.to_str().unwrap())],
        &["compare", "--canary", &canary, "--stable", &stable, "--output", "github", "--output", "sarif=out.sarif"],
    );
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.starts_with("::error title=tokio-canary::") && desk.text("out.sarif").parse::<Value>().is_ok());
    let brief = document(&desk, &[canary, stable], "brief");
    assert_eq!(desk.text("summary.md").strip_prefix("before\n"), Some(brief.as_str()));
    let nowhere = desk.run(&["compare", "--canary", "a:1", "--stable", "b:1", "--output", "junit=no/such/a.xml"]);
    assert_eq!(nowhere.code, Some(2), "before anything is watched: {nowhere:?}");
    assert!(nowhere.stderr.contains("The output junit=no/such/a.xml cannot be opened: "), "{nowhere:?}");
}

#[test]
fn what_could_not_be_compared_reads_as_passed_nowhere() {
    let desk = Desk::new();
    let stable = corpus(STABLE).to_str().unwrap().to_owned();
    let short = |format: &str| {
        let (code, text) = compared(&desk, &[stable.clone(), stable.clone()], &["--for", "15s", "--output", format]);
        assert_eq!(code, Some(3), "{format}: {text}");
        text
    };
    let junit = short("junit");
    let read = Document::parse(&junit).unwrap();
    let root = read.root_element();
    assert_eq!((root.attribute("errors"), root.attribute("skipped")), (Some("1"), Some("4")), "{junit}");
    assert!(short("github").starts_with("::error title=tokio-canary::NOT ENOUGH DATA (exit 3): "));
    assert!(short("brief").starts_with("## tokio-canary: NOT ENOUGH DATA (exit 3): "));
    let sarif: Value = short("sarif").parse().unwrap();
    assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], false);
}

#[test]
fn redacted_sides_compare_as_the_sides_themselves_and_nothing_is_named() {
    let desk = Desk::new();
    let sides = sides(&desk, SECRET);
    let differences = |text: &str| -> Vec<(String, bool)> {
        let line: Value = text.trim().parse().unwrap();
        let all = line["differences"].as_array().unwrap().iter();
        let mut all: Vec<_> =
            all.map(|it| (format!("{} {}", it["kind"], it["name"]), it["counts"].as_bool().unwrap())).collect();
        all.sort();
        all
    };
    let (_, plain) = compared(&desk, &sides, &["--output", "ndjson"]);
    assert!(plain.contains(SECRET), "{plain}");
    for format in ["text", "ndjson", "brief", "junit", "github", "sarif"] {
        let arguments =
            [&["compare", "--canary", &sides[0], "--stable", &sides[1]][..], &["--redact", "--output", format]];
        let run = desk.run(&arguments.concat());
        assert_eq!(run.code, Some(1), "{format}: {run:?}");
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(!said.contains(SECRET) && !said.contains(".mcap"), "{format}: {run:?}");
        if format == "ndjson" {
            assert_eq!(differences(&run.stdout), differences(&plain));
        }
    }
    let same = [sides[1].clone(), sides[1].clone()];
    assert_eq!(compared(&desk, &same, &["--redact"]).0, Some(0), "stand-ins are the same on both sides");
}
