//! Which pod of several is chosen, and at which port.

use serde_json::json;

use super::{Scene, chosen, lost_with, pod_of, service};
use crate::support::run;

const APPS: &str = "/apis/apps/v1/namespaces/shop";

#[test]
fn a_deployment_stands_for_a_pod_of_its_newest_generation_and_the_others_are_counted() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        let revision = |number: &str| json!({"deployment.kubernetes.io/revision": number});
        scene.cluster.set_object(
            &format!("{APPS}/deployments/web"),
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "web", "uid": "d", "annotations": revision("2")},
                "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {}}}),
        );
        let set = |hash: &str, number: &str| {
            json!({"metadata": {"name": hash, "labels": {"pod-template-hash": hash}, "annotations": revision(number),
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d"}]}, "spec": {"selector": {}}})
        };
        let sets = json!({"apiVersion": "apps/v1", "kind": "ReplicaSetList", "metadata": {}, "items": [set("old", "1"), set("new", "2")]});
        scene.cluster.set_object(&format!("{APPS}/replicasets"), sets);
        scene.cluster.set_pod(&pod_of("web-old-1", "u1", &service).label("pod-template-hash", "old"));
        let mut young = pod_of("web-new-1", "u2", &service).label("pod-template-hash", "new");
        young.is_ready = false;
        scene.cluster.set_pod(&young);
        scene.cluster.set_pod(&pod_of("db-1", "u3", &service).label("app", "db"));
        let mut reader = scene.open("deploy/web");
        let (place, _) = chosen(&mut reader).await;
        assert_eq!(place, "pod `web-new-1` in namespace `shop` (container `app`, port 6669; 1 other pod matches)");
        reader.live().await;

        // Without the right to list them, any pod will do.
        scene.cluster.switch(|it| it.forbidden = ["list replicasets"].into());
        let mut reader = scene.open("k8s://shop/deployments/web");
        let (place, _) = chosen(&mut reader).await;
        assert!(place.contains("`web-old-1`"), "the one that is ready: {place}");
    });
}

#[test]
fn every_kind_that_selects_pods_stands_for_one_of_them() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        let selector = json!({"matchLabels": {"app": "web"}});
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}});
        for (kind, path) in [
            ("sts", "apis/apps/v1/namespaces/shop/statefulsets"),
            ("ds", "apis/apps/v1/namespaces/shop/daemonsets"),
            ("rs", "apis/apps/v1/namespaces/shop/replicasets"),
            ("rc", "api/v1/namespaces/shop/replicationcontrollers"),
            ("job", "apis/batch/v1/namespaces/shop/jobs"),
        ] {
            let selector = if kind == "rc" { &selector["matchLabels"] } else { &selector };
            let spec = json!({"selector": selector, "template": template, "serviceName": "web"});
            scene.cluster.set_object(&format!("/{path}/web"), json!({"metadata": {"name": "web"}, "spec": spec}));
            scene.cluster.set_object(&format!("/{path}/idle"), json!({"metadata": {"name": "idle"}, "spec": {"selector": {}, "template": template, "serviceName": "idle"}}));
            scene.cluster.set_pod(&pod_of(&format!("{kind}-1"), kind, &service));
            scene.cluster.set_pod(&pod_of("other-1", "other", &service).label("app", "other"));
            let mut reader = scene.open(&format!("{kind}/web"));
            let (place, _) = chosen(&mut reader).await;
            assert!(place.contains(&format!("pod `{kind}-1`")) && !place.contains("other pod"), "{kind}: {place}");
            reader.live().await;
            lost_with(&mut scene.open(&format!("k8s://shop/{kind}/idle")), &["`idle`", "selects no pods by labels"])
                .await;
            scene.cluster.delete_pod(&format!("{kind}-1"));
        }
    });
}

#[test]
fn a_service_leads_to_the_port_behind_it() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        let ports = json!([{"name": "console", "port": 80, "targetPort": "feed"}]);
        let object = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": ports}});
        scene.cluster.set_object("/api/v1/namespaces/shop/services/web", object);
        let mut pod = pod_of("web-1", "u1", &service);
        pod.declared = vec![("http", 8080), ("feed", 7000)];
        pod.listening = [(7000, service.socket_addr())].into();
        scene.cluster.set_pod(&pod);
        let mut reader = scene.open("k8s://shop/svc/web:80");
        let (place, _) = chosen(&mut reader).await;
        assert!(place.contains("port 7000"), "{place}");
        reader.live().await;
        let mut reader = scene.open("k8s://shop/svc/web:81");
        lost_with(&mut reader, &["The service `web` has no port 81; it has 80 `console`"]).await;
    });
}

#[test]
fn a_rollout_stands_for_its_canary() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        let path = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web";
        let rollout = |current: &str| {
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
                "spec": {"selector": {"matchLabels": {"app": "web"}}}, "status": {"currentPodHash": current, "stableRS": "s"}})
        };
        scene.cluster.set_object(path, rollout("s"));
        scene.cluster.set_pod(&pod_of("web-s", "u1", &service).label("rollouts-pod-template-hash", "s"));
        let mut reader = scene.open("k8s://shop/?rollout=web");
        lost_with(&mut reader, &["Rollout `web`", "no canary at present"]).await;
        scene.cluster.set_pod(&pod_of("web-c", "u2", &service).label("rollouts-pod-template-hash", "c"));
        scene.cluster.set_object(path, rollout("c"));
        let (place, _) = chosen(&mut reader).await;
        assert!(place.contains("`web-c`") && !place.contains("other"), "{place}");
        reader.live().await;
    });
}

#[test]
fn what_is_not_there_is_named() {
    run(async {
        let scene = Scene::new().await;
        let mut reader = scene.open("k8s://shop/nothing");
        lost_with(&mut reader, &["no pod `nothing` in namespace `shop`", "kubectl get pods -n shop"]).await;
        let mut reader = scene.open("deploy/nothing");
        lost_with(&mut reader, &["no deployment `nothing`"]).await;
        let mut reader = scene.open("k8s:///?selector=app=web");
        lost_with(&mut reader, &["no pod in namespace `shop` with the labels `app=web`"]).await;
        let mut reader = scene.open("k8s:///web?context=elsewhere");
        lost_with(&mut reader, &["no context `elsewhere`; it has `here`"]).await;
    });
}
