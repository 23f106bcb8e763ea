//! What a target is measured by: activity, warm-up, the wait for it, and the exit code.

use std::path::Path;
use std::time::Duration;

use console_api::instrument::Update;
use prost::Message as _;
use tokio::time::sleep;
use tokio_canary::feed::recording::{Events, Recorder};
use tokio_canary::feed::{Arrived, FeedEvent, Status};
use tokio_canary::wire::Message;

use super::{Check, Outcome, check, deadlock, resting};
use crate::source::in_repository;
use crate::support::fake_service::{FakeService, Script};
use crate::support::updates::{births, idle, now_of};
use crate::support::{eventually, run};

/// How many seconds a service rests before it has a deadlock.
const REST: u64 = 70;

/// Judges a service that rests.
async fn of_resting(arguments: &[&str]) -> Outcome {
    of(resting(), arguments).await
}

/// Judges a service that publishes these updates.
async fn of(mut updates: impl Iterator<Item = Update>, arguments: &[&str]) -> Outcome {
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
        // By the clock of the service, which counts, the updates span a tenth of the warm-up.
        let updates =
            (0..10).map(|count| if count == 0 { births(1_000_000, 3, 60_000) } else { idle(1_000_000 + count * 10) });
        let short = of(updates, &["--warmup", "900ms", "--min-activity", "0"]).await;
        assert_eq!(short.code, Some(3), "{short:?}");
        assert!(
            short.verdict.contains("INCONCLUSIVE (exit 3): the run ended within its warm-up; no findings."),
            "{short:?}"
        );
    });
    let refused = check(&["127.0.0.1:1", "--for", "1s", "--warmup", "1s"]);
    assert!(refused.code == Some(2) && refused.notes.contains("--warmup (1 s) must be shorter"), "{refused:?}");
    let recording = deadlock();
    let firing = check(&[&recording, "--for", "20m", "--warmup", "10m", "--min-activity", "0"]);
    assert_eq!(firing.code, Some(1), "{firing:?}");
    assert!(firing.verdict.contains("1 critical") && firing.verdict.contains("within its warm-up"), "{firing:?}");
}

/// Records a service that rests for 70 s, and then has a deadlock.
async fn record_late_deadlock(file: &Path) {
    let deadlocked: Vec<Arrived> = Events::open(deadlock()).unwrap().collect();
    let update = |arrived: &Arrived| match &arrived.event {
        FeedEvent::Update(update) => Some((arrived.at, now_of(&update.message))),
        _ => None,
    };
    let (begins, now) = deadlocked.iter().find_map(update).unwrap();
    let mut recorder = Recorder::create(file, "late").unwrap();
    recorder
        .record(&Arrived { at: begins - Duration::from_secs(REST), event: FeedEvent::Status(Status::Live) })
        .await
        .unwrap();
    for before in (1..=REST).rev() {
        let then = now - 1000 * before;
        let update = if before == REST { births(then, 3, 60_000) } else { idle(then) };
        let event = FeedEvent::Update(Box::new(Message::from(&update).into()));
        recorder.record(&Arrived { at: begins - Duration::from_secs(before), event }).await.unwrap();
    }
    for arrived in deadlocked.iter().filter(|arrived| matches!(arrived.event, FeedEvent::Update(_))) {
        recorder.record(arrived).await.unwrap();
    }
    recorder.finish().await.unwrap();
}

#[test]
fn a_recording_is_judged_to_its_end_unless_a_time_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("late.mcap");
    run(record_late_deadlock(&file));
    let judged = |more: &[&str]| check(&[&[file.to_str().unwrap(), "--min-activity", "0"], more].concat());
    let begin = judged(&["--for", "60s"]);
    assert!(begin.code == Some(0) && !begin.verdict.contains("deadlock"), "{begin:?}");
    // It has an end of its own, which may come after any warm-up.
    for more in [&[][..], &["--expect-none", "deadlock"], &["--warmup", "65s"]] {
        let whole = judged(more);
        assert!(whole.code == Some(1) && whole.verdict.contains("deadlock"), "{more:?}: {whole:?}");
    }
    let known = judged(&["--expect-finding", "deadlock"]);
    assert_eq!(known.code, Some(0), "{known:?}");
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
