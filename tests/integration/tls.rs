//! Targets behind TLS, and the headers that guards of targets ask for.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio_canary::feed::access::Access;
use tokio_canary::feed::endpoint::Address;
use tokio_canary::feed::live::{Options, open};
use tokio_canary::feed::{FeedEvent, Status};

use crate::support::certificates::{Authority, VALID};
use crate::support::fake_service::{FakeService, Script};
use crate::support::hostile::{Hostile, Kind};
use crate::support::reader::Reader;
use crate::support::updates::{idle, now_of};
use crate::support::{eventually, run};
use crate::tool::{Desk, Outcome, tool};

fn trusting(ca: Option<PathBuf>) -> Options {
    let access = Access { ca, headers: Vec::new() };
    Options { connect_timeout: Duration::from_secs(3), pump: false, access, ..Options::default() }
}

/// Why there is no connection.
async fn refusal(address: Address, options: Options) -> String {
    let mut reader = Reader { feed: open(address, options) };
    reader
        .find(|event| match event {
            FeedEvent::Status(Status::Lost { reason, .. } | Status::Stranger { reason, .. }) => Some(reason),
            FeedEvent::Status(Status::Live) => panic!("it is connected"),
            _ => None,
        })
        .await
}

fn at(host: &str, address: &Address) -> Address {
    let (Address::Tcp { port, .. } | Address::Tls { port, .. }) = address else { panic!("not on TCP") };
    Address::Tls { host: host.to_owned(), port: *port }
}

#[test]
fn a_service_behind_tls_is_a_target_and_every_call_carries_the_headers() {
    run(async {
        let authority = Authority::new();
        let token = authority.file().with_file_name("token");
        std::fs::write(&token, "Bearer one\n").unwrap();
        let script = Script { authorization: Some("Bearer one".to_owned()), ..Script::default() };
        let service = FakeService::start_behind_tls(authority.good_server(), script.clone()).await;
        let header = format!("Authorization=@{}", token.display()).parse().unwrap();
        let options = Options { pump: true, ..trusting(Some(authority.file())) };
        let options = Options { access: Access { headers: vec![header], ..options.access.clone() }, ..options };
        let mut reader = Reader { feed: open(service.address.clone(), options) };
        reader.live().await;
        eventually("a watcher", || service.watchers() == 1).await;
        service.publish(&idle(5_000));
        assert_eq!(now_of(&reader.update().await.message), 5_000);
        let called = |name: &str| service.authorized().iter().any(|(call, _)| call == name);
        eventually("all calls", || ["WatchUpdates", "WatchState", "WatchTaskDetails"].into_iter().all(called)).await;
        assert!(service.authorized().iter().all(|(_, shown)| shown.as_deref() == Some("Bearer one")));

        // A token that has been replaced is read again.
        std::fs::write(&token, "Bearer two\n").unwrap();
        service.set_script(Script { authorization: Some("Bearer two".to_owned()), ..script });
        service.break_connections();
        reader.live().await;
    });
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_with_what_to_do() {
    run(async {
        let (authority, other) = (Authority::new(), Authority::new());
        let both = &["h2"][..];
        for (config, ca, host, says) in [
            (authority.good_server(), other.file(), "localhost", &["is not signed by an authority in", "ca.pem"][..]),
            (
                authority.server("localhost", (2020, 2021), both),
                authority.file(),
                "localhost",
                &["expired at 2021-01-01T00:00:00Z", "Renew it"],
            ),
            (
                authority.server("localhost", (4000, 4001), both),
                authority.file(),
                "localhost",
                &["valid only from 4000-01-01T00:00:00Z on", "the clock of this machine"],
            ),
            (
                authority.server("canary.example", VALID, both),
                authority.file(),
                "localhost",
                &["is for canary.example, not for `localhost`", "Attach by a name"],
            ),
            (authority.good_server(), authority.file(), "127.0.0.1", &["is for localhost, not for `127.0.0.1`"]),
            (
                authority.server("localhost", VALID, &["http/1.1"]),
                authority.file(),
                "localhost",
                &["does not offer HTTP/2 (ALPN h2)", "turn it on in the proxy"],
            ),
        ] {
            let service = FakeService::start_behind_tls(config, Script::default()).await;
            let reason = refusal(at(host, &service.address), trusting(Some(ca))).await;
            assert!(says.iter().all(|part| reason.contains(part)), "{says:?}: {reason}");
            assert!(reason.contains(&format!("https://{host}:")), "{reason}");
        }
        // In TLS 1.3 this is heard after the handshake.
        let service = FakeService::start_behind_tls(authority.demanding_server(), Script::default()).await;
        let reason = refusal(service.address.clone(), trusting(Some(authority.file()))).await;
        assert!(reason.contains("it demands a certificate of the client"), "{reason}");
        // An authority that only this test knows is none of the system.
        let service = FakeService::start_behind_tls(authority.good_server(), Script::default()).await;
        let reason = refusal(service.address.clone(), trusting(None)).await;
        let is_said = reason.contains("does not trust") || reason.contains("no certificate authorities to trust");
        assert!(is_said && reason.contains("--ca FILE"), "{reason}");
    });
}

/// In a process of its own, whose system trusts the authority of this test.
#[test]
fn an_authority_of_the_system_is_trusted() {
    run(async {
        let authority = Authority::new();
        let service = FakeService::start_behind_tls(authority.good_server(), Script::default()).await;
        let address = service.address.to_string();
        let stranger = Authority::new();
        let untrusted = "is signed by an authority that this system does not trust";
        for (known, says) in [(&authority, ": Connected"), (&stranger, untrusted)] {
            let mut command = tool(&["check", &address, "--for", "1s"]);
            command.env("SSL_CERT_FILE", known.file()).env_remove("SSL_CERT_DIR");
            let outcome = spawn_blocking(move || Outcome::of(&mut command)).await.unwrap();
            assert!(outcome.stderr.contains(says), "{outcome:?}");
        }
    });
}

#[test]
fn a_server_without_tls_is_told_apart_by_how_it_speaks() {
    run(async {
        let authority = Authority::new();
        let service = FakeService::start(Script::default()).await;
        let options = || trusting(Some(authority.file()));
        let reason = refusal(at("localhost", &service.address), options()).await;
        assert!(reason.contains("speaks HTTP/2 without TLS") && reason.contains("Use http://localhost:"), "{reason}");
        for (kind, says) in [
            (Kind::Http1, "A web server (HTTP/1) answers at https://localhost:"),
            (Kind::Http1Closing, "A web server (HTTP/1) answers at https://localhost:"),
            (Kind::Ssh, "does not answer in TLS"),
            (Kind::Closes, "closed the connection during the TLS handshake"),
            (Kind::Silent, "did not answer the TLS handshake within 3 s"),
        ] {
            let server = Hostile::start(kind).await;
            let reason = refusal(at("localhost", &server.address), options()).await;
            assert!(reason.contains(says), "{kind:?}: {reason}");
        }
        let service = FakeService::start_behind_tls(authority.good_server(), Script::default()).await;
        let Address::Tls { host, port } = service.address.clone() else { panic!("not behind TLS") };
        let reason = refusal(Address::Tcp { host, port }, options()).await;
        assert!(reason.contains("A TLS server answers") && reason.contains("use https://"), "{reason}");
    });
}

#[test]
fn a_guard_that_refuses_access_is_told_from_a_stranger() {
    run(async {
        let script = Script { authorization: Some("Bearer one".to_owned()), ..Script::default() };
        let service = FakeService::start(script).await;
        let reason = refusal(service.address.clone(), trusting(None)).await;
        assert!(
            reason.contains("refuses access (HTTP status 401)") && reason.contains("--header NAME=@FILE"),
            "{reason}"
        );
    });
}

#[test]
fn secrets_are_refused_on_the_command_line_and_shown_nowhere() {
    let desk = Desk::new();
    std::fs::write(desk.file("token"), "Bearer hunter2\n").unwrap();
    let header = "--header=authorization=@token";
    for (arguments, variables, says) in [
        (&["check", "--header", "authorization=Bearer hunter2"][..], &[][..], "NAME=@FILE"),
        (&["check", "--header", "hunter2"], &[], "NAME=@FILE"),
        (&["check"], &[("TOKIO_CANARY_HEADER", "authorization=hunter2")], "TOKIO_CANARY_HEADER"),
        (&["check", "--header", "authorization=@missing"], &[], "the file missing cannot be read"),
        (&["check", "--header", "authorization=env:NOT_SET"], &[], "the variable NOT_SET is not set"),
        (&["check", "http://canary.example:6669", header], &[], "anyone on the way can read them"),
        (&["check", "https://localhost", "--ca", "token"], &[], "holds no certificate in PEM"),
        (&["check", "https://localhost", "--ca", "missing"], &[], "missing cannot be read"),
        (&["check", "localhost:1", "--ca", "token"], &[], "--ca is for targets that begin with https://"),
    ] {
        let outcome = desk.run_with(variables, arguments);
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {outcome:?}");
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(said.contains(says) && !said.contains("hunter2"), "{arguments:?}: {said}");
    }
    let shown = desk.run(&["config", "show", header, "--ca", "token"]);
    assert!(shown.stdout.contains("header = [\"authorization=@token\"]"), "{}", shown.stdout);
    assert!(shown.stdout.contains("ca = \"token\"") && !shown.stdout.contains("hunter2"), "{}", shown.stdout);
}

#[test]
fn the_real_tool_attaches_through_tls_and_logs_no_secret() {
    run(async {
        let (authority, desk) = (Authority::new(), Desk::new());
        let script = Script { authorization: Some("Bearer hunter2".to_owned()), ..Script::default() };
        let service = FakeService::start_behind_tls(authority.good_server(), script).await;
        let (address, ca) = (service.address.to_string(), authority.file().display().to_string());
        let (log, recording) = (desk.file("log"), desk.file("a.mcap"));
        let arguments =
            ["record", &address, "--ca", &ca, "--header", "authorization=env:TOKEN", "--log", "trace", "--log-file"];
        let mut command = tool(&arguments);
        command.arg(&log).arg("-o").arg(&recording).args(["--for", "3s"]).env("TOKEN", "Bearer hunter2");
        let recorder = command.stderr(Stdio::piped()).spawn().unwrap();
        eventually("a watcher", || service.watchers() == 1).await;
        service.publish(&idle(1_000));
        let ended = tokio::task::spawn_blocking(|| recorder.wait_with_output().unwrap()).await.unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success() && said.contains("Recorded 1 update"), "{said}");
        let logged = std::fs::read_to_string(&log).unwrap();
        assert!(logged.contains("authorization") || logged.contains("h2::"), "the log shows nothing of the calls");
        let recorded = std::fs::read(&recording).unwrap();
        let leaks = |bytes: &[u8]| bytes.windows(7).any(|it| it == b"hunter2");
        assert!(!leaks(logged.as_bytes()) && !leaks(&recorded) && !said.contains("hunter2"));
    });
}
