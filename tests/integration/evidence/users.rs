//! Who uses a lock or a queue.

use std::collections::BTreeSet;

use tokio_canary::evidence::Evidence;
use tokio_canary::model::SiteKey;
use tokio_canary::model::tokio::ResourceKind;

use super::{case, check};

fn see(evidence: &Evidence<'_>) -> String {
    let names = |sites: BTreeSet<SiteKey>| {
        let names: BTreeSet<String> =
            sites.into_iter().filter_map(|site| Some(evidence.site(site)?.id.name.to_string())).collect();
        names.into_iter().collect::<Vec<_>>().join(" and ")
    };
    let used = |kind: ResourceKind| kind.is_held() || matches!(kind, ResourceKind::Channel | ResourceKind::Other);
    let (key, it) = evidence.resources().find(|(_, it)| used(it.kind)).expect("a lock or a queue");
    if it.kind.is_held() {
        return format!("held by {}", names(evidence.recent_holders(key)));
    }
    format!("from {} to {}", names(evidence.senders(key)), names(evidence.receivers(key)))
}

#[test]
fn the_users_of_locks_and_queues_are_known_as_far_as_the_feed_shows_them() {
    let cases = [
        case(
            "two sites have held a lock, a third one waits for it",
            r#"
run = "9s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "first", place = "src/a.rs:1:1", at = "1s", body = [{ lock = "state" }, { wait = "10ms" }, { release = "state" }, { wait = "never" }] },
    { name = "second", place = "src/a.rs:2:2", at = "2s", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "third", place = "src/a.rs:3:3", at = "3s", body = [{ lock = "state" }] },
]
"#,
            "held by first and second",
        ),
        case(
            "receives from a bounded channel are not reported",
            r#"
run = "9s"
shared = [{ name = "jobs", kind = "channel", permits = 4 }]
spawn = [
    { name = "producer", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ send = "jobs" }, { wait = "100ms" }] }] },
    { name = "consumer", place = "src/a.rs:2:2", at = "1s", body = [{ forever = [{ receive = "jobs" }] }] },
]
"#,
            "from producer to ",
        ),
        case(
            "takes from a queue that says who takes are",
            r#"
run = "9s"
shared = [{ name = "jobs", kind = "queue", permits = 100, place = "src/q.rs:1:1" }]
spawn = [
    { name = "producer", place = "src/a.rs:1:1", at = "1s", body = [{ forever = [{ depth = { of = "jobs", by = 1 } }, { wait = "100ms" }] }] },
    { name = "consumer", place = "src/a.rs:2:2", at = "1s", body = [{ forever = [{ take = "jobs" }, { wait = "10ms" }] }] },
]
"#,
            "from  to consumer",
        ),
    ];
    check(&cases, see);
}
