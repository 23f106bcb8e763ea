//! What a lock is for: workers around one receiver, a leader with its standbys, or neither.

use tokio_canary::evidence::Evidence;

use super::{case, check, made_at};

fn see(evidence: &Evidence<'_>) -> String {
    let (key, _) = made_at(evidence, "src/l.rs:1:1");
    let holder = evidence.holders(key).first();
    let leads = holder.is_some_and(|holder| evidence.is_leader(key, holder));
    match (evidence.is_idle_pool(key), leads) {
        (false, false) => "a lock",
        (true, false) => "idle workers",
        (false, true) => "a leader",
        (true, true) => "idle workers or a leader",
    }
    .to_owned()
}

#[test]
fn queues_that_are_meant_are_told_by_who_uses_the_lock() {
    let cases = [
        case(
            "workers take turns at a receiver",
            r#"
run = "12s"
shared = [{ name = "receiver", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "1s", count = 6, body = [{ forever = [{ lock = "receiver" }, { wait = "400ms" }, { release = "receiver" }, { wait = "5ms" }] }] }]
"#,
            "idle workers",
        ),
        case(
            "the same of tasks that a library spawns",
            r#"
run = "12s"
shared = [{ name = "receiver", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [{ name = "worker", place = "axum-0.8.9/src/serve/mod.rs:389:9", at = "1s", count = 6, body = [{ forever = [{ lock = "receiver" }, { wait = "400ms" }, { release = "receiver" }, { wait = "5ms" }] }] }]
"#,
            "a lock",
        ),
        case(
            "requests that keep coming share it",
            r#"
run = "12s"
shared = [{ name = "receiver", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [{ name = "request", place = "src/a.rs:1:1", at = "1s", repeat = { every = "300ms", times = 36 }, body = [{ lock = "receiver" }, { wait = "400ms" }, { release = "receiver" }] }]
"#,
            "a lock",
        ),
        case(
            "two kinds of tasks use it",
            r#"
run = "12s"
shared = [{ name = "receiver", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "worker", place = "src/a.rs:1:1", at = "1s", count = 3, body = [{ forever = [{ lock = "receiver" }, { wait = "400ms" }, { release = "receiver" }, { wait = "5ms" }] }] },
    { name = "other", place = "src/a.rs:2:2", at = "1s", count = 3, body = [{ forever = [{ lock = "receiver" }, { wait = "400ms" }, { release = "receiver" }, { wait = "5ms" }] }] },
]
"#,
            "a lock",
        ),
        case(
            "whoever holds it computes or sleeps meanwhile",
            r#"
run = "12s"
shared = [{ name = "receiver", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "1s", count = 6, body = [{ forever = [{ lock = "receiver" }, { sleep = "400ms" }, { release = "receiver" }, { wait = "5ms" }] }] }]
"#,
            "a lock",
        ),
        case(
            "the first one keeps it and works, the others stand by",
            r#"
run = "20s"
shared = [{ name = "office", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "leader", place = "src/a.rs:1:1", at = "1s", body = [{ lock = "office" }, { forever = [{ sleep = "500ms" }] }] },
    { name = "standby", place = "src/a.rs:2:2", at = "2s", count = 2, body = [{ lock = "office" }] },
]
"#,
            "a leader",
        ),
        case(
            "the first one keeps it and is stuck",
            r#"
run = "20s"
shared = [{ name = "office", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "leader", place = "src/a.rs:1:1", at = "1s", body = [{ lock = "office" }, { wait = "never" }] },
    { name = "standby", place = "src/a.rs:2:2", at = "2s", count = 2, body = [{ lock = "office" }] },
]
"#,
            "a lock",
        ),
    ];
    check(&cases, see);
}
