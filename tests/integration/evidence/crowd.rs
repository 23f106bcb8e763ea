//! Crowds that only grow: forgotten, or still heard of.

use std::time::Duration;

use tokio_canary::evidence::Evidence;

use super::{case, check, site};

fn see(evidence: &Evidence<'_>) -> String {
    let (_, site) = site(evidence, "client");
    let crowd = evidence.crowd(site);
    let ends = if crowd.old_ones_end { ", old ones have ended" } else { "" };
    let grown = if evidence.has_grown_for(site, Duration::from_secs(30)) { ", grown for 30 s" } else { "" };
    let is = if crowd.is_still() { "still" } else { "not still" };
    format!("{is}: {} of {} old ones{ends}{grown}", crowd.still, crowd.old)
}

#[test]
fn a_crowd_that_was_forgotten_is_told_from_clients_that_stay() {
    let cases = [
        case(
            "nobody is heard of after the first seconds",
            r#"
run = "41s"
spawn = [{ name = "client", place = "src/a.rs:1:1", at = "1s", repeat = { every = "1s", times = 40 }, body = [{ wait = "2s" }, { wait = "never" }] }]
"#,
            "still: 25 of 25 old ones, grown for 30 s",
        ),
        case(
            "everybody is heard of every seven seconds",
            r#"
run = "41s"
spawn = [{ name = "client", place = "src/a.rs:1:1", at = "1s", repeat = { every = "1s", times = 40 }, body = [{ forever = [{ wait = "7s" }] }] }]
"#,
            "not still: 0 of 25 old ones, grown for 30 s",
        ),
        case(
            "one of them is heard of",
            r#"
run = "41s"
spawn = [
    { name = "client", place = "src/a.rs:1:1", at = "1s", repeat = { every = "1s", times = 40 }, body = [{ wait = "2s" }, { wait = "never" }] },
    { name = "client", place = "src/a.rs:1:1", at = "2s", body = [{ forever = [{ wait = "12s" }] }] },
]
"#,
            "not still: 25 of 26 old ones, grown for 30 s",
        ),
        case(
            "one of them left when it was old",
            r#"
run = "41s"
spawn = [
    { name = "client", place = "src/a.rs:1:1", at = "1s", repeat = { every = "1s", times = 40 }, body = [{ wait = "2s" }, { wait = "never" }] },
    { name = "client", place = "src/a.rs:1:1", at = "2s", body = [{ wait = "20s" }] },
]
"#,
            "not still: 25 of 25 old ones, old ones have ended, grown for 30 s",
        ),
        case(
            "they came at once, half a minute ago",
            r#"
run = "41s"
spawn = [{ name = "client", place = "src/a.rs:1:1", at = "1s", count = 30, body = [{ wait = "2s" }, { wait = "never" }] }]
"#,
            "still: 30 of 30 old ones",
        ),
        case(
            "they are all young",
            r#"
run = "12s"
spawn = [{ name = "client", place = "src/a.rs:1:1", at = "1s", repeat = { every = "1s", times = 11 }, body = [{ wait = "never" }] }]
"#,
            "not still: 0 of 0 old ones",
        ),
    ];
    check(&cases, see);
}
