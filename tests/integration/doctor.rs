//! `doctor` through the real binary: against services, against what is none, and on recordings.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use prost::Message;
use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio_canary::feed::endpoint::Address;

use crate::outputs::faults;
use crate::outputs::schema::strict;
use crate::support::certificates::Authority;
use crate::support::fake_service::{FakeService, Script};
use crate::support::hostile::{Hostile, Kind};
use crate::support::run;
use crate::support::updates::{births, idle};
use crate::tool::{Desk, Outcome, corpus, tool};

/// A run of `doctor` whose steps are JSON.
#[derive(Debug)]
pub(crate) struct Checkup {
    outcome: Outcome,
    lines: Vec<Value>,
}

impl Checkup {
    pub(crate) fn of(command: &mut Command) -> Self {
        let outcome = Outcome::of(command);
        let lines: Vec<Value> = outcome.stdout.lines().map(|line| line.parse().unwrap()).collect();
        let schema = strict();
        for line in &lines {
            assert_eq!(faults(&schema, line), [""; 0], "{line}");
            let is_bad = line["result"] == "failed" || line["result"] == "warning";
            let needs_remedy = line["type"] == "step" && is_bad;
            assert!(!needs_remedy || line["remedy"].as_str().is_some_and(|it| !it.is_empty()), "what to do? {line}");
        }
        assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
        Self { outcome, lines }
    }

    /// Looks at a target that needs this process to answer.
    async fn at(target: String, more: &[&str]) -> Self {
        let arguments = [&["doctor", &target, "--for", "2s", "--output", "ndjson", "--isolated"], more].concat();
        let mut command = tool(&arguments);
        spawn_blocking(move || Self::of(&mut command)).await.unwrap()
    }

    fn step(&self, name: &str) -> &Value {
        let step = self.lines.iter().find(|line| line["type"] == "step" && line["step"] == name);
        step.unwrap_or_else(|| panic!("there is no step {name}: {:#?}", self.lines))
    }

    fn results(&self) -> Vec<(&str, &str)> {
        let steps = self.lines.iter().filter(|line| line["type"] == "step");
        steps.map(|line| (line["step"].as_str().unwrap(), line["result"].as_str().unwrap())).collect()
    }

    /// Checks that a step ended so, with these words in its fact.
    pub(crate) fn says(&self, name: &str, result: &str, words: &str) -> &Self {
        self.has(name, result, "fact", words)
    }

    /// Checks that a step ended so, with these words in what to do about it.
    pub(crate) fn advises(&self, name: &str, result: &str, words: &str) -> &Self {
        self.has(name, result, "remedy", words)
    }

    fn has(&self, name: &str, result: &str, part: &str, words: &str) -> &Self {
        let step = self.step(name);
        let has_words = step[part].as_str().is_some_and(|it| it.contains(words));
        assert!(step["result"] == result && has_words, "{words}: {step:#}");
        self
    }

    fn comes_to(&self, code: i32) -> &Self {
        let last = self.lines.last().unwrap();
        assert_eq!((self.outcome.code, last["type"].as_str()), (Some(code), Some("checkup")), "{self:#?}");
        assert_eq!(last["exit_code"], code, "{last}");
        self
    }
}

/// Milliseconds since the epoch.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// A service that shows this many tasks.
fn with_tasks(count: u64) -> Script {
    Script { initial: Some(births(now(), count, 100).encode_to_vec()), ..Script::default() }
}

/// Keeps publishing, as a service does.
async fn publishing<T>(service: &FakeService, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(Duration::from_millis(200)) => service.publish(&idle(now())),
        }
    }
}

#[test]
fn a_service_that_shows_tasks_can_be_watched_and_warnings_do_not_fail() {
    run(async {
        let service = FakeService::start(with_tasks(20)).await;
        let checkup = publishing(&service, Checkup::at(service.address.to_string(), &[])).await;
        checkup
            .comes_to(0)
            .says("address", "good", "127.0.0.1 is an address already.")
            .says("port", "good", "accepted a connection in")
            .says("console", "good", "A console-subscriber endpoint answers")
            .says("protocol", "good", "console-subscriber 0.5 or newer")
            .says("pause", "good", "No client")
            .says("updates", "good", "one every")
            .says("tasks", "good", "20 tasks seen")
            .advises("resources", "warning", "pass runtime=trace")
            .says("losses", "good", "Nothing was dropped.");
        if cfg!(target_os = "linux") {
            // Other tests run in the same process, so its CPU may be too much or not.
            let fact = checkup.step("cost")["fact"].as_str().unwrap();
            assert!(fact.contains(&format!("({})", std::process::id())), "{fact}");
        }
        assert_eq!(checkup.lines[0]["type"], "hello");
        assert!(checkup.results().iter().all(|(_, result)| *result != "untried"), "{checkup:#?}");
    });
}

#[test]
fn a_console_that_shows_nothing_cannot_be_watched_and_it_is_said_why() {
    run(async {
        // Nothing reaches it.
        let service = FakeService::start(Script { serves_state: false, ..Script::default() }).await;
        let checkup = publishing(&service, Checkup::at(service.address.to_string(), &[])).await;
        checkup.comes_to(3).advises("tasks", "failed", "--cfg tokio_unstable").says("protocol", "good", "0.2 to 0.4");
        checkup.says("waits", "untried", "because of the step `tasks`");

        // Another client has paused it.
        let service = FakeService::start(with_tasks(20)).await;
        service.set_paused(true);
        let checkup = Checkup::at(service.address.to_string(), &[]).await;
        checkup.comes_to(3).advises("pause", "failed", "Resume it in that client");
    });
}

#[test]
fn what_is_no_console_is_named_and_the_rest_is_not_tried() {
    run(async {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let checkup = Checkup::at(closed.to_string(), &[]).await;
        checkup.comes_to(3).says("port", "failed", "connection refused");
        checkup.advises("port", "failed", "Is the service running?");
        checkup.says("console", "untried", "because of the step `port`").says("cost", "untried", "`port`");
        let checkup = Checkup::at("no-such-host.invalid:1".to_owned(), &[]).await;
        checkup.comes_to(3).says("address", "failed", "Cannot resolve the host").says("port", "untried", "`address`");
        for (kind, words) in [
            (Kind::Http1, "A web server (HTTP/1) answers"),
            (Kind::Http1Closing, "A web server (HTTP/1) answers"),
            (Kind::Http2, "A web server (HTTP/2, status 404) answers"),
            (Kind::OtherGrpc, "A gRPC server without the console feed"),
            (Kind::Tls, "A TLS server answers"),
            (Kind::TlsClosing, "A TLS server answers"),
            (Kind::Ssh, "An SSH server answers"),
            (Kind::Closes, "closes them without a word"),
            (Kind::Silent, "has sent nothing for 10 s"),
            (Kind::GarbageFrames, "broke the connection off"),
        ] {
            let server = Hostile::start(kind).await;
            let checkup = Checkup::at(server.address.to_string(), &[]).await;
            checkup.comes_to(3).says("port", "good", "accepted").says("console", "failed", words);
            checkup.says("updates", "untried", "`console`");
            if matches!(kind, Kind::Tls) {
                checkup.advises("console", "failed", "use https://");
            }
        }
    });
}

#[test]
fn tls_is_a_step_of_its_own_and_a_socket_needs_no_address() {
    run(async {
        let (authority, desk) = (Authority::new(), Desk::new());
        let service = FakeService::start_behind_tls(authority.good_server(), with_tasks(5)).await;
        let ca = authority.file().display().to_string();
        let checkup = publishing(&service, Checkup::at(service.address.to_string(), &["--ca", &ca])).await;
        checkup.comes_to(0).says("tls", "good", "TLS 1.3, with a certificate for `localhost` that is trusted.");
        let other = Authority::new().file().display().to_string();
        let missing = Checkup::at(service.address.to_string(), &["--ca", &other]).await;
        assert_eq!((missing.outcome.code, missing.lines.len()), (Some(2), 0), "its folder is gone: {missing:#?}");
        let stranger = Authority::new();
        let ca = stranger.file().display().to_string();
        let checkup = Checkup::at(service.address.to_string(), &["--ca", &ca]).await;
        checkup.comes_to(3).says("tls", "failed", "not signed by an authority in").says("console", "untried", "`tls`");

        let socket = desk.file("console.sock");
        let service = FakeService::start_on_socket(&socket, with_tasks(5));
        assert!(matches!(service.address, Address::Unix(_)));
        let checkup = publishing(&service, Checkup::at(service.address.to_string(), &[])).await;
        checkup.comes_to(0).says("port", "good", "The socket accepted a connection");
        assert!(checkup.results().iter().all(|(step, _)| *step != "address"), "{checkup:#?}");
    });
}

#[test]
fn a_recording_is_looked_at_from_its_file_to_what_it_shows() {
    let desk = Desk::new();
    let whole = corpus("feed-process-paused");
    let look = |file: &str| Checkup::of(&mut tool(&["doctor", file, "--output", "ndjson", "--isolated"]));
    let checkup = look(whole.to_str().unwrap());
    checkup.comes_to(0).says("file", "good", "A recording of").says("recorder", "good", "Recorded by tokio-canary");
    checkup.says("completeness", "good", "closed properly").says("tasks", "good", "seen");
    assert!(checkup.results().iter().all(|(step, _)| !["cost", "pause", "port"].contains(step)), "{checkup:#?}");

    let bytes = std::fs::read(&whole).unwrap();
    let (cut, empty, none) = (desk.file("cut.mcap"), desk.file("empty.mcap"), desk.file("none.mcap"));
    std::fs::write(&cut, &bytes[..bytes.len() - 20]).unwrap();
    look(cut.to_str().unwrap()).comes_to(0).advises("completeness", "warning", "Everything before the cut is played.");
    std::fs::write(&empty, "no recording").unwrap();
    let checkup = look(empty.to_str().unwrap());
    checkup.comes_to(3).says("file", "failed", "is not a recording").says("tasks", "untried", "`file`");
    look(none.to_str().unwrap()).comes_to(3).says("file", "failed", "Cannot read the recording");
}

#[test]
fn for_people_a_step_is_a_line_with_what_to_do_below_it() {
    let desk = Desk::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let outcome = desk.run(&["doctor", &closed, "--isolated"]);
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines[0], format!("http://{closed}"));
    assert!(lines[1].starts_with("  ✓ address       127.0.0.1 is an address already."), "{}", outcome.stdout);
    assert!(lines[2].starts_with("  ✗ port          Nothing is listening at"), "{}", outcome.stdout);
    assert!(lines[3].starts_with("                  Is the service running?"), "{}", outcome.stdout);
    let not_tried =
        lines.iter().filter(|line| line.starts_with("  - not tried     console, protocol, pause, updates, ")).count();
    assert_eq!(not_tried, 1, "{}", outcome.stdout);
    assert_eq!(lines.last(), Some(&"It cannot be watched: see `port` (exit code 3)."));
    let refused = desk.run(&["doctor", "a.mcap", "--for", "5s"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("--for is for running services"), "{refused:?}");
    // It is what other commands point to where nothing shows, once.
    let checked = desk.run(&["check", &closed, "--for", "2s", "--isolated"]);
    assert_eq!(checked.stderr.matches("`tokio-canary doctor TARGET`").count(), 1, "{}", checked.stderr);
}
