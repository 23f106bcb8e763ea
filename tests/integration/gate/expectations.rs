//! What must fire and what must not: a fault and its repair have a test.

use super::{Outcome, check, deadlock};
use crate::source::in_repository;

fn judged(arguments: &[&str]) -> Outcome {
    let recording = deadlock();
    check(&[&[recording.as_str(), "--min-activity", "0"], arguments].concat())
}

#[test]
fn a_finding_that_is_expected_does_not_fail_the_run() {
    for selector in ["deadlock", "deadlock@sick.rs", "deadlock@programs/sick.rs"] {
        let Outcome { code, verdict, notes, .. } = judged(&["--expect-finding", selector]);
        assert_eq!(code, Some(0), "{selector}: {verdict} {notes}");
        assert!(verdict.contains("PASS (exit 0): no findings, 1 as expected."), "{verdict}");
    }
    let kept = judged(&["--expect-finding", "deadlock", "--expect-none", "blocked-worker"]);
    assert_eq!(kept.code, Some(0), "{kept:?}");
}

#[test]
fn a_finding_that_is_expected_and_does_not_fire_fails_the_run() {
    for (selector, says) in [
        ("lost-waker", "lost-waker did not fire."),
        ("deadlock@bank.rs:41", "deadlock@bank.rs:41 did not fire, but deadlock fired at ../programs/sick.rs:"),
        ("task-pileup", "task-pileup did not fire, and the run was too short for it."),
    ] {
        let Outcome { code, verdict, .. } = judged(&["--expect-finding", selector, "--fail-on", "critical"]);
        assert_eq!(code, Some(1), "{selector}: {verdict}");
        assert!(verdict.contains("FAIL (exit 1): ") && verdict.contains(says), "{selector}: {verdict}");
    }
    let healthy = in_repository("tests/recordings/healthy-futures-unordered.mcap");
    let Outcome { code, verdict, .. } = check(&[healthy.to_str().unwrap(), "--expect-finding", "deadlock"]);
    assert_eq!(code, Some(1), "{verdict}");
    assert!(verdict.contains("no findings. deadlock did not fire."), "{verdict}");
    // One target that has it is enough.
    let both = [deadlock(), healthy.to_str().unwrap().to_owned()];
    let both = check(&[&both[0], &both[1], "--expect-finding", "deadlock", "--min-activity", "0"]);
    assert_eq!(both.code, Some(0), "{both:?}");
}

#[test]
fn a_finding_that_must_not_fire_fails_the_run_at_any_severity() {
    let Outcome { code, verdict, .. } = judged(&["--expect-none", "deadlock@sick.rs"]);
    assert_eq!(code, Some(1));
    assert!(verdict.contains("deadlock@sick.rs must not fire, and deadlock fired at "), "{verdict}");
    // Whoever had no time to look has not kept silent.
    let short = judged(&["--expect-finding", "deadlock", "--expect-none", "task-pileup"]);
    assert_eq!(short.code, Some(3), "{short:?}");
    assert!(short.verdict.contains("the run was too short for task-pileup"), "{short:?}");
}

#[test]
fn a_slip_in_a_name_is_put_right() {
    for (flag, wrong, says) in [
        ("--expect-finding", "deadlok@bank.rs", "there is no detector `deadlok`; did you mean `deadlock`?"),
        ("--expect-none", "pileup", "there is no detector `pileup`"),
        ("--expect-none", "deadlock@", "the place is missing"),
        ("--expect-finding", "", "there is no detector ``"),
    ] {
        let Outcome { code, notes, .. } = judged(&[flag, wrong]);
        assert_eq!(code, Some(2), "{wrong}: {notes}");
        assert!(notes.contains(says), "{wrong}: {notes}");
    }
}
