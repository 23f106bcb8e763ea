//! Where the time of tasks goes and who costs whom: what is measured, whom it is laid to, and what nobody is blamed for.

use std::time::Duration;

use tokio_canary::evidence::Evidence;
use tokio_canary::evidence::blame::{Blame, Cause, Share, SiteBlame};
use tokio_canary::model::SiteKey;
use tokio_canary::model::tokio::TaskKind;

use super::{case, check};

/// Smaller shares are left out of the table.
const LEAST: u128 = 3;

/// The sites in the order of their names, each with the larger parts of its time in per cent: `cause of:kind held by:holder`.
fn see(evidence: &Evidence<'_>) -> String {
    see_of(evidence, &evidence.blame())
}

fn see_of(evidence: &Evidence<'_>, blame: &Blame) -> String {
    let mut sites: Vec<String> = blame
        .sites
        .iter()
        .filter(|(key, _)| !evidence.is_of_runtime(**key))
        .map(|(key, site)| {
            let sum: Duration = site.shares.iter().map(|share| share.time).sum();
            assert_eq!(sum, site.lived, "the shares of {}", name(evidence, *key));
            let percent = |share: &Share| {
                (100 * share.time.as_nanos() + site.lived.as_nanos() / 2) / site.lived.as_nanos().max(1)
            };
            let shares = site.shares.iter().filter(|share| percent(share) >= LEAST);
            let shares: Vec<String> =
                shares.map(|share| format!("{} {}", in_words(evidence, share), percent(share))).collect();
            format!("{}: {}", name(evidence, *key), shares.join(", "))
        })
        .collect();
    sites.sort();
    sites.join("; ")
}

fn in_words(evidence: &Evidence<'_>, share: &Share) -> String {
    let mut text = share.cause.as_str().to_owned();
    if let Some(place) = share.awaited.as_ref().and_then(|(awaited, _)| awaited.made_at.as_ref()) {
        text += &format!(" {}", place.as_str().trim_start_matches("src/").trim_end_matches(".rs:1:1"));
    }
    if let Some(holder) = share.holder {
        text += &format!(" by {}", name(evidence, holder));
    }
    text
}

fn name<'a>(evidence: &'a Evidence<'_>, key: SiteKey) -> &'a str {
    evidence.site(key).map_or("gone", |site| &site.id.name)
}

#[test]
fn what_tasks_do_by_themselves_is_measured() {
    let cases = [
        case(
            "a task computes a third of its time and sleeps the rest",
            r#"
run = "31s"
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "500ms", body = [{ forever = [{ work = "100ms" }, { sleep = "200ms" }] }] }]
"#,
            "worker: timer 66, running 34",
        ),
        case(
            "a task waits for a socket",
            r#"
run = "31s"
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "500ms", body = [{ forever = [{ wait = "200ms" }] }] }]
"#,
            "worker: unknown 100",
        ),
        case(
            "a task waits for the ticks of an interval",
            r#"
run = "31s"
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "500ms", body = [{ forever = [{ tick = "200ms" }] }] }]
"#,
            "worker: timer 100",
        ),
        case(
            "a task waits for answers",
            r#"
run = "31s"
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "500ms", body = [{ forever = [{ answer = "200ms" }] }] }]
"#,
            "worker: message 100",
        ),
        case(
            "we come when it has lived for long",
            r#"
run = "61s"
attach = "30s"
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "500ms", body = [{ work = "20s" }, { forever = [{ sleep = "300ms" }] }] }]
"#,
            "worker: timer 100",
        ),
        case(
            "one worker thread for a task that blocks it and one that waits for it",
            r#"
run = "31s"
runtimes = { main = 1 }
spawn = [
    { name = "hog", place = "src/a.rs:1:1", at = "500ms", body = [{ forever = [{ work = "900ms" }, "yield"] }] },
    { name = "quick", place = "src/b.rs:1:1", at = "500ms", body = [{ forever = [{ work = "1ms" }, "yield"] }] },
]
"#,
            "hog: running 100; quick: scheduling 100",
        ),
    ];
    check(&cases, see);
}

#[test]
fn a_wait_for_a_lock_is_laid_to_whoever_keeps_everybody_in_the_end() {
    let cases = [
        case(
            "one site holds a lock for long, another for a moment",
            r#"
run = "31s"
shared = [{ name = "bank", kind = "mutex", place = "src/bank.rs:1:1" }]
spawn = [
    { name = "audit", place = "src/a.rs:1:1", at = "500ms", body = [{ forever = [{ lock = "bank" }, { sleep = "900ms" }, { release = "bank" }, { sleep = "100ms" }] }] },
    { name = "transfer", place = "src/b.rs:1:1", at = "600ms", count = 3, body = [{ forever = [{ lock = "bank" }, { work = "1ms" }, { release = "bank" }] }] },
]
"#,
            "audit: timer 100; transfer: lock bank by audit 90, lock bank by transfer 7, running 3",
        ),
        case(
            "the holder waits for another lock, and its holder works",
            r#"
run = "31s"
shared = [{ name = "outer", kind = "mutex", place = "src/outer.rs:1:1" }, { name = "inner", kind = "mutex", place = "src/inner.rs:1:1" }]
spawn = [
    { name = "slow", place = "src/a.rs:1:1", at = "500ms", body = [{ forever = [{ lock = "inner" }, { sleep = "950ms" }, { release = "inner" }, { sleep = "50ms" }] }] },
    { name = "between", place = "src/b.rs:1:1", at = "600ms", body = [{ forever = [{ lock = "outer" }, { lock = "inner" }, { release = "inner" }, { release = "outer" }, { sleep = "10ms" }] }] },
    { name = "victim", place = "src/c.rs:1:1", at = "700ms", body = [{ forever = [{ lock = "outer" }, { release = "outer" }, { sleep = "10ms" }] }] },
]
"#,
            "between: lock inner by slow 95, unknown 5; slow: timer 100; victim: lock outer by slow 94, unknown 6",
        ),
        case(
            "a deadlock that lasts",
            r#"
run = "31s"
shared = [{ name = "one", kind = "mutex", place = "src/one.rs:1:1" }, { name = "other", kind = "mutex", place = "src/other.rs:1:1" }]
spawn = [
    { name = "left", place = "src/a.rs:1:1", at = "500ms", body = [{ lock = "one" }, { sleep = "100ms" }, { lock = "other" }] },
    { name = "right", place = "src/b.rs:1:1", at = "500ms", body = [{ lock = "other" }, { sleep = "100ms" }, { lock = "one" }] },
]
"#,
            "left: lock other by right 100; right: lock one by left 100",
        ),
        case(
            "a pool of three permits",
            r#"
run = "31s"
shared = [{ name = "pool", kind = "semaphore", permits = 3, place = "src/pool.rs:1:1" }]
spawn = [
    { name = "request", place = "src/a.rs:1:1", at = "500ms", count = 12, body = [{ forever = [{ acquire = "pool" }, { wait = "300ms" }, { release = "pool" }] }] },
]
"#,
            "request: lock pool by request 75, unknown 25",
        ),
        case(
            "readers keep a writer out",
            r#"
run = "31s"
shared = [{ name = "cache", kind = "rw-lock", place = "src/cache.rs:1:1" }]
spawn = [
    { name = "reader", place = "src/a.rs:1:1", at = "500ms", count = 2, body = [{ forever = [{ read = "cache" }, { sleep = "900ms" }, { release = "cache" }, { sleep = "50ms" }] }] },
    { name = "writer", place = "src/b.rs:1:1", at = "600ms", body = [{ forever = [{ write = "cache" }, { release = "cache" }, { sleep = "10ms" }] }] },
]
"#,
            "reader: timer 100; writer: lock cache by reader 95, unknown 5",
        ),
        case(
            "nobody knows who took a lock that was taken long before we came",
            r#"
run = "91s"
attach = "60s"
retention = "5s"
shared = [{ name = "bank", kind = "mutex", place = "src/bank.rs:1:1" }]
spawn = [
    { name = "audit", place = "src/a.rs:1:1", at = "500ms", body = [{ lock = "bank" }, { wait = "never" }] },
    { name = "transfer", place = "src/b.rs:1:1", at = "600ms", body = [{ lock = "bank" }] },
]
"#,
            "audit: unknown 100; transfer: lock bank 100",
        ),
    ];
    check(&cases, see);
}

#[test]
fn who_has_nothing_to_do_blames_nobody() {
    let cases = [
        case(
            "workers around one receiver, of which there is little to receive",
            r#"
run = "61s"
shared = [{ name = "receiver", kind = "mutex", place = "src/pool.rs:1:1" }]
spawn = [
    { name = "worker", place = "src/a.rs:1:1", at = "500ms", count = 4, body = [{ forever = [{ lock = "receiver" }, { wait = "2s" }, { release = "receiver" }, { work = "10ms" }] }] },
]
"#,
            "worker: message 75, unknown 25",
        ),
        case(
            "the receiver of a channel waits for messages, and the channel is never full",
            r#"
run = "31s"
shared = [{ name = "jobs", kind = "channel", permits = 8 }]
spawn = [
    { name = "consumer", place = "src/a.rs:1:1", at = "500ms", body = [{ forever = [{ receive = "jobs" }] }] },
    { name = "producer", place = "src/b.rs:1:1", at = "500ms", body = [{ forever = [{ send = "jobs" }, { sleep = "300ms" }] }] },
]
"#,
            "consumer: unknown 100; producer: timer 100",
        ),
        case(
            "the receiver is slow, and the channel is full",
            r#"
run = "31s"
shared = [{ name = "jobs", kind = "channel", permits = 2 }]
spawn = [
    { name = "consumer", place = "src/a.rs:1:1", at = "500ms", body = [{ forever = [{ receive = "jobs" }, { work = "200ms" }, { sleep = "200ms" }] }] },
    { name = "producer", place = "src/b.rs:1:1", at = "500ms", body = [{ forever = [{ send = "jobs" }, { sleep = "100ms" }] }] },
]
"#,
            "consumer: running 50, timer 50; producer: full-channel 74, timer 26",
        ),
    ];
    check(&cases, see);
}

#[test]
fn what_happened_lately_is_no_more_than_a_minute_old() {
    let lately = |evidence: &Evidence<'_>| {
        let blame = evidence.recent_blame();
        let is_recent = (30..=61).contains(&blame.window().as_secs());
        format!("{} {}", if is_recent { "recent" } else { "old" }, see_of(evidence, &blame))
    };
    let cases = [case(
        "a task computes for two minutes and sleeps since",
        r#"
run = "240s"
spawn = [{ name = "worker", place = "src/a.rs:1:1", at = "500ms", body = [{ repeat = { times = 1200, body = [{ work = "100ms" }, "yield"] } }, { forever = [{ sleep = "300ms" }] }] }]
"#,
        "recent worker: timer 100",
    )];
    check(&cases, lately);
}

/// The task-seconds per second that each site of blocking jobs spends waiting for a thread, and at work.
fn see_jobs(evidence: &Evidence<'_>) -> String {
    let blame = evidence.blame();
    let per_second = |site: &SiteBlame, cause| {
        let shares = site.shares.iter().filter(|share| share.cause == cause);
        let spent: Duration = shares.map(|share| share.time).sum();
        spent.as_secs_f64() / blame.window().as_secs_f64()
    };
    let is_job = |key: SiteKey| evidence.site(key).is_some_and(|it| it.id.kind == TaskKind::Blocking);
    let jobs = blame.sites.iter().filter(|(key, _)| is_job(**key) && !evidence.is_of_runtime(**key));
    let jobs = jobs.map(|(_, site)| {
        let causes = [Cause::BlockingThread, Cause::Running, Cause::Scheduling];
        let [waiting, working, scheduled] = causes.map(|cause| per_second(site, cause));
        format!("{waiting:.1} waiting, {working:.1} working, {scheduled:.1} scheduled")
    });
    jobs.collect::<Vec<_>>().join("; ")
}

#[test]
fn blocking_jobs_that_queue_for_a_thread_wait_for_that() {
    let cases = [
        case(
            "eight jobs every two seconds, for which there are two threads",
            r#"
run = "60s"
runtimes = { main = 2, blocking = 2 }
spawn = [{ name = "lookup", place = "src/dns.rs:1:1", at = "10ms", body = [{ forever = [{ repeat = { times = 8, body = [{ spawn-blocking = "400ms" }] } }, { sleep = "2s" }] }] }]
"#,
            // Two of them wait 0.4 s, two 0.8 s and two 1.2 s.
            "2.4 waiting, 1.6 working, 0.0 scheduled",
        ),
        case(
            "the same with a thread for each",
            r#"
run = "60s"
runtimes = { main = 2, blocking = 8 }
spawn = [{ name = "lookup", place = "src/dns.rs:1:1", at = "10ms", body = [{ forever = [{ repeat = { times = 8, body = [{ spawn-blocking = "400ms" }] } }, { sleep = "2s" }] }] }]
"#,
            "0.0 waiting, 1.6 working, 0.0 scheduled",
        ),
        case(
            "ten jobs a second where five can be done: each waits longer than the one before",
            r#"
run = "40s"
runtimes = { main = 2, blocking = 2 }
spawn = [{ name = "lookup", place = "src/dns.rs:1:1", at = "10ms", body = [{ forever = [{ spawn-blocking = "400ms" }, { sleep = "100ms" }] }] }]
"#,
            // Half of the 395 that came wait at the end, and half of those on average.
            "97.2 waiting, 2.0 working, 0.0 scheduled",
        ),
    ];
    check(&cases, see_jobs);
}
