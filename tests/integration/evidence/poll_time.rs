//! How long the polls of a site take, and who waits for a worker meanwhile.

use std::time::Duration;

use tokio_canary::evidence::Evidence;

use super::{case, check, percent, site};

fn see(evidence: &Evidence<'_>) -> String {
    let (key, site) = site(evidence, "work");
    let window = Duration::from_secs(10);
    let time = evidence.poll_time(site, window);
    let hurt = evidence.hurt_by(key, window);
    let met = evidence.sightings(key, 10, Duration::from_millis(25)).map_or(0, |it| it.met);
    format!(
        "{} ms, {} of a core, {met} met, {} sites wait",
        time.mean.as_millis(),
        percent(time.share()),
        hurt.sites.len()
    )
}

#[test]
fn long_polls_are_measured_and_met() {
    let cases = [
        case(
            "polls of twenty milliseconds, half of the time",
            r#"
run = "16s"
runtimes = { main = 1 }
spawn = [
    { name = "health", place = "src/h.rs:1:1", count = 5, body = [{ forever = [{ sleep = "15ms" }] }] },
    { name = "work", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ wait = "20ms" }, { work = "20ms" }] }] },
]
"#,
            "20 ms, 50 % of a core, 0 met, 1 sites wait",
        ),
        case(
            "short polls",
            r#"
run = "16s"
runtimes = { main = 1 }
spawn = [
    { name = "health", place = "src/h.rs:1:1", count = 5, body = [{ forever = [{ sleep = "15ms" }] }] },
    { name = "work", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ wait = "20ms" }, { work = "100us" }] }] },
]
"#,
            "0 ms, 1 % of a core, 0 met, 0 sites wait",
        ),
        case(
            "polls of sixty milliseconds, three quarters of the time",
            r#"
run = "16s"
runtimes = { main = 2 }
spawn = [{ name = "work", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ wait = "20ms" }, { work = "61ms" }] }] }]
"#,
            "61 ms, 75 % of a core, 3 met, 0 sites wait",
        ),
        case(
            "a span that a library enters is no poll",
            r#"
run = "16s"
spawn = [
    { name = "health", place = "src/h.rs:1:1", count = 5, body = [{ forever = [{ sleep = "15ms" }] }] },
    { name = "work", place = "src/a.rs:1:1", at = "1s", body = [{ wait = "500ms" }, { entered = { during = "12s", wakes = 0, entries = 2 } }, { wait = "never" }] },
]
"#,
            "0 ms, 0 % of a core, 0 met, 0 sites wait",
        ),
    ];
    check(&cases, see);
}
