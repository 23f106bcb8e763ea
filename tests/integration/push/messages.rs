//! What receivers get.

use std::collections::BTreeMap;

use ring::hmac;
use serde::Deserialize;
use serde_json::Value;

use super::fake_receiver::{FakeReceiver, OK};
use super::{Running, check, deadlock, file, run, silent_service, tool};
use crate::support::eventually;
use crate::support::updates::idle;

/// `Data` of prometheus/alertmanager, `template/template.go`, and what `notify/webhook/webhook.go` adds: what receivers in Go read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Message {
    version: String,
    group_key: String,
    truncated_alerts: u64,
    receiver: String,
    status: String,
    alerts: Vec<Alert>,
    group_labels: BTreeMap<String, String>,
    common_labels: BTreeMap<String, String>,
    common_annotations: BTreeMap<String, String>,
    #[serde(rename = "externalURL")]
    external_url: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Alert {
    status: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

#[test]
fn a_webhook_is_one_of_alertmanager() {
    let receiver = FakeReceiver::start([OK]);
    let ran = check(&["--webhook", &receiver.url()]);
    assert_eq!(ran.code, Some(1), "{}", ran.notes);
    let received = receiver.received();
    let [request] = received.as_slice() else { panic!("{received:?}") };
    assert_eq!((request.line.as_str(), request.header("content-type")), ("POST / HTTP/1.1", Some("application/json")));
    let message: Message = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        (message.version.as_str(), message.status.as_str(), message.receiver.as_str()),
        ("4", "firing", "tokio-canary")
    );
    let [alert] = message.alerts.as_slice() else { panic!("{message:?}") };
    assert_eq!((alert.status.as_str(), alert.ends_at.as_str()), ("firing", "0001-01-01T00:00:00Z"));
    assert!(humantime::parse_rfc3339(&alert.starts_at).is_ok() && alert.fingerprint.len() == 16, "{alert:?}");
    let label = |name: &str| alert.labels.get(name).map(String::as_str);
    assert_eq!(label("alertname"), Some("TokioDeadlock"));
    assert_eq!(
        (label("severity"), label("detector"), label("job")),
        (Some("critical"), Some("deadlock"), Some("tokio-canary"))
    );
    assert_eq!(label("instance"), Some(deadlock().as_str()));
    assert!(label("fingerprint").is_some_and(|it| it.starts_with("deadlock:")) && label("location").is_some());
    assert!(alert.annotations["summary"].starts_with("deadlock at "), "{:?}", alert.annotations);
    assert!(alert.annotations["description"].contains(" Next: "), "{:?}", alert.annotations);
    assert!(alert.annotations["description"].ends_with(" More: tokio-canary explain deadlock"));
    assert_eq!(alert.annotations.keys().collect::<Vec<_>>(), ["description", "summary"], "no URL that is none");
    assert_eq!((&message.common_labels, &message.common_annotations), (&alert.labels, &alert.annotations));
    assert_eq!(message.group_labels.keys().collect::<Vec<_>>(), ["instance"]);
    assert!(message.group_key.starts_with("{}:{instance=") && message.truncated_alerts == 0);
    assert_eq!((message.external_url.as_str(), alert.generator_url.as_str()), ("", ""));
}

#[test]
fn a_webhook_is_signed_and_no_secret_is_said() {
    let receiver = FakeReceiver::start([OK]);
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "key", "hunter2\n");
    let url = receiver.url();
    let text = format!(
        "[[webhook]]\nurl-env = \"HOOK\"\nsecret-file = \"{0}/key\"\nbearer-token-env = \"TOKEN\"\nlabels = {{ team = \"orders\" }}\n\
         [[alertmanager]]\nurl = \"{url}\"\nusername = \"me\"\npassword-env = \"TOKEN\"",
        folder.path().display()
    );
    let config = file(folder.path(), "config.toml", &text);
    let arguments = ["check", &deadlock(), "--config", config.to_str().unwrap(), "--output", "ndjson"];
    let log = folder.path().join("log");
    let logged = ["--log", "trace", "--log-file", log.to_str().unwrap()];
    let secrets = [("TOKEN", "swordfish"), ("HOOK", &format!("{url}/open-sesame"))];
    let ran = run(tool(&[&arguments[..], &logged].concat()).envs(secrets));
    assert_eq!(ran.code, Some(1), "{}", ran.notes);
    let shown = run(tool(&["config", "show", "--all", "--config", config.to_str().unwrap()]).envs(secrets));
    assert!(shown.output.contains("url-env = \"HOOK\"") && shown.output.contains("secret-file = "), "{}", shown.output);
    let said = [ran.output, ran.notes, shown.output, shown.notes, std::fs::read_to_string(log).unwrap()].concat();
    assert!(["hunter2", "swordfish", "open-sesame", "c3dvcmRmaXNo"].iter().all(|it| !said.contains(it)), "{said}");

    let received = receiver.received();
    let webhook = received.iter().find(|it| it.line == "POST /open-sesame HTTP/1.1").unwrap();
    assert_eq!(webhook.header("authorization"), Some("Bearer swordfish"));
    assert_eq!(webhook.json()["alerts"][0]["labels"]["team"], "orders");
    let time = webhook.header("x-tokio-canary-timestamp").unwrap();
    let signed = [time.as_bytes(), b".", &webhook.body].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"hunter2"), &signed);
    let digits = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    assert_eq!(webhook.header("x-tokio-canary-signature-256"), Some(format!("sha256={digits}").as_str()));
    let alertmanager = received.iter().find(|it| it.line == "POST /api/v2/alerts HTTP/1.1").unwrap();
    assert_eq!(alertmanager.header("authorization"), Some("Basic bWU6c3dvcmRmaXNo"), "me:swordfish");
}

#[test]
fn secrets_of_the_environment_go_to_receivers_of_flags() {
    let receiver = FakeReceiver::start([OK]);
    let variables = [("TOKIO_CANARY_WEBHOOK_SECRET", "hunter2"), ("TOKIO_CANARY_WEBHOOK_BEARER_TOKEN", "swordfish")];
    let ran = run(tool(&["check", &deadlock()]).env("TOKIO_CANARY_WEBHOOK", receiver.url()).envs(variables));
    let received = receiver.received();
    assert_eq!(received[0].header("authorization"), Some("Bearer swordfish"), "{}", ran.notes);
    assert!(received[0].header("x-tokio-canary-signature-256").is_some());
}

#[test]
fn what_is_wrong_with_a_receiver_is_said_before_anything_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    for (text, says) in [
        ("[[webhook]]\nurl = \"http://me:hunter2@a\"", "config.toml:2: a URL here has no user or password"),
        (
            "[[webhook]]\nurl = \"http://a\"\nsecret-file = \"/no/such/key\"",
            "config.toml:1: the file /no/such/key cannot be read",
        ),
        ("[[webhook]]\nurl = \"http://a\"\nsecret = \"hunter2\"", "a webhook has no `secret`"),
        ("[[webhook]]\nurl = \"http://a\"\npassword-env = \"A\"", "`username` goes with `password-file`"),
        ("[[webhook]]\n", "this receiver needs a `url`"),
        ("[[webhook]]\nurl = \"http://a\"\nurl-env = \"A\"", "config.toml:3: `url` and `url-env` exclude each other"),
        ("[[webhook]]\nurl = \"http://a\"\nurl-file = \"a\"", "config.toml:3: `url` and `url-file` exclude each other"),
        ("[[alertmanager]]\nurl = \"https://a\"\nca-file = \"/no/ca\"", "the file /no/ca cannot be read"),
        (
            "[[alertmanager]]\nurl = \"http://a\"\nlabels = { severity = \"a\" }",
            "the label `severity` is set by the tool",
        ),
        ("[[alertmanager]]\nurl = \"http://a\"\nresend = \"0s\"", "resend: `0s` is not a duration above zero"),
        (
            "[[on-transition]]\ncommand = [\"/no/such/program\"]",
            "program `/no/such/program` not found; to pass arguments",
        ),
        ("[[alertmanager]]\nurl = \"http://a\"\nresend = \"9999years\"", "`resend` must be at most 24h"),
        ("[[on-transition]]\ncommand = []", "`command` is empty"),
        ("[on-transition]\ncommand = \"a\"", "begin each with [[on-transition]]"),
    ] {
        let config = file(folder.path(), "config.toml", text);
        let ran = check(&["--config", config.to_str().unwrap()]);
        assert_eq!(ran.code, Some(2), "{text}: {}", ran.notes);
        assert!(ran.notes.contains(says) && !ran.notes.contains("hunter2"), "{text}: {}", ran.notes);
    }
    let ran = check(&["--webhook", "http://me:hunter2@a"]);
    assert_eq!(ran.code, Some(2));
}

#[test]
fn an_alert_is_sent_again_while_it_fires_and_ended_when_it_is_resolved() {
    crate::support::run(async {
        let (service, receiver) = (silent_service().await, FakeReceiver::start([OK]));
        let begun = std::time::Instant::now();
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[[alertmanager]]\nurl = \"{}\"\nresend = \"100ms\"", receiver.url());
        let config = file(folder.path(), "config.toml", &text);
        let address = service.address.to_string();
        let arguments = ["watch", &address, "--config", config.to_str().unwrap(), "--set", "quiet-feed.warning=500ms"];
        let mut watch = Running::start(&mut tool(&arguments));
        let quiet = |alert: &Value| alert["labels"]["alertname"] == "TokioQuietFeed";
        eventually("three posts", || receiver.alerts().iter().filter(|it| quiet(it)).count() >= 3).await;
        let firing: Vec<Value> = receiver.alerts().into_iter().filter(|it| quiet(it)).collect();
        let time = |value: &Value| humantime::parse_rfc3339(value.as_str().unwrap()).unwrap();
        assert!(time(&firing[2]["endsAt"]) > time(&firing[0]["endsAt"]), "{firing:?}");
        assert_eq!(firing[2]["labels"], firing[0]["labels"]);

        let is_over = |alert: &Value| quiet(alert) && time(&alert["endsAt"]) <= std::time::SystemTime::now();
        let last = || receiver.alerts().last().cloned().unwrap_or_default();
        while !is_over(&last()) {
            // Its clock has gone on while it was silent.
            service.publish(&idle(1_000 + u64::try_from(begun.elapsed().as_millis()).unwrap()));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(last()["labels"], firing[0]["labels"]);
        assert!(time(&last()["startsAt"]) <= time(&last()["endsAt"]));
        let (code, notes) = watch.end();
        assert_eq!(code, Some(0), "{notes}");
        assert!(!notes.contains("deliver"), "{notes}");
    });
}

#[test]
fn a_run_that_ends_resolves_nothing() {
    let (alertmanager, webhook) = (FakeReceiver::start([OK]), FakeReceiver::start([OK]));
    check(&["--alertmanager", &alertmanager.url(), "--webhook", &webhook.url()]);
    let alerts = alertmanager.alerts();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let ends = humantime::parse_rfc3339(alerts[0]["endsAt"].as_str().unwrap()).unwrap();
    let left = ends.duration_since(std::time::SystemTime::now()).unwrap().as_secs();
    assert!((180..=240).contains(&left), "four minutes without us: {left}");
    assert!(webhook.alerts().iter().all(|it| it["status"] == "firing"));
}

#[test]
fn what_a_target_is_called_is_harmless_in_labels_and_annotations() {
    let receiver = FakeReceiver::start([OK]);
    let folder = tempfile::tempdir().unwrap();
    let hostile = "a\\u0000\\u001b[2J\\nb\\u202e\\\"}";
    let text =
        format!("[detectors.vanished-singleton]\nappear = \"1s\"\nexpect = [\"{hostile}{}\"]", "x".repeat(9_000));
    let config = file(folder.path(), "config.toml", &text);
    check(&["--config", config.to_str().unwrap(), "--alertmanager", &receiver.url(), "--webhook", &receiver.url()]);
    let alerts = receiver.alerts();
    let ours: Vec<&Value> = alerts.iter().filter(|it| it["labels"]["detector"] == "vanished-singleton").collect();
    assert_eq!(ours.len(), 2, "{alerts:?}");
    for alert in ours {
        let texts =
            [&alert["labels"], &alert["annotations"]].into_iter().flat_map(|it| it.as_object().unwrap().values());
        for text in texts.map(|it| it.as_str().unwrap()) {
            assert!(!text.contains(tokio_canary::report::sanitize::is_hidden) && text.len() <= 4096, "{text}");
        }
        assert!(
            alert["annotations"]["summary"].as_str().unwrap().contains("a\\u{0}\\u{1b}[2J\\nb\\u{202e}\"}"),
            "{alert}"
        );
    }
}
