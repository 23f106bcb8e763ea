//! How late the tool attached, and the waits that nothing explains because of that.

use tokio_canary::evidence::Evidence;
use tokio_canary::evidence::look_alike::LookAlike;

use super::{case, check, seconds};

fn see(evidence: &Evidence<'_>) -> String {
    let forgotten = if evidence.attachment().may_have_forgotten() { "may have forgotten" } else { "knows all" };
    let stalls = evidence.unexplained_stalls().map(|stall| {
        let harmless = match stall.look_alike {
            None => "",
            Some(LookAlike::ClosedGate) => ", perhaps a gate",
            Some(LookAlike::AcceptorAtLimit) => ", perhaps an acceptor",
            Some(LookAlike::IdlePool) => ", perhaps idle workers",
            Some(_) => ", perhaps something else",
        };
        format!("; a stall for {}{harmless}", seconds(stall.lasts))
    });
    let old = if evidence.has_unexplained_old_wait() { "; an old wait" } else { "" };
    format!("{forgotten}{}{old}", stalls.collect::<String>())
}

#[test]
fn old_waits_are_unexplained_only_where_the_target_has_forgotten_who_holds_the_lock() {
    let cases = [
        case(
            "attached at the start, and the holder is known",
            r#"
run = "21s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/h.rs:1:1", at = "1s", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "waiting", place = "src/a.rs:1:1", at = "2s", count = 2, body = [{ lock = "state" }] },
]
"#,
            "knows all",
        ),
        case(
            "attached late, and the holder is forgotten",
            r#"
run = "40s"
attach = "20s"
retention = "5s"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "health", place = "src/h.rs:2:2", body = [{ forever = [{ sleep = "200ms" }] }] },
    { name = "holder", place = "src/h.rs:1:1", at = "1s", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "waiting", place = "src/a.rs:1:1", at = "2s", count = 2, body = [{ lock = "state" }] },
]
"#,
            "may have forgotten; a stall for 25.0 s; an old wait",
        ),
        case(
            "attached late, to a target that still lists what ended before",
            r#"
run = "40s"
attach = "20s"
retention = "10m"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "early", place = "src/h.rs:2:2", at = "500ms", body = [{ wait = "10ms" }] },
    { name = "holder", place = "src/h.rs:1:1", at = "1s", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "waiting", place = "src/a.rs:1:1", at = "2s", count = 2, body = [{ lock = "state" }] },
]
"#,
            "knows all",
        ),
        case(
            "attached late, to a target that still lists the first that ended: it has forgotten nothing",
            r#"
run = "40s"
attach = "20s"
retention = "10m"
shared = [{ name = "state", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "holder", place = "src/h.rs:1:1", at = "1s", body = [{ lock = "state" }, { wait = "never" }] },
    { name = "waiting", place = "src/a.rs:1:1", at = "2s", count = 2, body = [{ lock = "state" }] },
]
"#,
            "knows all",
        ),
        case(
            "attached at the start, to a gate that nobody has opened",
            r#"
run = "21s"
shared = [{ name = "gate", kind = "semaphore", permits = 0, place = "src/l.rs:1:1" }]
spawn = [{ name = "waiting", place = "src/a.rs:1:1", at = "2s", count = 2, body = [{ acquire = "gate" }] }]
"#,
            "knows all",
        ),
        case(
            "attached late, to workers around one receiver",
            r#"
run = "40s"
attach = "20s"
retention = "5s"
shared = [{ name = "receiver", kind = "mutex", place = "src/l.rs:1:1" }]
spawn = [
    { name = "health", place = "src/h.rs:2:2", body = [{ forever = [{ sleep = "200ms" }] }] },
    { name = "worker", place = "src/a.rs:1:1", at = "1s", count = 4, body = [{ lock = "receiver" }, { wait = "never" }] },
]
"#,
            "may have forgotten; a stall for 25.0 s, perhaps idle workers",
        ),
    ];
    check(&cases, see);
}
