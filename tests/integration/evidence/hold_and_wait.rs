//! Tasks that hold a permit and wait for another one of the same semaphore.

use tokio_canary::evidence::Evidence;

use super::{case, check, made_at};

fn see(evidence: &Evidence<'_>) -> String {
    let (semaphore, _) = made_at(evidence, "src/pool.rs:1:1");
    format!("{} hold one and wait", evidence.hold_and_wait(semaphore).len())
}

#[test]
fn nested_permits_are_told_from_waits_of_tasks_that_hold_none() {
    let cases = [
        case(
            "each of three has one of three permits and asks for another",
            r#"
run = "10s"
shared = [{ name = "pool", kind = "semaphore", permits = 3, place = "src/pool.rs:1:1" }]
spawn = [{ name = "transfer", place = "src/a.rs:1:1", at = "1s", count = 3, body = [{ acquire = "pool" }, { wait = "50ms" }, { acquire = "pool" }] }]
"#,
            "3 hold one and wait",
        ),
        case(
            "requests that hold none wait behind them",
            r#"
run = "10s"
shared = [{ name = "pool", kind = "semaphore", permits = 3, place = "src/pool.rs:1:1" }]
spawn = [
    { name = "transfer", place = "src/a.rs:1:1", at = "1s", count = 3, body = [{ acquire = "pool" }, { wait = "50ms" }, { acquire = "pool" }] },
    { name = "query", place = "src/a.rs:2:2", at = "2s", count = 5, body = [{ acquire = "pool" }, { release = "pool" }] },
]
"#,
            "3 hold one and wait",
        ),
        case(
            "each asks for another one after two seconds, by when it may have released the first",
            r#"
run = "10s"
shared = [{ name = "pool", kind = "semaphore", permits = 3, place = "src/pool.rs:1:1" }]
spawn = [{ name = "transfer", place = "src/a.rs:1:1", at = "1s", count = 3, body = [{ acquire = "pool" }, { wait = "2s" }, { acquire = "pool" }] }]
"#,
            "0 hold one and wait",
        ),
        case(
            "a permit is left",
            r#"
run = "10s"
shared = [{ name = "pool", kind = "semaphore", permits = 4, place = "src/pool.rs:1:1" }]
spawn = [{ name = "transfer", place = "src/a.rs:1:1", at = "1s", count = 3, body = [{ acquire = "pool" }, { wait = "50ms" }, { acquire = "pool" }] }]
"#,
            "0 hold one and wait",
        ),
        case(
            "a slow holder keeps them, and the others wait for their first",
            r#"
run = "10s"
shared = [{ name = "pool", kind = "semaphore", permits = 3, place = "src/pool.rs:1:1" }]
spawn = [
    { name = "slow", place = "src/a.rs:1:1", at = "1s", count = 3, body = [{ acquire = "pool" }, { wait = "never" }] },
    { name = "query", place = "src/a.rs:2:2", at = "2s", count = 5, body = [{ acquire = "pool" }] },
]
"#,
            "0 hold one and wait",
        ),
        case(
            "workers in a loop release theirs before they ask again",
            r#"
run = "10s"
shared = [{ name = "pool", kind = "semaphore", permits = 2, place = "src/pool.rs:1:1" }]
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "1s", count = 6, body = [{ forever = [{ acquire = "pool" }, { wait = "300ms" }, { release = "pool" }, { wait = "10ms" }] }] }]
"#,
            "0 hold one and wait",
        ),
        case(
            "permits that are passed on are not held by who acquired them",
            r#"
run = "10s"
shared = [{ name = "pool", kind = "semaphore", permits = 2, place = "src/pool.rs:1:1" }]
spawn = [{ name = "acceptor", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ acquire = { of = "pool", owned = true } }, { give-away = { of = "pool", until = "never" } }, { wait = "10ms" }] }] }]
"#,
            "0 hold one and wait",
        ),
    ];
    check(&cases, see);
}
