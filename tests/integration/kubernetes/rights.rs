//! What a user may not do is named, with the rule that allows it; what expires is taken afresh.

use super::{Scene, lost_with, pod_of, service};
use crate::support::run;

#[test]
fn each_refusal_names_its_verb_and_resource_and_the_rule() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        let forward = r#"resources: ["pods/portforward"], verbs: ["get", "create"]}"#;
        let pods = r#"resources: ["pods"], verbs: ["get", "list", "watch"]}"#;
        for (target, forbidden, parts) in [
            ("k8s:///web-1", "get pods/portforward", ["the verb `get` is missing", forward]),
            ("k8s:///web-1", "create pods/portforward", ["the verb `create` is missing", forward]),
            ("k8s:///web-1", "get pods", ["the verb `get` is missing", pods]),
            ("k8s:///?selector=app=web", "list pods", ["the verb `list` is missing", pods]),
            (
                "deploy/web",
                "get deployments",
                ["the verb `get` is missing", r#"apiGroups: ["apps"], resources: ["deployments"]"#],
            ),
            ("k8s:///?rollout=web", "get rollouts", ["the verb `get` is missing", r#"apiGroups: ["argoproj.io"]"#]),
        ] {
            scene.cluster.switch(|it| it.forbidden = [forbidden].into());
            let mut reader = scene.open(target);
            lost_with(&mut reader, &parts).await;
        }
        // Once it is allowed, it goes on by itself; without the right to watch, a little later.
        scene.cluster.switch(|it| it.forbidden = ["get pods/portforward", "watch pods"].into());
        let mut reader = scene.open("k8s:///web-1");
        lost_with(&mut reader, &[forward]).await;
        scene.cluster.switch(|it| it.forbidden = ["watch pods"].into());
        reader.live().await;
    });
}

#[test]
fn a_token_that_has_expired_is_replaced_by_the_one_that_the_kubeconfig_has_now() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        scene.cluster.switch(|it| it.token = Some("good".to_owned()));
        let mut reader = scene.open("k8s:///web-1");
        reader.live().await;
        scene.cluster.switch(|it| it.token = Some("fresh".to_owned()));
        // A stream that runs outlives its token.
        assert_eq!(scene.cluster.forwards(), 1);
        scene.cluster.break_forwards();
        lost_with(&mut reader, &["does not accept the credentials", "kubectl get pods"]).await;
        scene.cluster.kubeconfig(scene.folder.path(), "    token: fresh\n", "");
        reader.live().await;
    });
}
