//! Receivers that do not do what they should: the verdict does not wait for them, and what they did not get is said.

use std::net::TcpListener;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

use super::fake_receiver::{Answer, FakeReceiver, OK};
use super::{Ran, Running, check, file, silent_service, tool};
use crate::support::eventually;

/// Longer than a run waits for a receiver at its end, with room for a machine that is busy with other tests.
const END: Duration = Duration::from_secs(25);

/// What happens whatever receivers do: the finding is written, the exit code is that of the verdict, and the end comes.
fn is_judged(ran: &Ran) {
    assert_eq!(ran.code, Some(1), "{}", ran.notes);
    assert!(ran.output.contains(" critical deadlock: "), "{}", ran.output);
    assert!(ran.took < END, "{:?}", ran.took);
}

fn answers(status: &'static str, headers: &str) -> Answer {
    Answer::Status(status, headers.to_owned())
}

#[test]
fn a_receiver_that_takes_nothing_costs_its_alerts_and_nothing_else() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (answer, says) in [
        (Some(Answer::Hang), "did not answer within "),
        (Some(Answer::Close), " broke off: "),
        (Some(Answer::EndlessHead), " broke off: "),
        (Some(answers("500 Internal Server Error", "")), "answered 500 Internal Server Error. Retrying"),
        (Some(answers("503 Service Unavailable", "Retry-After: 99999999999\r\n")), "answered 503 Service Unavailable"),
        (None, "could not be reached: "),
    ] {
        let receiver = answer.clone().map(|answer| FakeReceiver::start([answer]));
        let address = receiver.as_ref().map_or(closed, |it| it.address);
        let ran = check(&[
            "--webhook",
            &format!("http://{address}/?key=hunter2"),
            "--alertmanager",
            &format!("http://{address}"),
        ]);
        is_judged(&ran);
        for name in ["webhook", "Alertmanager"] {
            let told = format!("1 alert was not delivered to {name} {address}.");
            assert!(ran.notes.contains(&told), "{answer:?}: {}", ran.notes);
        }
        assert!(ran.notes.contains(says) && !ran.notes.contains("hunter2"), "{answer:?}: {}", ran.notes);
    }
}

#[test]
fn what_fails_for_a_while_is_tried_again() {
    let busy = ["500 Internal Server Error", "502 Bad Gateway"].map(|status| answers(status, ""));
    let receiver = FakeReceiver::start(busy.into_iter().chain([OK]));
    let ran = check(&["--webhook", &receiver.url()]);
    is_judged(&ran);
    assert_eq!(receiver.received().len(), 3, "{}", ran.notes);
    assert!(ran.notes.contains(". Retrying.") && ran.notes.contains("accepts alerts again after "), "{}", ran.notes);
    assert!(!ran.notes.contains("not delivered"), "{}", ran.notes);
}

#[test]
fn a_receiver_that_asks_for_a_pause_gets_it() {
    let receiver = FakeReceiver::start([answers("429 Too Many Requests", "Retry-After: 2\r\n"), OK]);
    let ran = check(&["--webhook", &receiver.url()]);
    is_judged(&ran);
    let received = receiver.received();
    assert!(received.len() == 2 && received[1].at - received[0].at >= Duration::from_secs(2), "{received:?}");
}

#[test]
fn what_is_refused_is_lost_and_not_tried_again() {
    let receiver = FakeReceiver::start([answers("403 Forbidden", ""), OK]);
    let ran = check(&["--webhook", &receiver.url()]);
    is_judged(&ran);
    assert_eq!(receiver.received().len(), 1);
    assert!(ran.notes.contains("refused alerts with 403 Forbidden."), "{}", ran.notes);
    assert!(ran.notes.contains("1 alert was not delivered"), "{}", ran.notes);
}

#[test]
fn an_alertmanager_that_refuses_an_alert_is_offered_it_again() {
    crate::support::run(async {
        let service = silent_service().await;
        let receiver = FakeReceiver::start([answers("400 Bad Request", ""), answers("403 Forbidden", ""), OK]);
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[[alertmanager]]\nurl = \"{}\"\nresend = \"200ms\"", receiver.url());
        let config = file(folder.path(), "config.toml", &text);
        let address = service.address.to_string();
        let arguments = ["watch", &address, "--config", config.to_str().unwrap(), "--set", "quiet-feed.warning=500ms"];
        let mut watch = Running::start(&mut tool(&arguments));
        eventually("a request that is accepted", || receiver.received().len() >= 4).await;
        let (code, notes) = watch.end();
        assert_eq!(code, Some(0), "{notes}");
        assert!(notes.contains("refused alerts with 403 Forbidden.") && !notes.contains("delivered"), "{notes}");
    });
}

#[test]
fn what_fails_again_is_said_again_and_what_alternates_is_not() {
    crate::support::run(async {
        let service = silent_service().await;
        let bad = [answers("403 Forbidden", ""), answers("404 Not Found", "")];
        let well = std::iter::once(OK);
        let answers = bad.iter().cycle().take(6).cloned().chain(well).chain(bad.iter().cycle().take(6).cloned());
        let receiver = FakeReceiver::start(answers);
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[[alertmanager]]\nurl = \"{}\"\nresend = \"100ms\"", receiver.url());
        let config = file(folder.path(), "config.toml", &text);
        let address = service.address.to_string();
        let arguments = ["watch", &address, "--config", config.to_str().unwrap(), "--set", "quiet-feed.warning=500ms"];
        let mut watch = Running::start(&mut tool(&arguments));
        eventually("all answers", || receiver.received().len() >= 13).await;
        let (_, notes) = watch.end();
        for sentence in ["refused alerts with 403 Forbidden.", "refused alerts with 404 Not Found."] {
            assert_eq!(notes.matches(sentence).count(), 2, "once before it accepted one, and once after: {notes}");
        }
    });
}

#[test]
fn receivers_on_one_host_have_names_of_their_own() {
    let receiver = FakeReceiver::start([answers("403 Forbidden", "")]);
    let url = receiver.url();
    let ran = check(&["--webhook", &format!("{url}/a"), "--webhook", &format!("{url}/b")]);
    is_judged(&ran);
    for name in ["", " #2"] {
        let said = format!("1 alert was not delivered to webhook {}{name}.", receiver.address);
        assert!(ran.notes.contains(&said), "{}", ran.notes);
    }
}

#[test]
fn no_redirect_is_followed() {
    let elsewhere = FakeReceiver::start([OK]);
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let receiver = FakeReceiver::start([answers(status, &format!("Location: {}/\r\n", elsewhere.url()))]);
        let ran = super::run(
            tool(&["check", &super::deadlock(), "--webhook", &receiver.url()])
                .env("TOKIO_CANARY_WEBHOOK_BEARER_TOKEN", "hunter2"),
        );
        is_judged(&ran);
        assert!(ran.notes.contains("redirects are not followed"), "{}", ran.notes);
        assert_eq!((receiver.received().len(), elsewhere.received().len()), (1, 0));
    }
}

#[test]
fn the_body_of_an_answer_is_not_read() {
    let receiver = FakeReceiver::start([Answer::EndlessBody]);
    let ran = check(&["--webhook", &receiver.url()]);
    is_judged(&ran);
    assert!(receiver.received().len() == 1 && !ran.notes.contains("deliver"), "{}", ran.notes);
}

#[test]
fn a_receiver_that_comes_back_gets_what_still_holds() {
    crate::support::run(async {
        let service = silent_service().await;
        let receiver = FakeReceiver::start([OK]);
        let (address, url) = (receiver.address, receiver.url());
        drop(receiver);
        let target = service.address.to_string();
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[[alertmanager]]\nurl = \"{url}\"\nresend = \"200ms\"\n[[webhook]]\nurl = \"{url}\"");
        let config = file(folder.path(), "config.toml", &text);
        let notes = folder.path().join("notes");
        let arguments = ["watch", &target, "--config", config.to_str().unwrap(), "--set", "quiet-feed.warning=500ms"];
        let mut command = tool(&arguments);
        let _watch = Running::start(command.stderr(std::fs::File::create(&notes).unwrap()));
        let said = |text: &str| std::fs::read_to_string(&notes).unwrap().contains(text);
        eventually("a note about each", || {
            ["Alertmanager", "webhook"].iter().all(|name| said(&format!("{name} {address} could not be reached: ")))
        })
        .await;
        let back = async || {
            let receiver = FakeReceiver::start_at(address, [OK]);
            eventually("alerts", || receiver.received().iter().any(|it| it.line.contains("/api/v2/alerts"))).await;
            assert_eq!(receiver.alerts()[0]["labels"]["detector"], "quiet-feed");
            receiver
        };
        drop(back().await);
        // It stays, so that the webhook finds it whenever it tries again.
        let _receiver = back().await;
        eventually("the end of the trouble", || {
            ["Alertmanager", "webhook"]
                .iter()
                .all(|name| said(&format!("{name} {address} accepts alerts again after ")))
        })
        .await;
    });
}

#[test]
fn only_a_receiver_that_proves_who_it_is_gets_anything() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let receiver = FakeReceiver::start_tls(config, [OK]);
    let (port, folder) = (receiver.address.port(), tempfile::tempdir().unwrap());
    let ca = file(folder.path(), "ca.pem", &cert.pem());
    let configured = |url: &str, further: &str| {
        let text = format!("[[webhook]]\nurl = \"{url}\"\n{further}");
        let config = file(folder.path(), "config.toml", &text);
        check(&["--config", config.to_str().unwrap()])
    };
    let ca = format!("ca-file = \"{}\"", ca.display());
    for (host, further) in [("127.0.0.1", ca.as_str()), ("localhost", "")] {
        let ran = configured(&format!("https://{host}:{port}"), further);
        if ran.code == Some(2) {
            // A machine without any authority.
            assert!(further.is_empty() && ran.notes.contains("give a `ca-file`"), "{}", ran.notes);
        } else {
            is_judged(&ran);
            assert!(ran.notes.contains("is not trusted: ") && ran.notes.contains("not delivered"), "{}", ran.notes);
        }
    }
    assert_eq!(receiver.received().len(), 0);
    let ran = configured(&format!("https://localhost:{port}"), &ca);
    is_judged(&ran);
    assert!(receiver.received().len() == 1 && !ran.notes.contains("deliver"), "{}", ran.notes);

    let plain = FakeReceiver::start([OK]);
    let ran = configured(&format!("https://127.0.0.1:{}", plain.address.port()), &ca);
    is_judged(&ran);
    assert!(ran.notes.contains("not delivered"), "{}", ran.notes);
}
