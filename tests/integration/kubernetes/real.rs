//! The real binary on its way through the cluster to a real instrumented service, under every fault that there may be on that way.

use std::net::SocketAddr;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use super::tool::with_kubeconfig;
use super::{Scene, lines_of, next_line};
use crate::http::client::get;
use crate::support::cluster::PodSketch;
use crate::support::service::Service;
use crate::support::{LIMIT, run};
use crate::tool::Notes;

/// How long a connection lives on over which nothing comes: the interval of its pings, and the time for an answer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How much later that may be noticed on a machine that is busy.
const LATE: Duration = Duration::from_secs(20);

/// A watch of the pods with the label `app=web`.
struct Watch {
    child: Child,
    _notes: Notes,
    lines: UnboundedReceiver<Value>,
    server: SocketAddr,
    /// Its counters at their last reading.
    counters: Counters,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    restarts: u64,
    updates: u64,
    polls: u64,
}

impl Watch {
    fn start(scene: &Scene) -> Self {
        let arguments = ["watch", "-l", "app=web", "--output", "ndjson", "--listen", "127.0.0.1:0"];
        let mut child = with_kubeconfig(scene, &arguments).spawn().expect("the tool");
        let mut notes = Notes::of(&mut child);
        let serving = notes.hear("Serving http://");
        let server = serving.split("http://").nth(1).and_then(|it| it.split('/').next()).expect("an address");
        let (server, lines) = (server.parse().expect("an address"), lines_of(&mut child));
        Self { child, _notes: notes, lines, server, counters: Counters::default() }
    }

    /// What it says next of the connection.
    async fn next(&mut self) -> Value {
        next_line(&mut self.lines, |line| line["type"] == "status").await
    }

    /// Waits until the connection is lost for a reason with all of these parts, and not live again before.
    async fn loses(&mut self, parts: &[&str]) {
        let mut seen = Vec::new();
        loop {
            let line = self.next().await;
            let reason = line["reason"].as_str().unwrap_or_default();
            if line["state"] == "lost" && parts.iter().all(|part| reason.contains(part)) {
                assert!(line["retry_in_s"].is_number(), "{line}");
                return;
            }
            seen.push(line.clone());
            assert_ne!(line["state"], "live", "{parts:?} was never said, but: {seen:#?}");
        }
    }

    /// Waits until the connection is live again and updates have come, from a pod of this name; checks which process it is by now, and
    /// that no counter fell.
    async fn lives(&mut self, pod: &str, restarts: u64) {
        let live = loop {
            let line = self.next().await;
            if line["state"] == "live" {
                break line;
            }
        };
        assert!(live["place"].as_str().is_some_and(|it| it.contains(&format!("pod `{pod}`"))), "{live}");
        let first = self.counted().await;
        let begun = Instant::now();
        // The next but one has come over this connection.
        while self.counted().await.updates < first.updates + 2 || self.counters.polls <= first.polls {
            assert!(begun.elapsed() < LIMIT, "nothing comes: {:?}", self.counters);
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.counters.restarts, restarts, "{:?}", self.counters);
    }

    /// Reads its counters, none of which may ever fall.
    async fn counted(&mut self) -> Counters {
        let body = get(self.server, "/metrics").await.body;
        let total = |name: &str| -> u64 {
            let lines = body.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
            let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters are small and whole")]
            values.map(|value| value as u64).sum()
        };
        let now = Counters {
            restarts: total("tokio_canary_target_restarts_total"),
            updates: total("tokio_canary_feed_updates_total"),
            polls: total("tokio_canary_polls_total"),
        };
        let before = std::mem::replace(&mut self.counters, now);
        let has_fallen = now.restarts < before.restarts || now.updates < before.updates || now.polls < before.polls;
        assert!(!has_fallen, "{before:?}, {now:?}");
        now
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pod that runs, of a service.
fn pod_of(name: &str, uid: &str, service: &Service) -> PodSketch {
    let address = service.address.trim_start_matches("http://").parse().expect("an address");
    PodSketch::running(name, uid).serving(address)
}

#[test]
fn what_is_in_the_way_to_a_process_is_survived_and_it_stays_the_same() {
    Service::run_if_asked();
    let test = "kubernetes::real::what_is_in_the_way_to_a_process_is_survived_and_it_stays_the_same";
    run(async {
        let (mut scene, service) = (Scene::new().await, Service::start(test, Duration::from_secs(60)));
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        let mut watch = Watch::start(&scene);
        watch.lives("web-1", 0).await;

        scene.cluster.switch(|it| it.forbidden = ["get pods/portforward"].into());
        scene.cluster.break_forwards();
        let rule = r#"- {apiGroups: [""], resources: ["pods/portforward"], verbs: ["get", "create"]}"#;
        watch.loses(&["the verb `get` is missing", rule]).await;
        scene.cluster.switch(|it| it.forbidden.clear());
        watch.lives("web-1", 0).await;

        scene.cluster.switch(|it| it.token = Some("fresh".to_owned()));
        scene.cluster.break_forwards();
        watch.loses(&["does not accept the credentials"]).await;
        scene.cluster.kubeconfig(scene.folder.path(), "    token: fresh\n", "");
        watch.lives("web-1", 0).await;

        let stopped = scene.cluster.stop().await;
        watch.loses(&["The Kubernetes API server", "cannot be reached", "The service behind it may be well"]).await;
        sleep(Duration::from_secs(3)).await;
        scene.cluster = stopped.start().await;
        watch.lives("web-1", 0).await;

        let signal = |signal| kill_process(Pid::from_child(&service.child), signal).expect("it is there");
        signal(Signal::STOP);
        let stopped = Instant::now();
        watch.loses(&["without a message", "The process may be stopped"]).await;
        assert!(stopped.elapsed() < KEEP_ALIVE + LATE, "{:?}", stopped.elapsed());
        signal(Signal::CONT);
        watch.lives("web-1", 0).await;
    });
}

#[test]
fn a_process_that_takes_the_place_of_another_is_followed_and_counted() {
    Service::run_if_asked();
    let test = "kubernetes::real::a_process_that_takes_the_place_of_another_is_followed_and_counted";
    let start = || Service::start(test, Duration::from_secs(60));
    run(async {
        let (scene, mut service) = (Scene::new().await, start());
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        let mut watch = Watch::start(&scene);
        watch.lives("web-1", 0).await;

        scene.cluster.delete_pod("web-1");
        service.kill();
        watch.loses(&["Pod `web-1` was deleted", "the next one that runs"]).await;
        service = start();
        scene.cluster.set_pod(&pod_of("web-2", "u2", &service));
        watch.lives("web-2", 1).await;

        let mut pod = pod_of("web-2", "u2", &service);
        pod.process = 2;
        pod.state = Some(json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}));
        scene.cluster.set_pod(&pod);
        service.kill();
        watch.loses(&["Container `app` of pod `web-2` ended with exit code 137 (OOMKilled)"]).await;
        service = start();
        pod = pod_of("web-2", "u2", &service);
        pod.process = 2;
        scene.cluster.set_pod(&pod);
        watch.lives("web-2", 2).await;

        (pod.process, pod.is_ready) = (8, false);
        pod.state = Some(json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}));
        pod.last_state = json!({"terminated": {"exitCode": 101, "reason": "Error"}});
        scene.cluster.set_pod(&pod);
        service.kill();
        watch.loses(&["CrashLoopBackOff", "exit code 101 (Error)", "restarted 7 times"]).await;
        service = start();
        pod = pod_of("web-2", "u2", &service);
        pod.process = 9;
        scene.cluster.set_pod(&pod);
        watch.lives("web-2", 3).await;
    });
}
