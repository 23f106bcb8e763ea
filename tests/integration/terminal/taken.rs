//! What the user takes away from the terminal: a finding as text, its witness, and the last minutes of a target.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::RECORDING;
use super::pseudo::Terminal;
use crate::source::in_repository;
use crate::support::service::Service;
use crate::tool::{Outcome, tool};

/// The page of the deadlock in a recording, with a folder for what is taken from it.
fn page_of_the_deadlock(folder: &Path) -> Terminal {
    let path = in_repository(RECORDING);
    let arguments = [path.to_str().unwrap(), "--at", "00:20", "--open", "deadlock"];
    let terminal = Terminal::start(tool(&arguments).current_dir(folder), 120, 40);
    // Until it opens, the page of another finding may be there.
    terminal.hear("Wait cycle");
    terminal
}

/// The only file in a folder whose name begins so.
fn only_file(folder: &Path, begin: &str) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    let files: Vec<String> = files.filter(|name| name.starts_with(begin)).collect();
    let [file] = files.as_slice() else { panic!("one file {begin}…, not {files:?}") };
    folder.join(file)
}

/// The findings of a recording that the tool reports: the fingerprint of each.
fn fingerprints_in(recording: &Path) -> Vec<String> {
    let checked = tool(&["check", recording.to_str().unwrap(), "--output", "ndjson"]).output().unwrap();
    let lines = String::from_utf8(checked.stdout).unwrap();
    let events = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let firing = events.filter(|it| it["type"] == "finding" && it["state"] == "firing");
    let mut found: Vec<String> = firing.map(|it| it["fingerprint"].as_str().unwrap().to_owned()).collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn a_finding_is_copied_to_the_clipboard_and_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = page_of_the_deadlock(folder.path());
    assert_eq!(terminal.clipboard(), None, "nothing is copied before it is asked for");
    terminal.press("y");
    let screen = terminal.hear("Copied to the clipboard, if the terminal allows it, and to tokio-canary-deadlock-");
    assert!(screen.contains("What to do"), "the page stays: {screen}");
    let file = only_file(folder.path(), "tokio-canary-deadlock-");
    let text = fs::read_to_string(&file).unwrap();
    let copied = STANDARD.decode(terminal.clipboard().unwrap()).unwrap();
    assert_eq!(String::from_utf8(copied).unwrap(), text);
    assert!(text.starts_with("**critical** `deadlock` at `") && text.contains("**What to do**"), "{text}");
    // The name of the file has no colon, the fingerprint one.
    let name = file.file_stem().unwrap().to_str().unwrap();
    let fingerprint = name.strip_prefix("tokio-canary-").unwrap().replacen("deadlock-", "deadlock:", 1);
    assert!(text.contains(&format!("fingerprint `{fingerprint}`")), "{fingerprint}: {text}");
    assert!(fingerprints_in(&in_repository(RECORDING)).contains(&fingerprint), "{fingerprint}");
    terminal.press("q");
    assert!(terminal.end().success());
}

#[test]
fn the_witness_of_a_finding_in_a_recording_shows_that_finding() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = page_of_the_deadlock(folder.path());
    terminal.press("W");
    terminal.hear("Wrote ./witness-deadlock-");
    terminal.press("q");
    assert!(terminal.end().success());
    let witness = only_file(folder.path(), "witness-deadlock-");
    assert_shows_deadlock(&witness, &in_repository(RECORDING));
    let size = |path: &Path| fs::metadata(path).unwrap().len();
    assert!(size(&witness) < size(&in_repository(RECORDING)) / 4, "only what the finding needs is in it");
}

/// Looks that a witness is of the deadlock in a recording, by what the tool says when it plays both.
fn assert_shows_deadlock(witness: &Path, recording: &Path) {
    let Outcome { code, stdout, stderr } = Outcome::of(&mut tool(&["verify", witness.to_str().unwrap()]));
    assert!(code == Some(0) && stdout.contains("shows the finding again: critical deadlock"), "{stdout}{stderr}");
    let found = fingerprints_in(witness);
    let deadlocks =
        |found: &[String]| -> Vec<String> { found.iter().filter(|it| it.starts_with("deadlock:")).cloned().collect() };
    assert_eq!(deadlocks(&found).len(), 1, "{found:?}");
    assert_eq!(deadlocks(&found), deadlocks(&fingerprints_in(recording)));
}

/// A service that lives: it is recorded from the first update on, and its last minutes are kept as well.
#[test]
fn the_witness_and_the_last_minutes_of_a_service_show_its_finding() {
    Service::run_if_asked();
    let test = "terminal::taken::the_witness_and_the_last_minutes_of_a_service_show_its_finding";
    let service = Service::start(test, Duration::from_secs(60));
    let folder = tempfile::tempdir().unwrap();
    let arguments = [service.address.as_str(), "--record", "beside.mcap", "--open", "deadlock"];
    let mut terminal = Terminal::start(tool(&arguments).current_dir(folder.path()), 160, 45);
    terminal.hear("Wait cycle");
    terminal.press("w");
    terminal.hear("saved ");
    terminal.press("W");
    terminal.hear("Wrote ./witness-deadlock-");
    terminal.press("q");
    assert!(terminal.end().success());
    let witness = only_file(folder.path(), "witness-deadlock-");
    for recording in [folder.path().join("beside.mcap"), only_file(folder.path(), "saved-")] {
        assert_shows_deadlock(&witness, &recording);
    }
}
