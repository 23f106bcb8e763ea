//! `doctor` of a pod: each step of the way through its cluster is said, and what is in the way with how to mend it.

use std::time::Duration;

use serde_json::json;
use tokio::task::spawn_blocking;

use super::tool::with_kubeconfig;
use super::{Scene, pod_of, service};
use crate::doctor::Checkup;
use crate::support::cluster::{PodSketch, Switches};
use crate::support::run;
use crate::tool::Outcome;

async fn doctor(scene: &Scene, target: &str) -> Outcome {
    let mut command = with_kubeconfig(scene, &["doctor", target, "--for", "1s"]);
    spawn_blocking(move || Outcome::of(&mut command)).await.expect("it ran")
}

/// How long the doctor says that a small call takes.
pub(super) fn small_call(outcome: &Outcome) -> Duration {
    let said = outcome.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, after) = said.split_once("Small calls take ").unwrap_or_else(|| panic!("{outcome:?}"));
    let median = after.split(" (median of 5)").next().expect("a number");
    humantime::parse_duration(&median.replace(' ', "")).expect("a duration")
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
        // Without TCP_NODELAY it takes 40 ms.
        assert!(small_call(&outcome) < Duration::from_millis(10), "{outcome:?}");
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

/// Changes a switch of the cluster.
type Switch = fn(&mut Switches);

#[test]
fn what_is_in_the_way_comes_with_what_to_do_about_it() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        scene.cluster.set_pod(&PodSketch::running("deaf", "u2"));
        let mut misnamed = pod_of("misnamed", "u3", &service);
        misnamed.annotations.insert("tokio-canary/port".to_owned(), "console".to_owned());
        scene.cluster.set_pod(&misnamed);
        scene.cluster.set_object(
            "/apis/apps/v1/namespaces/shop/deployments/web",
            json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {}}}),
        );
        let rule = |resource, verb| format!("resources: [\"{resource}\"], verbs: [\"{verb}\"]}} Without `{verb}`");
        let (watch, list) = (&rule("pods", "watch"), &rule("replicasets", "list"));
        let faults: [(&[&str], Switch, _, _, _, &str); 10] = [
            (&["pod/web-1", "--context", "no"], |_| (), "kubeconfig", "failed", "no context `no`", "--context NAME"),
            (&["pod/web-1:feed"], |_| (), "pod", "failed", "has no port `feed`", "Name one of these"),
            (&["pod/web-1", "-c", "web"], |_| (), "pod", "failed", "no container `web`", "with --container"),
            (&["pod/misnamed"], |_| (), "pod", "failed", "The annotation tokio-canary/port", "Correct it"),
            (&["pod/web-1"], |it| it.kubelet_is_down = true, "port", "failed", "status 500", "`kubectl get nodes`"),
            (
                &["pod/web-1"],
                |it| it.denial = Some("admission webhook \"guard\" denied the request: no forwards"),
                "port",
                "failed",
                "no forwards",
                "watch from a sidecar",
            ),
            (
                &["pod/deaf"],
                |it| it.port_fault = Some("error forwarding port 6669: no such sandbox"),
                "port",
                "failed",
                "no such sandbox",
                "`kubectl describe pod deaf -n shop`",
            ),
            (
                &["pod/web-1"],
                |it| it.token = Some("other".to_owned()),
                "cluster",
                "failed",
                "credentials",
                "Log in again",
            ),
            (&["pod/web-1"], |it| it.forbidden = ["watch pods"].into(), "rights", "warning", "watch pods", watch),
            (
                &["deploy/web"],
                |it| it.forbidden = ["list replicasets"].into(),
                "rights",
                "warning",
                "list replicasets",
                list,
            ),
        ];
        for (target, switch, step, result, fact, remedy) in faults {
            scene.cluster.switch(|it| *it = Switches::default());
            scene.cluster.switch(switch);
            checkup(&scene, target).await.says(step, result, fact).advises(step, result, remedy);
        }
        scene.cluster.switch(|it| *it = Switches::default());
        scene.cluster.kubeconfig(
            scene.folder.path(),
            "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: ./login\n",
            "",
        );
        let checked = checkup(&scene, &["pod/web-1"]).await;
        checked.says("kubeconfig", "failed", "cannot be run").advises("kubeconfig", "failed", "Install it, or correct");
        std::fs::write(scene.kubeconfig(), "contexts: 7").expect("a kubeconfig");
        let checked = checkup(&scene, &["pod/web-1"]).await;
        checked.says("kubeconfig", "failed", "cannot be used").advises("kubeconfig", "failed", "`kubectl config view`");
    });
}

async fn checkup(scene: &Scene, target: &[&str]) -> Checkup {
    let arguments = [&["doctor", "--for", "1s", "--output", "ndjson"], target].concat();
    let mut command = with_kubeconfig(scene, &arguments);
    spawn_blocking(move || Checkup::of(&mut command)).await.expect("it ran")
}
