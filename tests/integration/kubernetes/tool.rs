//! The real binary, with a kubeconfig, as a user calls it.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{Scene, lines_of, next_line, pod_of, service};
use crate::support::updates::births;
use crate::support::{eventually, run};
use crate::tool::{Outcome, tool};

pub(super) fn with_kubeconfig(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = tool(arguments);
    command.env("KUBECONFIG", scene.kubeconfig()).current_dir(scene.folder.path());
    command
}

#[test]
fn a_pod_is_judged_under_its_kubectl_name_and_every_output_says_which_it_was() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        scene.cluster.set_pod(&pod_of("web-2", "u2", &service));
        let mut command = with_kubeconfig(
            &scene,
            &["check", "-l", "app=web", "-n", "shop", "--for", "2s", "--output", "ndjson", "--min-updates", "1"],
        );
        let outcome = spawn_blocking(move || Outcome::of(&mut command));
        eventually("a watcher", || service.watchers() == 1).await;
        let mut now = 1;
        while !outcome.is_finished() {
            service.publish(&births(now * 1_000, 3, 10));
            now += 1;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let outcome = outcome.await.expect("it ran");
        let lines: Vec<Value> = outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let live = lines.iter().find(|line| line["state"] == "live").unwrap_or_else(|| panic!("{outcome:?}"));
        assert_eq!(live["place"], "pod `web-1` in namespace `shop` (container `app`, port 6669; 1 other pod matches)");
        assert_eq!(live["target"], "k8s://shop/?selector=app=web");
    });
}

#[test]
fn every_pod_is_a_target_of_its_own_as_it_comes_and_goes() {
    run(async {
        let (scene, first, second) = (Scene::new().await, service().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &first));
        let mut command = with_kubeconfig(
            &scene,
            &["check", "-l", "app=web", "--all-pods", "--for", "12s", "--output", "ndjson", "--min-updates", "1"],
        );
        let outcome = spawn_blocking(move || Outcome::of(&mut command));
        eventually("a watcher of the first pod", || first.watchers() == 1).await;
        scene.cluster.set_pod(&pod_of("web-2", "u2", &second));
        eventually("a watcher of the second pod", || second.watchers() == 1).await;
        for now in 1..20 {
            first.publish(&births(now * 1_000, 3, 10));
            second.publish(&births(now * 1_000, 3, 10));
        }
        scene.cluster.delete_pod("web-1");
        eventually("the first pod is let go", || first.watchers() == 0).await;
        let outcome = outcome.await.expect("it ran");
        let lines: Vec<Value> = outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let of = |target: &str, key: &str| {
            lines.iter().filter(|line| line["target"] == target && !line[key].is_null()).count()
        };
        for target in ["k8s://shop/web-1", "k8s://shop/web-2"] {
            assert!(of(target, "verdict") == 1 && of(target, "state") > 0, "{target}: {outcome:#?}");
        }
    });
}

#[test]
fn labels_are_a_target_by_themselves_also_where_one_is_required() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        for arguments in [
            &["blame", "-l", "app=web", "--for", "2s"][..],
            &["record", "-l", "app=web", "-o", "web.mcap", "--for", "2s"],
        ] {
            let mut command = with_kubeconfig(&scene, arguments);
            let outcome = spawn_blocking(move || Outcome::of(&mut command)).await.expect("it ran");
            let chosen = "k8s:///?selector=app=web: Connected to pod `web-1`";
            assert!(outcome.stderr.contains(chosen), "{arguments:?}: {outcome:?}");
        }
        assert!(scene.folder.path().join("web.mcap").exists());
    });
    for command in [&["blame"][..], &["record", "-o", "web.mcap"]] {
        let outcome = Outcome::of(&mut tool(command));
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains("<TARGET>"), "{outcome:?}");
    }
}

#[test]
fn pods_that_come_and_go_are_targets_of_a_watch() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        let mut watch = with_kubeconfig(&scene, &["watch", "-l", "app=web", "--all-pods", "--output", "ndjson"]);
        let mut child = watch.spawn().expect("the tool");
        let mut lines = lines_of(&mut child);
        for round in ["1", "2"] {
            let name = format!("web-{round}");
            scene.cluster.set_pod(&pod_of(&name, round, &service));
            for state in ["resolving", "dialing", "live", "left"] {
                if state == "left" {
                    scene.cluster.delete_pod(&name);
                }
                let line = next_line(&mut lines, |line| line["type"] == "status").await;
                let said = (line["target"].as_str(), line["state"].as_str());
                assert_eq!(said, (Some(&*format!("k8s://shop/{name}")), Some(state)), "{line}");
            }
        }
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    });
}

#[test]
fn the_canary_of_a_rollout_is_named_on_the_command_line_and_asked_for_as_somebody_else() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_object(
            "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web",
            json!({"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}},
                "status": {"currentPodHash": "c", "stableRS": "s"}}),
        );
        for hash in ["s", "c"] {
            let pod = pod_of(&format!("web-{hash}"), hash, &service).label("rollouts-pod-template-hash", hash);
            scene.cluster.set_pod(&pod);
        }
        let mut command = with_kubeconfig(
            &scene,
            &["check", "--rollout", "web", "--as", "eve", "--as-group", "ops", "--as-group", "dev", "--for", "1s"],
        );
        let outcome = spawn_blocking(move || Outcome::of(&mut command)).await.expect("it ran");
        assert!(outcome.stderr.contains("Connected to pod `web-c` in namespace `shop`"), "{outcome:?}");
        let eve = ["eve", "ops", "dev"].map(str::to_owned);
        assert_eq!(scene.cluster.users(), [eve.to_vec()].into(), "every request is of hers");
    });
}

#[test]
fn requests_wait_for_their_turns_as_the_command_line_says() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        // Between the choice of the pod and the connection to it is the second request, which has to wait for 5 s, or not at all.
        for (burst, has_waited) in [("1", true), ("2", false)] {
            let arguments = ["watch", "pod/web-1", "--output", "ndjson", "--qps", "0.2", "--burst", burst];
            let mut child = with_kubeconfig(&scene, &arguments).spawn().expect("the tool");
            let mut lines = lines_of(&mut child);
            let mut came = async |state: &str| {
                let line = next_line(&mut lines, |line| line["state"] == state).await;
                humantime::parse_rfc3339(line["at"].as_str().expect("a time")).expect("a time")
            };
            let (chosen, live) = (came("dialing").await, came("live").await);
            let took = live.duration_since(chosen).expect("one after the other");
            assert_eq!(took > Duration::from_secs(4), has_waited, "burst {burst}: {took:?}");
            child.kill().expect("it runs");
            child.wait().expect("it ends");
        }
    });
}

#[test]
fn a_pod_that_is_named_and_selected_is_refused() {
    let outcome = Outcome::of(&mut tool(&["check", "pod/web-1", "-l", "track=canary"]));
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("names one pod, and labels or a Rollout select some"), "{outcome:?}");
}

#[test]
fn all_pods_of_what_is_no_pod_is_refused() {
    let outcome = Outcome::of(&mut tool(&["check", "localhost:1", "--all-pods"]));
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("--all-pods is for pods of Kubernetes"), "{outcome:?}");
}

#[test]
fn a_refusal_reaches_the_user_with_its_rule() {
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
        scene.cluster.switch(|it| it.forbidden = ["create pods/portforward"].into());
        let mut command = with_kubeconfig(&scene, &["check", "pod/web-1", "--for", "1s"]);
        let outcome = spawn_blocking(move || Outcome::of(&mut command)).await.expect("it ran");
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        let rule = r#"- {apiGroups: [""], resources: ["pods/portforward"], verbs: ["get", "create"]}"#;
        assert!(said.contains(rule), "{outcome:?}");
    });
}

#[test]
fn a_flag_of_kubectl_without_a_pod_is_refused() {
    let outcome = Outcome::of(&mut tool(&["check", "localhost:1", "-n", "shop"]));
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome.stderr.contains("--namespace is for pods of Kubernetes, and http://localhost:1 is none"),
        "{outcome:?}"
    );
}

#[cfg(unix)]
#[test]
fn the_tool_is_a_plugin_of_kubectl_under_another_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let plugin = folder.path().join("kubectl-tokio_canary");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tokio-canary"), &plugin).expect("a link");
    let outcome = Outcome::of(Command::new(&plugin).args(["check", "--help"]));
    assert!(outcome.stdout.contains("Usage: kubectl tokio-canary check"), "{}", outcome.stdout);
}
