//! The command that `check` starts: what it is given, how its end counts, and that nothing of it is left.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use prost::Message;
use rustix::process::Signal;
use tokio::time::sleep;

use super::{Check, Outcome, check, resting, tool};
use crate::support::fake_service::{FakeService, Script};
use crate::support::{LIMIT, eventually, run};

/// Waits no longer than this for a console that never comes.
const BRIEFLY: [&str; 2] = ["--wait-for-target", "1s"];

fn judged(script: &str) -> Outcome {
    check(&[&BRIEFLY[..], &["--", "sh", "-c", script]].concat())
}

/// Whether a process runs; one that nobody waits for does not.
fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.split_whitespace().next().is_some_and(|state| state != "Z"))
}

/// Waits until a file has a line in it.
fn content(path: &Path) -> String {
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') {
            return text.trim().to_owned();
        }
        assert!(begun.elapsed() < LIMIT, "{} stays empty", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_command_that_cannot_be_started_is_a_mistake_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    fs::write(&script, "#!/nonexistent/interpreter\n").unwrap();
    let plain = script.to_str().unwrap().to_owned();
    for (words, says) in [
        (vec!["no-such-program"], "It is not in PATH"),
        (vec!["./no-such-program"], "Build it first"),
        (vec!["sleep 1"], "`-- sh -c 'LINE'`"),
        (vec![plain.as_str()], "Make it executable"),
        (vec!["/etc/passwd"], "Make it executable"),
    ] {
        let Outcome { code, verdict, notes, .. } = check(&[&["--"], &words[..]].concat());
        assert_eq!((code, verdict.as_str()), (Some(2), ""), "{words:?}: {notes}");
        assert!(notes.contains("cannot be started") && notes.contains(says), "{words:?}: {notes}");
    }
    let mut executable = fs::metadata(&script).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut executable, 0o755);
    fs::set_permissions(&script, executable).unwrap();
    let Outcome { code, notes, .. } = check(&["--", &plain]);
    assert!(code == Some(2) && notes.contains("the interpreter that its first line names"), "{notes}");
}

#[test]
fn targets_and_a_command_exclude_each_other_and_a_command_must_be_there() {
    let both = check(&["127.0.0.1:1", "--", "true"]);
    assert!(both.code == Some(2) && both.notes.contains("cannot be used with"), "{both:?}");
    // A variable that is empty must not mean the default target.
    let none = check(&["--for", "1s", "--"]);
    assert!(none.code == Some(2) && none.notes.contains("no command after `--`"), "{none:?}");
}

#[test]
fn what_it_prints_goes_to_standard_error_and_it_has_nothing_to_read() {
    let Outcome { code, verdict, notes, .. } = judged("echo to stdout; echo to stderr >&2; cat; echo the end");
    assert_eq!(code, Some(3), "{notes}");
    assert_eq!(verdict.lines().count(), 1, "{verdict}");
    assert!(verdict.starts_with("sh INCONCLUSIVE (exit 3): no update ever arrived"), "{verdict}");
    let said: Vec<&str> = notes.lines().filter(|line| line.starts_with("to ") || *line == "the end").collect();
    assert_eq!(said, ["to stdout", "to stderr", "the end"]);
}

#[test]
fn a_command_that_ends_before_it_could_be_judged_gives_no_verdict() {
    for (script, how, doubt) in [
        ("exit 0", "ended with exit code 0", ""),
        ("exit 7", "ended with exit code 7", ", the command ended with exit code 7"),
        ("kill -9 $$", "ended with signal 9 (SIGKILL)", ", the command ended with signal 9 (SIGKILL)"),
    ] {
        let Outcome { code, verdict, notes, took } = judged(script);
        assert_eq!(code, Some(3), "{script}: {notes}");
        assert!(verdict.contains(&format!("no update ever arrived{doubt}; no findings.")), "{script}: {verdict}");
        assert!(notes.contains(how) && notes.contains("ended before its console could be reached"), "{notes}");
        assert!(took < Duration::from_secs(20), "it does not wait for what cannot come: {took:?}");
    }
}

#[test]
fn a_command_that_serves_no_console_is_told_from_one_that_ignores_its_port() {
    let Outcome { code, notes, .. } = judged("sleep 300");
    assert_eq!(code, Some(3));
    assert!(notes.contains("sh runs, but no process of it listens on any port."), "{notes}");
    assert!(notes.contains("a builder with `.with_default_env()`"), "{notes}");
    assert!(!notes.contains("connection refused"), "that it does not listen yet is no news: {notes}");
}

#[test]
fn nothing_of_a_command_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let write = |script: &str| script.replace("FILE", file.to_str().unwrap());
    for script in [
        "echo $$ >FILE; exec sleep 300",
        "sleep 300 & echo $! >FILE; wait",
        // It leaves a child behind.
        "sleep 300 & echo $! >FILE; exit 0",
        "(sleep 300 & echo $! >FILE; exit 0); sleep 300",
        // It is stopped.
        "echo $$ >FILE; kill -STOP $$",
    ] {
        let _ = fs::remove_file(&file);
        let Outcome { code, took, notes, .. } = judged(&write(script));
        assert_eq!(code, Some(3), "{script}");
        assert!(!is_running(&content(&file)), "{script}");
        assert!(!notes.contains("is killed"), "{script} ends in time: {notes}");
        assert!(took < Duration::from_secs(30), "{script}: {took:?}");
    }
    let deaf = judged(&write("trap '' TERM; echo $$ >FILE; while :; do sleep 0.1; done"));
    assert_eq!(deaf.code, Some(3));
    assert!(deaf.notes.contains("sh did not end within 5 s after SIGTERM, so it is killed."), "{deaf:?}");
    assert!(!is_running(&content(&file)));
}

#[test]
fn a_command_that_prints_more_than_anybody_reads_keeps_nothing_from_ending() {
    let (reader, mut writer) = io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    assert_eq!(writer.write(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let mut child = tool(&[&["check"], &BRIEFLY[..], &["--", "yes"]].concat()).stderr(writer).spawn().unwrap();
    let mut verdict = String::new();
    child.stdout.take().unwrap().read_to_string(&mut verdict).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(verdict.starts_with("yes INCONCLUSIVE"), "{verdict}");
    drop(reader);
    // Nobody is left to read.
    let mut child = tool(&[&["check"], &BRIEFLY[..], &["--", "yes"]].concat()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn a_signal_stops_the_command_before_its_console_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let script = format!("echo $$ >{}; exec sleep 300", file.display());
        let mut check = Check::start(&["--", "sh", "-c", &script]);
        check.console();
        let pid = content(&file);
        check.signal(signal);
        let Outcome { code, verdict, notes, .. } = check.end();
        assert_eq!(code, Some(3), "{signal:?}");
        assert!(verdict.contains("interrupted before the time was up"), "{verdict}");
        assert!(!notes.contains("sh runs, but"), "it had no time to serve a console: {notes}");
        assert!(!is_running(&pid), "{signal:?}");
        fs::remove_file(&file).unwrap();
    }
}

/// Serves the console of a command, and publishes what a resting service does until `is_over`.
async fn serve(check: &mut Check, mut is_over: impl FnMut(&FakeService, usize) -> bool) -> FakeService {
    let mut updates = resting();
    let script = Script { initial: Some(updates.next().unwrap().encode_to_vec()), ..Script::default() };
    let service = FakeService::start_at(check.console(), script).await;
    eventually("a watcher", || service.watchers() == 1).await;
    let begun = Instant::now();
    for (published, update) in updates.enumerate() {
        if is_over(&service, published) {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "it never came to an end");
        service.publish(&update);
        sleep(Duration::from_millis(50)).await;
    }
    service
}

#[test]
fn a_signal_while_it_judges_stops_the_command() {
    run(async {
        let mut check = Check::start(&["--", "sleep", "300"]);
        let _service = serve(&mut check, |_, published| published > 8).await;
        check.signal(Signal::TERM);
        let Outcome { code, verdict, .. } = check.end();
        assert_eq!(code, Some(3));
        assert!(verdict.contains("sleep INCONCLUSIVE (exit 3): ") && verdict.contains("interrupted"), "{verdict}");
    });
}

#[test]
fn a_signal_while_it_stops_the_command_kills_it_and_keeps_the_verdict() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("trap 'echo stopping' TERM; echo $$ >{}; while :; do sleep 0.1; done", file.display());
        let mut check = Check::start(&["--for", "1s", "--min-activity", "0", "--", "sh", "-c", &script]);
        let _service = serve(&mut check, |service, published| published > 8 && service.watchers() == 0).await;
        check.hears("stopping");
        check.signal(Signal::INT);
        let Outcome { code, verdict, notes, .. } = check.end();
        assert_eq!(code, Some(0), "{verdict} {notes}");
        assert!(verdict.contains("sh PASS (exit 0)"), "{verdict}");
        assert!(!is_running(&content(&file)));
    });
}

#[test]
fn a_signal_while_its_last_words_are_awaited_keeps_the_verdict() {
    // What has left the process group holds the pipe open, and is waited for.
    let script = "setsid sleep 3 & trap 'echo over; exit' TERM; while :; do sleep 0.05; done";
    let mut check = Check::start(&[&BRIEFLY[..], &["--", "sh", "-c", script]].concat());
    check.hears("over");
    std::thread::sleep(Duration::from_millis(100));
    check.signal(Signal::TERM);
    let Outcome { code, verdict, notes, .. } = check.end();
    assert_eq!(code, Some(3));
    assert!(verdict.starts_with("sh INCONCLUSIVE (exit 3): no update ever arrived; "), "{verdict} {notes}");
}

#[test]
fn what_cannot_be_recorded_is_not_started_and_what_cannot_be_started_leaves_no_recording() {
    let folder = tempfile::tempdir().unwrap();
    let [file, mark] = ["a.mcap", "mark"].map(|name| folder.path().join(name));
    let recorded = |command: &[&str]| check(&[&["--record", file.to_str().unwrap(), "--"], command].concat());
    let absent = recorded(&["./no-such-program"]);
    assert!(absent.code == Some(2) && absent.notes.contains("Build it first"), "{absent:?}");
    assert!(!file.exists());
    fs::write(&file, "mine").unwrap();
    let refused = recorded(&["touch", mark.to_str().unwrap()]);
    assert!(refused.code == Some(2) && refused.notes.contains("never overwrites a file"), "{refused:?}");
    assert!(!refused.notes.contains("Started") && !mark.exists());
}

#[test]
fn a_second_signal_ends_the_command_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("trap 'echo stopping' TERM; echo $$ >{}; while :; do sleep 0.1; done", file.display());
    let mut check = Check::start(&["--", "sh", "-c", &script]);
    check.console();
    let pid = content(&file);
    check.signal(Signal::TERM);
    check.hears("stopping");
    check.signal(Signal::TERM);
    assert_eq!(check.end().code, Some(143));
    let begun = Instant::now();
    while is_running(&pid) {
        assert!(begun.elapsed() < LIMIT, "it runs on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_command_does_not_outlive_a_tool_that_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let mut check = Check::start(&["--", "sh", "-c", &format!("echo $$ >{}; exec sleep 300", file.display())]);
    check.console();
    let pid = content(&file);
    check.signal(Signal::KILL);
    assert_eq!(check.end().code, None);
    let begun = Instant::now();
    while is_running(&pid) {
        assert!(begun.elapsed() < LIMIT, "it runs on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_was_seen_of_a_command_that_ends_first_is_judged() {
    run(async {
        for (status, expected) in
            [(0, (0, "sh PASS (exit 0): ")), (9, (3, "sh INCONCLUSIVE (exit 3): the command ended with exit code 9; "))]
        {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("over");
            let script = format!("while [ ! -e {} ]; do sleep 0.05; done; exit {status}", file.display());
            let mut check = Check::start(&["--for", "10m", "--min-activity", "0", "--", "sh", "-c", &script]);
            let _service = serve(&mut check, |service, published| {
                if published == 8 {
                    fs::write(&file, "").unwrap();
                }
                published > 8 && service.watchers() == 0
            })
            .await;
            let Outcome { code, verdict, notes, .. } = check.end();
            assert_eq!((code, verdict.contains(expected.1)), (Some(expected.0), true), "{verdict} {notes}");
            assert!(notes.contains(&format!("sh ended with exit code {status}.")), "{notes}");
        }
    });
}

#[test]
fn the_retries_of_a_command_are_dense_however_long_it_takes_to_listen() {
    run(async {
        let mut check = Check::start(&["--for", "60s", "--", "sleep", "300"]);
        let address = check.console();
        // By now the waits between two attempts would be seconds.
        sleep(Duration::from_secs(4)).await;
        let service = FakeService::start_at(address, Script::default()).await;
        let begun = Instant::now();
        eventually("a watcher", || service.watchers() == 1).await;
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        check.signal(Signal::TERM);
        check.end();
    });
}
