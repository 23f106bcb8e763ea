//! `doctor` of a pod: each step of the way through its cluster is said, and what is in the way with how to mend it.

use tokio::task::spawn_blocking;

use super::tool::with_kubeconfig;
use super::{Scene, pod_of, service};
use crate::support::cluster::PodSketch;
use crate::support::run;
use crate::tool::Outcome;

async fn doctor(scene: &Scene, target: &str) -> Outcome {
    let mut command = with_kubeconfig(scene, &["doctor", target, "--for", "1s"]);
    spawn_blocking(move || Outcome::of(&mut command)).await.expect("it ran")
}

/// The line of a step and what follows it.
fn step<'a>(outcome: &'a Outcome, topic: &str) -> &'a str {
    let at = outcome.stdout.find(&format!(" {topic} ")).unwrap_or_else(|| panic!("{topic}: {outcome:?}"));
    &outcome.stdout[at..]
}

#[test]
fn each_step_to_a_pod_says_what_it_found() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        let outcome = doctor(&scene, "pod/web-1").await;
        for (topic, fact) in [
            ("kubeconfig", "Context `here`: the API server is http://127.0.0.1:"),
            ("cluster", "Kubernetes v1.36.2"),
            ("rights", "Everything that is needed is allowed in namespace `shop`."),
            ("pod", "Chosen: pod `web-1` in namespace `shop` (container `app`, port 6669)."),
            ("port", "The API server forwards connections"),
            ("console", "A console-subscriber endpoint answers"),
        ] {
            let words = step(&outcome, topic).split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.starts_with(topic) && words.contains(fact), "{topic}: {outcome:?}");
        }
    });
}

#[test]
fn the_first_thing_in_the_way_is_named() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        let forbid = |all: &[&'static str]| {
            scene.cluster.switch(|it| it.forbidden = all.iter().copied().collect());
        };
        forbid(&["get pods/portforward", "list pods", "get deployments"]);
        let outcome = doctor(&scene, "deploy/web").await;
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        let words = step(&outcome, "rights").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("list pods, get deployments, get pods/portforward"), "{outcome:?}");
        assert!(step(&outcome, "not tried").contains("pod, port, console"), "{outcome:?}");

        // Clusters before 1.35 do not ask for it, so it is not an end.
        forbid(&["create pods/portforward", "create selfsubjectaccessreviews"]);
        let words = doctor(&scene, "pod/web-1").await;
        assert!(step(&words, "rights").contains("does not say what is allowed"), "{words:?}");
        assert!(step(&words, "port").contains("`create`"), "what is refused is named at its step: {words:?}");

        forbid(&[]);
        let missing = doctor(&scene, "pod/web-9").await;
        assert!(step(&missing, "pod").contains("There is no pod `web-9`"), "{missing:?}");
        scene.cluster.set_pod(&PodSketch::running("deaf-1", "u2"));
        let deaf = doctor(&scene, "pod/deaf-1").await;
        let words = step(&deaf, "port").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("Nothing listens at port 6669 of pod `deaf-1`"), "{deaf:?}");
    });
}

#[test]
fn a_kubeconfig_that_makes_no_sense_is_the_first_step() {
    run(async {
        let scene = Scene::new().await;
        let mut command = with_kubeconfig(&scene, &["doctor", "pod/web-1", "--context", "elsewhere"]);
        let outcome = spawn_blocking(move || Outcome::of(&mut command)).await.expect("it ran");
        assert!(step(&outcome, "kubeconfig").contains("no context `elsewhere`; it has `here`"), "{outcome:?}");
        assert_eq!(outcome.code, Some(3));
    });
}
