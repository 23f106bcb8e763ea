//! Stragglers of a spawn site, and tasks that are only long.

use tokio_canary::evidence::Evidence;

use super::{case, check, percent, seconds, site};

fn see(evidence: &Evidence<'_>) -> String {
    let (key, _) = site(evidence, "call");
    let Some(it) = evidence.stragglers(key, 20) else { return "none".to_owned() };
    let coming = if it.keep_coming { "more keep coming" } else { "no more come" };
    let polls = it.stopped_at_poll.map_or_else(String::new, |polls| format!(", all at poll {polls}"));
    let part = if it.are_no_clients() { "" } else { ", clients perhaps" };
    format!(
        "{} from an age of {} on, {} lively, {}{part}, {coming}{polls}",
        it.count,
        seconds(it.limit),
        it.lively,
        percent(it.share)
    )
}

#[test]
fn stragglers_are_told_from_tasks_that_live_long() {
    let cases = [
        case(
            "one in four never gets its answer",
            r#"
run = "20s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 95 }, body = [{ wait = "50ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "600ms", times = 31 }, body = [{ wait = "20ms" }, { wait = "never" }] },
]
"#,
            "22 from an age of 5.0 s on, 0 lively, 20 %, more keep coming, all at poll 2",
        ),
        case(
            "all of them finish",
            r#"
run = "20s"
spawn = [{ name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 95 }, body = [{ wait = "50ms" }] }]
"#,
            "none",
        ),
        case(
            "some take three seconds, so that twice as much is nothing special",
            r#"
run = "20s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 95 }, body = [{ wait = "50ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "1s", times = 18 }, body = [{ wait = "3s" }] },
    { name = "call", place = "src/a.rs:1:1", at = "1s", count = 4, body = [{ wait = "never" }] },
]
"#,
            "none",
        ),
        case(
            "event streams, of which something is heard every two seconds",
            r#"
run = "30s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 145 }, body = [{ wait = "50ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "2s", times = 14 }, body = [{ forever = [{ wait = "2s" }] }] },
]
"#,
            "none",
        ),
        case(
            "one straggler among event streams",
            r#"
run = "30s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 145 }, body = [{ wait = "50ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "2s", times = 14 }, body = [{ forever = [{ wait = "2s" }] }] },
    { name = "call", place = "src/a.rs:1:1", at = "3s", body = [{ wait = "never" }] },
]
"#,
            "1 from an age of 5.0 s on, 12 lively, 1 %, clients perhaps, no more come, all at poll 1",
        ),
        case(
            "a handful that stopped at once, after an incident",
            r#"
run = "40s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 195 }, body = [{ wait = "50ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "5s", count = 3, body = [{ wait = "never" }] },
    { name = "call", place = "src/a.rs:1:1", at = "5s", count = 3, body = [{ wait = "20ms" }, { wait = "never" }] },
]
"#,
            "6 from an age of 5.0 s on, 0 lively, 3 %, clients perhaps, no more come",
        ),
        case(
            "sleepers, which a timer wakes",
            r#"
run = "20s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 95 }, body = [{ wait = "50ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "600ms", times = 31 }, body = [{ sleep = "60s" }] },
]
"#,
            "none",
        ),
        case(
            "too few have finished to say how long it takes",
            r#"
run = "20s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "1s", times = 18 }, body = [{ wait = "50ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "600ms", times = 31 }, body = [{ wait = "never" }] },
]
"#,
            "none",
        ),
    ];
    check(&cases, see);
}

#[test]
fn stragglers_of_two_sites_belong_together_where_they_are_born_together() {
    let see = |evidence: &Evidence<'_>| {
        let of = |name| evidence.stragglers(site(evidence, name).0, 20).expect("stragglers");
        let (calls, rows) = (of("call"), of("rows"));
        format!("{} {}", calls.born_with(&rows), rows.born_with(&calls))
    };
    let cases = [
        case(
            "each call opens a stream of rows",
            r#"
run = "20s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 95 }, body = [{ wait = "50ms" }] },
    { name = "rows", place = "src/a.rs:2:2", at = "1s", repeat = { every = "200ms", times = 95 }, body = [{ wait = "50ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "600ms", times = 31 }, body = [{ wait = "never" }] },
    { name = "rows", place = "src/a.rs:2:2", at = "1005ms", repeat = { every = "600ms", times = 31 }, body = [{ wait = "never" }] },
]
"#,
            "true true",
        ),
        case(
            "calls and streams have nothing to do with each other",
            r#"
run = "20s"
spawn = [
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 95 }, body = [{ wait = "50ms" }] },
    { name = "rows", place = "src/a.rs:2:2", at = "1s", repeat = { every = "200ms", times = 95 }, body = [{ wait = "50ms" }] },
    { name = "call", place = "src/a.rs:1:1", at = "1s", repeat = { every = "600ms", times = 31 }, body = [{ wait = "never" }] },
    { name = "rows", place = "src/a.rs:2:2", at = "1300ms", repeat = { every = "600ms", times = 31 }, body = [{ wait = "never" }] },
]
"#,
            "false false",
        ),
    ];
    check(&cases, see);
}
