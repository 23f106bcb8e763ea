//! The configuration of the real binary: files in a folder of their own, the environment and flags.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::source::in_repository;
use crate::tool::{Outcome, tool};

/// A recording of a service with a deadlock and nothing else.
const DEADLOCK: &str = "tests/recordings/old-0.4-crossed-mutexes.mcap";

/// A user with a folder to work in and one for configuration.
struct User {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

impl User {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("home/tokio-canary")).unwrap();
        fs::create_dir_all(folder.path().join("work")).unwrap();
        Self { folder, variables: Vec::new() }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn own(&self, text: &str) {
        self.write("home/tokio-canary/config.toml", text);
    }

    fn local(&self, text: &str) {
        self.write("work/tokio-canary.toml", text);
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = tool(arguments);
        command.current_dir(self.folder.path().join("work"));
        command.env("XDG_CONFIG_HOME", self.folder.path().join("home")).envs(self.variables.iter().copied());
        let Outcome { code, stdout, stderr } = Outcome::of(&mut command);
        let text = |text: String| text.replace(&self.folder.path().display().to_string(), "FOLDER");
        Outcome { code, stdout: text(stdout), stderr: text(stderr) }
    }

    /// Judges the recording of the deadlock.
    fn check(&self, arguments: &[&str]) -> Outcome {
        let recording = in_repository(DEADLOCK);
        let recording = recording.to_str().unwrap();
        self.run(&[&["check", recording, "--for", "60s"], arguments].concat())
    }
}

#[test]
fn each_value_is_shown_with_where_it_comes_from() {
    let mut user = User::new();
    user.own("retain = \"20s\"\n[detectors.blocked-worker]\ncritical = \"2s\"\nstart-up = \"2s\"\n");
    user.local("[detectors.blocked-worker]\nstart-up = \"3s\"\n");
    user.variables.push(("TOKIO_CANARY_LONG_POLLS__POLLS", "4"));
    let outcome = user.run(&["config", "show", "--set", "deadlock.enabled=false", "--expect", "listener"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let values: Vec<&str> = outcome.stdout.lines().filter(|line| line.contains(" = ")).collect();
    let expected = [
        "retain = \"20s\"  # FOLDER/home/tokio-canary/config.toml:1",
        "critical = \"2s\"  # FOLDER/home/tokio-canary/config.toml:3",
        "start-up = \"3s\"  # ./tokio-canary.toml:2",
        "polls = 4  # TOKIO_CANARY_LONG_POLLS__POLLS",
        "enabled = false  # --set",
        "expect = [\"listener\"]  # --expect",
    ];
    assert_eq!(values, expected);

    let named = user.write("named.toml", &outcome.stdout);
    let again = user.run(&["config", "show", "--config", named.to_str().unwrap(), "--isolated"]);
    let keys = |text: &str| {
        let value = |line: &str| line.split("  # ").next().filter(|it| it.contains(" = ")).map(str::to_owned);
        text.lines().filter_map(value).collect::<Vec<_>>()
    };
    assert_eq!(keys(&again.stdout), keys(&outcome.stdout), "what is shown can be saved and used");
}

#[test]
fn mistakes_are_listed_with_line_and_right_word_and_stop_every_run() {
    let mut user = User::new();
    user.own("fail-no = \"info\"\n[detectors.deadlok]\nenabled = maybe\n");
    user.local("[[output]]\nformat = \"text\"\npath = \"../escaped\"\n");
    user.variables.push(("TOKIO_CANARY_PUMPS", "false"));
    let expected = [
        "FOLDER/home/tokio-canary/config.toml:1: there is no option or section `fail-no`; did you mean `fail-on`?",
        "FOLDER/home/tokio-canary/config.toml:2: there is no detector `deadlok`; did you mean `deadlock`?",
        "FOLDER/home/tokio-canary/config.toml:3: `maybe` needs quotes: \"maybe\"",
        "./tokio-canary.toml:1: `output` is not allowed here: a file that comes with a checkout",
        "TOKIO_CANARY_PUMPS: there is no such option; did you mean `TOKIO_CANARY_PUMP`?",
        "--set: blocked-worker has no setting `critcal`; did you mean `critical`?",
    ];
    let wrong = ["--set", "blocked-worker.critcal=2s"];
    let checked = user.run(&[&["config", "check"], &wrong[..]].concat());
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(2), ""));
    assert_lines(&checked.stdout, &expected);

    // It judges nothing, so it takes no settings.
    let recorded = user.run(&["record", "localhost:1", "-o", "a.mcap"]);
    assert_eq!((recorded.code, recorded.stderr.lines().count()), (Some(2), expected.len() - 1), "{}", recorded.stderr);
    for command in [&["check"][..], &["watch"], &[], &["config", "show"]] {
        let refused = user.run(&[command, &wrong[..]].concat());
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{command:?}");
        assert_lines(&refused.stderr, &expected.map(|line| format!("tokio-canary: {line}")));
    }
    assert!(!user.folder.path().join("escaped").exists());
    let explained = user.run(&["explain", "deadlock"]);
    assert_eq!(explained.code, Some(0), "what needs no configuration works without one");
    assert!(explained.stderr.contains("`tokio-canary config check` lists them"), "{}", explained.stderr);
    assert_eq!(user.run(&["explain", "deadlock", "--set", "deadlock.hodl=2s"]).code, Some(2), "a slip in a flag");
}

fn assert_lines(text: &str, begin: &[impl AsRef<str>]) {
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), begin.len(), "{text}");
    for (line, begin) in lines.iter().zip(begin) {
        assert!(line.starts_with(begin.as_ref()), "{line}\nshould begin with\n{}", begin.as_ref());
    }
}

#[test]
fn a_file_can_be_checked_by_itself() {
    let user = User::new();
    user.own("this = is wrong");
    user.write("work/good.toml", "fail-on = \"info\"\n");
    user.write("work/tokio-canary.toml", "fail-on = \"info\"\n");
    let good = user.run(&["config", "check", "good.toml"]);
    assert_eq!((good.code, good.stdout.as_str()), (Some(0), "good.toml: no faults.\n"));
    let local = user.run(&["config", "check", "tokio-canary.toml"]);
    assert_eq!(local.code, Some(2));
    assert!(local.stdout.starts_with("tokio-canary.toml:1: `fail-on` is not allowed here"), "{local:?}");
    let missing = user.run(&["config", "check", "missing.toml"]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.stdout.starts_with("missing.toml: cannot be read: "), "{missing:?}");
}

#[test]
fn what_was_looked_for_is_said() {
    let user = User::new();
    user.local("");
    let checked = user.run(&["config", "check"]);
    let expected = "./tokio-canary.toml: no faults.\nFOLDER/home/tokio-canary/config.toml: not found.\nEnvironment and flags: no faults.\n";
    assert_eq!((checked.code, checked.stdout.as_str()), (Some(0), expected));
}

#[test]
fn a_suppressed_finding_does_not_count() {
    let mut user = User::new();
    assert_eq!(user.check(&[]).code, Some(1));

    user.local("[[suppress]]\ndetector = \"deadlock\"\nlocation = \"*\"\nstatement = \"known, and rare\"\n");
    let text = user.check(&[]);
    assert_eq!(text.code, Some(0), "{text:?}");
    assert_eq!(text.stdout.lines().count(), 1, "only the summary is left: {text:?}");
    assert!(text.stdout.contains(", 1 suppressed"), "{text:?}");

    let ndjson = user.check(&["--output", "ndjson"]);
    let events: Vec<Value> = ndjson.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["type"] != "finding"), "{ndjson:?}");
    let summary = events.last().unwrap();
    assert_eq!((&summary["suppressed"], &summary["verdict"]), (&1.into(), &"healthy".into()));
    assert_eq!(summary["findings"]["critical"], 0);

    assert_eq!(user.check(&["--isolated"]).code, Some(1), "whoever does not trust the checkout leaves its file out");
    user.variables.push(("TOKIO_CANARY_DEADLOCK__ENABLED", "false"));
    let off = user.check(&["--output", "ndjson"]);
    assert!(off.stdout.lines().last().is_some_and(|line| line.contains("\"suppressed\":0")), "it is not looked for");
}

#[test]
fn a_suppression_that_does_not_fit_or_is_expired_changes_nothing() {
    let user = User::new();
    user.local("[[suppress]]\ndetector = \"deadlock\"\nlocation = \"no/such/*\"\nstatement = \"another\"\n");
    let other = user.check(&[]);
    assert_eq!(other.code, Some(1));
    assert!(!other.stdout.contains("suppressed"), "{other:?}");

    user.local("[[suppress]]\ndetector = \"deadlock\"\nstatement = \"for a while\"\nexpired_at = 2020-02-29\n");
    let said = "./tokio-canary.toml:1: this suppression expired at 2020-02-29T00:00:00Z, so its findings count again: \"for a while\".";
    let expired = user.check(&[]);
    assert_eq!(expired.code, Some(1));
    assert_eq!(expired.stderr.matches(said).count(), 1, "{expired:?}");
    let checked = user.run(&["config", "check"]);
    assert_eq!((checked.code, checked.stdout.contains(said)), (Some(0), true), "it is no fault: {checked:?}");
    assert!(user.run(&["config", "show"]).stdout.contains("expired_at = 2020-02-29T00:00:00Z  # expired"));
}

#[test]
fn outputs_targets_and_severity_come_from_the_file_unless_a_flag_says_otherwise() {
    let user = User::new();
    let recording = in_repository(DEADLOCK).display().to_string();
    user.own(&format!(
        "targets = [{recording:?}]\n[[output]]\nformat = \"ndjson\"\npath = \"events.ndjson\"\n[[output]]\nformat = \"text\"\n"
    ));
    let outcome = user.run(&["check"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains(" deadlock: "), "{outcome:?}");
    let events = fs::read_to_string(user.folder.path().join("work/events.ndjson")).unwrap();
    assert!(events.lines().next().is_some_and(|line| line.contains("tokio-canary.events/v1")), "{events}");
    assert!(events.lines().last().is_some_and(|line| line.contains("\"summary\"")), "{events}");

    fs::remove_file(user.folder.path().join("work/events.ndjson")).unwrap();
    let flag = user.run(&["check", "--output", "text"]);
    assert_eq!(flag.code, Some(1));
    assert!(!user.folder.path().join("work/events.ndjson").exists(), "a flag replaces the outputs of the file");

    user.own(&format!("targets = [{recording:?}]\nfail-on = \"critical\"\nmin-updates = 1000000\n"));
    assert_eq!(user.run(&["watch"]).code, Some(1), "watch judges when it knows by what");
    let disabled = ["--set", "deadlock.enabled=false"];
    assert_eq!(user.run(&[&["check"], &disabled[..]].concat()).code, Some(3), "too few updates");
    assert_eq!(user.run(&[&["check", "--min-updates", "1"], &disabled[..]].concat()).code, Some(0));
}

#[test]
fn explain_shows_the_settings_in_force() {
    let user = User::new();
    user.own("[detectors.deadlock]\nhold = \"2s\"\n");
    let page = user.run(&["explain", "deadlock", "--set", "deadlock.hold-alone=5s"]).stdout;
    for shown in ["2 s for a group, 5 s for a task", "2s (default 1s)", "5s (default 3s)"] {
        assert!(page.contains(shown), "{shown} is not in:\n{page}");
    }
    assert!(!page.contains(['#', '\u{1b}']) && !page.contains("]["), "Markdown is left:\n{page}");
}
