//! What a task waits for.

use std::time::Duration;

use tokio_canary::evidence::Evidence;

use super::{case, check, seconds, tasks};

fn see(evidence: &Evidence<'_>) -> String {
    let key = *tasks(evidence, "task").first().expect("the task");
    let wait = evidence.task_wait(key);
    let awaited = wait.awaited.iter().filter_map(|it| Some(evidence.resource(it.resource)?.kind.as_str()));
    let mut seen: Vec<String> = awaited.map(str::to_owned).collect();
    seen.extend(
        wait.sleeps_until(evidence.now()).map(|until| format!("sleeps {} more", seconds(until.since(evidence.now())))),
    );
    seen.extend(wait.ticking.then(|| "ticks".to_owned()));
    seen.extend(wait.is_unseen().then(|| "unseen".to_owned()));
    seen.extend(wait.ends_by_itself(evidence.now()).then(|| "ends by itself".to_owned()));
    seen.extend(evidence.is_at_work(key, Duration::from_secs(1)).then(|| "at work".to_owned()));
    seen.join(", ")
}

#[test]
fn what_a_task_waits_for_is_known_as_far_as_the_feed_shows_it() {
    let cases = [
        case(
            "a lock",
            r#"
run = "9s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/h.rs:1:1", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "task", place = "src/a.rs:1:1", at = "1s", body = [{ lock = "state" }] },
]
"#,
            "Mutex",
        ),
        case(
            "a lock, with a timeout around it",
            r#"
run = "9s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/h.rs:1:1", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "task", place = "src/a.rs:1:1", at = "1s", body = [{ lock = { of = "state", within = "30s" } }] },
]
"#,
            "Mutex, sleeps 23.0 s more, ends by itself, at work",
        ),
        case(
            "an answer",
            r#"
run = "9s"
spawn = [{ name = "task", place = "src/a.rs:1:1", at = "1s", body = [{ answer = "never" }] }]
"#,
            "oneshot channel",
        ),
        case(
            "a socket",
            r#"
run = "9s"
spawn = [{ name = "task", place = "src/a.rs:1:1", at = "1s", body = [{ wait = "never" }] }]
"#,
            "unseen",
        ),
        case(
            "a timer",
            r#"
run = "9s"
spawn = [{ name = "task", place = "src/a.rs:1:1", at = "1s", body = [{ sleep = "30s" }] }]
"#,
            "sleeps 23.0 s more, ends by itself, at work",
        ),
        case(
            "a timer in a quarter of an hour, which explains nothing",
            r#"
run = "9s"
spawn = [{ name = "task", place = "src/a.rs:1:1", at = "1s", body = [{ sleep = "15m" }] }]
"#,
            "at work",
        ),
        case(
            "the tick of an interval",
            r#"
run = "9s"
spawn = [{ name = "task", place = "src/a.rs:1:1", at = "1s", body = [{ tick = "30s" }] }]
"#,
            "ticks, ends by itself, at work",
        ),
        case(
            "nothing: it computes",
            r#"
run = "9s"
spawn = [{ name = "task", place = "src/a.rs:1:1", at = "1s", body = [{ work = "10m" }] }]
"#,
            "at work",
        ),
        case(
            "a socket, and a lock that it polled once and put aside",
            r#"
run = "9s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/h.rs:1:1", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "task", place = "src/a.rs:1:1", at = "1s", body = [{ shelve = "state" }, { wait = "1s" }, { wait = "never" }] },
]
"#,
            "unseen",
        ),
    ];
    check(&cases, see);
}
