//! Witnesses, cut and verified by the real binary: small, of the same finding, the same every time, and silent about names.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use console_api::field::{Name, Value};
use console_api::instrument::Update as Message;
use console_api::{Attribute, Field, Location};
use tokio_canary::diagnosis::{Arrived, Status};
use tokio_canary::feed::FeedEvent;
use tokio_canary::feed::recording::{Events, Kept, Note, save};

use crate::tool::{Desk, Outcome, corpus};

/// What a witness weighs at most, in bytes.
const LIGHT: u64 = 32 * 1024;

/// Cuts a recording of the corpus to `file`.
fn cut(desk: &Desk, finding: &str, recording: &str, file: &str, more: &[&str]) -> Outcome {
    let from = corpus(recording);
    desk.run(&[&["witness", finding, "--from", from.to_str().unwrap(), "-o", file], more].concat())
}

fn events(path: &Path) -> Vec<Arrived> {
    Events::open(path).unwrap().collect()
}

fn updates(events: &[Arrived]) -> impl Iterator<Item = Message> {
    events.iter().filter_map(|arrived| match &arrived.event {
        FeedEvent::Update(update) => Some(update.message.decoded()),
        _ => None,
    })
}

/// How many tasks, resources and async ops a recording mentions.
fn entities(path: &Path) -> usize {
    let events = events(path);
    let mut ids = BTreeSet::new();
    for update in updates(&events) {
        let tasks = update.task_update.iter().flat_map(|part| part.stats_update.keys());
        let resources = update.resource_update.iter().flat_map(|part| part.stats_update.keys());
        let ops = update.async_op_update.iter().flat_map(|part| part.stats_update.keys());
        ids.extend(tasks.map(|id| (0, *id)).chain(resources.map(|id| (1, *id))).chain(ops.map(|id| (2, *id))));
    }
    ids.len()
}

#[test]
fn a_witness_is_small_and_shows_the_finding_again() {
    let desk = Desk::new();
    for (finding, recording, share) in [
        ("deadlock", "old-0.4-crossed-mutexes", 4),
        ("deadlock", "old-0.2-upgraded-read", 20),
        ("full-channel@programs/sick.rs", "old-0.4-abandoned-inbox", 40),
        ("blocked-worker", "sick-blocked-worker-late", 50),
        ("permit-leak", "old-0.4-forgotten-slots", 50),
        ("contended-lock", "field/sqlx_tx_over_http-faulty", 20),
        ("never-completes", "field/child_stdout_unread-faulty", 4),
    ] {
        let file = format!("{}.mcap", recording.replace('/', "-"));
        let cut = cut(&desk, finding, recording, &file, &[]);
        assert_eq!(cut.code, Some(0), "{recording}: {cut:?}");
        assert_eq!(cut.stdout, "", "standard output carries data only");
        let path = desk.file(&file);
        let bytes = fs::metadata(&path).unwrap().len();
        assert!(bytes <= LIGHT, "{recording}: {bytes} bytes");
        let (before, after) = (entities(&corpus(recording)), entities(&path));
        assert!(after > 0 && after <= before / share, "{recording}: {after} of {before} entities are left");
        let verified = desk.run(&["verify", &file]);
        assert_eq!(verified.code, Some(0), "{recording}: {verified:?}");
        let detector = finding.split('@').next().unwrap();
        assert!(verified.stdout.starts_with(&format!("{file} shows the finding again: ")), "{verified:?}");
        assert!(verified.stdout.contains(&format!(" {detector} at ")), "{verified:?}");
        let judged = desk.run(&["check", &file, "--for", "10m", "--min-updates", "1"]);
        assert_eq!(judged.code, Some(1), "any recording can be played, and so can {recording}: {judged:?}");
    }
}

#[test]
fn updates_keep_their_times() {
    let desk = Desk::new();
    assert_eq!(cut(&desk, "deadlock", "old-0.4-crossed-mutexes", "witness.mcap", &[]).code, Some(0));
    let times = |path: &Path| -> Vec<_> {
        updates(&events(path)).map(|update| update.now.map(|now| (now.seconds, now.nanos))).collect()
    };
    let (before, after) = (times(&corpus("old-0.4-crossed-mutexes")), times(&desk.file("witness.mcap")));
    assert!(after.iter().all(|time| before.contains(time)), "{after:?} of {before:?}");
}

#[test]
fn the_same_recording_gives_the_same_witness() {
    let desk = Desk::new();
    for more in [&[][..], &["--redact"]] {
        let cut = |file: &str| {
            assert_eq!(cut(&desk, "permit-leak", "old-0.4-forgotten-slots", file, more).code, Some(0));
            fs::read(desk.file(file)).unwrap()
        };
        let one = format!("one{}", more.len());
        let other = format!("other{}", more.len());
        assert!(cut(&one) == cut(&other), "{more:?}");
    }
}

#[test]
fn a_witness_without_its_finding_is_found_out() {
    let desk = Desk::new();
    assert_eq!(cut(&desk, "deadlock", "old-0.4-crossed-mutexes", "witness.mcap", &[]).code, Some(0));
    let whole = desk.file("witness.mcap");
    let mut left = events(&whole);
    for arrived in &mut left {
        if let FeedEvent::Update(update) = &mut arrived.event {
            **update = Message { async_op_update: None, ..update.message.decoded() }.into();
        }
    }
    let note = Note::read(&whole, "tokio-canary.witness").unwrap().unwrap();
    save(&desk.file("damaged.mcap"), &Kept { target: "", events: &left, note }).unwrap();
    let verified = desk.run(&["verify", "damaged.mcap"]);
    assert_eq!(verified.code, Some(1), "{verified:?}");
    let expected = "damaged.mcap does not show the finding again: critical deadlock at ";
    assert!(verified.stdout.starts_with(expected), "{verified:?}");
    assert_eq!(verified.stdout.lines().count(), 1);
}

#[test]
fn what_is_no_witness_is_refused() {
    let desk = Desk::new();
    let recording = corpus("old-0.4-crossed-mutexes");
    fs::write(desk.file("text.mcap"), "no recording").unwrap();
    for (file, expected) in [
        (recording.to_str().unwrap(), "is not a witness"),
        ("text.mcap", "is not a recording"),
        ("missing.mcap", "Cannot read the recording missing.mcap"),
    ] {
        let refused = desk.run(&["verify", file]);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{refused:?}");
        assert!(refused.stderr.contains(expected), "{refused:?}");
    }
}

#[test]
fn a_finding_has_to_be_named_clearly() {
    let desk = Desk::new();
    let ambiguous = cut(&desk, AMBIGUOUS.0, AMBIGUOUS.1, "w.mcap", &[]);
    assert_eq!(ambiguous.code, Some(2), "{ambiguous:?}");
    let candidates: Vec<&str> = ambiguous.stderr.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let candidates: Vec<&&str> = candidates.iter().filter(|it| it.starts_with(&format!("{}:", AMBIGUOUS.0))).collect();
    assert!(candidates.len() >= 2, "{ambiguous:?}");
    assert!(!desk.file("w.mcap").exists());
    // Eight digits of a hash are enough to tell two apart.
    let beginning = &candidates[0][..AMBIGUOUS.0.len() + 9];
    let chosen = cut(&desk, beginning, AMBIGUOUS.1, "w.mcap", &[]);
    assert!(chosen.code == Some(0) && chosen.stderr.contains(*candidates[0]), "{chosen:?}");

    let again = cut(&desk, "deadlock", "old-0.4-crossed-mutexes", "w.mcap", &[]);
    assert_eq!(again.code, Some(2), "a file is never overwritten: {again:?}");
    let missing = cut(&desk, "deadlock", "old-0.4-forgotten-slots", "x.mcap", &[]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("does not show deadlock") && missing.stderr.contains("permit-leak:"));
    let elsewhere = cut(&desk, "deadlock@src/nowhere.rs", "old-0.4-crossed-mutexes", "x.mcap", &[]);
    assert_eq!(elsewhere.code, Some(1), "{elsewhere:?}");
    let slip = cut(&desk, "deadlok", "old-0.4-crossed-mutexes", "x.mcap", &[]);
    assert_eq!(slip.code, Some(2), "{slip:?}");
    assert!(slip.stderr.contains("did you mean `deadlock`?"), "{slip:?}");
}

/// A detector, and a recording with several findings of it.
const AMBIGUOUS: (&str, &str) = ("blocked-worker", "sick-std-lock-order");

/// What nobody else is to learn about a service: they are planted into a recording of one that has no secrets.
const SECRETS: &[&str] = &["acme", "payments", "ACME", "customer", "secret-host", "OrderQueue", "alice"];

/// A recording of the corpus as a service with secrets would have made it.
fn planted(desk: &Desk, recording: &str) -> PathBuf {
    let lost = Status::Lost { reason: "Nothing is listening at secret-host:6669.".to_owned(), retry_at: UNIX_EPOCH };
    let mut events = events(&corpus(recording));
    events.insert(0, Arrived { at: events[0].at, event: FeedEvent::Status(lost) });
    for arrived in &mut events {
        if let FeedEvent::Update(update) = &mut arrived.event {
            let mut message = update.message.decoded();
            plant(&mut message);
            **update = message.into();
        }
    }
    let path = desk.file(&format!("{recording}-planted.mcap"));
    save(&path, &Kept { target: "secret-host:6669", events: &events, note: Note::default() }).unwrap();
    path
}

fn plant(update: &mut Message) {
    let field = |name: &str, value: Value| Field {
        name: Some(Name::StrName(name.to_owned())),
        value: Some(value),
        metadata_id: None,
    };
    let home = |location: &mut Location| {
        let file = location.file.take().unwrap_or_default();
        let below = file.strip_prefix('/').map_or_else(|| format!("acme/{file}"), |it| it.replace("cargo/", ".cargo/"));
        location.file = Some(format!("/home/alice/{below}"));
    };
    for task in update.task_update.iter_mut().flat_map(|part| &mut part.new_tasks) {
        let number = task.id.map_or(0, |id| id.id);
        task.fields.retain(|it| it.name != Some(Name::StrName("task.name".to_owned())));
        task.fields.push(field("task.name", Value::DebugVal(format!("payments-{number}"))));
        task.fields.push(field("customer", Value::StrVal("ACME".to_owned())));
        task.location.iter_mut().for_each(home);
    }
    if let Some(part) = &mut update.resource_update {
        part.new_resources.iter_mut().filter_map(|it| it.location.as_mut()).for_each(home);
        for stats in part.stats_update.values_mut() {
            let name = Some(field("name", Value::StrVal("OrderQueue".to_owned())));
            stats.attributes.push(Attribute { field: name, unit: None });
        }
    }
    for metadata in update.new_metadata.iter_mut().flat_map(|it| &mut it.metadata).filter_map(|it| it.metadata.as_mut())
    {
        metadata.location.iter_mut().for_each(home);
        metadata.field_names.push("customer".to_owned());
        "acme::payments".clone_into(&mut metadata.module_path);
        "acme::payments".clone_into(&mut metadata.target);
    }
}

/// Everything in a recording that is a text, unpacked, and what the file contains as it is.
fn all_texts(path: &Path) -> String {
    let events = Events::open(path).unwrap();
    let target = events.target().to_owned();
    let raw = fs::read(path).unwrap();
    format!("{target} {:?} {}", events.collect::<Vec<_>>(), String::from_utf8_lossy(&raw))
}

#[test]
fn a_redacted_witness_has_no_names_and_shows_the_finding() {
    let desk = Desk::new();
    for (finding, recording) in [
        ("deadlock", "old-0.4-crossed-mutexes"),
        ("full-channel", "sick-full-counted-channel"),
        ("permit-leak", "old-0.4-forgotten-slots"),
    ] {
        let (from, file) = (planted(&desk, recording), format!("{recording}.mcap"));
        let cut = desk.run(&["witness", finding, "--from", from.to_str().unwrap(), "-o", &file, "--redact"]);
        assert_eq!(cut.code, Some(0), "{recording}: {cut:?}");
        let path = desk.file(&file);
        let (before, after) = (all_texts(&from), all_texts(&path));
        for secret in SECRETS {
            assert!(!after.contains(secret), "{recording} contains {secret:?}");
        }
        // No recording has a home.
        assert!(SECRETS[..SECRETS.len() - 1].iter().all(|secret| before.contains(secret)), "{recording}");
        let verified = desk.run(&["verify", &file]);
        assert_eq!(verified.code, Some(0), "{recording}: {verified:?}");
        let detector = finding.split('@').next().unwrap();
        assert!(verified.stdout.contains(&format!(" {detector} at src/")), "{verified:?}");
    }
}

#[test]
fn a_witness_carries_the_settings_it_was_made_with() {
    let desk = Desk::new();
    let settings = ["--set", "deadlock.hold=3s"];
    assert_eq!(cut(&desk, "deadlock", "old-0.4-crossed-mutexes", "w.mcap", &settings).code, Some(0));
    fs::create_dir(desk.file("tokio-canary")).unwrap();
    fs::write(desk.file("tokio-canary/config.toml"), "[detectors.deadlock]\nenabled = false\n").unwrap();
    assert_eq!(desk.run(&["verify", "w.mcap"]).code, Some(0), "the configuration of this machine changes nothing");
    assert_eq!(desk.run(&["verify", "w.mcap", "--set", "deadlock.enabled=false"]).code, Some(1), "a flag does");
    let note = Note::read(desk.file("w.mcap"), "tokio-canary.witness").unwrap().unwrap();
    assert_eq!(note.entries["settings"], "deadlock.hold=3s");
    assert_eq!((note.entries["detector"].as_str(), note.entries["severity"].as_str()), ("deadlock", "critical"));
}
