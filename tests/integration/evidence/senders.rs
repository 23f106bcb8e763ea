//! How long tasks wait to send on a channel.

use std::time::Duration;

use tokio_canary::evidence::Evidence;

use super::{case, check, made_at, seconds};

fn see(evidence: &Evidence<'_>) -> String {
    let (queue, _) = made_at(evidence, "src/c.rs:1:1");
    let (key, _) = evidence.resources().find(|(_, it)| it.parent == Some(queue)).expect("the permits of a channel");
    let waits = evidence.sender_waits(key, Duration::from_secs(10));
    let behind =
        evidence.waits_on_an_older_channel(key).and_then(|site| Some(evidence.site(site)?.id.name.to_string()));
    let behind = behind.map_or(String::new(), |name| format!(", behind {name}"));
    format!("{:.0} wait, median {}{behind}", waits.mean_waiters, seconds(waits.median))
}

#[test]
fn senders_that_wait_are_measured_and_the_channel_behind_is_found() {
    let cases = [
        case(
            "nobody receives",
            r#"
run = "16s"
shared = [{ name = "jobs", kind = "channel", permits = 2, place = "src/c.rs:1:1" }]
spawn = [{ name = "producer", place = "src/a.rs:1:1", at = "1s", count = 5, body = [{ send = "jobs" }, { wait = "never" }] }]
"#,
            "3 wait, median 14.0 s",
        ),
        case(
            "the receiver is as fast as its senders",
            r#"
run = "16s"
shared = [{ name = "jobs", kind = "channel", permits = 8, place = "src/c.rs:1:1" }]
spawn = [
    { name = "producer", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ send = "jobs" }, { wait = "100ms" }] }] },
    { name = "consumer", place = "src/a.rs:2:2", at = "1s", body = [{ forever = [{ receive = "jobs" }] }] },
]
"#,
            "0 wait, median 0.0 s",
        ),
        case(
            "the consumer itself waits to send on the next channel",
            r#"
run = "16s"
shared = [
    { name = "first", kind = "channel", permits = 2, place = "src/c.rs:1:1" },
    { name = "second", kind = "channel", permits = 1, place = "src/c.rs:2:2" },
]
spawn = [
    { name = "producer", place = "src/a.rs:1:1", at = "2s", body = [{ forever = [{ send = "first" }, { wait = "10ms" }] }] },
    { name = "consumer", place = "src/a.rs:2:2", at = "1s", body = [{ forever = [{ receive = "first" }, { send = "second" }] }] },
]
"#,
            "1 wait, median 13.0 s, behind consumer",
        ),
    ];
    check(&cases, see);
}
