//! The tool against servers that no target should be: it does not panic, hang or call them healthy, and says what they are.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_canary::feed::live::{Options, open};
use tokio_canary::feed::{FeedEvent, Status, Wanted};

use crate::support::hostile::{Fault, Hostile, Kind, Place};
use crate::support::reader::Reader;
use crate::support::{LIMIT, run};

/// How long each of them is watched: longer than a console has to answer, and than a clock has to be behind.
const WATCHED: Duration = Duration::from_secs(14);

/// A server, what is said about it, and why it cannot be judged; none where it is healthy.
type Case = (Kind, &'static [&'static str], Option<&'static str>);

const NOT_A_CONSOLE: Option<&str> = Some("not_a_console");
const LOST: Option<&str> = Some("connection_lost");
const NEVER: Option<&str> = Some("never_connected");
const DEFAULT_PORT: &str = "it is 6669 unless TOKIO_CONSOLE_BIND says otherwise";

const CASES: &[Case] = &[
    (Kind::Http1, &["A web server (HTTP/1) answers at", DEFAULT_PORT], NOT_A_CONSOLE),
    (Kind::Http1Closing, &["A web server (HTTP/1) answers at", DEFAULT_PORT], NOT_A_CONSOLE),
    (Kind::Http2, &["A web server (HTTP/2, status 404) answers at", DEFAULT_PORT], NOT_A_CONSOLE),
    (Kind::OtherGrpc, &["A gRPC server without the console feed answers at", DEFAULT_PORT], NOT_A_CONSOLE),
    (Kind::Tls, &["A TLS server answers at", DEFAULT_PORT], NOT_A_CONSOLE),
    (Kind::TlsClosing, &["A TLS server answers at", DEFAULT_PORT], NOT_A_CONSOLE),
    (Kind::Silent, &["has sent nothing for 10 s", "not stopped", DEFAULT_PORT], NEVER),
    (Kind::Closes, &["closes them without a word", "forwarded port", DEFAULT_PORT], NEVER),
    (Kind::Ssh, &["An SSH server answers at", DEFAULT_PORT], NOT_A_CONSOLE),
    (Kind::Redis, &["A Redis server answers at", DEFAULT_PORT], NOT_A_CONSOLE),
    (Kind::Postgres, &["A PostgreSQL server answers at", DEFAULT_PORT], NOT_A_CONSOLE),
    (Kind::Smtp, &["it begins with `220 mail.example ESMTP", DEFAULT_PORT], NOT_A_CONSOLE),
    (Kind::GarbageFrames, &["broke the connection off before it answered"], NEVER),
    (Kind::EndlessHeaders, &["broke the connection off before it answered"], NEVER),
    (Kind::ResetStorm, &["broke the connection off before it answered"], NEVER),
    (Kind::GoAway, &["broke the connection off before it answered"], NEVER),
    (Kind::TrailersOnly, &["closed the stream"], NEVER),
    (Kind::UpdatesBadDetails(Place::Headers), &["made the reader of its feed fail"], NEVER),
    (Kind::UpdatesBadDetails(Place::Trailers), &["made the reader of its feed fail"], LOST),
    (Kind::StateBadDetails(Place::Headers), &["Connected"], None),
    (Kind::StateBadDetails(Place::Trailers), &["Connected"], None),
    (Kind::StateGarbage, &["Connected"], None),
    (Kind::TaskDetailsBadDetails(Place::Headers), &["Connected"], None),
    (Kind::TaskDetailsBadDetails(Place::Trailers), &["Connected"], None),
    (Kind::HugeLength, &["above the limit of 256 MiB"], LOST),
    (Kind::Truncated, &["cannot be decoded"], Some("malformed")),
    (Kind::Undecodable, &["cannot be decoded"], Some("malformed")),
    (Kind::EmptyUpdates, &["Connected"], Some("malformed")),
    (Kind::Flapping, &["lost", "closed the stream", "broke"], LOST),
    (Kind::Clock(Fault::None), &["Connected"], None),
    (Kind::Clock(Fault::Frozen), &["Connected"], Some("clock")),
    (Kind::Clock(Fault::SteppedBack), &["Connected"], Some("clock_reset")),
    (Kind::Clock(Fault::Leap), &["Connected"], Some("malformed")),
    (Kind::Clock(Fault::FarAhead), &["Connected"], Some("malformed")),
    (Kind::Clock(Fault::Missing), &["Connected"], Some("malformed")),
    (Kind::Clock(Fault::Negative), &["Connected"], Some("malformed")),
];

#[test]
fn no_server_is_called_healthy_that_cannot_be_judged() {
    run(async {
        let mut checks = JoinSet::new();
        for case in CASES {
            checks.spawn(async move {
                let server = Hostile::start(case.0).await;
                complaints(case, &server.address.to_string()).await
            });
        }
        let found: Vec<String> = checks.join_all().await.concat();
        assert!(found.is_empty(), "{}", found.join("\n"));
    });
}

/// What is wrong with how `check` ends on a server.
async fn complaints((kind, words, reason): &Case, address: &str) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokio-canary"));
    let seconds = format!("{}s", WATCHED.as_secs());
    command.args(["check", address, "--for", &seconds, "--output", "ndjson", "--isolated", "--min-activity", "0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let began = Instant::now();
    let Ok(Ok(output)) = timeout(WATCHED + LIMIT, command.output()).await else {
        return vec![format!("{kind:?}: hangs")];
    };
    let (said, data) = (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    let summary = data.lines().last().unwrap_or_default();
    let mut found = Vec::new();
    let mut complain = |what: &str| found.push(format!("{kind:?}: {what}\n{said}{summary}\n"));
    // Ages of a century may be findings as well.
    let codes: &[i32] = match (kind, reason) {
        (_, None) => &[0],
        (Kind::Clock(Fault::FarAhead), _) => &[1, 3],
        _ => &[3],
    };
    if !output.status.code().is_some_and(|code| codes.contains(&code)) {
        complain("the exit code");
    }
    if said.contains("panicked") || said.contains("RUST_BACKTRACE") {
        complain("a panic is on standard error");
    }
    // A connection that comes and goes is said to, in one way or another.
    let missing = |word: &&&str| !said.contains(**word);
    if words.iter().all(|word| missing(&word)) || (*kind != Kind::Flapping && words.iter().any(|word| missing(&word))) {
        complain("what is said");
    }
    if let Some(reason) = reason
        && !summary.contains(&format!("\"{reason}\""))
    {
        complain("why it is inconclusive");
    }
    if *reason == NOT_A_CONSOLE {
        if said.matches(DEFAULT_PORT).count() != 1 || said.contains("Connected") {
            complain("it is to be said once, and never to be connected");
        }
        if began.elapsed() >= WATCHED {
            complain("there is no use in waiting");
        }
    }
    found
}

#[test]
fn a_broken_stream_beside_the_updates_costs_none_of_them() {
    run(async {
        for kind in [
            Kind::StateBadDetails(Place::Headers),
            Kind::StateBadDetails(Place::Trailers),
            Kind::StateGarbage,
            Kind::TaskDetailsBadDetails(Place::Headers),
            Kind::TaskDetailsBadDetails(Place::Trailers),
        ] {
            let server = Hostile::start(kind).await;
            let mut reader = Reader { feed: open(server.address.clone(), Options::default()) };
            reader.live().await;
            for _ in 0..3 {
                reader.update().await;
            }
            reader.feed.wanted.send_replace(Wanted::from([1, 2, 3]));
            let mut updates = 0;
            while updates < 10 {
                match reader.next().await {
                    FeedEvent::Update(_) => updates += 1,
                    FeedEvent::Status(status) => panic!("{kind:?}: {status:?}"),
                    _ => {}
                }
            }
        }
    });
}

#[test]
fn a_port_that_becomes_a_console_is_no_stranger_any_more() {
    run(async {
        let server = Hostile::start(Kind::Http1).await;
        let mut reader = Reader { feed: open(server.address.clone(), Options::default()) };
        let mut reasons = Vec::new();
        let stranger = reader
            .find(|event| match event {
                FeedEvent::Status(Status::Lost { reason, .. }) => {
                    reasons.push(reason);
                    None
                }
                FeedEvent::Status(Status::Stranger { reason, .. }) => Some(reason),
                FeedEvent::Status(Status::Live) => panic!("a web server is no console"),
                _ => None,
            })
            .await;
        assert_eq!(reasons, [stranger.clone(), stranger], "the same is said before it is certain");
    });
}
