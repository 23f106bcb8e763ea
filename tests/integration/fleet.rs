//! Targets that come and go while a run lasts, and findings that several of them share, by the real binary.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::support::fake_service::{FakeService, Script};
use crate::support::updates::{births, idle};
use crate::support::{LIMIT, run};
use crate::tool::{Desk, Outcome, corpus, tool};

/// A service that rests, and publishes for as long as this lives.
struct Resting {
    address: String,
    publishing: JoinHandle<()>,
}

impl Resting {
    async fn start() -> Self {
        let script = Script { initial: Some(births(1_000_000, 3, 60_000).encode_to_vec()), ..Script::default() };
        let service = FakeService::start(script).await;
        let address = service.address.to_string();
        let publishing = tokio::spawn(async move {
            for second in 1.. {
                service.publish(&idle(1_000_000 + second * 1_000));
                sleep(Duration::from_millis(50)).await;
            }
        });
        Self { address, publishing }
    }
}

impl Drop for Resting {
    fn drop(&mut self) {
        self.publishing.abort();
    }
}

/// A run over the targets in a file.
struct Following {
    desk: Desk,
    child: Child,
    notes: Receiver<String>,
    heard: Vec<String>,
}

impl Following {
    fn start(command: &str, targets: &[&Resting], arguments: &[&str]) -> Self {
        let desk = Desk::new();
        list(&desk, targets);
        let arguments = [&[command, "--targets-from", "targets"], arguments].concat();
        let mut child = tool(&arguments).current_dir(desk.file("")).spawn().unwrap();
        let (sender, notes) = channel();
        let stderr = child.stderr.take().unwrap();
        thread::spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|it| sender.send(it)));
        Self { desk, child, notes, heard: Vec::new() }
    }

    /// Writes other targets into the file.
    fn list(&self, targets: &[&Resting]) {
        list(&self.desk, targets);
    }

    /// Waits for a line on standard error that contains some words.
    fn hears(&mut self, words: &str) -> String {
        loop {
            let Ok(line) = self.notes.recv_timeout(LIMIT) else {
                panic!("it never said {words:?}, but {:?}", self.heard);
            };
            self.heard.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    fn stop(self) -> Outcome {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.end()
    }

    fn end(mut self) -> Outcome {
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = self.child.wait().unwrap().code();
        self.heard.extend(self.notes.iter());
        Outcome { code, stdout, stderr: self.heard.join("\n") }
    }
}

/// A file that is replaced as a whole is never read by halves.
fn list(desk: &Desk, targets: &[&Resting]) {
    let lines = targets.iter().map(|it| it.address.as_str()).collect::<Vec<_>>().join("\n");
    fs::write(desk.file("next"), lines).unwrap();
    fs::rename(desk.file("next"), desk.file("targets")).unwrap();
}

fn connected(target: &Resting) -> String {
    format!("{}: Connected", target.address)
}

#[test]
fn targets_are_watched_from_when_they_come_until_they_go() {
    run(async {
        let (one, other) = (Resting::start().await, Resting::start().await);
        let mut watch = Following::start("watch", &[&one], &["--output", "ndjson"]);
        let connected = [connected(&one), connected(&other)];
        tokio::task::spawn_blocking(move || {
            watch.hears(&connected[0]);
            watch.list(&[&one, &other]);
            watch.hears(&connected[1]);
            watch.list(&[&other]);
            watch.hears(&format!("{}: left. It had ", one.address));
            fs::remove_file(watch.desk.file("targets")).unwrap();
            watch.hears("targets cannot be read");
            let ended = watch.stop();
            assert_eq!(ended.code, Some(0), "{ended:?}");
            let lines: Vec<Value> = ended.stdout.lines().map(|line| line.parse().unwrap()).collect();
            let of = |target: &str| -> Vec<String> {
                let lines = lines
                    .iter()
                    .filter(|line| line["target"] == target && line["type"] != "quality" && line["type"] != "finding");
                lines.map(|line| line["state"].as_str().or(line["type"].as_str()).unwrap().to_owned()).collect()
            };
            let lives = ["hello", "resolving", "dialing", "live"];
            assert_eq!(of(&one.address), [&lives[..], &["left"]].concat(), "{ended:?}");
            assert_eq!(
                of(&other.address),
                [&lives[..], &["summary"]].concat(),
                "a file that is gone changes nothing: {ended:?}"
            );
        })
        .await
        .unwrap();
    });
}

#[test]
fn what_was_seen_of_a_target_that_left_counts_for_the_verdict() {
    run(async {
        let (one, other) = (Resting::start().await, Resting::start().await);
        let mut check = Following::start("check", &[&one, &other], &["--for", "10s", "--min-activity", "0"]);
        let connected = connected(&other);
        tokio::task::spawn_blocking(move || {
            // It may connect before the search is complete.
            check.hears(&connected);
            check.list(&[&one]);
            check.hears(&format!("{}: left.", other.address));
            let ended = check.end();
            assert_eq!(ended.code, Some(0), "{ended:?}");
            let left = ended.stdout.lines().find(|line| line.starts_with(&other.address)).unwrap_or_default();
            assert!(left.contains("It left before the end."), "{ended:?}");
            assert!(ended.stderr.contains("Found 2 targets"), "{ended:?}");
            assert!(ended.stdout.contains("all targets: PASS (exit 0): 2 targets"), "{ended:?}");
        })
        .await
        .unwrap();
    });
}

#[test]
fn more_targets_than_there_may_be_are_said_and_nothing_is_said_for_them() {
    run(async {
        let (one, other) = (Resting::start().await, Resting::start().await);
        let bounds = ["--for", "1s", "--min-activity", "0", "--max-targets", "1"];
        let mut check = Following::start("check", &[&one, &other], &bounds);
        tokio::task::spawn_blocking(move || {
            check.hears("Watching 1 target, the limit (--max-targets 1)");
            let ended = check.end();
            assert_eq!(ended.code, Some(3), "{ended:?}");
            let verdict = "all targets: INCONCLUSIVE (exit 3): 1 target, 1 healthy, 1 more not watched; ";
            assert!(ended.stdout.contains(verdict), "{ended:?}");
            drop((one, other));
        })
        .await
        .unwrap();
    });
}

#[test]
fn a_target_takes_the_place_of_one_that_left() {
    run(async {
        let (one, other) = (Resting::start().await, Resting::start().await);
        let mut watch = Following::start("watch", &[&one, &other], &["--max-targets", "1"]);
        let both = [connected(&one), connected(&other)];
        tokio::task::spawn_blocking(move || {
            let first = watch.hears(": Connected");
            let (first, second) = if first.contains(&both[0]) { (&one, &other) } else { (&other, &one) };
            watch.list(&[second]);
            watch.hears(&format!("{}: left.", first.address));
            watch.hears(&connected(second));
            assert_eq!(watch.stop().code, Some(0));
        })
        .await
        .unwrap();
    });
}

#[test]
fn a_check_that_finds_no_target_is_inconclusive_and_says_so() {
    let desk = Desk::new();
    for (file, notes) in [("targets", "No target was found so far"), ("missing", "missing cannot be read")] {
        list(&desk, &[]);
        for output in ["text", "ndjson", "brief", "junit", "github", "sarif"] {
            let ended = desk.run(&["check", "--targets-from", file, "--for", "300ms", "--output", output]);
            assert_eq!(ended.code, Some(3), "{output}: {ended:?}");
            assert!(ended.stderr.contains(notes), "{output}: {ended:?}");
            match output {
                "text" => {
                    let verdict = "all targets: INCONCLUSIVE (exit 3): no target was found; no findings.";
                    assert_eq!(ended.stdout.trim_end(), verdict);
                }
                "ndjson" => assert!(ended.stdout.contains("\"type\":\"run\""), "{ended:?}"),
                "brief" => assert!(ended.stdout.contains("no target was found"), "{ended:?}"),
                _ => {}
            }
        }
    }
}

#[test]
fn options_that_would_do_nothing_are_refused() {
    let desk = Desk::new();
    list(&desk, &[]);
    for (arguments, says) in [
        (&["check", "localhost:1", "--max-targets", "3"][..], "--max-targets is for targets that are found"),
        (&["watch", "--targets-from", "targets", "--max-targets", "0"], "--max-targets must be 1 or more"),
        (&["watch", "--targets-from", "targets", "--record", "a.mcap"], "--record takes one target"),
        (&["check", "--targets-from", "targets", "--", "true"], "cannot be used with"),
    ] {
        let refused = desk.run(arguments);
        assert_eq!(refused.code, Some(2), "{arguments:?}: {refused:?}");
        assert!(refused.stderr.contains(says), "{arguments:?}: {refused:?}");
    }
}

#[test]
fn a_finding_that_several_targets_share_is_said_in_full_once() {
    let desk = Desk::new();
    let recording = corpus("old-0.4-crossed-mutexes");
    for name in ["a.mcap", "b.mcap"] {
        fs::copy(&recording, desk.file(name)).unwrap();
    }
    let judged = desk.run(&["check", "a.mcap", "b.mcap", "--min-activity", "0"]);
    assert_eq!(judged.code, Some(1), "{judged:?}");
    let said: Vec<&str> = judged.stdout.lines().filter(|line| line.contains(" deadlock: ")).collect();
    let in_full = said.iter().filter(|line| line.contains(" Next: ")).count();
    let in_short = said.iter().filter(|line| line.contains("The same finding is on 2 of 2 targets now.")).count();
    assert_eq!((in_full, in_short), (1, 1), "{judged:?}");
    let shared: Vec<&str> =
        judged.stdout.lines().filter(|line| line.starts_with("shared: critical deadlock at ")).collect();
    assert!(shared.len() == 1 && shared[0].ends_with("on 2 of 2 targets: a.mcap, b.mcap."), "{judged:?}");
    let ndjson = desk.run(&["check", "a.mcap", "b.mcap", "--output", "ndjson"]).stdout;
    let last: Value = ndjson.lines().last().unwrap().parse().unwrap();
    let deadlock = last["shared"].as_array().unwrap().iter().find(|it| it["detector"] == "deadlock").unwrap();
    assert_eq!(deadlock["members"], serde_json::json!(["a.mcap", "b.mcap"]));
    let alone = desk.run(&["check", "a.mcap"]);
    assert!(
        !alone.stdout.contains("shared") && !alone.stdout.contains("target"),
        "only where there are several: {alone:?}"
    );
}

#[test]
fn headers_are_not_sent_in_the_clear_to_what_is_found_either() {
    let desk = Desk::new();
    fs::write(desk.file("token"), "secret").unwrap();
    // An address of documentation, where nothing can listen.
    fs::write(desk.file("targets"), "192.0.2.1:6669\n").unwrap();
    let (token, targets) = (format!("authorization=@{}", desk.file("token").display()), desk.file("targets"));
    let outcome = Outcome::of(&mut tool(&[
        "check",
        "--targets-from",
        targets.to_str().unwrap(),
        "--header",
        &token,
        "--for",
        "1s",
        "--wait-for-target",
        "2s",
    ]));
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(said.contains("Headers would go to http://192.0.2.1:6669"), "{outcome:?}");
}

#[test]
fn every_state_of_a_connection_is_in_the_stream_once_and_notes_are_for_what_came_of_it() {
    let gone = Desk::new().run(&["check", "127.0.0.1:1", "--for", "3s", "--output", "ndjson"]);
    let lines: Vec<Value> = gone.stdout.lines().map(|line| line.parse().unwrap()).collect();
    let states: Vec<&Value> = lines.iter().filter(|line| line["type"] == "status").collect();
    let words: Vec<&str> = states.iter().filter_map(|line| line["state"].as_str()).collect();
    assert_eq!(words, ["resolving", "dialing", "lost"], "three attempts or more: {gone:?}");
    for (state, is_lost) in states.iter().zip([false, false, true]) {
        assert_eq!(state["retry_in_s"].as_f64().is_some_and(|it| it > 0.0 && it <= 0.5), is_lost, "{state}");
        assert_eq!(state["reason"].is_string(), is_lost, "{state}");
    }
    for note in ["Looking up the address.", "Nothing is listening"] {
        assert_eq!(gone.stderr.matches(note).count(), 1, "{gone:?}");
    }
    assert!(!gone.stderr.contains("Connecting"), "{gone:?}");
}
