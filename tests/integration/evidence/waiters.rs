//! How those who wait for a lock develop.

use std::time::Duration;

use tokio_canary::evidence::Evidence;

use super::{case, check, made_at};

fn see(evidence: &Evidence<'_>) -> String {
    let (key, _) = made_at(evidence, "src/l.rs:1:1");
    let Some(history) = evidence.waiter_history(key) else { return "never contested".to_owned() };
    let last = history.since(evidence.now().minus(Duration::from_secs(30))).next_back().copied().expect("a snapshot");
    let grown = if evidence.crowd_has_grown(key) { ", grown" } else { "" };
    let replenished = if history.is_replenished_externally() { ", replenished externally" } else { "" };
    let blocked =
        if last.blocked > 0 { format!(", {} kept out by one that wants much", last.blocked) } else { String::new() };
    format!("{} of {} wait, {} want little{blocked}{grown}{replenished}", last.waiting, last.came, last.small)
}

#[test]
fn those_who_wait_are_counted_as_they_come() {
    let cases = [
        case(
            "more and more",
            r#"
run = "12s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/h.rs:1:1", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "waiting", place = "src/a.rs:1:1", at = "1s", repeat = { every = "250ms", times = 44 }, body = [{ lock = "state" }] },
]
"#,
            "41 of 41 wait, 41 want little, grown",
        ),
        case(
            "as many as ever",
            r#"
run = "12s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "1s", count = 9, body = [{ forever = [{ lock = "state" }, { wait = "90ms" }, { release = "state" }] }] }]
"#,
            "8 of 119 wait, 8 want little",
        ),
        case(
            "one that wants all permits has some and keeps out those that want one",
            r#"
run = "12s"
shared = [{ name = "slots", kind = "semaphore", permits = 4, place = "src/l.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/h.rs:1:1", body = [{ acquire = "slots" }, { wait = "never" }] },
    { name = "greedy", place = "src/h.rs:2:2", at = "1s", body = [{ acquire = { of = "slots", permits = 4 } }] },
    { name = "modest", place = "src/a.rs:1:1", at = "2s", count = 5, body = [{ acquire = "slots" }] },
]
"#,
            "6 of 6 wait, 5 want little, 5 kept out by one that wants much",
        ),
        case(
            "nobody ever waited",
            r#"
run = "12s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ lock = "state" }, { release = "state" }, { sleep = "200ms" }] }] }]
"#,
            "0 of 0 wait, 0 want little",
        ),
    ];
    check(&cases, see);
}
