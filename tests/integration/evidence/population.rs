//! The tasks of a site as a population: what most of them wait for, whether they stay, and whether such waits used to end.

use std::time::Duration;

use tokio_canary::evidence::Evidence;
use tokio_canary::evidence::population::CommonWait;

use super::{case, check, percent, site, tasks};

fn see(evidence: &Evidence<'_>) -> String {
    let (wait, share) = evidence.common_wait(site(evidence, "job").1);
    let what = match wait {
        CommonWait::Resource { key, distinct, waiting } => {
            let kind = evidence.resource(key).map(|it| it.kind.as_str()).unwrap_or_default();
            format!("{waiting} for {distinct} {kind}")
        }
        CommonWait::Unseen => "unseen".to_owned(),
        CommonWait::Tick => "a tick".to_owned(),
        CommonWait::Timer => "a timer".to_owned(),
        CommonWait::Loop => "a timer, again and again".to_owned(),
    };
    format!("{what}, {}", percent(share))
}

#[test]
fn what_most_tasks_wait_for_is_known() {
    let cases = [
        case(
            "one lock",
            r#"
run = "5s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/h.rs:1:1", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "job", place = "src/a.rs:1:1", at = "1s", count = 9, body = [{ lock = "state" }] },
    { name = "job", place = "src/a.rs:1:1", at = "1s", body = [{ wait = "never" }] },
]
"#,
            "9 for 1 Mutex, 90 %",
        ),
        case(
            "an answer each",
            r#"
run = "5s"
spawn = [{ name = "job", place = "src/a.rs:1:1", at = "1s", count = 8, body = [{ answer = "never" }] }]
"#,
            "8 for 8 oneshot channel, 100 %",
        ),
        case(
            "half of them a lock, half of them something else",
            r#"
run = "5s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/h.rs:1:1", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "job", place = "src/a.rs:1:1", at = "1s", count = 5, body = [{ lock = "state" }] },
    { name = "job", place = "src/a.rs:1:1", at = "1s", count = 5, body = [{ wait = "never" }] },
]
"#,
            "unseen, 0 %",
        ),
        case(
            "a socket",
            r#"
run = "5s"
spawn = [{ name = "job", place = "src/a.rs:1:1", at = "1s", count = 8, body = [{ wait = "never" }] }]
"#,
            "unseen, 0 %",
        ),
        case(
            "a timer",
            r#"
run = "5s"
spawn = [{ name = "job", place = "src/a.rs:1:1", at = "1s", count = 8, body = [{ sleep = "20s" }] }]
"#,
            "a timer, 100 %",
        ),
        case(
            "a timer for the twentieth time",
            r#"
run = "25s"
spawn = [{ name = "job", place = "src/a.rs:1:1", at = "1s", count = 8, body = [{ forever = [{ sleep = "1100ms" }] }] }]
"#,
            "a timer, again and again, 100 %",
        ),
        case(
            "the tick of an interval",
            r#"
run = "5s"
spawn = [{ name = "job", place = "src/a.rs:1:1", at = "1s", count = 8, body = [{ tick = "20s" }] }]
"#,
            "a tick, 100 %",
        ),
    ];
    check(&cases, see);
}

#[test]
fn sites_whose_tasks_stay_are_told_from_those_whose_tasks_end() {
    let stay = |evidence: &Evidence<'_>| {
        let stay = evidence.nearly_all_stay(site(evidence, "job").1, Duration::from_secs(20));
        if stay { "they stay" } else { "they end" }.to_owned()
    };
    let cases = [
        case(
            "all stay",
            r#"
run = "20s"
spawn = [{ name = "job", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 36 }, body = [{ wait = "never" }] }]
"#,
            "they stay",
        ),
        case(
            "one in ten ends",
            r#"
run = "20s"
spawn = [
    { name = "job", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 36 }, body = [{ wait = "never" }] },
    { name = "job", place = "src/a.rs:1:1", at = "1s", repeat = { every = "5s", times = 4 }, body = [{ wait = "10ms" }] },
]
"#,
            "they stay",
        ),
        case(
            "every other one ends",
            r#"
run = "20s"
spawn = [
    { name = "job", place = "src/a.rs:1:1", at = "1s", repeat = { every = "1s", times = 18 }, body = [{ wait = "never" }] },
    { name = "job", place = "src/a.rs:1:1", at = "1s", repeat = { every = "1s", times = 18 }, body = [{ wait = "10ms" }] },
]
"#,
            "they end",
        ),
    ];
    check(&cases, stay);
}

#[test]
fn waits_that_used_to_end_are_told_from_those_that_never_did() {
    let used_to_end = |evidence: &Evidence<'_>| {
        let waiting = *tasks(evidence, "waiting").first().expect("a task");
        let awaited = evidence.task_wait(waiting).awaited.first().map(|it| evidence.used_to_end(it.resource));
        format!("{awaited:?}")
    };
    let cases = [
        case(
            "a lock",
            r#"
run = "5s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/h.rs:1:1", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "waiting", place = "src/a.rs:1:1", at = "1s", body = [{ lock = "state" }] },
]
"#,
            "Some(true)",
        ),
        case(
            "an answer, of which twenty came before",
            r#"
run = "20s"
spawn = [
    { name = "asking", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 20 }, body = [{ answer = "30ms" }] },
    { name = "waiting", place = "src/a.rs:1:1", at = "12s", body = [{ answer = "never" }] },
]
"#,
            "Some(true)",
        ),
        case(
            "an answer, of which few came before",
            r#"
run = "20s"
spawn = [
    { name = "asking", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 19 }, body = [{ answer = "30ms" }] },
    { name = "waiting", place = "src/a.rs:1:1", at = "12s", body = [{ answer = "never" }] },
]
"#,
            "Some(false)",
        ),
        case(
            "an answer at another line",
            r#"
run = "20s"
spawn = [
    { name = "asking", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 20 }, body = [{ answer = "30ms" }] },
    { name = "waiting", place = "src/a.rs:2:2", at = "12s", body = [{ answer = "never" }] },
]
"#,
            "Some(false)",
        ),
    ];
    check(&cases, used_to_end);
}
