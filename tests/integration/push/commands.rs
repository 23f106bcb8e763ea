//! Commands that are run for each transition.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::fake_receiver::{FakeReceiver, OK};
use super::{Ran, await_that, check, deadlock, file, run, tool};

/// An executable script.
fn script(folder: &Path, name: &str, text: &str) -> String {
    let path = file(folder, name, &format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Judges the deadlock with this command in its configuration.
fn judge(folder: &Path, text: &str) -> Ran {
    let config = file(folder, "config.toml", text);
    check(&["--config", config.to_str().unwrap()])
}

#[test]
fn a_command_gets_the_event_in_its_environment_and_on_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(
        folder.path(),
        "note",
        "cd \"$(dirname \"$0\")\"; env -0 > env; cat > event; printf '%s' \"$*\" > arguments",
    );
    let text = format!(
        "[[on-transition]]\ncommand = [\"{path}\", \"$HOME; rm -rf /\", \"b c\"]\n\
         [[webhook]]\nurl = \"http://127.0.0.1:1\"\nsecret-env = \"MY_SECRET\""
    );
    let config = file(folder.path(), "config.toml", &text);
    let variables = [("MY_SECRET", "hunter2"), ("TOKIO_CANARY_WEBHOOK_SECRET", "hunter2"), ("OTHER", "kept")];
    let ran = run(tool(&["check", &deadlock(), "--config", config.to_str().unwrap()]).envs(variables));
    assert_eq!(ran.code, Some(1), "{}", ran.notes);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("arguments"), "$HOME; rm -rf / b c");
    let event: Value = read("event").parse().unwrap();
    assert_eq!(
        (&event["type"], &event["state"], &event["detector"]),
        (&"finding".into(), &"firing".into(), &"deadlock".into())
    );
    let environment = read("env");
    assert!(!environment.contains("hunter2"), "{environment}");
    let variable = |name: &str| environment.split('\0').find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
    assert_eq!(variable("OTHER"), Some("kept"));
    for (name, value) in [
        ("STATE", "firing"),
        ("DETECTOR", "deadlock"),
        ("SEVERITY", "critical"),
        ("TARGET", &deadlock()),
        ("FINGERPRINT", event["fingerprint"].as_str().unwrap()),
        ("LOCATION", event["subject"]["location"].as_str().unwrap()),
        ("SUMMARY", event["summary"].as_str().unwrap()),
        ("RECOMMENDATION", event["recommendation"].as_str().unwrap()),
    ] {
        assert_eq!(variable(&format!("TOKIO_CANARY_ALERT_{name}")), Some(value), "{name}");
    }
}

#[test]
fn what_a_black_box_saves_is_named_to_receivers() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), FakeReceiver::start([OK]));
    let path = script(folder.path(), "note", "printf '%s' \"$TOKIO_CANARY_ALERT_RECORDING\" > \"$0.recording\"");
    let shelf = folder.path().join("saved");
    let arguments = ["watch", &deadlock(), "--black-box", shelf.to_str().unwrap(), "--webhook", &receiver.url()];
    let ran = run(&mut tool(&[&arguments[..], &["--on-transition", &path]].concat()));
    assert_eq!(ran.code, Some(0), "{}", ran.notes);
    let [file] = fs::read_dir(&shelf).unwrap().map(|it| it.unwrap().path()).collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(receiver.alerts()[0]["annotations"]["recording"], file.to_str().unwrap());
    assert_eq!(fs::read_to_string(format!("{path}.recording")).unwrap(), file.to_str().unwrap());
}

#[test]
fn a_command_can_run_the_tool_itself() {
    let folder = tempfile::tempdir().unwrap();
    let tool = env!("CARGO_BIN_EXE_tokio-canary");
    let path =
        script(folder.path(), "again", &format!("{tool} explain deadlock --isolated > \"$(dirname \"$0\")/page\""));
    let ran = check(&["--on-transition", &path]);
    assert!(!ran.notes.contains("failed with"), "{}", ran.notes);
    assert!(fs::read_to_string(folder.path().join("page")).unwrap().contains("deadlock"));
}

#[test]
fn a_command_that_fails_is_counted_and_said_with_what_it_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(folder.path(), "fail", "printf 'out\\033[2J\\n'; echo err >&2; exit 3");
    let ran = check(&["--on-transition", &path]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.notes.contains("fail failed with exit code 3: out\\u{1b}[2J\\nerr."), "{}", ran.notes);
    assert!(ran.notes.contains("1 alert was not delivered to command "), "{}", ran.notes);
    assert!(!ran.output.contains("err\n"), "{}", ran.output);
    let path = file(folder.path(), "plain", "no program");
    let ran = check(&["--on-transition", path.to_str().unwrap()]);
    assert!(ran.notes.contains("could not be started: "), "{}", ran.notes);
}

#[test]
fn a_command_may_say_whatever_it_wants_and_read_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(folder.path(), "chatty", "exec <&-; head -c 10000000 /dev/zero; touch \"$0.done\"");
    let ran = check(&["--on-transition", &path]);
    assert!(Path::new(&format!("{path}.done")).exists(), "{}", ran.notes);
    assert!(ran.notes.len() < 10_000 && !ran.notes.contains("deliver"), "{}", ran.notes);
}

#[test]
fn a_command_that_hangs_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(folder.path(), "hang", "sleep 1234 & echo $! > \"$0.child\"; wait");
    for (limit, says) in [("300ms", "was killed after 300 ms"), ("1h", "was killed at the end of the run")] {
        let ran = judge(folder.path(), &format!("[[on-transition]]\ncommand = \"{path}\"\ntimeout = \"{limit}\""));
        assert_eq!(ran.code, Some(1));
        assert!(ran.notes.contains(says) && ran.took < Duration::from_secs(20), "{:?} {}", ran.took, ran.notes);
        let child = fs::read_to_string(format!("{path}.child")).unwrap();
        let command = || fs::read_to_string(format!("/proc/{}/cmdline", child.trim())).unwrap_or_default();
        await_that("the end of the child", || !command().contains("1234"));
    }
}

#[test]
fn one_command_runs_at_a_time_and_each_transition_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(
        folder.path(),
        "slow",
        "mkdir \"$0.lock\" || echo overlap >> \"$0.log\"; sleep 0.2; printf '%s\\n' \"$TOKIO_CANARY_ALERT_NAME\" >> \"$0.log\"; rmdir \"$0.lock\"",
    );
    let expected = "[detectors.vanished-singleton]\nappear = \"1s\"\nexpect = [\"a\\u0000\", \"b\\nc\", \"d\"]";
    let ran = judge(folder.path(), &format!("[[on-transition]]\ncommand = \"{path}\"\n{expected}"));
    let log = fs::read_to_string(format!("{path}.log")).unwrap();
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    assert!(!lines.contains(&"overlap"), "{log} {}", ran.notes);
    for name in ["a\\u{0}", "b\\nc", "d"] {
        assert!(lines.contains(&name), "{log} {}", ran.notes);
    }
}
