//! The real binary in a pseudo-terminal, driven by keys: the demo, and recordings that are played, paused, put back and saved.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod pseudo;
mod state;
mod still;
mod taken;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use prost::Message;

use self::pseudo::Terminal;
use crate::source::in_repository;
use crate::support::fake_service::{FakeService, Script};
use crate::support::run;
use crate::support::service::Service;
use crate::support::updates::idle;
use crate::tool::{Outcome, tool};

/// A recording of 22 s, in which findings open from the first second on.
const RECORDING: &str = "assets/demo.mcap";

/// The tool without its pipes, which get a terminal instead.
fn started(arguments: &[&str]) -> Terminal {
    Terminal::start(&mut tool(arguments), 120, 40)
}

/// The place of a recording in `00:07/00:19`, in seconds, and its length; nothing if none is on the screen.
fn place(screen: &str) -> Option<(u64, u64)> {
    let seconds = |text: &str| {
        let (minutes, seconds) = text.split_once(':')?;
        Some(60 * minutes.parse::<u64>().ok()? + seconds.parse::<u64>().ok()?)
    };
    let word = screen.split_whitespace().find(|word| word.contains('/') && word.contains(':') && word.len() == 11)?;
    let (at, length) = word.split_once('/')?;
    Some((seconds(at)?, seconds(length)?))
}

/// The number of updates on the screen.
fn updates(screen: &str) -> Option<u64> {
    let words: Vec<&str> = screen.split_whitespace().collect();
    words.windows(2).find(|it| it[1].starts_with("update")).and_then(|it| it[0].parse().ok())
}

#[test]
fn the_demo_shows_its_faults_at_once_and_stays_at_its_end() {
    let mut terminal = started(&["demo", "--speed", "20x"]);
    for detector in ["deadlock", "blocked-worker", "full-channel", "contended-lock"] {
        terminal.hear(detector);
    }
    let screen = terminal.hear("The recording has ended");
    assert!(screen.contains("END") && screen.starts_with("demo"), "{screen}");
    assert!(screen.contains("deadlock"), "its last state stays: {screen}");
    terminal.press("q");
    assert!(terminal.end().success());
}

#[test]
fn without_a_terminal_the_demo_is_printed() {
    let Outcome { code, stdout, stderr } = Outcome::of(&mut tool(&["demo"]));
    assert_eq!(code, Some(0), "{stderr}");
    for detector in ["deadlock", "blocked-worker", "full-channel", "contended-lock"] {
        assert!(stdout.contains(&format!(" {detector}: ")), "{detector}: {stdout}");
    }
    let Outcome { code, stdout, .. } = Outcome::of(&mut tool(&["demo", "--output", "ndjson"]));
    assert!(code == Some(0) && stdout.lines().all(|line| line.starts_with("{\"at\":")), "{stdout}");
}

#[test]
fn the_demo_reads_nothing_of_the_users_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tokio-canary.toml"), "nonsense = true\n").unwrap();
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut demo = tool(&["demo"]);
    demo.current_dir(folder.path()).env("TMPDIR", &temporary).env("TOKIO_CANARY_FAIL_ON", "nonsense");
    let Outcome { code, stderr, .. } = Outcome::of(&mut demo);
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn a_recording_is_paused_stepped_and_put_back() {
    let path = in_repository(RECORDING);
    let mut terminal = started(&[path.to_str().unwrap(), "--at", "00:05"]);
    // The last update before it may be more than a second older.
    let at = |screen: &str, second: u64| place(screen).is_some_and(|(at, _)| at <= second && at + 2 >= second);
    let paused = terminal.wait_for("the fifth second", |screen| screen.contains("PAUSED") && at(screen, 5));
    let before = updates(&paused).unwrap();
    terminal.press(".");
    let stepped = terminal.wait_for("one more update", |screen| updates(screen) == Some(before + 1));
    assert!(place(&stepped).unwrap().0 >= 5, "{stepped}");
    terminal.press(">");
    terminal.wait_for("ten seconds later", |screen| place(screen).is_some_and(|(at, _)| at >= 14));
    let late = terminal.wait_for("more updates", |screen| updates(screen) > Some(before + 5));
    assert!(late.contains("PAUSED"), "{late}");
    terminal.press("<<");
    let early = terminal.wait_for("its begin", |screen| place(screen).is_some_and(|(at, _)| at <= 5));
    assert!(updates(&early) < updates(&paused).map(|it| it + 2), "the state is that of the cursor: {early}");
    terminal.press("+");
    assert!(terminal.hear("PAUSED").contains("PAUSED"));
    terminal.press("p");
    terminal.hear("2x ");
    terminal.press("-");
    terminal.hear("1x ");
    terminal.press("q");
    assert!(terminal.end().success());
}

#[test]
fn a_recording_is_put_to_where_findings_open_and_back_from_its_end() {
    let path = in_repository(RECORDING);
    let mut terminal = started(&[path.to_str().unwrap(), "--at", "0s"]);
    terminal.wait_for("its begin", |screen| place(screen).is_some_and(|(at, _)| at <= 1));
    terminal.press("}");
    let opened = terminal.wait_for("a finding", |screen| screen.contains("blocked-worker"));
    let (at, length) = place(&opened).unwrap();
    assert!(at < length && opened.contains("PAUSED"), "{opened}");
    terminal.press(">>>>>>>>>>>>");
    terminal.hear("The recording has ended");
    terminal.press("{{{{{{{{{{{{");
    terminal.wait_for("a time before the end", |screen| place(screen).is_some_and(|(now, _)| now <= at));
    terminal.press(">v");
    terminal.hear("polls/s");
    terminal.press("q");
    assert!(terminal.end().success());
}

#[test]
fn a_finding_can_be_opened_from_the_command_line() {
    let path = crate::tool::deadlock();
    let mut terminal = started(&[&path, "--at", "1h", "--open", "deadlock"]);
    let screen = terminal.wait_for("the page", |screen| screen.contains("Evidence") && screen.contains("Wait cycle"));
    assert!(screen.contains("Deadlock:"), "{screen}");
    terminal.press("q");
    assert!(terminal.end().success());
}

#[test]
fn what_a_live_target_did_lately_is_saved_by_a_key() {
    run(async {
        let service = FakeService::start(Script { initial: Some(idle(20).encode_to_vec()), ..Script::default() }).await;
        let folder = tempfile::tempdir().unwrap();
        let address = service.address.to_string();
        let path = folder.path().to_owned();
        tokio::task::spawn_blocking(move || save(&address, &path)).await.unwrap();
    });
}

/// Watches a service, saves what is kept of it, and plays that.
fn save(address: &str, folder: &Path) {
    let mut tool = tool(&[address, "--record", "beside.mcap"]);
    let mut terminal = Terminal::start(tool.current_dir(folder), 160, 40);
    terminal.wait_for("an update", |screen| updates(screen) >= Some(1));
    terminal.press("p");
    terminal.hear("this target is live");
    terminal.press("w");
    terminal.hear("saved 1 update");
    terminal.wait_for("the size of the recording", |screen| screen.contains("REC "));
    terminal.press("q");
    assert!(terminal.end().success());
    let saved = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    let saved: Vec<String> = saved.filter(|name| name.starts_with("saved-")).collect();
    assert_eq!(saved.len(), 1, "{saved:?}");
    let mut check = crate::tool::tool(&["check", &saved[0], "--min-updates", "1"]);
    let Outcome { stderr, stdout, .. } = Outcome::of(check.current_dir(folder));
    assert!(stdout.contains("1 update") || stderr.contains("1 update"), "{stdout}{stderr}");
}

#[test]
fn a_seek_that_is_followed_by_another_comes_to_the_last_one() {
    let path = in_repository(RECORDING);
    let mut terminal = started(&[path.to_str().unwrap(), "--at", "00:12"]);
    let at = |second: u64| move |screen: &str| place(screen).is_some_and(|(at, _)| at.abs_diff(second) <= 1);
    terminal.wait_for("the twelfth second", at(12));
    // Keys are taken in order: once the tasks are shown, everything was asked for.
    terminal.press("<><><><t");
    terminal.wait_for("ten seconds less", |screen| at(2)(screen) && screen.contains("sched"));
    terminal.press("f>");
    terminal.wait_for("ten seconds more", at(12));
    terminal.press("q");
    assert!(terminal.end().success());
}

#[test]
fn the_verdict_of_a_comparison_stays_until_the_user_leaves_and_is_the_exit_code() {
    let path = |recording| crate::tool::corpus(recording).to_string_lossy().into_owned();
    let stable = path("field/redis_blpop_shared-healthy");
    for (canary, code, verdict) in [
        ("field/sqlx_stream_nested-faulty", 1, "REGRESSION (exit 1): only the canary has the "),
        ("field/redis_blpop_shared-healthy", 0, "SAME (exit 0): the canary does not differ from stable"),
    ] {
        let mut terminal = started(&["compare", "--tui", "--canary", &path(canary), "--stable", &stable]);
        let screen = terminal.hear(&format!("Press q to leave with exit code {code}."));
        assert!(screen.contains(verdict) && screen.contains("Load and coverage"), "{screen}");
        if code == 1 {
            terminal.press("\r");
            terminal.hear("What to do");
            terminal.press("c");
            terminal.hear(verdict);
        }
        terminal.press("q");
        assert_eq!(terminal.end().code(), Some(code), "{canary}");
    }
}

#[test]
fn a_comparison_that_is_left_early_was_interrupted() {
    run(async {
        let script = || Script { initial: Some(idle(20).encode_to_vec()), ..Script::default() };
        let (canary, stable) = (FakeService::start(script()).await, FakeService::start(script()).await);
        let targets = [canary.address.to_string(), stable.address.to_string()];
        tokio::task::spawn_blocking(move || {
            let [canary, stable] = &targets;
            let arguments = ["compare", "--tui", "--canary", canary, "--stable", stable, "--for", "10m"];
            let mut terminal = started(&arguments);
            let screen = terminal.wait_for("both sides", |screen| {
                screen.contains("Not enough data yet, after 0 s of 10 min") && screen.matches(" live ").count() >= 2
            });
            assert!(screen.contains("1:canary ") && screen.contains("2:stable "), "{screen}");
            terminal.press("q");
            terminal.hear("NOT ENOUGH DATA (exit 3): no update came from the canary");
            assert_eq!(terminal.end().code(), Some(3));
        })
        .await
        .unwrap();
    });
}

#[test]
fn a_comparison_without_a_terminal_is_not_shown() {
    let path = crate::tool::corpus("field/redis_blpop_shared-healthy").to_string_lossy().into_owned();
    let outcome = Outcome::of(&mut tool(&["compare", "--tui", "--canary", &path, "--stable", &path]));
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("Leave --tui out: the verdict is printed."), "{outcome:?}");
}

/// Whoever attaches later than a service remembers sees waits whose other side it does not know: they are shown, and nothing is called healthy.
#[test]
fn a_deadlock_from_before_the_memory_of_a_service_is_not_called_healthy() {
    Service::run_if_asked();
    let retention = Duration::from_secs(1);
    let test = "terminal::a_deadlock_from_before_the_memory_of_a_service_is_not_called_healthy";
    let service = Service::start(test, retention);
    // That time passes is what is tested: what the locks were acquired with is forgotten by then.
    std::thread::sleep(retention * 4);
    let mut terminal = Terminal::start(&mut tool(&[&service.address]), 160, 45);
    let screen = terminal.wait_for("both waits", |screen| screen.matches("  Mutex  ").count() >= 2);
    assert!(screen.contains("attached ") && screen.contains(" after start"), "it says how late it is: {screen}");
    let waits: Vec<&str> = screen.lines().filter(|line| line.contains("  Mutex  ")).collect();
    let is_unknown = |line: &&str| line.split(['\u{2502}', '|']).next().is_some_and(|it| it.trim_end().ends_with(" -"));
    assert!(waits.iter().all(is_unknown), "who holds them is not known: {waits:#?}");
    let is_doubted = |screen: &str| screen.contains("does not mean healthy") || screen.contains("Not fully judged");
    assert!(is_doubted(&screen), "{screen}");
    terminal.press("T/waits:mutex\r\r");
    terminal.hear("holder unknown (acquired before attaching, or not reported)");
    terminal.press("o");
    terminal.wait_for("its doubt", is_doubted);
    terminal.press("q");
    assert!(terminal.end().success());
}

#[test]
fn places_are_hyperlinks_where_that_is_asked_for_and_the_screen_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("tests/patients/sick/bank.rs");
    fs::create_dir_all(source.parent().unwrap()).unwrap();
    fs::write(&source, "").unwrap();
    let path = in_repository(RECORDING);
    let shown = |more: &[&str], expected: Option<&str>| {
        let arguments = [&[path.to_str().unwrap(), "--at", "00:20"][..], more].concat();
        let mut terminal = Terminal::start(tool(&arguments).current_dir(folder.path()), 160, 40);
        terminal.wait_for("its place", |screen| place(screen).is_some_and(|(at, _)| at >= 19));
        terminal.press("f\r");
        // The overview has the same diagram, beside the verdict so far.
        let is_page = |screen: &str| screen.contains("Wait cycle") && !screen.contains(" so far in ");
        // A frame may arrive in pieces: it is whole when it is the expected one, or when nothing of it changes any more.
        let mut before = String::new();
        let screen = terminal.wait_for("its page", |screen| {
            let is_whole = screen == expected.unwrap_or(&before);
            screen.clone_into(&mut before);
            is_whole && is_page(screen)
        });
        terminal.press("q");
        terminal.ended();
        terminal.assert_as_it_was();
        (screen, terminal.addresses())
    };
    let (plain, none) = shown(&["--hyperlinks", "never"], None);
    assert!(none.is_empty(), "{none:?}");
    let format = ["--hyperlinks", "vscode://file{path}:{line}:{column}"];
    let (_, addresses) = shown(&format, Some(&plain));
    let root = folder.path().canonicalize().unwrap();
    let expected = format!("vscode://file{}/tests/patients/sick/bank.rs:", root.display());
    assert!(!addresses.is_empty() && addresses.iter().all(|it| it.starts_with(&expected)), "{addresses:?}");
}

/// The editor reads what is typed while it is open, and the view what is typed afterwards.
#[test]
fn the_place_of_a_finding_opens_in_an_editor_that_gets_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("tests/patients/sick/bank.rs");
    fs::create_dir_all(source.parent().unwrap()).unwrap();
    fs::write(&source, "").unwrap();
    let (editor, typed) = (folder.path().join("editor"), folder.path().join("typed"));
    let script = "#!/bin/sh\nprintf '\\033[H\\033[Jopened %s' \"$*\"\nread -r line\nprintf '%s' \"$line\" > typed\n";
    fs::write(&editor, script).unwrap();
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let mut demo = tool(&["demo"]);
    demo.current_dir(folder.path()).env("EDITOR", &editor).env_remove("VISUAL");
    let mut terminal = Terminal::start(&mut demo, 120, 40);
    terminal.hear("deadlock");
    terminal.press("e");
    terminal.hear("opened +99 tests/patients/sick/bank.rs");
    terminal.press("quit?\n");
    terminal.hear("Longest waits");
    assert_eq!(fs::read_to_string(&typed).unwrap(), "quit?");
    terminal.press("t");
    terminal.hear("spawn/s");
    terminal.press("q");
    assert!(terminal.end().success());
}
