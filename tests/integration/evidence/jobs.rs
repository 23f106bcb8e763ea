//! Blocking jobs that have a thread: those that seem to wait in `block_on`, and those that work.

use tokio_canary::evidence::Evidence;

use super::{case, check};

fn see(evidence: &Evidence<'_>) -> String {
    let at_work = evidence.jobs_at_work();
    let place = at_work.wait_at.and_then(|site| evidence.site(site)).map(|site| site.id.location.as_str());
    match place {
        Some(place) => format!("{} at work, which wait at {place}", at_work.count),
        None => format!("{} at work", at_work.count),
    }
}

#[test]
fn jobs_that_wait_are_told_from_those_that_work() {
    let cases = [
        case(
            "two jobs, each of which drives a future",
            r#"
run = "10s"
runtimes = { main = 2, blocking = 2, jobs = 2 }
spawn = [
    { name = "upload", place = "src/a.rs:1:1", at = "2s", count = 2, body = [{ spawn-blocking = "1m" }] },
    { kind = "block-on", runtime = "jobs", place = "src/b.rs:2:2", at = "3s", count = 2, body = [{ wait = "never" }] },
]
"#,
            "2 at work, which wait at src/b.rs:2:2",
        ),
        case(
            "one of them works",
            r#"
run = "10s"
runtimes = { main = 2, blocking = 2, jobs = 2 }
spawn = [
    { name = "upload", place = "src/a.rs:1:1", at = "2s", count = 2, body = [{ spawn-blocking = "1m" }] },
    { kind = "block-on", runtime = "jobs", place = "src/b.rs:2:2", at = "3s", body = [{ wait = "never" }] },
]
"#,
            "2 at work",
        ),
        case(
            "one job, and a main thread that was there before it",
            r#"
run = "10s"
runtimes = { main = 2, blocking = 2, jobs = 2 }
spawn = [
    { kind = "block-on", runtime = "jobs", place = "src/main.rs:1:1", body = [{ wait = "never" }] },
    { name = "upload", place = "src/a.rs:1:1", at = "2s", body = [{ spawn-blocking = "1m" }] },
]
"#,
            "1 at work",
        ),
        case(
            "none is at work any more",
            r#"
run = "10s"
runtimes = { main = 2, blocking = 2, jobs = 2 }
spawn = [
    { name = "upload", place = "src/a.rs:1:1", at = "2s", body = [{ spawn-blocking = "1s" }] },
    { kind = "block-on", runtime = "jobs", place = "src/b.rs:2:2", at = "3s", body = [{ wait = "never" }] },
]
"#,
            "0 at work",
        ),
    ];
    check(&cases, see);
}
