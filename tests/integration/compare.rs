//! `compare` and the concurrency lockfile, through the real binary.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::fs;
use std::time::{Duration, Instant};

use console_api::field::{Name, Value as FieldValue};
use console_api::instrument::Update;
use console_api::{Field, Location};
use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_canary::feed::recording::{Events, Kept, Note, save};
use tokio_canary::feed::{Arrived, FeedEvent, Status};

use crate::outputs::{faults, schema};
use crate::support::fake_service::{FakeService, Script};
use crate::support::hostile::{Hostile, Kind};
use crate::support::updates::{births, working};
use crate::support::{LIMIT, eventually, run};
use crate::tool::{Desk, Notes, Outcome, corpus, tool};

const STABLE: &str = "field/redis_blpop_shared-healthy";
const FAULTY: &str = "field/sqlx_stream_nested-faulty";

fn path(recording: &str) -> String {
    corpus(recording).to_string_lossy().into_owned()
}

fn compared(desk: &Desk, canary: &str, stable: &str, more: &[&str]) -> Outcome {
    let (canary, stable) = (path(canary), path(stable));
    desk.run(&[&["compare", "--canary", &canary, "--stable", &stable][..], more].concat())
}

#[test]
fn a_recording_is_the_same_as_itself_each_time() {
    let desk = Desk::new();
    let once = compared(&desk, STABLE, STABLE, &[]);
    assert_eq!(once.code, Some(0), "{once:?}");
    assert!(once.stdout.starts_with("SAME (exit 0): the canary does not differ from stable in "), "{once:?}");
    assert_eq!(once.stdout, compared(&desk, STABLE, STABLE, &[]).stdout);
}

#[test]
fn a_finding_that_only_the_canary_has_is_a_regression_in_every_output() {
    let desk = Desk::new();
    let run = compared(&desk, FAULTY, STABLE, &["--output", "text", "--output", "ndjson=out.ndjson"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.starts_with("REGRESSION (exit 1): only the canary has the "), "{run:?}");
    let line: Value = desk.text("out.ndjson").trim().parse().unwrap();
    assert_eq!(faults(&schema("tokio-canary.events.v1.json"), &line), [""; 0], "{line}");
    assert_eq!((&line["verdict"], line["exit_code"].as_u64()), (&"regression".into(), Some(1)));
    assert_eq!((&line["differences"][0]["kind"], &line["differences"][0]["counts"]), (&"finding".into(), &true.into()));
}

#[test]
fn what_was_found_on_the_canary_is_said_also_where_the_sides_cannot_be_compared() {
    let desk = Desk::new();
    let run = compared(&desk, "sick-blocked-worker-late", "healthy-futures-unordered", &[]);
    assert_eq!(run.code, Some(3), "{run:?}");
    let seen = "Seen so far: the canary has the critical blocked-worker";
    assert!(run.stdout.starts_with("NOT ENOUGH DATA (exit 3): ") && run.stdout.contains(seen), "{run:?}");
}

#[test]
fn a_finding_that_is_suppressed_is_no_regression() {
    let desk = Desk::new();
    let counted = |more: &[&str]| -> Vec<String> {
        let run = compared(&desk, FAULTY, STABLE, &[&["--output", "ndjson"][..], more].concat());
        let line: Value = run.stdout.trim().parse().unwrap();
        let differences = line["differences"].as_array().unwrap().clone();
        let findings = differences.iter().filter(|it| it["kind"] == "finding" && it["counts"] == true);
        findings.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    let found = counted(&[]);
    assert!(!found.is_empty());
    let suppressed = format!("[[suppress]]\ndetector = {found:?}\nstatement = \"known\"\n");
    fs::write(desk.file("accepted.toml"), suppressed).unwrap();
    assert_eq!(counted(&["--config", "accepted.toml"]), [""; 0], "{found:?} are suppressed");
}

/// Recordings of real services, each with its repaired twin.
#[test]
fn a_fault_is_a_regression_beside_its_repair_and_a_repair_is_none_beside_itself() {
    let desk = Desk::new();
    for program in ["pg_open_row_stream", "redis_blpop_shared", "reqwest_two_runtimes"] {
        let (faulty, healthy) = (format!("field/{program}-faulty"), format!("field/{program}-healthy"));
        let worse = compared(&desk, &faulty, &healthy, &[]);
        assert_eq!(worse.code, Some(1), "{program}: {worse:?}");
        let same = compared(&desk, &healthy, &healthy, &[]);
        assert_eq!(same.code, Some(0), "{program}: {same:?}");
    }
}

/// The recording of a healthy service, which dies at a time while the recorder waits for it to come back.
fn dying(desk: &Desk, name: &str, after: Duration) -> String {
    let mut events: Vec<Arrived> = Events::open(corpus(STABLE)).unwrap().collect();
    let (begun, end) = (events[0].at, events[events.len() - 1].at);
    let death = begun + after;
    assert!(death < end, "the recording is that long");
    events.retain(|it| it.at < death);
    let status = Status::Lost { reason: "The connection ended.".to_owned(), retry_at: end };
    events.push(Arrived { at: death, event: FeedEvent::Status(status) });
    events.push(Arrived { at: end, event: FeedEvent::Status(Status::Dialing) });
    let path = desk.file(name);
    save(&path, &Kept { target: "service", events: &events, note: Note::default() }).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_canary_that_died_while_it_was_recorded_is_not_the_same() {
    let desk = Desk::new();
    let stable = path(STABLE);
    let dead = dying(&desk, "dead.mcap", Duration::from_secs(53));
    let compare = |canary: &str, stable: &str| desk.run(&["compare", "--canary", canary, "--stable", stable]);
    let outcome = compare(&dead, &stable);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    let said = "NOT ENOUGH DATA (exit 3): a target of the canary was lost after ";
    assert!(outcome.stdout.starts_with(said), "{outcome:?}");
    let same = compare(&dead, &dying(&desk, "stopped.mcap", Duration::from_secs(53)));
    assert_eq!(same.code, Some(0), "both were stopped before their recordings: {same:?}");
    assert_eq!(compare(&stable, &dead).code, Some(0), "stable may be stopped");
}

/// Publishes what a process does, until nobody watches it.
async fn work(service: &FakeService, started: u64, seconds: u64) {
    for second in 1..=seconds {
        service.publish(&working(started, second));
        sleep(Duration::from_millis(10)).await;
    }
    eventually("all of it is read", || service.backlog() == 0).await;
}

#[test]
fn a_canary_that_restarts_while_it_runs_is_not_the_same_and_one_that_stays_is() {
    for restarts in [true, false] {
        run(async move {
            let script = |started| Script { initial: Some(working(started, 0).encode_to_vec()), ..Script::default() };
            let services = [FakeService::start(script(1_000_000)).await, FakeService::start(script(1_000_000)).await];
            let [canary, stable] = services.each_ref().map(|it| it.socket_addr());
            let mut command = tool(&["compare", "--for", "60s", "--canary", &canary.to_string()]);
            command.args(["--stable", &stable.to_string()]);
            let outcome = spawn_blocking(move || Outcome::of(&mut command));
            let [mut service, other] = services;
            eventually("watchers", || service.watchers() == 1 && other.watchers() == 1).await;
            work(&other, 1_000_000, 65).await;
            work(&service, 1_000_000, 30).await;
            let mut started = 1_000_000;
            if restarts {
                service.stop().await;
                started = 1_032_000;
                service = FakeService::start_at(canary, script(started)).await;
                eventually("a watcher", || service.watchers() == 1).await;
            }
            let mut second = if restarts { 0 } else { 30 };
            while service.watchers() > 0 {
                second += 1;
                service.publish(&working(started, second));
                sleep(Duration::from_millis(10)).await;
            }
            let outcome = outcome.await.unwrap();
            if restarts {
                let said = "NOT ENOUGH DATA (exit 3): the canary restarted 1 time while it was watched, stable 0 times";
                assert!(outcome.code == Some(3) && outcome.stdout.starts_with(said), "{outcome:?}");
            } else {
                assert_eq!(outcome.code, Some(0), "{outcome:?}");
            }
        });
    }
}

#[test]
fn what_cannot_be_compared_is_said() {
    let desk = Desk::new();
    let stable = path(STABLE);
    let dead = desk.run(&["compare", "--canary", "127.0.0.1:1", "--stable", &stable, "--for", "1s"]);
    assert_eq!(dead.code, Some(3), "{dead:?}");
    assert!(dead.stdout.starts_with("NOT ENOUGH DATA (exit 3): no update came from the canary."), "{dead:?}");
    let short = compared(&desk, STABLE, STABLE, &["--for", "15s"]);
    assert!(short.code == Some(3) && short.stdout.contains("was watched for 15"), "{short:?}");
    let wrong = compared(&desk, STABLE, STABLE, &["--output", "xml"]);
    assert!(wrong.code == Some(2) && wrong.stderr.contains("`xml` is not a format"), "{wrong:?}");
}

#[test]
fn the_time_that_a_comparison_takes_is_the_time_of_its_first_verdict() {
    let desk = Desk::new();
    let short = compared(&desk, STABLE, STABLE, &["--for", "5s"]);
    let expected = "the canary was watched for 5.";
    assert!(short.code == Some(3) && short.stdout.contains(expected), "{short:?}");
    assert!(short.stdout.contains("and it takes about 1 min;"), "five blocks, and the first begins late: {short:?}");
    assert_eq!(compared(&desk, STABLE, STABLE, &["--for", "65s"]).code, Some(0), "and then there is one");
}

#[test]
fn a_side_at_which_something_else_answers_ends_the_comparison_at_once() {
    run(async {
        let (web, service) = (Hostile::start(Kind::Http1Closing).await, FakeService::start(Script::default()).await);
        let (canary, stable) = (web.address.to_string(), service.socket_addr().to_string());
        let begun = Instant::now();
        let mut command = tool(&["compare", "--canary", &canary, "--stable", &stable, "--for", "10m"]);
        let outcome = spawn_blocking(move || Outcome::of(&mut command)).await.unwrap();
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        let said = "NOT ENOUGH DATA (exit 3): no update came from the canary: a web server (HTTP/1) answers at";
        assert!(outcome.stdout.starts_with(said), "{outcome:?}");
        assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    });
}

#[test]
fn a_lockfile_of_a_run_that_was_interrupted_says_so() {
    run(async {
        let (desk, service) = (Desk::new(), FakeService::start(Script::default()).await);
        let file = desk.file("a.lock").to_str().unwrap().to_owned();
        let target = service.socket_addr().to_string();
        let mut child = tool(&["compare", "--stable", &target, "--write", &file]).spawn().unwrap();
        let mut notes = Notes::of(&mut child);
        eventually("a watcher", || service.watchers() == 1).await;
        for now in 1..5 {
            service.publish(&spawned(now * 1_000));
        }
        spawn_blocking(move || {
            notes.hear("Connected");
            // The updates are on their way: whether one is in is not said.
            std::thread::sleep(Duration::from_millis(500));
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
            let (said, status) = (notes.all(), child.wait().unwrap());
            assert_eq!(status.code(), Some(3), "{said}");
            assert!(said.contains("Interrupted after ") && said.contains("a.lock: 1 part, 1 of them new."), "{said}");
        })
        .await
        .unwrap();
        assert!(desk.text("a.lock").contains("spawns \"task\""));
    });
}

/// An update with a task that was spawned at a place.
fn spawned(millis: u64) -> Update {
    let mut update = births(millis, 1, 10);
    for task in update.task_update.iter_mut().flat_map(|part| &mut part.new_tasks) {
        let location = Location { file: Some("src/main.rs".to_owned()), ..Location::default() };
        let kind = Field {
            name: Some(Name::StrName("kind".to_owned())),
            value: Some(FieldValue::StrVal("task".to_owned())),
            metadata_id: None,
        };
        (task.location, task.fields) = (Some(location), vec![kind]);
    }
    update
}

#[test]
fn what_a_lockfile_does_not_list_fails_and_what_was_not_exercised_does_not() {
    let desk = Desk::new();
    let (stable, faulty) = (path(STABLE), path(FAULTY));
    let written = desk.run(&["compare", "--stable", &stable, "--write"]);
    assert!(written.code == Some(0) && written.stderr.contains("Wrote tokio-canary.lock: "), "{written:?}");
    let text = desk.text("tokio-canary.lock");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines[0], "version 1");
    assert!(lines.iter().any(|line| line.starts_with("spawns \"task\" ")), "{text}");
    assert!(lines.iter().all(|line| !line.contains(".rs:")), "no line numbers: {text}");

    let same = desk.run(&["check", &stable, "--locked"]);
    assert_eq!(same.code, Some(0), "{same:?}");
    let parts = lines.len() - 1;
    let seen = format!("Lockfile tokio-canary.lock: {parts} of {parts} parts seen, 0 new.");
    assert!(same.stdout.contains(&seen), "{same:?}");
    // The same structure, less a line: what is new is named.
    let first = lines.iter().find(|line| line.starts_with("spawns ")).unwrap();
    fs::write(desk.file("less.lock"), text.replace(&format!("{first}\n"), "")).unwrap();
    let new = desk.run(&["check", &stable, "--locked=less.lock"]);
    assert!(
        new.code == Some(1)
            && new.stdout.contains("not in less.lock: ")
            && new.stdout.contains("not in less.lock: spawn of "),
        "{new:?}"
    );
    let said: Vec<&str> = new.stdout.lines().collect();
    assert!(said[0].contains("Lockfile less.lock: ") && !said[0].contains("not in less.lock"), "{new:?}");
    assert!(said[1].contains(" not in less.lock: "), "a line for each: {new:?}");
    // Written again, it has what both have: nothing is taken out.
    let more = desk.run(&["compare", "--stable", &faulty, "--write=tokio-canary.lock"]);
    assert_eq!(more.code, Some(0), "{more:?}");
    let both = desk.text("tokio-canary.lock");
    assert!(lines.iter().all(|line| both.contains(line)) && both.len() > text.len(), "{both}");
    assert_eq!(desk.run(&["check", &stable, "--locked=tokio-canary.lock"]).code, Some(0));
}

#[test]
fn orders_of_locks_that_a_lockfile_does_not_list_fail() {
    let (desk, crossed) = (Desk::new(), path("old-0.4-crossed-mutexes"));
    assert_eq!(desk.run(&["compare", "--stable", &crossed, "--write=whole.lock"]).code, Some(0));
    let whole = desk.text("whole.lock");
    let check =
        |lock: &str| desk.run(&["check", &crossed, "--expect-finding", "deadlock", &format!("--locked={lock}")]);
    assert_eq!(check("whole.lock").code, Some(0));
    for (word, says) in [("nests ", "acquired by tasks of "), ("inverts ", "acquired in opposite orders by tasks of ")]
    {
        let less: Vec<&str> = whole.lines().filter(|line| !line.starts_with(word)).collect();
        assert!(less.len() < whole.lines().count(), "{whole}");
        fs::write(desk.file("less.lock"), less.join("\n")).unwrap();
        let new = check("less.lock");
        let line = new.stdout.lines().find(|line| line.contains(" not in less.lock: "));
        assert!(new.code == Some(1) && line.is_some_and(|line| line.contains(says)), "{word}: {new:?}");
    }
}

#[test]
fn a_lockfile_that_cannot_be_used_is_a_mistake() {
    let desk = Desk::new();
    let stable = path(STABLE);
    let missing = desk.run(&["check", &stable, "--locked"]);
    assert!(
        missing.code == Some(2) && missing.stderr.contains("`tokio-canary compare --stable TARGET --write="),
        "{missing:?}"
    );
    for (text, says) in
        [("", "is not a concurrency lockfile"), ("version 9\n", "update the tool"), ("version 1\n=======\n", "line 2")]
    {
        fs::write(desk.file("tokio-canary.lock"), text).unwrap();
        let read = desk.run(&["check", &stable, "--locked"]);
        assert!(read.code == Some(2) && read.stderr.contains(says), "{text}: {read:?}");
        let write = desk.run(&["compare", "--stable", &stable, "--write"]);
        assert!(write.code == Some(2) && write.stderr.contains(says), "{text}: {write:?}");
        assert_eq!(desk.text("tokio-canary.lock"), text, "what cannot be read is not replaced");
    }
}
