//! Vital signs: what the numbers come to for processes of which it is known what they do.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

use tokio_canary::fleet::Fleet;
use tokio_canary::report::Snapshot;
use tokio_canary::report::vitals::{VitalsView, WaitTotalsView};

use crate::support::simulator::scenario::Scenario;
use crate::support::simulator::timeline::{Told, play};

/// The vital signs of a process at its end, and its total waits.
fn vitals(process: &str, told: Told) -> (VitalsView, WaitTotalsView) {
    let timeline = play(&Scenario::parse(&format!("about = \"Vital signs.\"\n{process}")), told);
    let mut fleet = Fleet::default();
    let target = fleet.join(timeline.diagnosis);
    let member = fleet.member(target).expect("it has just joined");
    let snapshot = Snapshot::new(&fleet, member);
    (snapshot.vitals(), snapshot.wait_totals())
}

/// The rows, a line each, the longest first: kind, places and seconds waited.
fn lines(waits: &WaitTotalsView) -> Vec<String> {
    let line = |it: &tokio_canary::report::vitals::WaitTotalRow| {
        let place = &it.place;
        let who = format!("{} {}", place.name, place.spawned_at);
        format!("{} {} by {who}: {:.1} s", place.kind.as_str(), place.made_at, it.waited.as_secs_f64())
    };
    let mut rows: Vec<_> = waits.rows.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.waited));
    rows.into_iter().map(line).collect()
}

/// The longest total, in seconds.
fn longest(waits: &WaitTotalsView) -> f64 {
    waits.rows.iter().map(|row| row.waited).max().expect("a row").as_secs_f64()
}

/// Twenty tasks take turns at a lock; each holds it for 20 ms of its 100 ms, so that nineteen wait, less those that rest.
const CONTENDED: &str = r#"
run = "42s"
shared = [{ name = "cache", kind = "mutex", place = "src/cache.rs:10:20" }]
spawn = [{ name = "worker", place = "src/cache.rs:31:9", at = "2s", count = 20, body = [
    { forever = [{ lock = "cache" }, { sleep = "20ms" }, { release = "cache" }, { wait = "30ms" }] },
] }]
"#;

/// One holds a lock from the second second on; two wait from the fifth on and give up never.
const STUCK: &str = r#"
shared = [{ name = "state", kind = "mutex", place = "src/a.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/a.rs:2:2", at = "2s", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "waiter", place = "src/a.rs:3:3", at = "5s", count = 2, body = [{ lock = "state" }] },
]
"#;

#[test]
fn waits_that_came_and_went_add_up_to_waiters_times_time() {
    let (vitals, waits) = vitals(CONTENDED, Told::Once);
    // The lock is held all the time; with 50 ms a round without it, 18 or 19 of the 20 wait at a time.
    let waited = longest(&waits);
    assert!((17.0 * 39.0..20.0 * 40.0).contains(&waited), "{waited} s in 40 s");
    assert_eq!(waits.rows.len(), 1, "{:?}", lines(&waits));
    assert!((16..20).contains(&vitals.waiting), "{} wait", vitals.waiting);
}

#[test]
fn a_wait_without_an_end_grows_and_is_counted_from_its_beginning() {
    for (run, waited) in [("15s", "18.0"), ("25s", "38.0")] {
        let (vitals, waits) = vitals(&format!("run = {run:?}\n{STUCK}"), Told::Once);
        let row = format!("Mutex src/a.rs:1:1 by waiter src/a.rs:3:3: {waited} s");
        assert_eq!((lines(&waits).first(), vitals.waiting), (Some(&row), 2), "after {run}");
    }
}

#[test]
fn what_was_waited_before_we_came_is_not_counted() {
    let (_, waits) = vitals(&format!("run = \"30s\"\nattach = \"20s\"\n{STUCK}"), Told::Once);
    let waited = longest(&waits);
    assert!(waited > 16.0 && waited < 20.0, "{waited} s by two in 10 s");
}

#[test]
fn a_restart_ends_the_waits_and_keeps_the_sums() {
    let restarted = format!("run = \"40s\"\nevent = [{{ at = \"15s\", restart = \"3s\" }}]\n{STUCK}");
    let (after, waits) = vitals(&restarted, Told::Once);
    assert_eq!(
        (waits.rows.len(), after.waiting, after.restarts),
        (2, 2, 1),
        "the holder waited too: {:?}",
        lines(&waits)
    );
    // Two waited for 10 s before the restart, and for 16 s after it, by the last updates.
    let waited = longest(&waits);
    assert!((49.0..53.0).contains(&waited), "{waited}");
}

#[test]
fn what_is_told_twice_is_counted_once() {
    for process in [CONTENDED.to_owned(), format!("run = \"25s\"\n{STUCK}")] {
        let ((once, waits), (twice, waits_twice)) = (vitals(&process, Told::Once), vitals(&process, Told::Twice));
        assert_eq!((once.activity, once.waiting), (twice.activity, twice.waiting));
        assert_eq!(lines(&waits), lines(&waits_twice));
    }
}

#[test]
fn a_poll_counts_as_busy_while_it_runs_and_once() {
    let process = |run: &str| {
        format!(
            r#"
run = "{run}"
runtimes = {{ main = 2 }}
spawn = [{{ name = "resize", place = "src/a.rs:1:1", at = "3s", body = [{{ work = "21500ms" }}, {{ wait = "never" }}] }}]
"#
        )
    };
    for (run, cores) in [("14s", 1.0), ("22s", 1.0), ("27s", 0.7), ("30s", 0.4), ("40s", 0.0)] {
        let (vitals, _) = vitals(&process(run), Told::Once);
        let pulse = vitals.pulse.expect("it was watched for long");
        assert!((cores - 0.2..=cores + 0.2).contains(&pulse.busy_cores) && pulse.busy_cores < 1.01, "{run}: {pulse:?}");
        assert_eq!(pulse.busy_share, Some(pulse.busy_cores / 2.0), "of two workers");
    }
}

#[test]
fn a_task_that_only_seems_to_run_is_not_busy() {
    let process = r#"
run = "20s"
runtimes = { main = 2 }
shared = [{ name = "state", kind = "mutex", place = "src/a.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/a.rs:2:2", at = "2s", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "waiter", place = "src/a.rs:3:3", at = "5s", body = [{ lock = "state" }] },
]
"#;
    let (vitals, _) = vitals(process, Told::Once);
    assert!(vitals.pulse.expect("it was watched").busy_cores < 0.01, "{:?}", vitals.pulse);
}

#[test]
fn polls_and_their_time_are_those_of_all_async_tasks_but_the_consoles() {
    let process = |place: &str| {
        format!(
            r#"
run = "32s"
runtimes = {{ main = 2 }}
spawn = [{{ name = "ticker", place = "{place}", at = "1s", count = 4, body = [
    {{ forever = [{{ work = "5ms" }}, {{ sleep = "95ms" }}] }},
] }}]
"#
        )
    };
    let (ours, _) = vitals(&process("src/a.rs:1:1"), Told::Once);
    let pulse = ours.pulse.expect("it was watched for half a minute");
    assert!((38.0..42.0).contains(&pulse.polls_per_second), "{pulse:?}");
    assert!((0.18..0.22).contains(&pulse.busy_cores), "{pulse:?}");
    assert_eq!(pulse.busy_share.map(|share| (share * 100.0).round()), Some((pulse.busy_cores * 50.0).round()));
    assert!((1_100..1_300).contains(&ours.activity.polls), "{:?}", ours.activity);
    assert!(ours.delays.is_some() && ours.tasks_alive >= 4);
    let (consoles, _) = vitals(&process("console-subscriber-0.5.0/src/lib.rs:1:1"), Told::Once);
    assert_eq!(consoles.activity.polls, 0);
    assert_eq!(consoles.delays, None);
}
