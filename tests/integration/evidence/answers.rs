//! Answers that stopped coming, and waits that are only long.

use tokio_canary::evidence::Evidence;
use tokio_canary::evidence::answers::Unanswered;

use super::{case, check, seconds};

fn see(evidence: &Evidence<'_>) -> String {
    let lines: Vec<String> = evidence.unanswered().iter().map(line).collect();
    if lines.is_empty() { "nothing".to_owned() } else { lines.join("; ") }
}

fn line(it: &Unanswered) -> String {
    let coming = if it.keep_coming { "more keep coming" } else { "no more come" };
    let requests = if it.of_requests { ", for requests" } else { "" };
    format!(
        "{} wait, {} overdue after {}, {} given up, {} answers, {coming}{requests}",
        it.tasks.len(),
        it.overdue,
        seconds(it.limit),
        it.given_up,
        it.answers,
    )
}

#[test]
fn answers_that_stopped_coming_are_told_from_waits_that_are_long() {
    let cases = [
        case(
            "answers stopped after ten seconds, and requests keep coming",
            r#"
run = "20s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "250ms", times = 36 }, body = [{ answer = "30ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "10s", repeat = { every = "500ms", times = 20 }, body = [{ answer = "never" }] },
]
"#,
            "19 wait, 9 overdue after 5.0 s, 0 given up, 36 answers, more keep coming",
        ),
        case(
            "the same for four seconds only",
            r#"
run = "14s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "250ms", times = 36 }, body = [{ answer = "30ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "10s", repeat = { every = "500ms", times = 8 }, body = [{ answer = "never" }] },
]
"#,
            "nothing",
        ),
        case(
            "a few that were left over, after which nobody asks any more",
            r#"
run = "30s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "250ms", times = 36 }, body = [{ answer = "30ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "10s", count = 3, body = [{ answer = "never" }] },
]
"#,
            "3 wait, 3 overdue after 5.0 s, 0 given up, 36 answers, no more come",
        ),
        case(
            "one answer in ten is late, and the others come",
            r#"
run = "30s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "250ms", times = 116 }, body = [{ answer = "30ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "2s", repeat = { every = "2500ms", times = 11 }, body = [{ answer = "never" }] },
]
"#,
            "nothing",
        ),
        case(
            "long polls, whose usual time is long",
            r#"
run = "60s"
spawn = [{ name = "poll", place = "src/a.rs:1:1", at = "1s", repeat = { every = "1s", times = 58 }, body = [{ answer = "20s" }] }]
"#,
            "nothing",
        ),
        case(
            "callers that leave after seven seconds",
            r#"
run = "30s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "250ms", times = 36 }, body = [{ answer = "30ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "10s", repeat = { every = "1s", times = 20 }, within = "7s", body = [{ answer = "never" }] },
]
"#,
            "7 wait, 2 overdue after 5.0 s, 13 given up, 36 answers, more keep coming",
        ),
        case(
            "receivers for a shutdown, which was never announced, are overdue after half a minute only",
            r#"
run = "20s"
spawn = [{ name = "session", place = "src/a.rs:1:1", at = "1s", repeat = { every = "1s", times = 19 }, body = [{ answer = "never" }] }]
"#,
            "nothing",
        ),
        case(
            "replies that a known library waits for",
            r#"
run = "20s"
spawn = [
    { name = "get", place = "redis-0.32.7/src/aio/multiplexed_connection.rs:180:9", at = "1s", count = 2, body = [{ answer = "5ms" }] },
    { name = "get", place = "redis-0.32.7/src/aio/multiplexed_connection.rs:180:9", at = "4s", repeat = { every = "1s", times = 16 }, body = [{ answer = "never" }] },
]
"#,
            "16 wait, 11 overdue after 5.0 s, 0 given up, 2 answers, more keep coming, for requests",
        ),
    ];
    check(&cases, see);
}
