//! The real binary among pipes that nobody reads, full disks, signals and terminals that are none.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use console_api::{Id, instrument, tasks};
use prost::Message;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::source::{in_repository, read_sources};
use crate::support::fake_service::{FakeService, Script};
use crate::support::updates::{at, idle, large};
use crate::support::{LIMIT, eventually, run};
use crate::tool::{Notes, Outcome, deadlock};

/// The tool, of which nobody reads anything unless a test says so.
fn tool(arguments: &[&str]) -> Command {
    let mut command = crate::tool::tool(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// What a command comes to: exit code, standard output and standard error.
fn outcome(arguments: &[&str]) -> (Option<i32>, String, String) {
    said(&mut crate::tool::tool(arguments))
}

fn said(command: &mut Command) -> (Option<i32>, String, String) {
    let Outcome { code, stdout, stderr } = Outcome::of(command);
    (code, stdout, stderr)
}

/// A pipe that is full, and that nobody reads.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    assert_eq!(writer.write(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// How a process ends, which it has to do in time.
async fn end(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return status,
            None if begun.elapsed() > LIMIT => {
                child.kill().unwrap();
                panic!("the process did not end within {LIMIT:?}");
            }
            None => sleep(Duration::from_millis(5)).await,
        }
    }
}

/// What is left in the pipe of standard error.
fn rest(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

async fn service() -> FakeService {
    FakeService::start(Script { initial: Some(idle(1_000).encode_to_vec()), ..Script::default() }).await
}

#[test]
fn standard_error_that_nobody_reads_stops_nothing() {
    run(async {
        let (_reader, writer) = full_pipe();
        let mut child = tool(&["check", &deadlock()]).stderr(writer).spawn().unwrap();
        assert_eq!(end(&mut child).await.code(), Some(1));
    });
}

#[test]
fn standard_output_that_nobody_reads_keeps_no_signal_from_ending_it() {
    run(async {
        let service = service().await;
        let address = service.address.to_string();
        // How many events go with it depends on when the signal comes.
        for arguments in [vec!["watch", &address, "--output", "ndjson"], vec!["check", &deadlock()]] {
            let (_reader, writer) = full_pipe();
            let mut child = tool(&arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
            let mut notes = Notes::of(&mut child);
            if arguments[0] == "watch" {
                eventually("a watcher", || service.watchers() == 1).await;
            } else {
                notes.hear("The recording has ended");
            }
            let begun = Instant::now();
            signal(&child, Signal::TERM);
            assert_eq!(end(&mut child).await.code(), Some(4), "{arguments:?}");
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
            let notes = notes.all();
            let is_said = |line: &str| line.contains("summary w") && line.contains("not written, because nobody reads");
            assert!(notes.lines().any(is_said), "{notes}");
        }
    });
}

#[test]
fn a_second_signal_ends_it_at_once() {
    run(async {
        let (_reader, writer) = full_pipe();
        let mut child = tool(&["check", &deadlock()]).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let mut notes = Notes::of(&mut child);
        notes.hear("The recording has ended");
        signal(&child, Signal::INT);
        signal(&child, Signal::TERM);
        let code = end(&mut child).await.code();
        assert!([Some(130), Some(143)].contains(&code), "{code:?}");
    });
}

#[test]
fn watch_that_is_ended_by_a_signal_is_done() {
    run(async {
        let service = service().await;
        let address = service.address.to_string();
        for (arguments, code) in [
            (vec!["watch", &address], 0),
            (vec!["watch", &address, "--fail-on", "warning"], 3),
            (vec!["check", &address], 3),
        ] {
            let mut child = tool(&arguments).spawn().unwrap();
            eventually("a watcher", || service.watchers() == 1).await;
            signal(&child, Signal::INT);
            assert_eq!(end(&mut child).await.code(), Some(code), "{arguments:?}");
            service.end_streams();
            eventually("no watcher", || service.watchers() == 0).await;
        }
    });
}

/// How long the main thread of a process has computed, in ticks of the system's clock, of which there are 100 a second.
fn main_thread_ticks(child: &Child) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{0}/task/{0}/stat", child.id())).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.get(11).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_is_answered_while_an_update_is_applied() {
    run(async {
        let service = service().await;
        let mut child =
            tool(&["check", &service.address.to_string(), "--no-pump"]).stderr(Stdio::piped()).spawn().unwrap();
        eventually("a watcher", || service.watchers() == 1).await;
        let task = |id| tasks::Task { id: Some(Id { id }), metadata: None, ..tasks::Task::default() };
        let stats = |id| (id, tasks::Stats { created_at: Some(at(1_000)), wakes: id, ..tasks::Stats::default() });
        let part = tasks::TaskUpdate {
            new_tasks: (1..400_000).map(task).collect(),
            stats_update: (1..400_000).map(stats).collect(),
            ..tasks::TaskUpdate::default()
        };
        service.publish(&instrument::Update { task_update: Some(part), ..idle(2_000) });
        eventually("the main thread is busy", || main_thread_ticks(&child) > 15).await;
        signal(&child, Signal::TERM);
        assert_eq!(end(&mut child).await.code(), Some(3));
        let notes = rest(&mut child);
        assert!(notes.contains("SIGTERM ended the run while it was busy, so there is no summary."), "{notes}");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_said_once_and_fails_every_command() {
    let recording = deadlock();
    for arguments in [
        vec!["explain"],
        vec!["explain", "deadlock"],
        vec!["completions", "bash"],
        vec!["man"],
        vec!["man", "check"],
        vec!["config", "show", "--all"],
        vec!["config", "check"],
        vec!["--help"],
        vec!["check", "--help"],
        vec!["--version"],
        vec!["check", &recording],
        vec!["watch", &recording],
        vec!["watch", &recording, "--output", "ndjson"],
        vec!["check", &recording, "--output", "text=/dev/full"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (code, _, notes) = said(tool(&arguments).stdout(full).stderr(Stdio::piped()));
        assert_eq!(code, Some(4), "{arguments:?}: {notes}");
        let faults: Vec<&str> = notes.lines().filter(|line| line.contains("No space left")).collect();
        assert_eq!(faults.len(), 1, "{arguments:?}: {notes}");
        assert!(faults[0].starts_with("tokio-canary: Cannot write to "), "{notes}");
    }
}

#[test]
fn a_reader_that_has_left_wanted_no_more() {
    let recording = deadlock();
    for (arguments, code) in [
        (vec!["explain"], 0),
        (vec!["man"], 0),
        (vec!["--help"], 0),
        (vec!["watch", &recording], 0),
        // Its exit code is what it is for.
        (vec!["check", &recording], 1),
    ] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (ended, _, notes) = said(tool(&arguments).stdout(writer).stderr(Stdio::piped()));
        assert_eq!(ended, Some(code), "{arguments:?}");
        assert!(!notes.contains("Cannot write") && !notes.contains("pipe"), "{notes}");
    }
}

#[test]
fn watch_ends_when_its_reader_leaves_though_it_has_nothing_to_say() {
    run(async {
        let service = service().await;
        let arguments = ["watch", &service.address.to_string(), "--output", "ndjson"];
        let mut child = tool(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("\"hello\""), "{line}");
        assert_eq!(end(&mut child).await.code(), Some(0));
        assert!(!rest(&mut child).contains("Cannot write"));
    });
}

#[test]
fn a_recording_that_reaches_the_size_limit_says_so_and_can_be_played() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("limited.mcap");
        let service = service().await;
        let line = "ulimit -f 64; exec \"$0\" record \"$1\" -o \"$2\" --no-pump";
        let mut child = Command::new("sh")
            .args(["-c", line, env!("CARGO_BIN_EXE_tokio-canary"), &service.address.to_string()])
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        eventually("a watcher", || service.watchers() == 1).await;
        let begun = Instant::now();
        let mut now = 2_000;
        let status = loop {
            service.publish(&incompressible(now));
            now += 1_000;
            sleep(Duration::from_millis(20)).await;
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < LIMIT, "it records on");
        };
        let notes = rest(&mut child);
        assert_eq!(status.code(), Some(4), "{status:?} {notes}");
        assert!(notes.contains("ended early") && notes.contains("too large"), "{notes}");
        let (code, verdict, notes) = outcome(&["check", file.to_str().unwrap()]);
        assert_eq!(code, Some(3), "{notes}");
        assert!(verdict.contains("Based on"), "{verdict} {notes}");
    });
}

/// An update that no compression makes small.
fn incompressible(now: u64) -> instrument::Update {
    let mut update = large(now, 400_000);
    let mut seed = now;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 16
    };
    let task = tasks::TaskUpdate {
        stats_update: (0..20_000)
            .map(|_| (next(), tasks::Stats { self_wakes: next(), wakes: next(), ..tasks::Stats::default() }))
            .collect(),
        ..tasks::TaskUpdate::default()
    };
    update.task_update = Some(task);
    update
}

#[test]
fn no_end_of_a_run_is_decided_by_a_clock_that_can_be_set() {
    // They say when something was; nothing ends by it.
    let may = [
        "run/black_boxes.rs",
        "run/demo.rs",
        "run/locked.rs",
        "run/player.rs",
        "run/watch.rs",
        "run/configuration.rs",
        "run/doctor/lines.rs",
        "run/seat.rs",
        "run/stopwatch.rs",
    ];
    for source in read_sources(&in_repository("src")) {
        let is_of_run = source.module()[0] == "run" && !may.contains(&source.path.as_str());
        let names = source.named_paths().into_iter().any(|path| path.segments.iter().any(|it| it == "SystemTime"));
        assert!(!(is_of_run && names), "{} names SystemTime: what ends a run is an Instant", source.path);
    }
}

#[test]
fn what_is_asked_for_wrongly_is_said_once_with_what_to_do() {
    let recording = deadlock();
    let live = "127.0.0.1:1";
    for (arguments, says) in [
        (vec!["record", &recording, "-o", "x.mcap"], "is a recording already; name a running service."),
        (vec!["watch", live, "--speed", "2x"], "--speed is for recordings"),
        (vec!["check", &recording, "--no-pump"], "--no-pump is for running services"),
        (vec!["watch", &recording, "--decode-limit", "9"], "--decode-limit is for running services"),
        (vec!["watch", live, "--heartbeat", "9s"], "Add --output ndjson."),
        (vec!["witness", "deadlock", "--from", &recording, "-o", "x", "--for", "9s"], "--for is for running services"),
        (vec!["check", live, "--log-file", "/nonexistent/log"], "Cannot write the log /nonexistent/log: No such file"),
        (vec!["check", live, "--output", "text=/nonexistent/x"], "cannot be opened: No such file"),
        (vec!["record", live, "-o", "/nonexistent/x"], "Cannot create the recording /nonexistent/x: No such file"),
        (vec!["check", live, "--record", "/nonexistent/x"], "Cannot create the recording /nonexistent/x: No such file"),
        (vec!["explain", "deadlok"], "did you mean `deadlock`?"),
        (vec!["explain", "--set", "deadlock.enabled=false"], "Name one."),
        (vec!["man", "chekc"], "did you mean `check`?"),
        (vec!["check", live, "--expect", ""], "the name of a task"),
        (vec!["explian"], "did you mean the command `explain`?"),
        (vec![], "Use `tokio-canary watch TARGET`"),
    ] {
        let (code, data, notes) = outcome(&arguments);
        assert_eq!((code, data.as_str()), (Some(2), ""), "{arguments:?}: {notes}");
        assert!(notes.contains(says), "{arguments:?}: {notes}");
        for once in ["No such file", says] {
            assert!(notes.matches(once).count() <= 1, "said twice: {notes}");
        }
        assert!(!notes.contains(".:"), "{notes}");
    }
    assert!(!Path::new("x.mcap").exists() && !Path::new("x").exists());
}

#[test]
fn the_manual_is_printed_or_written_to_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, notes) = outcome(&["man", "--to", folder.path().to_str().unwrap()]);
    assert_eq!((code, notes.as_str()), (Some(0), ""));
    let page = fs::read_to_string(folder.path().join("tokio-canary-config-show.1")).unwrap();
    assert_eq!(outcome(&["man", "config", "show"]), (Some(0), page, String::new()));
    let (code, _, notes) = outcome(&["man", "--to", "/nonexistent"]);
    assert!(code == Some(4) && notes.contains("Cannot write /nonexistent/tokio-canary.1: No such file"), "{notes}");
}
