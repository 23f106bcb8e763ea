//! How many permits a pool would need, and where nothing says so.

use tokio_canary::evidence::Evidence;

use super::{case, check, made_at};

fn see(evidence: &Evidence<'_>) -> String {
    let (key, _) = made_at(evidence, "pool.rs:1:1");
    evidence.sizing(key).map_or_else(
        || "nothing".to_owned(),
        |it| format!("{} of {}, {} ms each", it.needed, it.permits, 10 * ((it.held.as_millis() + 5) / 10)),
    )
}

#[test]
fn a_pool_needs_arrivals_times_hold_time() {
    let cases = [
        case(
            "more come than a pool can serve, and give up",
            r#"
run = "61s"
shared = [{ name = "pool", kind = "semaphore", permits = 10, place = "src/pool.rs:1:1" }]
spawn = [{ name = "request", place = "src/a.rs:1:1", at = "500ms", repeat = { every = "10ms", times = 6000 }, body = [{ acquire = { of = "pool", within = "700ms" } }, { wait = "380ms" }, { release = "pool" }] }]
"#,
            "38 of 10, 380 ms each",
        ),
        case(
            "as many workers as ever take turns: they would come more often if they could",
            r#"
run = "61s"
shared = [{ name = "pool", kind = "semaphore", permits = 3, place = "src/pool.rs:1:1" }]
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "500ms", count = 12, body = [{ forever = [{ acquire = "pool" }, { wait = "300ms" }, { release = "pool" }] }] }]
"#,
            "nothing",
        ),
        case(
            "a batch came at once",
            r#"
run = "31s"
shared = [{ name = "pool", kind = "semaphore", permits = 3, place = "src/pool.rs:1:1" }]
spawn = [{ name = "batch", place = "src/a.rs:1:1", at = "500ms", count = 400, body = [{ acquire = "pool" }, { wait = "300ms" }, { release = "pool" }] }]
"#,
            "nothing",
        ),
        case(
            "few come",
            r#"
run = "61s"
shared = [{ name = "pool", kind = "semaphore", permits = 1, place = "src/pool.rs:1:1" }]
spawn = [{ name = "request", place = "src/a.rs:1:1", at = "500ms", repeat = { every = "2s", times = 30 }, body = [{ acquire = "pool" }, { wait = "4s" }, { release = "pool" }] }]
"#,
            "nothing",
        ),
        case(
            "nobody has to wait",
            r#"
run = "61s"
shared = [{ name = "pool", kind = "semaphore", permits = 20, place = "src/pool.rs:1:1" }]
spawn = [{ name = "request", place = "src/a.rs:1:1", at = "500ms", repeat = { every = "50ms", times = 1200 }, body = [{ acquire = "pool" }, { wait = "300ms" }, { release = "pool" }] }]
"#,
            "nothing",
        ),
        case(
            "nothing is given back",
            r#"
run = "61s"
shared = [{ name = "pool", kind = "semaphore", permits = 5, place = "src/pool.rs:1:1" }]
spawn = [{ name = "request", place = "src/a.rs:1:1", at = "500ms", repeat = { every = "50ms", times = 1200 }, body = [{ acquire = "pool" }, { wait = "never" }] }]
"#,
            "nothing",
        ),
    ];
    check(&cases, see);
}
