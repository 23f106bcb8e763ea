//! What may happen to a pod and to its cluster: told apart, worded, and survived.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;
use tokio_canary::feed::discovery::Discovered;
use tokio_canary::feed::endpoint::{Address, Target};
use tokio_canary::feed::kubernetes::{Clusters, Rate, discover};
use tokio_canary::feed::live::{Options, open};
use tokio_canary::feed::{FeedEvent, Status};

use super::{Scene, chosen, lost_with, pod_of, service, target};
use crate::support::cluster::PodSketch;
use crate::support::hostile::{Hostile, Kind};
use crate::support::reader::Reader;
use crate::support::updates::{idle, now_of};
use crate::support::{eventually, run};

/// How soon a process that can be reached again has to be.
const SOON: Duration = Duration::from_secs(1);

#[test]
fn a_pod_that_is_replaced_is_followed_within_a_second() {
    run(async {
        let scene = Scene::new().await;
        let (first, second) = (service().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &first));
        let mut reader = scene.open("k8s:///?selector=app=web");
        assert!(!chosen(&mut reader).await.1);
        reader.live().await;
        scene.cluster.delete_pod("web-1");
        first.stop().await;
        lost_with(&mut reader, &["Pod `web-1` was deleted", "the next one that runs"]).await;
        lost_with(&mut reader, &["no pod in namespace `shop`"]).await;
        sleep(Duration::from_secs(2)).await;
        let mut pod = pod_of("web-2", "u2", &second);
        (pod.phase, pod.state) = ("Pending", Some(json!({"waiting": {"reason": "ContainerCreating"}})));
        scene.cluster.set_pod(&pod);
        lost_with(&mut reader, &["Container `app` of pod `web-2` has not started: ContainerCreating"]).await;
        sleep(Duration::from_millis(500)).await;
        scene.cluster.set_pod(&pod_of("web-2", "u2", &second));
        let dialable = Instant::now();
        let (place, is_new) = chosen(&mut reader).await;
        assert!(place.contains("`web-2`") && is_new, "{place}");
        reader.live().await;
        assert!(dialable.elapsed() < SOON, "{:?}", dialable.elapsed());
    });
}

#[test]
fn a_pod_of_a_set_that_is_deleted_is_not_said_to_come_again() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        let mut pods = discover(target("k8s:///?selector=app=web", &scene.kubeconfig()), Clusters::default());
        let Some(Discovered::Joined { target: Target::Live(address), .. }) = pods.events.recv().await else {
            panic!("the pod is not found");
        };
        let options = Options { pump: false, ..Options::default() };
        let mut reader = Reader { feed: open(address, options) };
        reader.live().await;
        scene.cluster.delete_pod("web-1");
        service.stop().await;
        let reason = lost_with(&mut reader, &["Pod `web-1` was deleted", "the pod that takes its place"]).await;
        assert!(!reason.contains("Deployment"), "{reason}");
    });
}

#[test]
fn a_pod_that_comes_back_under_its_name_is_another_process() {
    run(async {
        let (scene, first) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-0", "u1", &first));
        let mut reader = scene.open("k8s:///web-0");
        reader.live().await;
        scene.cluster.delete_pod("web-0");
        first.stop().await;
        lost_with(&mut reader, &["There is no pod `web-0`"]).await;
        sleep(Duration::from_secs(2)).await;
        let second = service().await;
        scene.cluster.set_pod(&pod_of("web-0", "u2", &second));
        let dialable = Instant::now();
        assert!(chosen(&mut reader).await.1);
        reader.live().await;
        assert!(dialable.elapsed() < SOON, "{:?}", dialable.elapsed());
    });
}

#[test]
fn a_container_that_is_restarted_in_place_is_another_process() {
    run(async {
        let (scene, first) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &first));
        let mut reader = scene.open("k8s:///web-1");
        reader.live().await;
        let mut pod = pod_of("web-1", "u1", &first);
        pod.process = 2;
        pod.last_state = json!({"terminated": {"exitCode": 137, "signal": 9, "reason": "Error"}});
        pod.state = Some(json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}));
        scene.cluster.set_pod(&pod);
        first.stop().await;
        lost_with(&mut reader, &["Container `app` of pod `web-1` ended with exit code 137 (OOMKilled)"]).await;
        // It runs, and does not listen yet.
        pod.state = None;
        pod.listening.clear();
        scene.cluster.set_pod(&pod);
        lost_with(&mut reader, &["Nothing listens at port 6669 of pod `web-1`", "still starts"]).await;
        let second = service().await;
        scene.cluster.set_pod(&pod.serving(second.socket_addr()));
        let dialable = Instant::now();
        assert!(super::chosen(&mut reader).await.1, "another process");
        reader.live().await;
        assert!(dialable.elapsed() < SOON, "{:?}", dialable.elapsed());
    });
}

#[test]
fn a_container_that_crashes_again_and_again_is_waited_for() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        let mut pod = pod_of("web-1", "u1", &service);
        (pod.process, pod.is_ready) = (8, false);
        pod.state = Some(json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}));
        pod.last_state = json!({"terminated": {"exitCode": 101, "reason": "Error"}});
        scene.cluster.set_pod(&pod);
        let mut reader = scene.open("k8s:///web-1");
        let reason = lost_with(&mut reader, &["CrashLoopBackOff", "exit code 101 (Error)", "restarted 7 times"]).await;
        assert!(reason.contains("kubectl logs web-1 -c app --previous"), "{reason}");
        sleep(Duration::from_secs(3)).await;
        (pod.process, pod.state) = (9, None);
        scene.cluster.set_pod(&pod);
        let dialable = Instant::now();
        // It is not ready, which does not matter.
        reader.live().await;
        assert!(dialable.elapsed() < SOON, "{:?}", dialable.elapsed());
        assert!(
            !scene.cluster.requests().iter().any(|it| it.contains("portforward") && it.contains('8')),
            "nothing to dial"
        );
    });
}

#[test]
fn pods_that_cannot_be_dialled_say_why() {
    run(async {
        let scene = Scene::new().await;
        let mut unscheduled = PodSketch::running("unscheduled", "u1");
        (unscheduled.phase, unscheduled.is_assigned, unscheduled.is_ready) = ("Pending", false, false);
        scene.cluster.set_pod(&unscheduled);
        let mut finished = PodSketch::running("finished", "u2");
        finished.phase = "Succeeded";
        finished.state = Some(json!({"terminated": {"exitCode": 0, "reason": "Completed"}}));
        scene.cluster.set_pod(&finished);
        let mut imageless = PodSketch::running("imageless", "u3");
        imageless.phase = "Pending";
        imageless.state =
            Some(json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image \u{1b}[2J"}}));
        scene.cluster.set_pod(&imageless);
        for (name, parts) in [
            ("unscheduled", ["not scheduled on a node yet", "0/3 nodes are available"]),
            ("finished", ["has finished (Succeeded", "exit code 0 (Completed)"]),
            ("imageless", ["has not started: ImagePullBackOff", "no such image \\u{1b}[2J"]),
        ] {
            let mut reader = scene.open(&format!("k8s:///{name}"));
            lost_with(&mut reader, &parts).await;
        }
    });
}

#[test]
fn a_wrong_port_names_the_ports_that_the_pod_declares() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        let mut pod = pod_of("web-1", "u1", &service);
        pod.declared = vec![("http", 8080)];
        scene.cluster.set_pod(&pod);
        let mut reader = scene.open("k8s:///web-1:7777");
        let parts =
            ["Nothing listens at port 7777 of pod `web-1`", "TOKIO_CONSOLE_BIND", "8080 `http` of container `app`"];
        lost_with(&mut reader, &parts).await;
    });
}

#[test]
fn a_wrong_port_is_told_although_the_node_loses_its_last_words() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        scene.cluster.switch(|it| it.words_get_lost = true);
        let mut reader = scene.open("k8s:///web-1:7777");
        for _attempt in 0..2 {
            let reason = reader.lost().await;
            assert!(reason.contains("Nothing listens at port 7777 of pod `web-1`"), "{reason}");
        }
    });
}

#[test]
fn an_api_server_that_is_gone_is_told_from_a_service_that_is_gone() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        let mut reader = scene.open("k8s:///web-1");
        reader.live().await;
        let Scene { cluster, folder, .. } = scene;
        let stopped = cluster.stop().await;
        lost_with(
            &mut reader,
            &["The Kubernetes API server", "cannot be reached", "The service behind it may be well"],
        )
        .await;
        sleep(Duration::from_secs(3)).await;
        let cluster = stopped.start().await;
        let (_, is_new) = chosen(&mut reader).await;
        assert!(!is_new, "the same process");
        reader.live().await;
        eventually("a watcher", || service.watchers() == 1).await;
        service.publish(&idle(1_000));
        assert_eq!(now_of(&reader.update().await.message), 1_000);
        drop((cluster, folder));
    });
}

#[test]
fn a_forward_that_breaks_between_the_same_processes_is_no_restart() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        // Another one that would win by its name.
        scene.cluster.set_pod(&pod_of("web-2", "u2", &service));
        let mut reader = scene.open("k8s:///?selector=app=web");
        let (before, _) = chosen(&mut reader).await;
        reader.live().await;
        scene.cluster.set_pod(&pod_of("web-0", "u0", &service));
        scene.cluster.break_forwards();
        let (after, is_new) = chosen(&mut reader).await;
        assert!(!is_new && before.contains("web-1") && after.contains("web-1"), "{before}, {after}");
        reader.live().await;
    });
}

#[test]
fn a_kubelet_that_is_down_is_said_in_its_own_words() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        scene.cluster.switch(|it| it.kubelet_is_down = true);
        let mut reader = scene.open("k8s:///web-1");
        lost_with(&mut reader, &["status 500", "error dialing backend"]).await;
        scene.cluster.switch(|it| it.kubelet_is_down = false);
        reader.live().await;
    });
}

#[test]
fn a_port_of_the_service_itself_is_named_as_what_it_is() {
    run(async {
        for (kind, what) in [
            (Kind::Http1, "A web server (HTTP/1)"),
            (Kind::Http1Closing, "A web server (HTTP/1)"),
            (Kind::TlsClosing, "A TLS server"),
        ] {
            let (scene, server) = (Scene::new().await, Hostile::start(kind).await);
            let at = server.address.to_string().trim_start_matches("http://").parse().expect("an address");
            scene.cluster.set_pod(&PodSketch::running("web-1", "u1").serving(at));
            let mut reader = scene.open("k8s:///web-1");
            let reason = reader.find(|event| match event {
                FeedEvent::Status(Status::Stranger { reason, .. }) => Some(reason),
                _ => None,
            });
            let reason = reason.await;
            let no_console = "not a console-subscriber endpoint";
            assert!(reason.starts_with(what) && reason.contains(no_console), "{kind:?}: {reason}");
            assert!(reason.contains("Name the port of console-subscriber, as in deploy/NAME:6669"), "{reason}");
        }
    });
}

#[test]
fn the_waits_of_a_low_rate_are_no_part_of_a_time_limit() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        let address = Address::Pod(Box::new(target("k8s:///web-1", &scene.kubeconfig())));
        // The second request waits for twice the time that connecting may take.
        let clusters = Clusters::new(Rate { qps: 0.5, burst: 1 });
        let options = Options { pump: false, clusters, connect_timeout: Duration::from_secs(1), ..Options::default() };
        let mut reader = Reader { feed: open(address, options) };
        let outcome = reader.find(|event| match event {
            FeedEvent::Status(Status::Live) => Some(Ok(())),
            FeedEvent::Status(Status::Lost { reason, .. }) => Some(Err(reason)),
            _ => None,
        });
        assert_eq!(outcome.await, Ok(()), "the first attempt connects");
    });
}
