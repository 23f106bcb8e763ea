//! Pods that come and go, each as a target of its own.

use tokio::time::timeout;
use tokio_canary::feed::discovery::{Discovered, Discovery};
use tokio_canary::feed::kubernetes::{Clusters, discover};

use super::{Scene, pod_of, service, target};
use crate::support::{LIMIT, eventually, run};

async fn next(discovery: &mut Discovery) -> String {
    let event = timeout(LIMIT, discovery.events.recv()).await.expect("nothing was found").expect("the search goes on");
    match event {
        Discovered::Joined { key, name, target } => {
            assert_eq!(name, target.to_string());
            format!("{key} {}", name.split('?').next().expect("a name"))
        }
        Discovered::Leaving { key } => format!("{key} is leaving"),
        Discovered::Left { key, has_failed: false } => format!("{key} left"),
        Discovered::Left { key, .. } => format!("{key} failed"),
        Discovered::Lost { reason } => format!("lost: {reason}"),
        Discovered::Complete => "complete".to_owned(),
    }
}

#[test]
fn pods_are_followed_as_they_come_and_go_also_when_the_watch_is_too_old() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        let mut pending = pod_of("web-2", "u2", &service);
        pending.phase = "Pending";
        scene.cluster.set_pod(&pending);
        let pods = target("k8s:///?selector=app=web", &scene.kubeconfig());
        let mut discovery = discover(pods, Clusters::default());
        assert_eq!(next(&mut discovery).await, "u1 k8s://shop/web-1");
        assert_eq!(next(&mut discovery).await, "complete");
        scene.cluster.set_pod(&pod_of("web-2", "u2", &service));
        assert_eq!(next(&mut discovery).await, "u2 k8s://shop/web-2");
        scene.cluster.delete_pod("web-1");
        assert_eq!(next(&mut discovery).await, "u1 left");
        // The same name, another pod.
        scene.cluster.set_pod(&pod_of("web-1", "u3", &service));
        assert_eq!(next(&mut discovery).await, "u3 k8s://shop/web-1");
        scene.cluster.forget_history();
        let mut finished = pod_of("web-2", "u2", &service);
        finished.phase = "Succeeded";
        scene.cluster.set_pod(&finished);
        assert_eq!(next(&mut discovery).await, "u2 left");
        let requests = scene.cluster.requests();
        let lists = requests.iter().filter(|it| !it.contains("watch=")).count();
        assert!(lists >= 2, "it listed again after 410: {requests:#?}");
    });
}

#[test]
fn a_pod_that_is_taken_away_is_said_to_be_leaving_and_one_that_fails_has_failed() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        scene.cluster.set_pod(&pod_of("web-2", "u2", &service));
        let mut discovery = discover(target("k8s:///?selector=app=web", &scene.kubeconfig()), Clusters::default());
        for expected in ["u1 k8s://shop/web-1", "u2 k8s://shop/web-2", "complete"] {
            assert_eq!(next(&mut discovery).await, expected);
        }
        let mut deleted = pod_of("web-1", "u1", &service);
        deleted.is_deleting = true;
        scene.cluster.set_pod(&deleted);
        assert_eq!(next(&mut discovery).await, "u1 is leaving");
        // Its process ends as it likes.
        deleted.phase = "Failed";
        scene.cluster.set_pod(&deleted);
        assert_eq!(next(&mut discovery).await, "u1 left");
        let mut evicted = pod_of("web-2", "u2", &service);
        evicted.phase = "Failed";
        scene.cluster.set_pod(&evicted);
        assert_eq!(next(&mut discovery).await, "u2 failed");
    });
}

#[test]
fn a_search_that_is_refused_says_so_and_goes_on() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        scene.cluster.switch(|it| it.forbidden = ["list pods"].into());
        let pods = target("k8s:///?selector=app=web", &scene.kubeconfig());
        let mut discovery = discover(pods, Clusters::default());
        let lost = next(&mut discovery).await;
        assert!(lost.starts_with("lost: ") && lost.contains("`list`"), "{lost}");
        scene.cluster.switch(|it| it.forbidden.clear());
        loop {
            let found = next(&mut discovery).await;
            if !found.starts_with("lost: ") {
                assert_eq!(found, "u1 k8s://shop/web-1");
                break;
            }
        }
    });
}

#[test]
fn an_api_server_that_never_ends_a_line_is_broken_off() {
    run(async {
        let scene = Scene::new().await;
        scene.cluster.switch(|it| it.line_is_endless = true);
        let pods = target("k8s:///?selector=app=web", &scene.kubeconfig());
        let mut discovery = discover(pods, Clusters::default());
        assert_eq!(next(&mut discovery).await, "complete");
        let watches = || scene.cluster.requests().iter().filter(|it| it.contains("watch=")).count();
        eventually("the first watch is given up and another begun", || watches() >= 2).await;
        scene.cluster.switch(|it| it.line_is_endless = false);
        let service = service().await;
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        assert_eq!(next(&mut discovery).await, "u1 k8s://shop/web-1", "and the search goes on");
    });
}
