//! The current round of a barrier, and whether a party may still come.

use std::time::Duration;

use tokio_canary::evidence::Evidence;

use super::{case, check, made_at, seconds};

fn see(evidence: &Evidence<'_>) -> String {
    let (key, _) = made_at(evidence, "src/b.rs:1:1");
    let Some(round) = evidence.round(key) else { return "no round".to_owned() };
    let coming = if evidence.a_party_may_come(key, Duration::from_secs(5)) { ", one may come" } else { "" };
    let lasts = seconds(round.lasts);
    format!("{} of {} missing for {lasts}, {} rounds before{coming}", round.missing(), round.size, round.completed)
}

#[test]
fn a_round_that_lacks_a_party_is_told_from_one_that_is_late() {
    let cases = [
        case(
            "one of four never comes",
            r#"
run = "11s"
shared = [{ name = "ready", kind = "barrier", permits = 4, place = "src/b.rs:1:1" }]
spawn = [{ name = "party", place = "src/a.rs:1:1", at = "1s", count = 3, body = [{ arrive = "ready" }] }]
"#,
            "1 of 4 missing for 9.0 s, 0 rounds before",
        ),
        case(
            "a sibling is still at work",
            r#"
run = "11s"
shared = [{ name = "ready", kind = "barrier", permits = 4, place = "src/b.rs:1:1" }]
spawn = [
    { name = "party", place = "src/a.rs:1:1", at = "1s", count = 3, body = [{ arrive = "ready" }] },
    { name = "party", place = "src/a.rs:1:1", at = "1s", body = [{ repeat = { times = 100, body = [{ sleep = "1s" }] } }, { arrive = "ready" }] },
]
"#,
            "1 of 4 missing for 9.0 s, 0 rounds before, one may come",
        ),
        case(
            "a sibling is stuck as well",
            r#"
run = "11s"
shared = [{ name = "ready", kind = "barrier", permits = 4, place = "src/b.rs:1:1" }]
spawn = [
    { name = "party", place = "src/a.rs:1:1", at = "1s", count = 3, body = [{ arrive = "ready" }] },
    { name = "party", place = "src/a.rs:1:1", at = "1s", body = [{ wait = "never" }] },
]
"#,
            "1 of 4 missing for 9.0 s, 0 rounds before",
        ),
        case(
            "all have come, and nobody since",
            r#"
run = "11s"
shared = [{ name = "ready", kind = "barrier", permits = 4, place = "src/b.rs:1:1" }]
spawn = [{ name = "party", place = "src/a.rs:1:1", at = "1s", count = 4, body = [{ arrive = "ready" }, { wait = "never" }] }]
"#,
            "no round",
        ),
    ];
    check(&cases, see);
}
