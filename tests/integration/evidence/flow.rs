//! Whether a lock moves: how long somebody has waited, and how long nobody has acquired it.

use tokio_canary::evidence::Evidence;

use super::{case, check, made_at, seconds};

fn see(evidence: &Evidence<'_>) -> String {
    let (key, _) = made_at(evidence, "src/l.rs:1:1");
    let flow = evidence.flow(key);
    let unserved =
        flow.unserved_for().map_or("nobody is unserved".to_owned(), |it| format!("unserved for {}", seconds(it)));
    format!(
        "{} wait, stalled for {}, {unserved}, {} given up",
        flow.waiting,
        seconds(flow.stalled_for()),
        flow.given_up
    )
}

#[test]
fn a_lock_that_moves_is_told_from_one_that_is_stuck() {
    let cases = [
        case(
            "the holder never lets go",
            r#"
run = "11s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/h.rs:1:1", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "waiting", place = "src/a.rs:1:1", at = "1s", count = 3, body = [{ lock = "state" }] },
]
"#,
            "3 wait, stalled for 9.0 s, unserved for 9.0 s, 0 given up",
        ),
        case(
            "the holder never lets go, and those who wait give up after a second and come again",
            r#"
run = "11s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/h.rs:1:1", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "waiting", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ lock = { of = "state", within = "1s" } }] }] },
]
"#,
            "1 wait, stalled for 0.0 s, unserved for 9.0 s, 9 given up",
        ),
        case(
            "it goes from hand to hand",
            r#"
run = "11s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "1s", count = 3, body = [{ forever = [{ lock = "state" }, { wait = "400ms" }, { release = "state" }] }] }]
"#,
            "2 wait, stalled for 0.2 s, unserved for 0.2 s, 0 given up",
        ),
        case(
            "nobody wants it",
            r#"
run = "11s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [{ name = "holder", place = "src/h.rs:1:1", at = "1s", body = [{ lock = "state" }, { wait = "never" }] }]
"#,
            "0 wait, stalled for 0.0 s, nobody is unserved, 0 given up",
        ),
        case(
            "the process stood still for five of nineteen seconds",
            r#"
run = "21s"
event = [{ at = "10s", stop = "5s" }]
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "health", place = "src/h.rs:2:2", body = [{ forever = [{ sleep = "200ms" }] }] },
    { name = "holder", place = "src/h.rs:1:1", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "waiting", place = "src/a.rs:1:1", at = "1s", body = [{ lock = "state" }] },
]
"#,
            "1 wait, stalled for 14.0 s, unserved for 14.0 s, 0 given up",
        ),
    ];
    check(&cases, see);
}
