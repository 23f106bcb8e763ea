//! Tasks that run into their timeout, and tasks that sleep or poll for as long by design.

use std::time::Duration;

use tokio_canary::evidence::Evidence;

use super::{case, check, percent, seconds, site};

fn see(evidence: &Evidence<'_>) -> String {
    let Some(it) = evidence.timed_out(site(evidence, "transfer").1, 0, 0.0, Duration::ZERO) else {
        return "nothing has ended".to_owned();
    };
    let before = if it.used_to_end_early { ", used to end early" } else { "" };
    format!(
        "{} of {} at {}, {} after a rest, {} early, {} with a timer, {} alive{before}",
        percent(it.at_that_age),
        it.ended,
        seconds(it.age),
        percent(it.rested),
        percent(it.early),
        percent(it.with_timer),
        it.live,
    )
}

#[test]
fn timeouts_are_told_by_the_age_at_which_tasks_end_and_by_their_timers() {
    let cases = [
        case(
            "everything was quick, and now everything ends by its timeout",
            r#"
run = "60s"
spawn = [
    { name = "transfer", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 70 }, body = [{ wait = "40ms" }] },
    { name = "transfer", place = "src/a.rs:1:1", at = "15s", repeat = { every = "500ms", times = 90 }, body = [{ sleep = "8s" }] },
]
"#,
            "100 % of 60 at 8.0 s, 100 % after a rest, 0 % early, 100 % with a timer, 16 alive, used to end early",
        ),
        case(
            "everything is quick",
            r#"
run = "40s"
spawn = [{ name = "transfer", place = "src/a.rs:1:1", at = "1s", repeat = { every = "200ms", times = 190 }, body = [{ wait = "40ms" }, { wait = "40ms" }] }]
"#,
            "100 % of 150 at 0.1 s, 0 % after a rest, 0 % early, 0 % with a timer, 0 alive",
        ),
        case(
            "everything always slept for so long",
            r#"
run = "60s"
spawn = [{ name = "transfer", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 118 }, body = [{ sleep = "8s" }] }]
"#,
            "100 % of 60 at 8.0 s, 100 % after a rest, 0 % early, 100 % with a timer, 16 alive",
        ),
        case(
            "long polls, two thirds of which get news",
            r#"
run = "60s"
spawn = [
    { name = "transfer", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 118 }, body = [{ wait = "2s" }] },
    { name = "transfer", place = "src/a.rs:1:1", at = "1s", repeat = { every = "1s", times = 59 }, body = [{ sleep = "8s" }] },
]
"#,
            "67 % of 90 at 2.0 s, 67 % after a rest, 0 % early, 0 % with a timer, 12 alive",
        ),
        case(
            "all take equally long, and no timer has to do with it",
            r#"
run = "60s"
spawn = [{ name = "transfer", place = "src/a.rs:1:1", at = "1s", repeat = { every = "500ms", times = 118 }, body = [{ wait = "8s" }] }]
"#,
            "100 % of 60 at 8.0 s, 100 % after a rest, 0 % early, 0 % with a timer, 16 alive",
        ),
        case(
            "nothing has ended yet",
            r#"
run = "5s"
spawn = [{ name = "transfer", place = "src/a.rs:1:1", at = "1s", count = 5, body = [{ sleep = "8s" }] }]
"#,
            "nothing has ended",
        ),
    ];
    check(&cases, see);
}
