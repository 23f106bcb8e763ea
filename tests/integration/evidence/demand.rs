//! Queues for permits that somebody suffers from, and those that are meant.

use std::time::Duration;

use tokio_canary::evidence::Evidence;
use tokio_canary::evidence::demand::Suffering;
use tokio_canary::model::tokio::AcquireKind;

use super::{case, check, made_at};

fn see(evidence: &Evidence<'_>) -> String {
    let (key, _) = made_at(evidence, "pool.rs:1:1");
    let from = evidence.now().minus(Duration::from_secs(15));
    let coming = if evidence.keeps_coming(key, from) { "more keep coming" } else { "no more come" };
    let why = match evidence.suffering(key, AcquireKind::Acquire, from, Duration::from_millis(50)) {
        None => "meant".to_owned(),
        Some(Suffering::GivenUp) => "waits are given up".to_owned(),
        Some(Suffering::HeldOver(over)) => {
            let kind = evidence.resource(over).map(|it| it.kind.as_str()).unwrap_or_default();
            format!("held over a {kind}")
        }
        Some(Suffering::Requests) => "requests wait".to_owned(),
    };
    let permits = evidence.count_permits(key).map_or("unknown".to_owned(), |permits| permits.to_string());
    format!("{why}, {permits} permits, {coming}")
}

#[test]
fn queues_at_pools_that_hurt_are_told_from_those_that_are_meant() {
    let cases = [
        case(
            "a fixed set of workers shares a pool",
            r#"
run = "30s"
shared = [{ name = "pool", kind = "semaphore", permits = 3, place = "deadpool-0.12.3/src/managed/pool.rs:1:1" }]
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "1s", count = 12, body = [{ forever = [{ wait = "300ms" }, { acquire = "pool" }, { wait = "600ms" }, { release = "pool" }] }] }]
"#,
            "meant, 3 permits, more keep coming",
        ),
        case(
            "the workers give up after a while and try again",
            r#"
run = "30s"
shared = [{ name = "pool", kind = "semaphore", permits = 3, place = "deadpool-0.12.3/src/managed/pool.rs:1:1" }]
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "1s", count = 12, body = [{ forever = [{ wait = "300ms" }, { acquire = { of = "pool", within = "700ms" } }, { wait = "600ms" }, { release = "pool" }] }] }]
"#,
            "waits are given up, 3 permits, more keep coming",
        ),
        case(
            "the workers keep what they were lent over an answer",
            r#"
run = "30s"
shared = [{ name = "pool", kind = "semaphore", permits = 3, place = "deadpool-0.12.3/src/managed/pool.rs:1:1" }]
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "1s", count = 12, body = [{ forever = [{ wait = "300ms" }, { acquire = "pool" }, { answer = "600ms" }, { release = "pool" }] }] }]
"#,
            "held over a oneshot channel, 3 permits, more keep coming",
        ),
        case(
            "the workers keep what they were lent over a lock",
            r#"
run = "30s"
shared = [
    { name = "pool", kind = "semaphore", permits = 3, place = "deadpool-0.12.3/src/managed/pool.rs:1:1" },
    { name = "cache", kind = "mutex", place = "src/cache.rs:1:1" },
]
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "1s", count = 12, body = [{ forever = [{ wait = "300ms" }, { acquire = "pool" }, { lock = "cache" }, { wait = "600ms" }, { release = "cache" }, { release = "pool" }] }] }]
"#,
            "held over a Mutex, 3 permits, more keep coming",
        ),
        case(
            "requests wait that were just born",
            r#"
run = "30s"
shared = [{ name = "pool", kind = "semaphore", permits = 3, place = "deadpool-0.12.3/src/managed/pool.rs:1:1" }]
spawn = [
    { name = "request", place = "src/a.rs:1:1", at = "1s", count = 20, body = [{ acquire = "pool" }, { wait = "300ms" }, { release = "pool" }] },
    { name = "request", place = "src/a.rs:1:1", at = "1s", repeat = { every = "101ms", times = 280 }, body = [{ acquire = "pool" }, { wait = "300ms" }, { release = "pool" }] },
]
"#,
            "requests wait, 3 permits, more keep coming",
        ),
        case(
            "a batch drains",
            r#"
run = "30s"
shared = [{ name = "pool", kind = "semaphore", permits = 3, place = "deadpool-0.12.3/src/managed/pool.rs:1:1" }]
spawn = [{ name = "batch", place = "src/a.rs:1:1", at = "1s", count = 400, body = [{ acquire = "pool" }, { wait = "300ms" }, { release = "pool" }] }]
"#,
            "requests wait, 3 permits, no more come",
        ),
    ];
    check(&cases, see);
}

#[test]
fn queues_at_limiters_hurt_only_where_those_who_give_up_fail() {
    let cases = [
        case(
            "requests wait for a limiter of the service's own, as they are meant to",
            r#"
run = "30s"
shared = [{ name = "limit", kind = "semaphore", permits = 3, place = "src/pool.rs:1:1" }]
spawn = [
    { name = "request", place = "src/a.rs:1:1", at = "1s", count = 20, body = [{ acquire = "limit" }, { wait = "300ms" }, { release = "limit" }] },
    { name = "request", place = "src/a.rs:1:1", at = "1s", repeat = { every = "101ms", times = 280 }, body = [{ acquire = "limit" }, { wait = "300ms" }, { release = "limit" }] },
]
"#,
            "meant, 3 permits, more keep coming",
        ),
        case(
            "requests give up waiting for a limiter and end",
            r#"
run = "30s"
shared = [{ name = "limit", kind = "semaphore", permits = 3, place = "src/pool.rs:1:1" }]
spawn = [{ name = "request", place = "src/a.rs:1:1", at = "1s", repeat = { every = "60ms", times = 480 }, body = [{ acquire = { of = "limit", within = "700ms" } }, { wait = "300ms" }, { release = "limit" }] }]
"#,
            "waits are given up, 3 permits, more keep coming",
        ),
        case(
            "workers give up waiting for a limiter and try again",
            r#"
run = "30s"
shared = [{ name = "limit", kind = "semaphore", permits = 3, place = "src/pool.rs:1:1" }]
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "1s", count = 12, body = [{ forever = [{ wait = "300ms" }, { acquire = { of = "limit", within = "700ms" } }, { wait = "600ms" }, { release = "limit" }] }] }]
"#,
            "meant, 3 permits, more keep coming",
        ),
        case(
            "permits that are passed on, of a semaphore that is older than the tool's view",
            r#"
run = "30s"
attach = "5s"
retention = "1s"
shared = [{ name = "limit", kind = "semaphore", permits = 3, place = "src/pool.rs:1:1" }]
spawn = [{ name = "acceptor", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ acquire = { of = "limit", owned = true } }, { give-away = { of = "limit", until = "900ms" } }, { wait = "10ms" }] }] }]
"#,
            "meant, unknown permits, more keep coming",
        ),
    ];
    check(&cases, see);
}
