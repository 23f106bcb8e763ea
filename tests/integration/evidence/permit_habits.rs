//! Who may hold the permits of a semaphore that has stopped.

use std::time::Duration;

use tokio_canary::evidence::Evidence;

use super::{case, check, made_at};

fn see(evidence: &Evidence<'_>) -> String {
    let (key, _) = made_at(evidence, "src/l.rs:1:1");
    let holders = evidence.resting_holders(key, Duration::from_secs(5));
    let known = holders.iter().filter(|holder| evidence.usual_turn(key, holder.task).is_some()).count();
    format!("{} rest, the usual time of {known} is known", holders.len())
}

#[test]
fn holders_that_rest_are_told_from_those_at_work() {
    let cases = [
        case(
            "two hold both permits and wait for a peer",
            r#"
run = "11s"
shared = [{ name = "slots", kind = "semaphore", permits = 2, place = "src/l.rs:1:1" }]
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", count = 2, body = [{ acquire = "slots" }, { wait = "never" }] },
    { name = "call", place = "src/a.rs:1:1", at = "2s", count = 3, body = [{ acquire = "slots" }] },
]
"#,
            "2 rest, the usual time of 0 is known",
        ),
        case(
            "the same after twelve that were quick",
            r#"
run = "15s"
shared = [{ name = "slots", kind = "semaphore", permits = 2, place = "src/l.rs:1:1" }]
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 12 }, body = [{ acquire = "slots" }, { wait = "20ms" }, { release = "slots" }] },
    { name = "call", place = "src/a.rs:1:1", at = "5s", count = 2, body = [{ acquire = "slots" }, { wait = "never" }] },
    { name = "call", place = "src/a.rs:1:1", at = "6s", count = 3, body = [{ acquire = "slots" }] },
]
"#,
            "2 rest, the usual time of 2 is known",
        ),
        case(
            "one of them is at work",
            r#"
run = "11s"
shared = [{ name = "slots", kind = "semaphore", permits = 2, place = "src/l.rs:1:1" }]
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", body = [{ acquire = "slots" }, { wait = "never" }] },
    { name = "call", place = "src/a.rs:1:1", at = "1s", body = [{ acquire = "slots" }, { forever = [{ wait = "500ms" }] }] },
    { name = "call", place = "src/a.rs:1:1", at = "2s", count = 3, body = [{ acquire = "slots" }] },
]
"#,
            "0 rest, the usual time of 0 is known",
        ),
        case(
            "a permit may have been passed on",
            r#"
run = "11s"
shared = [{ name = "slots", kind = "semaphore", permits = 2, place = "src/l.rs:1:1" }]
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", count = 2, body = [{ acquire = { of = "slots", owned = true } }, { wait = "never" }] },
    { name = "call", place = "src/a.rs:1:1", at = "2s", count = 3, body = [{ acquire = "slots" }] },
]
"#,
            "0 rest, the usual time of 0 is known",
        ),
        case(
            "a permit is left",
            r#"
run = "11s"
shared = [{ name = "slots", kind = "semaphore", permits = 3, place = "src/l.rs:1:1" }]
spawn = [{ name = "call", place = "src/a.rs:1:1", at = "1s", count = 2, body = [{ acquire = "slots" }, { wait = "never" }] }]
"#,
            "0 rest, the usual time of 0 is known",
        ),
    ];
    check(&cases, see);
}
