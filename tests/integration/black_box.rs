//! The black box of `watch`, with the real binary: what it saves shows the finding again, whatever becomes of the run and of the disk.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio_canary::feed::FeedEvent;
use tokio_canary::feed::recording::{Events, Note};

use crate::source::in_repository;
use crate::support::fake_service::{FakeService, Script};
use crate::support::{eventually, run};
use crate::tool::tool;

/// Recordings of services with faults of several families.
const FAULTY: [&str; 8] = [
    "old-0.2-dropped-waker",
    "old-0.2-upgraded-read",
    "old-0.4-abandoned-inbox",
    "old-0.4-crossed-mutexes",
    "old-0.4-forgotten-slots",
    "sick-blocked-worker-late",
    "sick-buffered-permits",
    "sick-std-lock-order",
];

fn recording(name: &str) -> String {
    in_repository(&format!("tests/recordings/{name}.mcap")).to_str().unwrap().to_owned()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The findings that fire in the ndjson of a run.
fn firing(output: &Output) -> Vec<Value> {
    let lines = text(&output.stdout).lines().map(|line| line.parse::<Value>().unwrap());
    lines.filter(|line| line["type"] == "finding" && line["state"] == "firing").collect()
}

fn fingerprints<'a>(findings: impl IntoIterator<Item = &'a Value>) -> BTreeSet<String> {
    findings.into_iter().map(|it| it["fingerprint"].as_str().unwrap().to_owned()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What `check` says of a file.
fn played(file: &Path) -> Vec<Value> {
    firing(&tool(&["check", file.to_str().unwrap(), "--output", "ndjson"]).output().unwrap())
}

#[test]
fn what_is_saved_shows_the_finding_again_from_the_state_at_its_begin() {
    for name in FAULTY {
        for before in ["2s", "5m"] {
            let folder = TempDir::new().unwrap();
            let shelf = folder.path().join("saved");
            let arguments = ["watch", &recording(name), "--black-box", shelf.to_str().unwrap()];
            let more = ["--black-box-before", before, "--output", "ndjson"];
            let watched = tool(&[&arguments[..], &more[..]].concat()).output().unwrap();
            assert_eq!(watched.status.code(), Some(0), "{}", text(&watched.stderr));
            let found = firing(&watched);
            let recorded: Vec<&Value> = found.iter().filter(|it| it["severity"] != "info").collect();
            let [file] = files(&shelf).try_into().unwrap_or_else(|files| panic!("{name}: {files:?}"));
            // Those that fire while it is written are in it too.
            assert!(!recorded.is_empty() && recorded.iter().all(|it| it["recording"] == file.to_str().unwrap()));
            assert!(found.iter().filter(|it| it["severity"] == "info").all(|it| it["recording"].is_null()));
            assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
            let missing: Vec<String> =
                fingerprints(recorded).difference(&fingerprints(&played(&file))).cloned().collect();
            assert!(missing.is_empty(), "{name} with {before}: {missing:?}");
            let note = Note::read(&file, "tokio-canary.black-box").unwrap().unwrap();
            assert!(found.iter().any(|it| it["fingerprint"] == note.entries["fingerprint"]));
        }
    }
}

#[test]
fn the_path_is_in_the_line_that_a_person_reads() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    let watched = tool(&["watch", &recording("old-0.4-crossed-mutexes"), "--black-box", path]).output().unwrap();
    let [file] = files(folder.path()).try_into().unwrap();
    let line = text(&watched.stdout).lines().find(|line| line.contains(" critical deadlock: ")).unwrap();
    assert!(line.ends_with(&format!(" Recording: {}", file.display())), "{line}");
    assert!(text(&watched.stderr).contains(&format!("to {}.", file.display())));
}

/// Sends what was recorded of another service.
fn replay(service: &FakeService, name: &str) {
    for arrived in Events::open(recording(name)).unwrap() {
        if let FeedEvent::Update(update) = arrived.event {
            service.publish_bytes(update.message.bytes());
        }
    }
}

/// A `watch` with a black box.
struct Watch {
    process: Child,
    /// What it prints, read on a thread of its own: the service needs this one.
    lines: Receiver<Value>,
}

impl Watch {
    async fn start(service: &FakeService, folder: &Path) -> Self {
        let arguments = ["watch", &service.address.to_string(), "--no-pump", "--output", "ndjson"];
        let mut process = tool(&arguments).stderr(Stdio::null()).arg("--black-box").arg(folder).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        thread::spawn(move || {
            output.lines().for_each(|line| drop(sender.send(line.unwrap().parse().unwrap())));
        });
        eventually("a watcher", || service.watchers() == 1).await;
        Self { process, lines }
    }

    /// The path that the next alert of a deadlock names.
    async fn path(&mut self) -> PathBuf {
        let mut path = None;
        eventually("an alert", || {
            let is_alert = |line: &Value| line["detector"] == "deadlock" && line["recording"].is_string();
            path = self.lines.try_iter().find(is_alert);
            path.is_some()
        })
        .await;
        PathBuf::from(path.unwrap()["recording"].as_str().unwrap())
    }

    async fn end(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        eventually("the end", || self.process.try_wait().unwrap().is_some()).await;
    }
}

/// How many deadlocks a file shows.
fn deadlocks(file: &Path) -> usize {
    fingerprints(played(file).iter().filter(|it| it["detector"] == "deadlock")).len()
}

fn has_updates(file: &Path) -> bool {
    Events::open(file).is_ok_and(|mut events| events.any(|it| matches!(it.event, FeedEvent::Update(_))))
}

#[test]
fn a_signal_in_the_middle_completes_the_recording() {
    run(async {
        let (folder, service) = (TempDir::new().unwrap(), FakeService::start(Script::default()).await);
        let mut watch = Watch::start(&service, folder.path()).await;
        replay(&service, "old-0.4-crossed-mutexes");
        let path = watch.path().await;
        assert!(!path.exists(), "it continues for a minute");
        watch.end().await;
        assert_eq!(files(folder.path()), std::slice::from_ref(&path));
        assert_eq!(deadlocks(&path), 1);
    });
}

#[test]
fn a_crash_in_the_middle_leaves_a_recording_that_can_be_played() {
    run(async {
        let (folder, service) = (TempDir::new().unwrap(), FakeService::start(Script::default()).await);
        let mut watch = Watch::start(&service, folder.path()).await;
        replay(&service, "old-0.4-crossed-mutexes");
        let partial = PathBuf::from(format!("{}.partial", watch.path().await.display()));
        eventually("the last minutes are on the disk", || has_updates(&partial)).await;
        watch.process.kill().unwrap();
        watch.process.wait().unwrap();
        assert_eq!(files(folder.path()), std::slice::from_ref(&partial));
        assert_eq!(deadlocks(&partial), 1);
    });
}

#[test]
fn a_restart_of_the_target_is_in_the_recording_with_what_both_processes_did() {
    run(async {
        let (folder, service) = (TempDir::new().unwrap(), FakeService::start(Script::default()).await);
        let at = service.socket_addr();
        let mut watch = Watch::start(&service, folder.path()).await;
        replay(&service, "old-0.4-crossed-mutexes");
        let first = watch.path().await;
        service.stop().await;
        let service = FakeService::start_at(at, Script::default()).await;
        eventually("a watcher", || service.watchers() == 1).await;
        replay(&service, "old-0.2-upgraded-read");
        assert_eq!(watch.path().await, first, "it is still being written");
        watch.end().await;
        assert_eq!(files(folder.path()), std::slice::from_ref(&first));
        assert_eq!(deadlocks(&first), 2);
    });
}

#[test]
fn a_disk_that_takes_nothing_harms_neither_detection_nor_the_run() {
    let folder = TempDir::new().unwrap();
    let target = recording("old-0.4-forgotten-slots");
    fs::write(folder.path().join("file"), "").unwrap();
    let nowhere = folder.path().join("file/inside");
    let shelf = folder.path().join("saved");
    for (command, shelf, says) in [
        ("exec \"$@\"", &nowhere, "The black box cannot save recordings in "),
        ("ulimit -f 8; exec \"$@\"", &shelf, "File too large"),
    ] {
        let arguments = ["watch", &target, "--isolated", "--output", "ndjson", "--black-box", shelf.to_str().unwrap()];
        let mut shell = Command::new("sh");
        shell.args(["-c", command, "sh", env!("CARGO_BIN_EXE_tokio-canary")]).args(arguments).stdin(Stdio::null());
        let watched = shell.output().unwrap();
        let notes = text(&watched.stderr);
        assert_eq!(watched.status.code(), Some(0), "{notes}");
        assert!(notes.contains(says), "{notes}");
        assert!(notes.contains("1 black-box recording is missing or incomplete."), "{notes}");
        assert!(firing(&watched).iter().any(|it| it["detector"] == "permit-leak" && it["severity"] == "warning"));
    }
    assert!(files(&shelf).iter().all(|file| has_updates(file)), "nothing is left that cannot be played");
}

#[test]
fn the_oldest_recordings_make_room() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    fs::write(folder.path().join("notes.txt"), "x".repeat(2 * 1024 * 1024)).unwrap();
    let old = format!("{path}/canary-20010909T014640.000Z-a-deadlock-1.mcap");
    let [saved] = {
        tool(&["watch", &recording("old-0.4-crossed-mutexes"), "--black-box", path]).output().unwrap();
        let of_ours = files(folder.path()).into_iter().filter(|file| file.extension().is_some_and(|it| it == "mcap"));
        of_ours.collect::<Vec<_>>().try_into().unwrap()
    };
    // One of ours that is old and large.
    fs::rename(saved, &old).unwrap();
    fs::File::options().append(true).open(&old).unwrap().set_len(2 * 1024 * 1024).unwrap();
    let arguments = ["watch", &recording("old-0.4-crossed-mutexes"), "--black-box", path, "--black-box-disk", "1"];
    tool(&arguments).output().unwrap();
    let left = files(folder.path());
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(!Path::new(&old).exists() && left[1].ends_with("notes.txt"));
}

#[test]
fn settings_of_a_black_box_that_is_not_there_are_refused() {
    let refused = tool(&["watch", "127.0.0.1:1", "--black-box-after", "9s"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("Add --black-box FOLDER."), "{}", text(&refused.stderr));
}
