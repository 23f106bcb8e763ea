//! What a target is measured by: activity, warm-up, the wait for it, and the exit code.

use std::time::Duration;

use prost::Message;
use tokio::time::sleep;

use super::{Check, Outcome, check, deadlock, resting};
use crate::source::in_repository;
use crate::support::fake_service::{FakeService, Script};
use crate::support::{eventually, run};

/// Judges a service that rests.
async fn of_resting(arguments: &[&str]) -> Outcome {
    let mut updates = resting();
    let script = Script { initial: Some(updates.next().unwrap().encode_to_vec()), ..Script::default() };
    let service = FakeService::start(script).await;
    let address = service.address.to_string();
    let check = Check::start(&[&[address.as_str(), "--for", "1s"], arguments].concat());
    eventually("a watcher", || service.watchers() == 1).await;
    for update in updates {
        if service.watchers() == 0 {
            break;
        }
        service.publish(&update);
        sleep(Duration::from_millis(50)).await;
    }
    check.end()
}

#[test]
fn a_service_without_load_has_proved_nothing() {
    run(async {
        let idle = of_resting(&[]).await;
        assert_eq!(idle.code, Some(3), "{idle:?}");
        assert!(idle.verdict.contains("INCONCLUSIVE (exit 3): no load, only 0 polls in "), "{idle:?}");
        let ndjson = of_resting(&["--output", "ndjson"]).await.verdict;
        assert!(ndjson.contains("\"inconclusive_because\":[\"no_load\"]"), "{ndjson}");
        let accepted = of_resting(&["--min-activity", "0"]).await;
        assert_eq!(accepted.code, Some(0), "{accepted:?}");
    });
}

#[test]
fn what_resolves_within_the_warm_up_does_not_count() {
    // Its deadlock fires after 14 s, is resolved after 36 s, and fires again after 44 s.
    let recording = in_repository("tests/recordings/field/sqlx_stream_nested-faulty.mcap");
    let recording = recording.to_str().unwrap();
    for (watch, warmup, expected) in [
        ("42s", "0s", (Some(1), "FAIL (exit 1): 1 warning, 1 info. Worst: deadlock")),
        ("42s", "20s", (Some(1), "FAIL (exit 1): 1 warning, 1 info. Worst: deadlock")),
        ("42s", "37s", (Some(0), "PASS (exit 0): 1 info. Worst: blocked-worker")),
        ("60s", "37s", (Some(1), "FAIL (exit 1): 1 warning, 1 info. Worst: deadlock")),
    ] {
        let judged = check(&[recording, "--for", watch, "--warmup", warmup, "--min-activity", "0"]);
        assert_eq!((judged.code, judged.verdict.contains(expected.1)), (expected.0, true), "{warmup}: {judged:?}");
    }
}

#[test]
fn a_run_that_ends_within_its_warm_up_has_judged_nothing_but_what_still_fires() {
    run(async {
        let short = of_resting(&["--warmup", "900ms"]).await;
        // By the clock of the service, which publishes a second each 50 ms, the warm-up is over.
        assert!(short.verdict.contains("no load"), "{short:?}");
    });
    let refused = check(&["127.0.0.1:1", "--for", "1s", "--warmup", "1s"]);
    assert!(refused.code == Some(2) && refused.notes.contains("--warmup (1 s) must be shorter"), "{refused:?}");
    let recording = deadlock();
    let firing = check(&[&recording, "--for", "20m", "--warmup", "10m", "--min-activity", "0"]);
    assert_eq!(firing.code, Some(1), "{firing:?}");
    assert!(firing.verdict.contains("1 critical") && firing.verdict.contains("within its warm-up"), "{firing:?}");
}

#[test]
fn the_wait_for_a_target_is_a_time_of_its_own() {
    let gone = check(&["127.0.0.1:1", "--for", "10m", "--wait-for-target", "300ms"]);
    assert_eq!(gone.code, Some(3));
    assert!(gone.verdict.contains("no update ever arrived"), "{gone:?}");
}

#[test]
fn exit_zero_reports_and_lets_pass_what_is_no_mistake() {
    let recording = deadlock();
    let found = check(&[&recording, "--exit-zero"]);
    assert_eq!(found.code, Some(0));
    assert!(found.verdict.contains("FAIL (exit 1): 1 critical"), "{found:?}");
    assert!(found.notes.contains("The exit code is 0 because of --exit-zero; otherwise it would be 1."), "{found:?}");
    assert_eq!(check(&["127.0.0.1:1", "--for", "300ms", "--exit-zero"]).code, Some(0));
    assert_eq!(check(&[&recording, "--exit-zero", "--set", "deadlock.x=1"]).code, Some(2));
    assert_eq!(check(&[&recording, "--exit-zero", "--output", "text=/dev/full"]).code, Some(4));
}
