//! Tasks that spin around a system call, and work in small slices.

use std::time::Duration;

use tokio_canary::evidence::Evidence;

use super::{case, check, site};

const FAST: f64 = 5_000.0;

fn see(evidence: &Evidence<'_>) -> String {
    let (key, site) = site(evidence, "pump");
    let Some(pace) = site.history.all().filter_map(|second| second.fastest).next_back() else {
        return "at rest".to_owned();
    };
    let alone = evidence.spins_like_no_sibling(site, &pace, FAST, Duration::from_secs(10));
    let steady = evidence.is_steady_under_load(key, site, &pace, Duration::from_secs(20));
    match (alone, steady) {
        (false, false) => "may work",
        (true, false) => "like no sibling",
        (false, true) => "steady under a load that varies",
        (true, true) => "like no sibling, and steady",
    }
    .to_owned()
}

#[test]
fn spins_are_told_from_work_by_siblings_and_by_load() {
    let cases = [
        case(
            "one of six pumps reads nothing again and again",
            r#"
run = "16s"
spawn = [
    { name = "pump", place = "src/a.rs:1:1", at = "1s", count = 5, body = [{ forever = [{ wait = "150ms" }, { work = "200us" }] }] },
    { name = "pump", place = "src/a.rs:1:1", at = "1s", body = [{ wait = "1s" }, { forever = [{ work = "42us" }, "yield"] }] },
]
"#,
            "like no sibling",
        ),
        case(
            "it has not done so for long enough",
            r#"
run = "9s"
spawn = [
    { name = "pump", place = "src/a.rs:1:1", at = "1s", count = 5, body = [{ forever = [{ wait = "150ms" }, { work = "200us" }] }] },
    { name = "pump", place = "src/a.rs:1:1", at = "1s", body = [{ wait = "1s" }, { forever = [{ work = "42us" }, "yield"] }] },
]
"#,
            "may work",
        ),
        case(
            "its siblings did the same before",
            r#"
run = "60s"
spawn = [{ name = "pump", place = "src/a.rs:1:1", at = "1s", repeat = { every = "9s", times = 6 }, body = [{ repeat = { times = 120000, body = [{ work = "42us" }, "yield"] } }, { wait = "never" }] }]
"#,
            "may work",
        ),
        case(
            "it is the only one of its site, and nothing else runs",
            r#"
run = "30s"
spawn = [{ name = "pump", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ work = "42us" }, "yield"] }] }]
"#,
            "may work",
        ),
        case(
            "it is the only one of its site, and the rest of the process comes and goes",
            r#"
run = "30s"
spawn = [
    { name = "tick", place = "src/h.rs:1:1", count = 5, body = [{ forever = [{ sleep = "50ms" }] }] },
    { name = "burst", place = "src/b.rs:1:1", at = "2s", count = 8, repeat = { every = "7s", times = 4 }, body = [{ repeat = { times = 60, body = [{ sleep = "50ms" }] } }] },
    { name = "pump", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ work = "42us" }, "yield"] }] },
]
"#,
            "steady under a load that varies",
        ),
        case(
            "the rest of the process does the same all the time",
            r#"
run = "30s"
spawn = [
    { name = "tick", place = "src/h.rs:1:1", count = 5, body = [{ forever = [{ sleep = "50ms" }] }] },
    { name = "pump", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ work = "42us" }, "yield"] }] },
]
"#,
            "may work",
        ),
        case(
            "it takes longer for some of its slices, as work does",
            r#"
run = "30s"
spawn = [
    { name = "tick", place = "src/h.rs:1:1", count = 5, body = [{ forever = [{ sleep = "50ms" }] }] },
    { name = "burst", place = "src/b.rs:1:1", at = "2s", count = 8, repeat = { every = "7s", times = 4 }, body = [{ repeat = { times = 60, body = [{ sleep = "50ms" }] } }] },
    { name = "pump", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ repeat = { times = 60000, body = [{ work = "30us" }, "yield"] } }, { repeat = { times = 40000, body = [{ work = "60us" }, "yield"] } }] }] },
]
"#,
            "may work",
        ),
        case(
            "it rests between batches",
            r#"
run = "30s"
spawn = [
    { name = "tick", place = "src/h.rs:1:1", count = 5, body = [{ forever = [{ sleep = "50ms" }] }] },
    { name = "burst", place = "src/b.rs:1:1", at = "2s", count = 8, repeat = { every = "7s", times = 4 }, body = [{ repeat = { times = 60, body = [{ sleep = "50ms" }] } }] },
    { name = "pump", place = "src/a.rs:1:1", at = "1s", count = 1, body = [{ forever = [{ repeat = { times = 30000, body = [{ work = "42us" }, "yield"] } }, { wait = "900ms" }] }] },
]
"#,
            "may work",
        ),
    ];
    check(&cases, see);
}
