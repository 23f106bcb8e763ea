//! Callers that give up, in the ages at which their tasks are dropped.

use tokio_canary::evidence::Evidence;
use tokio_canary::model::time::Timestamp;

use super::{case, check, percent, seconds, site};

fn see(evidence: &Evidence<'_>) -> String {
    let (key, site) = site(evidence, "report");
    let Some(it) = evidence.impatience(key, site, Timestamp::default(), 0, 0.0) else { return "overloaded".to_owned() };
    if it.dropped == 0 {
        return format!("none of {} dropped", it.ended);
    }
    format!(
        "{} of {} dropped, {} of them near {}, {} of the others before, {} lost a race",
        it.dropped,
        it.ended,
        percent(it.at_that_age),
        seconds(it.age),
        percent(it.ended_before),
        percent(it.lost_a_race),
    )
}

#[test]
fn tasks_that_their_callers_give_up_on_are_told_by_their_ages() {
    let cases = [
        case(
            "half of them take longer than the half second for which the client waits",
            r#"
run = "20s"
spawn = [
    { name = "other", place = "src/b.rs:1:1", count = 3, body = [{ forever = [{ sleep = "20ms" }] }] },
    { name = "report", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 80 }, body = [{ wait = "50ms" }, { wait = "60ms" }] },
    { name = "report", place = "src/a.rs:1:1", at = "1100ms", repeat = { every = "200ms", times = 80 }, within = "500ms", body = [{ wait = "50ms" }, { wait = "5s" }] },
]
"#,
            "80 of 160 dropped, 100 % of them near 0.5 s, 100 % of the others before, 0 % lost a race",
        ),
        case(
            "all of them finish",
            r#"
run = "20s"
spawn = [
    { name = "other", place = "src/b.rs:1:1", count = 3, body = [{ forever = [{ sleep = "20ms" }] }] },
    { name = "report", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 80 }, body = [{ wait = "50ms" }, { wait = "450ms" }] },
]
"#,
            "none of 80 dropped",
        ),
        case(
            "clients leave when they like",
            r#"
run = "20s"
spawn = [
    { name = "other", place = "src/b.rs:1:1", count = 3, body = [{ forever = [{ sleep = "20ms" }] }] },
    { name = "report", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 30 }, within = "300ms", body = [{ wait = "50ms" }, { wait = "5s" }] },
    { name = "report", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 30 }, within = "700ms", body = [{ wait = "50ms" }, { wait = "5s" }] },
    { name = "report", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 30 }, within = "1300ms", body = [{ wait = "50ms" }, { wait = "5s" }] },
    { name = "report", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 30 }, within = "2100ms", body = [{ wait = "50ms" }, { wait = "5s" }] },
]
"#,
            "120 of 120 dropped, 25 % of them near 2.1 s, 0 % of the others before, 0 % lost a race",
        ),
        case(
            "the slower one of two that were asked together is dropped when the other has answered",
            r#"
run = "20s"
spawn = [
    { name = "other", place = "src/b.rs:1:1", count = 3, body = [{ forever = [{ sleep = "20ms" }] }] },
    { name = "report", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 80 }, body = [{ wait = "50ms" }, { wait = "150ms" }] },
    { name = "report", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 80 }, within = "202ms", body = [{ wait = "50ms" }, { wait = "5s" }] },
]
"#,
            "80 of 160 dropped, 100 % of them near 0.2 s, 100 % of the others before, 100 % lost a race",
        ),
        case(
            "one worker has too much to do, so that every task waits for its poll",
            r#"
run = "20s"
runtimes = { main = 1 }
spawn = [
    { name = "other", place = "src/b.rs:1:1", count = 40, body = [{ forever = [{ work = "10ms" }, "yield"] }] },
    { name = "report", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 30 }, body = [{ wait = "50ms" }, { wait = "60ms" }] },
]
"#,
            "overloaded",
        ),
    ];
    check(&cases, see);
}

#[test]
fn tasks_that_are_dropped_together_make_a_group_unless_one_of_them_had_won() {
    let groups = |evidence: &Evidence<'_>| {
        let (key, site) = site(evidence, "shard");
        let it = evidence.dropped_groups(key, site, Timestamp::default(), 1);
        let endless = if it.look_endless { ", made to be dropped" } else { "" };
        format!("{} in groups at {} moments over {}{endless}", it.members, it.moments, seconds(it.spread))
    };
    let cases = [
        case(
            "three at a time, every two seconds, by a timeout around all of them",
            r#"
run = "20s"
spawn = [{ name = "shard", place = "src/a.rs:1:1", at = "1s", count = 3, repeat = { every = "2s", times = 9 }, within = "1500ms", body = [{ wait = "5s" }] }]
"#,
            "27 in groups at 9 moments over 16.0 s",
        ),
        case(
            "the two losers of a race of three",
            r#"
run = "20s"
spawn = [
    { name = "shard", place = "src/a.rs:1:1", at = "1s", repeat = { every = "2s", times = 9 }, body = [{ wait = "1495ms" }] },
    { name = "shard", place = "src/a.rs:1:1", at = "1s", count = 2, repeat = { every = "2s", times = 9 }, within = "1500ms", body = [{ wait = "5s" }] },
]
"#,
            "0 in groups at 0 moments over 0.0 s",
        ),
        case(
            "one at a time",
            r#"
run = "20s"
spawn = [{ name = "shard", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 30 }, within = "1500ms", body = [{ wait = "5s" }] }]
"#,
            "0 in groups at 0 moments over 0.0 s",
        ),
        case(
            "forwarders that live as long as their connection and end with it",
            r#"
run = "40s"
spawn = [
    { name = "shard", place = "src/a.rs:1:1", at = "1s", count = 2, within = "4s", body = [{ repeat = { times = 10, body = [{ wait = "100ms" }] } }, { wait = "never" }] },
    { name = "shard", place = "src/a.rs:1:1", at = "2s", count = 2, within = "9s", body = [{ repeat = { times = 10, body = [{ wait = "100ms" }] } }, { wait = "never" }] },
    { name = "shard", place = "src/a.rs:1:1", at = "3s", count = 2, within = "27s", body = [{ repeat = { times = 10, body = [{ wait = "100ms" }] } }, { wait = "never" }] },
]
"#,
            "6 in groups at 3 moments over 25.0 s, made to be dropped",
        ),
    ];
    check(&cases, groups);
}
