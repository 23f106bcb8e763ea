//! `--redact`: what a target calls things leaves the machine in no output and in no recording, and findings stay comparable.

use std::fs;
use std::path::Path;

use console_api::field::Value as FieldValue;
use console_api::instrument::Update as Message;
use console_api::register_metadata::NewMetadata;
use console_api::resources::resource::{Kind, kind};
use console_api::{Attribute, Field, Location, MetaId, Metadata, async_ops, resources, tasks};
use serde_json::Value;
use tokio_canary::feed::recording::Events;

use super::{Desk, changed, field, name_tasks, place_all};

/// What must not leave the machine, in upper and lower case.
const SECRET: &str = "xyzzy";
const SICK: &str = "old-0.4-crossed-mutexes";

fn has_secret(text: &str) -> bool {
    text.to_lowercase().contains(SECRET)
}

fn secret_field(name: &str) -> Field {
    Field {
        name: field(name, FieldValue::BoolVal(true)).name,
        value: Some(FieldValue::DebugVal(format!("{SECRET} value"))),
        metadata_id: None,
    }
}

fn secret_place() -> Location {
    Location {
        file: Some(format!("src/{SECRET}/main.rs")),
        module_path: Some(format!("{SECRET}::main")),
        line: Some(3),
        column: Some(5),
    }
}

/// Puts a secret into every text that a message has, and adds elements with one in every text that they can have.
fn plant(message: &mut Message) {
    name_tasks(message, &format!("{SECRET}-task"));
    place_all(message, |location| {
        location.file = Some(format!("src/{SECRET}/bank.rs"));
        location.module_path = Some(format!("{SECRET}::bank"));
    });
    let unit = || Some(SECRET.to_owned());
    let attributes =
        || ["name", SECRET, "permits"].map(|name| Attribute { field: Some(secret_field(name)), unit: unit() });
    let id = |id| Some(console_api::Id { id });
    if let Some(part) = &mut message.task_update {
        for task in &mut part.new_tasks {
            task.fields.extend([secret_field("customer"), secret_field(SECRET), secret_field("function")]);
        }
        let fields = vec![secret_field("task.name"), secret_field(SECRET)];
        part.new_tasks.push(tasks::Task {
            id: id(990_001),
            fields,
            location: Some(secret_place()),
            ..tasks::Task::default()
        });
        // A crate of a registry of one's own, and a folder that looks like one.
        let registry = "/home/ana/.cargo/registry/src/registry.example-1949cf8c6b5b557f";
        for (id, file) in [
            (990_005, format!("{registry}/{SECRET}-core-1.2.0/src/lib.rs")),
            (990_006, format!("{SECRET}-2.0/src/main.rs")),
        ] {
            let location = Some(Location { file: Some(file), ..secret_place() });
            part.new_tasks.push(tasks::Task { id: Some(console_api::Id { id }), location, ..tasks::Task::default() });
        }
    }
    if let Some(part) = &mut message.resource_update {
        for stats in part.stats_update.values_mut() {
            stats.attributes.extend(attributes());
        }
        part.new_resources.push(resources::Resource {
            id: id(990_002),
            concrete_type: format!("{SECRET}::Queue"),
            kind: Some(Kind { kind: Some(kind::Kind::Other(SECRET.to_owned())) }),
            location: Some(secret_place()),
            ..resources::Resource::default()
        });
        let poll = resources::PollOp {
            name: format!("poll_{SECRET}"),
            resource_id: id(990_002),
            ..resources::PollOp::default()
        };
        part.new_poll_ops.push(poll);
    }
    if let Some(part) = &mut message.async_op_update {
        for stats in part.stats_update.values_mut() {
            stats.attributes.extend(attributes());
        }
        let source = format!("{SECRET}::acquire");
        part.new_async_ops.push(async_ops::AsyncOp { id: id(990_003), source, ..async_ops::AsyncOp::default() });
    }
    let metadata = Metadata {
        name: format!("event src/{SECRET}.rs:1"),
        target: SECRET.to_owned(),
        module_path: format!("{SECRET}::a"),
        location: Some(secret_place()),
        field_names: vec![SECRET.to_owned()],
        ..Metadata::default()
    };
    // A service whose crate is called `runtime`.
    let of_runtime = Metadata {
        name: format!("runtime.{SECRET}"),
        target: format!("runtime::{SECRET}"),
        module_path: format!("runtime::{SECRET}::a"),
        location: Some(Location { file: None, module_path: Some(format!("runtime::{SECRET}")), ..secret_place() }),
        ..Metadata::default()
    };
    let all = [(990_004, metadata), (990_007, of_runtime)];
    let new = all.map(|(id, metadata)| NewMetadata { id: Some(MetaId { id }), metadata: Some(metadata) });
    message.new_metadata.get_or_insert_default().metadata.extend(new);
}

/// Everything in a recording, unpacked, and what the file contains as it is.
fn all_of(recording: &Path) -> String {
    let events = Events::open(recording).unwrap();
    let target = events.target().to_owned();
    format!("{target} {:?} {}", events.collect::<Vec<_>>(), String::from_utf8_lossy(&fs::read(recording).unwrap()))
}

#[test]
fn a_secret_in_every_text_of_a_feed_appears_in_no_output() {
    let desk = Desk::new();
    let target = changed(&desk, SICK, &format!("{SECRET}.mcap"), plant);
    assert!(has_secret(&all_of(&desk.file(&target))));
    let files = ["text=o.txt", "ndjson=o.ndjson", "brief=o.md", "junit=o.xml", "github=o.gh", "sarif=o.sarif"];
    let outputs: Vec<&str> = files.iter().flat_map(|output| ["--output", output]).collect();
    let summary = desk.file("o.summary");
    let run = |more: &[&str]| {
        let fixed = [&["check", target.as_str(), "--for", "10m", "--record", "o.mcap"], more].concat();
        desk.run_with(&[("GITHUB_STEP_SUMMARY", summary.to_str().unwrap())], &[fixed, outputs.clone()].concat())
    };
    let outcome = run(&["--redact"]);
    assert_eq!(outcome.code, Some(1), "the finding shows: {}", outcome.stderr);
    assert!(!has_secret(&outcome.stdout) && !has_secret(&outcome.stderr), "{outcome:?}");
    let written = |name: &str| String::from_utf8_lossy(&fs::read(desk.file(name)).unwrap()).into_owned();
    for name in ["o.txt", "o.ndjson", "o.md", "o.xml", "o.gh", "o.sarif", "o.summary"] {
        let text = written(name);
        assert!(text.contains("deadlock") && !has_secret(&text), "{name}: {text}");
    }
    let recorded = all_of(&desk.file("o.mcap"));
    let leaks = recorded
        .to_lowercase()
        .match_indices(SECRET)
        .map(|(at, _)| recorded[at.saturating_sub(90)..at + 20].to_owned())
        .collect::<Vec<_>>();
    assert_eq!(leaks.first(), None, "what is recorded is redacted too");
    // The same without it: the test can fail.
    for name in ["o.txt", "o.ndjson", "o.md", "o.xml", "o.gh", "o.sarif", "o.summary", "o.mcap"] {
        fs::remove_file(desk.file(name)).unwrap();
    }
    assert_eq!(run(&[]).code, Some(1));
    for name in ["o.txt", "o.ndjson", "o.md", "o.xml", "o.gh", "o.sarif", "o.summary"] {
        assert!(has_secret(&written(name)), "{name}");
    }
    assert!(has_secret(&all_of(&desk.file("o.mcap"))));
}

fn sick(desk: &Desk, file: &str) -> String {
    changed(desk, SICK, file, |message| {
        name_tasks(message, "transfer");
        place_all(message, |location| location.file = Some("src/bank.rs".to_owned()));
    })
}

/// The deadlock of a run as it is when it fires.
fn deadlock(text: &str) -> Option<Value> {
    let lines = text.lines().filter_map(|line| line.parse::<Value>().ok());
    lines.into_iter().find(|line| line["detector"] == "deadlock" && line["state"] == "firing")
}

#[test]
fn findings_of_redacted_runs_can_be_compared() {
    let desk = Desk::new();
    let (one, other) = (sick(&desk, "one.mcap"), sick(&desk, "other.mcap"));
    let run = |target: &str, more: &[&str]| {
        let outcome = desk.run(&[&["check", target, "--for", "10m", "--output", "ndjson"], more].concat());
        deadlock(&outcome.stdout).unwrap()
    };
    let (first, second, plain) = (run(&one, &["--redact"]), run(&other, &["--redact"]), run(&one, &[]));
    assert_eq!(first["fingerprint"], second["fingerprint"]);
    assert_eq!(first["subject"]["name"], second["subject"]["name"]);
    assert_ne!(first["subject"]["name"], plain["subject"]["name"]);
    assert_eq!((&first["target"], &first["severity"]), (&"target".into(), &plain["severity"]));
    let outcome = desk.run(&["check", &one, &other, "--for", "10m", "--redact"]);
    assert!(outcome.stdout.contains("\ntarget-2 FAIL (exit 1)"), "{}", outcome.stdout);
}

#[test]
fn suppressions_and_expectations_by_name_still_apply() {
    let desk = Desk::new();
    let target = sick(&desk, "sick.mcap");
    let check = |suppression: &str| {
        fs::write(desk.file("c.toml"), format!("[[suppress]]\n{suppression}\nstatement = \"known\"\n")).unwrap();
        desk.run(&["check", &target, "--for", "10m", "--output", "ndjson", "--config", "c.toml", "--redact"])
    };
    for suppression in [
        "detector = \"deadlock\"",
        "name = \"transfer\"",
        "location = \"src/bank.rs\"",
        "detector = \"deadlock\"\nname = \"*\"",
        "detector = \"deadlock\"\nlocation = \"*\"",
    ] {
        let outcome = check(suppression);
        assert!(deadlock(&outcome.stdout).is_none(), "{suppression}: {}", outcome.stdout);
    }
    for suppression in ["name = \"other\"", "location = \"src/other.rs\""] {
        assert!(deadlock(&check(suppression).stdout).is_some(), "{suppression}");
    }
    let refused = check("name = \"trans*\"");
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
    assert!(
        refused.stderr.contains("c.toml:1: the pattern `trans*` cannot be used with --redact"),
        "{}",
        refused.stderr
    );
    let placed = desk.run(&["check", &target, "--for", "10m", "--redact", "--expect-finding", "deadlock@src/bank.rs"]);
    assert_eq!(placed.code, Some(2), "{placed:?}");
    assert!(placed.stderr.contains("`deadlock@src/bank.rs` names a place, which --redact replaces."), "{placed:?}");
    let expecting = |name: &str| {
        let outcome = desk.run(&["check", &target, "--for", "10m", "--redact", "--expect", name]);
        outcome.stdout.contains("vanished-singleton: The expected task")
    };
    assert!(!expecting("transfer"), "it is there");
}

#[test]
fn no_place_of_a_repository_is_made_up_of_stand_ins() {
    let desk = Desk::new();
    let outcome = desk.run(&["check", &sick(&desk, "sick.mcap"), "--for", "10m", "--redact", "--output", "sarif"]);
    let document: Value = outcome.stdout.parse().unwrap();
    assert_eq!(document["runs"][0]["results"].as_array().map(Vec::len), Some(0));
    assert!(outcome.stdout.contains("Its place is redacted."), "{}", outcome.stdout);
}
