//! Polls that run for long, and tasks that only seem to be inside one.

use std::time::Duration;

use tokio_canary::evidence::Evidence;
use tokio_canary::evidence::look_alike::LookAlike;

use super::{case, check};

const SECOND: Duration = Duration::from_secs(1);

fn see(evidence: &Evidence<'_>) -> String {
    let polls = evidence.polls_running_for(SECOND);
    if polls.is_empty() {
        return "none".to_owned();
    }
    let hurt = evidence.woken_and_not_polled(polls[0].since, SECOND).len();
    let doubt = match evidence.running_polls_look_alike(&polls, 5 * SECOND) {
        None => "",
        Some(LookAlike::StartingUp) => ", starting up",
        Some(LookAlike::SpanEnteredElsewhere) => ", span entered elsewhere",
        Some(LookAlike::MorePollsThanThreads) => ", more than threads",
        Some(_) => ", something else",
    };
    let starved = if evidence.may_be_starved(&polls) { ", perhaps starved" } else { "" };
    format!("{}, {hurt} wait{doubt}{starved}", polls.len())
}

#[test]
fn polls_that_block_are_told_from_those_that_may() {
    let cases = [
        case(
            "a task blocks one of two workers",
            r#"
run = "15s"
runtimes = { main = 2 }
spawn = [
    { name = "health", place = "src/h.rs:1:1", count = 3, body = [{ forever = [{ sleep = "200ms" }] }] },
    { name = "blocks", place = "src/a.rs:1:1", at = "8s", body = [{ work = "10m" }] },
]
"#,
            "1, 0 wait",
        ),
        case(
            "a task blocks the only worker",
            r#"
run = "15s"
runtimes = { main = 1 }
spawn = [
    { name = "health", place = "src/h.rs:1:1", count = 3, body = [{ forever = [{ sleep = "200ms" }] }] },
    { name = "blocks", place = "src/a.rs:1:1", at = "8s", body = [{ work = "10m" }] },
]
"#,
            "1, 3 wait",
        ),
        case(
            "a task blocks, and others wake it with wakers that they had",
            r#"
run = "15s"
runtimes = { main = 4 }
spawn = [
    { name = "blocks", place = "src/a.rs:1:1", at = "8s", body = [{ hoard = 30 }, { wait = "100ms" }, { work = "10m" }] },
    { name = "wakes", place = "src/b.rs:1:1", at = "8s", body = [{ forever = [{ sleep = "300ms" }, { wake = "blocks" }] }] },
]
"#,
            "1, 0 wait",
        ),
        case(
            "it blocks at the start of the process",
            r#"
run = "4s"
spawn = [{ name = "blocks", place = "src/a.rs:1:1", body = [{ work = "10m" }] }]
"#,
            "1, 0 wait, starting up",
        ),
        case(
            "it is inside block_in_place",
            r#"
run = "15s"
spawn = [{ name = "blocks", place = "src/a.rs:1:1", at = "8s", body = [{ block-in-place = "10m" }] }]
"#,
            "none",
        ),
        case(
            "two of different sites began at once, a moment ago",
            r#"
run = "10s"
runtimes = { main = 4 }
spawn = [
    { name = "one", place = "src/a.rs:1:1", at = "8s", body = [{ work = "10m" }] },
    { name = "two", place = "src/b.rs:1:1", at = "8s", body = [{ work = "10m" }] },
]
"#,
            "2, 0 wait, perhaps starved",
        ),
    ];
    check(&cases, see);
}

#[test]
fn tasks_whose_spans_are_entered_elsewhere_are_in_no_poll() {
    let cases = [
        case(
            "a library keeps its span entered while it is woken and polled",
            r#"
run = "15s"
spawn = [{ name = "query", place = "src/a.rs:1:1", at = "8s", body = [{ wait = "500ms" }, { entered = { during = "40s", wakes = 1600 } }] }]
"#,
            "none",
        ),
        case(
            "a library keeps its span entered, as it did before",
            r#"
run = "15s"
spawn = [{ name = "query", place = "src/a.rs:1:1", at = "8s", body = [{ wait = "500ms" }, { entered = { during = "40s", wakes = 0, entries = 2 } }] }]
"#,
            "none",
        ),
        case(
            "a library keeps the span of its sibling entered, as it did with another one before",
            r#"
run = "15s"
spawn = [
    { name = "query", place = "src/a.rs:1:1", at = "6s", body = [{ wait = "100ms" }, { entered = { during = "1s", wakes = 0, entries = 2 } }, { wait = "never" }] },
    { name = "query", place = "src/a.rs:1:1", at = "8s", body = [{ wait = "500ms" }, { entered = { during = "40s", wakes = 0 } }] },
]
"#,
            "1, 0 wait, span entered elsewhere",
        ),
        case(
            "five seem to run on two workers",
            r#"
run = "15s"
runtimes = { main = 2 }
spawn = [{ name = "query", place = "src/a.rs:1:1", at = "8s", count = 5, body = [{ wait = "500ms" }, { entered = { during = "40s", wakes = 0 } }] }]
"#,
            "5, 0 wait, more than threads",
        ),
    ];
    check(&cases, see);
}
