//! What the server answers about services that are well, faulty, unknown or gone.

use super::client::{eventually, get, request, value};
use super::{BEGIN, Run, blocked, polled, publish, service};
use crate::push::fake_receiver::{Answer as Refusal, FakeReceiver};
use crate::support::run;
use crate::support::updates::births;
use crate::tool::deadlock;

#[test]
fn a_verdict_before_there_were_enough_updates_is_inconclusive_and_says_so() {
    run(async {
        let service = service(&births(BEGIN, 3, 10)).await;
        let run = Run::watch(&service, &[]);
        let few = eventually(run.server, "/verdict", |it| it.body.contains("too_few_updates")).await;
        assert_eq!((few.status, &few.json()["verdict"]), (200, &"inconclusive".into()));
        assert!(few.json()["reason"].as_str().unwrap().contains("only 1 update arrived"), "{}", few.body);
        assert!(few.head.contains("content-type: application/json"), "{}", few.head);
        let gate = get(run.server, "/gate").await;
        assert_eq!(gate.status, 409, "{gate:?}");
        assert!(gate.body.starts_with("inconclusive: only 1 update arrived"), "{gate:?}");
    });
}

#[test]
fn a_target_that_was_never_reached_is_inconclusive_and_not_ready_and_the_run_is_well() {
    run(async {
        let run = Run::start(&["watch", "127.0.0.1:1"]);
        let verdict = get(run.server, "/verdict").await;
        assert_eq!(verdict.json()["verdict"], "inconclusive");
        assert!(verdict.body.contains("never_connected"), "{}", verdict.body);
        assert_eq!(get(run.server, "/gate").await.status, 409);
        let ready = get(run.server, "/readyz").await;
        assert_eq!(ready.status, 503, "{ready:?}");
        assert!(ready.body.contains("127.0.0.1:1: not connected"), "{ready:?}");
        assert_eq!(get(run.server, "/healthz").await.status, 200);
        let metrics = get(run.server, "/metrics").await.body;
        assert_eq!(value(&metrics, "tokio_canary_target_up", &[]), Some(0.0), "{metrics}");
        assert_eq!(value(&metrics, "tokio_canary_tasks", &[]), None, "nothing is known at present");
        assert_eq!(value(&metrics, "tokio_canary_verdict", &["inconclusive"]), Some(1.0), "{metrics}");
    });
}

#[test]
fn a_finding_closes_the_gate_and_is_served_and_counted() {
    run(async {
        let service = service(&blocked("report", "src/report.rs", 5_000)).await;
        let run = Run::watch(&service, &[]);
        eventually(run.server, "/readyz", |it| it.status == 200).await;
        publish(&service, 1..8);
        let verdict = eventually(run.server, "/verdict", |it| it.json()["verdict"] == "fail").await;
        assert!(verdict.json()["reason"].as_str().unwrap().contains("blocked-worker"), "{}", verdict.body);
        for method in ["GET", "POST"] {
            let gate = request(run.server, method, "/gate", "Host: localhost\r\n", "").await;
            assert_eq!(gate.status, 412, "{gate:?}");
            assert!(gate.body.starts_with("fail: 1 critical"), "{gate:?}");
        }
        let flagger = "{\"name\":\"podinfo\",\"namespace\":\"test\",\"phase\":\"Progressing\",\"metadata\":{}}";
        let headers = "Host: localhost\r\nContent-Type: application/json\r\n";
        assert_eq!(request(run.server, "POST", "/gate", headers, flagger).await.status, 412);
        let findings = get(run.server, "/findings").await.json();
        let finding = &findings["findings"][0];
        assert_eq!(
            (&finding["detector"], &finding["state"]),
            (&"blocked-worker".into(), &"firing".into()),
            "{findings}"
        );
        assert_eq!(finding["subject"]["location"], "src/report.rs:7:1");
        let metrics = get(run.server, "/metrics").await.body;
        let labels = ["detector=\"blocked-worker\"", "severity=\"critical\""];
        assert_eq!(value(&metrics, "tokio_canary_findings", &labels), Some(1.0), "{metrics}");
        let labels = ["detector=\"blocked-worker\"", "state=\"firing\""];
        assert_eq!(value(&metrics, "tokio_canary_finding_transitions_total", &labels), Some(1.0), "{metrics}");
        assert_eq!(value(&metrics, "tokio_canary_verdict", &["verdict=\"fail\""]), Some(1.0));
    });
}

#[test]
fn targets_are_judged_together_or_by_name() {
    run(async {
        let (well, faulty) = (service(&births(BEGIN, 3, 10)).await, service(&blocked("a", "src/a.rs", 5_000)).await);
        let (one, other) = (well.address.to_string(), faulty.address.to_string());
        let run = Run::start(&["watch", &one, &other, "--min-updates", "1"]);
        eventually(run.server, "/readyz", |it| it.status == 200).await;
        publish(&faulty, 1..8);
        let both = eventually(run.server, "/verdict", |it| it.json()["verdict"] == "fail").await;
        assert!(both.json()["reason"].as_str().unwrap().starts_with(&other), "{}", both.body);
        assert_eq!(both.json()["targets"].as_array().map(Vec::len), Some(2));
        let named = |name: &str| format!("/verdict?target={}", name.replace(':', "%3A").replace('/', "%2F"));
        assert_eq!(get(run.server, &named(&other)).await.json()["verdict"], "fail");
        let well = get(run.server, &named(&one)).await.json();
        assert_ne!(well["verdict"], "fail", "{well}");
        let nobody = get(run.server, "/verdict?target=nobody").await;
        assert_eq!((nobody.status, &nobody.json()["verdict"]), (200, &"inconclusive".into()));
        assert!(nobody.body.contains("No target is named nobody. Targets: "), "{nobody:?}");
        assert_eq!(get(run.server, "/gate?target=nobody").await.status, 409);
        assert_eq!(get(run.server, "/findings?target=nobody").await.status, 404);
    });
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    run(async {
        let service = service(&births(BEGIN, 3, 10)).await;
        let run = Run::watch(&service, &[]);
        eventually(run.server, "/readyz", |it| it.status == 200).await;
        let open = "Host: localhost\r\nAccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
        let open = request(run.server, "GET", "/metrics", open, "").await;
        assert!(open.head.contains("content-type: application/openmetrics-text"), "{}", open.head);
        assert!(open.body.ends_with("# EOF\n") && open.body.contains("# UNIT tokio_canary_busy_seconds seconds"));
        let text = get(run.server, "/metrics").await;
        assert!(text.head.contains("content-type: text/plain; version=0.0.4"), "{}", text.head);
        assert!(!text.body.contains("# EOF") && text.body.contains("# TYPE tokio_canary_polls_total counter"));
        assert_eq!(value(&text.body, "tokio_canary_tasks", &[]), Some(3.0));
        assert_eq!(value(&text.body, "tokio_canary_target_up", &[]), Some(1.0));
    });
}

#[test]
fn what_a_receiver_refuses_is_counted_as_lost() {
    run(async {
        let receiver = FakeReceiver::start([Refusal::Status("403 Forbidden", String::new())]);
        let service = service(&blocked("report", "src/report.rs", 5_000)).await;
        let run = Run::watch(&service, &["--webhook", &receiver.url(), "--webhook", &format!("{}/b", receiver.url())]);
        eventually(run.server, "/readyz", |it| it.status == 200).await;
        publish(&service, 1..8);
        let name = format!("output=\"webhook {}", receiver.address);
        for label in [format!("{name}\""), format!("{name} #2\"")] {
            eventually(run.server, "/metrics", |it| {
                value(&it.body, "tokio_canary_output_lost_events_total", &[&label]) >= Some(1.0)
            })
            .await;
        }
    });
}

#[test]
fn a_service_that_has_been_idle_for_a_minute_has_no_load() {
    run(async {
        let service = service(&births(BEGIN, 3, 10)).await;
        let run = Run::watch(&service, &[]);
        eventually(run.server, "/readyz", |it| it.status == 200).await;
        service.publish(&polled(BEGIN + 1_000, 3, 1_000));
        publish(&service, 2..50);
        let busy = eventually(run.server, "/verdict", |it| it.json()["targets"][0]["updates"] == 50).await;
        assert_eq!(busy.json()["verdict"], "pass", "{}", busy.body);
        publish(&service, 50..70);
        let idle = eventually(run.server, "/verdict", |it| it.json()["targets"][0]["updates"] == 70).await;
        assert_eq!(idle.json()["verdict"], "inconclusive", "{}", idle.body);
        assert!(idle.json()["reason"].as_str().unwrap().contains("no load, only 0 polls in 1 min"), "{}", idle.body);
    });
}

#[test]
fn check_serves_the_verdict_as_long_as_it_lasts() {
    run(async {
        let mut run = Run::start(&["check", &deadlock(), "--speed", "20x"]);
        let verdict = eventually(run.server, "/verdict", |it| it.json()["verdict"] == "fail").await;
        assert!(verdict.body.contains("deadlock"), "{}", verdict.body);
        assert_eq!(run.await_end().await.code(), Some(1));
    });
}
