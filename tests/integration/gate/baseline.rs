//! The baseline: written, read, out of date, expired, and wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_canary::feed::FeedEvent;
use tokio_canary::feed::recording::Events;

use super::{Check, Outcome, check, deadlock};
use crate::source::in_repository;
use crate::support::fake_service::{FakeService, Script};
use crate::support::{eventually, run};

/// Judges the deadlock with a baseline.
fn judged(baseline: &Path, more: &[&str]) -> Outcome {
    let recording = deadlock();
    let arguments =
        [recording.as_str(), "--for", "10m", "--min-activity", "0", "--baseline", baseline.to_str().unwrap()];
    check(&[&arguments, more].concat())
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("baseline.toml");
    (folder, file)
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap()
}

#[test]
fn what_was_accepted_does_not_count_until_it_expires() {
    let (_folder, file) = folder();
    let first = judged(&file, &["--update-baseline"]);
    assert_eq!(first.code, Some(1), "the verdict stays as it is: {first:?}");
    assert!(first.notes.contains("1 accepted finding, 1 of them new, 0 removed."), "{first:?}");
    let written = read(&file);
    assert!(written.contains("fingerprint = \"deadlock:") && written.contains("finding = \"deadlock at "), "{written}");
    assert!(written.contains("statement = \"Not reviewed; found on 2"), "{written}");

    let accepted = judged(&file, &[]);
    assert_eq!(accepted.code, Some(0), "{accepted:?}");
    assert!(accepted.verdict.contains("PASS (exit 0): no findings, 1 suppressed."), "{accepted:?}");

    // What its user wrote stays.
    let mine = written.replace("Not reviewed", "The bank locks twice") + "expired_at = 2999-01-31\n";
    fs::write(&file, &mine).unwrap();
    let again = judged(&file, &["--update-baseline"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(read(&file).contains("The bank locks twice") && read(&file).contains("expired_at = 2999-01-31"));

    fs::write(&file, mine.replace("2999", "2021")).unwrap();
    let expired = judged(&file, &[]);
    assert_eq!(expired.code, Some(1), "{expired:?}");
    assert!(expired.notes.contains("baseline.toml:5: this accepted finding expired at 2021-01-31"), "{expired:?}");
    let kept = judged(&file, &["--update-baseline"]);
    assert_eq!(kept.code, Some(1));
    assert!(read(&file).contains("expired_at = 2021-01-31"), "nobody but its user renews it");
}

#[test]
fn what_does_not_occur_any_more_is_said_once_and_removed_when_it_is_written() {
    let (_folder, file) = folder();
    judged(&file, &["--update-baseline"]);
    let stale = "\n[[accepted]]\nfingerprint = \"lost-waker:0000000000000000\"\nstatement = \"once\"\n";
    // A detector that needs to look further back than the recording lasts may have missed it.
    let unknown = "\n[[accepted]]\nfingerprint = \"task-pileup:0000000000000000\"\nstatement = \"rare\"\n";
    fs::write(&file, read(&file) + stale + unknown).unwrap();
    let said = judged(&file, &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.notes.contains("1 accepted finding of ") && said.notes.contains(" did not fire: lost-waker:"),
        "{said:?}"
    );
    let updated = judged(&file, &["--update-baseline"]);
    assert!(updated.notes.contains("2 accepted findings, 0 of them new, 1 removed."), "{updated:?}");
    assert!(!read(&file).contains("lost-waker") && read(&file).contains("task-pileup"));
}

/// Judges a running service with a deadlock.
async fn of_deadlocked_service(arguments: &[&str]) -> Outcome {
    let service = FakeService::start(Script::default()).await;
    let address = service.address.to_string();
    let check = Check::start(&[&[address.as_str(), "--no-pump", "--min-activity", "0"], arguments].concat());
    eventually("a watcher", || service.watchers() == 1).await;
    for arrived in Events::open(deadlock()).unwrap() {
        if let FeedEvent::Update(update) = arrived.event {
            service.publish_bytes(update.message.bytes());
        }
    }
    eventually("the end", || service.watchers() == 0).await;
    check.end()
}

#[test]
fn a_run_with_a_baseline_is_not_cut_short_by_proof() {
    run(async {
        let early = of_deadlocked_service(&["--for", "10m"]).await;
        assert!(early.code == Some(1) && early.notes.contains("deadlock is proof and cannot recover"), "{early:?}");
        let (_folder, file) = folder();
        let whole = ["--for", "3s", "--baseline", file.to_str().unwrap(), "--update-baseline"];
        let written = of_deadlocked_service(&whole).await;
        assert!(written.code == Some(1) && written.took >= Duration::from_secs(3), "{written:?}");
        assert!(!written.notes.contains("is proof") && read(&file).contains("deadlock"), "{written:?}");
    });
}

#[test]
fn what_a_detector_accepted_stays_while_it_is_turned_off() {
    let (_folder, file) = folder();
    let entry = "[[accepted]]\nfingerprint = \"lost-waker:0000000000000000\"\nstatement = \"once\"\n";
    fs::write(&file, entry).unwrap();
    let off = judged(&file, &["--update-baseline", "--set", "lost-waker.enabled=false"]);
    assert!(read(&file).contains("lost-waker:0000000000000000"), "{off:?}");
    let on = judged(&file, &["--update-baseline"]);
    assert!(!read(&file).contains("lost-waker:0000000000000000"), "{on:?}");
}

#[test]
fn a_run_that_cannot_judge_leaves_the_file_as_it_is() {
    let (_folder, file) = folder();
    judged(&file, &["--update-baseline"]);
    let before = read(&file);
    let path = file.to_str().unwrap();
    let gone = check(&["127.0.0.1:1", "--for", "300ms", "--baseline", path, "--update-baseline"]);
    assert_eq!((gone.code, read(&file)), (Some(3), before));
    assert!(gone.notes.contains("is left as it is"), "{gone:?}");
    // Nothing is called out of date by a run that saw too little.
    let recording = in_repository("tests/recordings/feed-partial-feed.mcap");
    let partial = check(&[recording.to_str().unwrap(), "--baseline", path]);
    assert!(!partial.notes.contains("did not fire"), "{partial:?}");
}

#[test]
fn mistakes_are_said_before_anything_is_opened() {
    let (_folder, file) = folder();
    let missing = judged(&file, &[]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.notes.contains("--update-baseline writes a new one"), "{missing:?}");
    fs::write(&file, "[[accepted]]\nfingerprint = \"deadlok:0000000000000000\"\nstatement = \"a\"\n").unwrap();
    let wrong = judged(&file, &["--update-baseline"]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.notes.contains("baseline.toml:2: there is no detector `deadlok`; did you mean `deadlock`?"),
        "{wrong:?}"
    );
    let nowhere = check(&[&deadlock(), "--update-baseline"]);
    assert!(nowhere.code == Some(2) && nowhere.notes.contains("name it with --baseline FILE"), "{nowhere:?}");
    let unwritable = judged(Path::new("/nonexistent/baseline.toml"), &["--update-baseline"]);
    assert!(unwritable.code == Some(4) && unwritable.notes.contains("Cannot write the baseline"), "{unwritable:?}");
}
