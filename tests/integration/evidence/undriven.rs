//! Tasks of a runtime that nobody drives, and tasks that only wait for their turn.

use std::time::Duration;

use tokio_canary::evidence::Evidence;

use super::{case, check, seconds};

fn see(evidence: &Evidence<'_>) -> String {
    let it = evidence.undriven(Duration::from_secs(3));
    let (longest, grows_for) = (seconds(it.longest), seconds(it.grows_for));
    format!("{} for up to {longest}, growing for {grows_for}, {} wait for them", it.tasks.len(), it.victims.len())
}

#[test]
fn tasks_that_nobody_polls_are_told_from_those_that_wait_for_a_worker() {
    let cases = [
        case(
            "requests wake connections on a runtime that has stopped",
            r#"
run = "15s"
runtimes = { main = 2, other = 1 }
event = [{ at = "3s", halt = "other" }]
spawn = [
    { name = "health", place = "src/h.rs:1:1", count = 4, body = [{ forever = [{ sleep = "200ms" }] }] },
    { name = "one", place = "src/a.rs:1:1", runtime = "other", body = [{ wait = "never" }] },
    { name = "two", place = "src/a.rs:1:1", runtime = "other", body = [{ wait = "never" }] },
    { name = "request", place = "src/b.rs:1:1", at = "5s", body = [{ wake = "one" }, { wait = "never" }] },
    { name = "request", place = "src/b.rs:1:1", at = "9s", body = [{ wake = "two" }, { wait = "never" }] },
]
"#,
            "2 for up to 9.0 s, growing for 0.0 s, 2 wait for them",
        ),
        case(
            "timers wake them, and nobody waits",
            r#"
run = "15s"
runtimes = { main = 2, other = 1 }
event = [{ at = "3s", halt = "other" }]
spawn = [
    { name = "health", place = "src/h.rs:1:1", count = 4, body = [{ forever = [{ sleep = "200ms" }] }] },
    { name = "reaper", place = "src/a.rs:1:1", runtime = "other", count = 3, body = [{ forever = [{ sleep = "5s" }] }] },
]
"#,
            "3 for up to 9.0 s, growing for 0.0 s, 0 wait for them",
        ),
        case(
            "timers wake more and more of them",
            r#"
run = "25s"
runtimes = { main = 2, other = 1 }
event = [{ at = "3s", halt = "other" }]
spawn = [
    { name = "health", place = "src/h.rs:1:1", count = 4, body = [{ forever = [{ sleep = "200ms" }] }] },
    { name = "reaper", place = "src/a.rs:1:1", runtime = "other", repeat = { every = "100ms", times = 20 }, body = [{ sleep = "4s" }] },
    { name = "reaper", place = "src/a.rs:1:1", runtime = "other", body = [{ sleep = "8s" }] },
    { name = "reaper", place = "src/a.rs:1:1", runtime = "other", body = [{ sleep = "12s" }] },
    { name = "reaper", place = "src/a.rs:1:1", runtime = "other", body = [{ sleep = "16s" }] },
    { name = "reaper", place = "src/a.rs:1:1", runtime = "other", body = [{ sleep = "20s" }] },
]
"#,
            "24 for up to 20.0 s, growing for 16.0 s, 0 wait for them",
        ),
        case(
            "the runtime is driven",
            r#"
run = "15s"
runtimes = { main = 2, other = 1 }
spawn = [
    { name = "health", place = "src/h.rs:1:1", count = 4, body = [{ forever = [{ sleep = "200ms" }] }] },
    { name = "reaper", place = "src/a.rs:1:1", runtime = "other", count = 3, body = [{ forever = [{ sleep = "5s" }] }] },
]
"#,
            "0 for up to 0.0 s, growing for 0.0 s, 0 wait for them",
        ),
        case(
            "a poll blocks the only worker of that runtime",
            r#"
run = "15s"
runtimes = { main = 2, other = 1 }
spawn = [
    { name = "health", place = "src/h.rs:1:1", count = 4, body = [{ forever = [{ sleep = "200ms" }] }] },
    { name = "reaper", place = "src/a.rs:1:1", runtime = "other", count = 3, body = [{ forever = [{ sleep = "5s" }] }] },
    { name = "blocks", place = "src/a.rs:2:2", runtime = "other", at = "3s", body = [{ work = "10m" }] },
]
"#,
            "0 for up to 0.0 s, growing for 0.0 s, 0 wait for them",
        ),
    ];
    check(&cases, see);
}

#[test]
fn nobody_is_undriven_where_all_wait_or_nothing_else_runs() {
    let cases = [
        case(
            "the process stands still",
            r#"
run = "20s"
event = [{ at = "8s", stop = "6s" }]
spawn = [{ name = "health", place = "src/h.rs:1:1", count = 6, body = [{ forever = [{ sleep = "200ms" }] }] }]
"#,
            "0 for up to 0.0 s, growing for 0.0 s, 0 wait for them",
        ),
        case(
            "one worker has far too much to do",
            r#"
run = "20s"
runtimes = { main = 1 }
spawn = [
    { name = "health", place = "src/h.rs:1:1", count = 4, body = [{ forever = [{ sleep = "200ms" }] }] },
    { name = "render", place = "src/a.rs:1:1", count = 60, body = [{ forever = [{ work = "80ms" }, "yield"] }] },
]
"#,
            "0 for up to 0.0 s, growing for 0.0 s, 0 wait for them",
        ),
        case(
            "nothing else runs, so that nothing can be said",
            r#"
run = "15s"
runtimes = { main = 2, other = 1 }
event = [{ at = "3s", halt = "other" }]
spawn = [{ name = "reaper", place = "src/a.rs:1:1", runtime = "other", count = 3, body = [{ forever = [{ sleep = "5s" }] }] }]
"#,
            "0 for up to 0.0 s, growing for 0.0 s, 0 wait for them",
        ),
    ];
    check(&cases, see);
}
