//! Comparisons of all pods of two sides, as they come and go.

use std::process::{Child, ChildStdout};
use std::time::Duration;

use prost::Message;
use serde_json::Value;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

use super::tool::with_kubeconfig;
use super::{Scene, pod_of};
use crate::support::cluster::PodSketch;
use crate::support::fake_service::{FakeService, Script};
use crate::support::updates::working;
use crate::support::{eventually, run};
use crate::tool::{Notes, Outcome, tool};

const CANARY: &str = "k8s://shop/?selector=track=canary";
const STABLE: &str = "k8s://shop/?selector=track=stable";

/// When the first processes start, in milliseconds.
const BEGUN: u64 = 1_000_000;

/// A pod with a service whose clock is fast.
struct Working {
    service: FakeService,
    sketch: PodSketch,
    second: u64,
}

impl Working {
    async fn start(scene: &Scene, name: &str, track: &str) -> Self {
        let script = Script { initial: Some(working(BEGUN, 0).encode_to_vec()), ..Script::default() };
        let service = FakeService::start(script).await;
        let sketch = pod_of(name, name, &service).label("track", track);
        scene.cluster.set_pod(&sketch);
        Self { service, sketch, second: 0 }
    }

    async fn is_watched(&self) {
        eventually("a watcher", || self.service.watchers() == 1).await;
    }

    /// Publishes what happens in the next seconds.
    async fn work(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.second += 1;
            self.service.publish(&working(BEGUN, self.second));
            sleep(Duration::from_millis(10)).await;
        }
        eventually("all of it is read", || self.service.backlog() == 0).await;
    }

    /// Publishes until nobody watches any more.
    fn work_to_the_end(mut self) -> JoinHandle<()> {
        tokio::spawn(async move {
            while self.service.watchers() > 0 {
                self.work(1).await;
            }
        })
    }

    /// Goes as a rollout takes pods away: it is asked to, its process ends, and it is no more.
    async fn leave(self, scene: &Scene) {
        scene.cluster.set_pod(&PodSketch { is_deleting: true, ..self.sketch.clone() });
        self.service.stop().await;
        scene.cluster.delete_pod(&self.sketch.name);
    }

    /// Its process ends by itself.
    async fn fail(self, scene: &Scene) {
        self.service.stop().await;
        scene.cluster.set_pod(&PodSketch { phase: "Failed", ..self.sketch });
    }
}

/// A comparison that runs.
struct Comparing {
    child: Child,
    notes: Notes,
}

impl Comparing {
    fn start(scene: &Scene, duration: &str) -> Self {
        let arguments = ["compare", "--canary", CANARY, "--stable", STABLE, "--all-pods", "--for", duration];
        let mut command = with_kubeconfig(scene, &[&arguments[..], &["--output", "ndjson"]].concat());
        let mut child = command.spawn().expect("the tool");
        let notes = Notes::of(&mut child);
        Self { child, notes }
    }

    async fn hears(mut self, words: &'static str) -> Self {
        let heard = spawn_blocking(move || {
            self.notes.hear(words);
            self
        });
        heard.await.expect("it was said")
    }

    async fn comes_to(mut self) -> (Value, String) {
        let end = move || {
            let read = |mut it: ChildStdout| std::io::read_to_string(&mut it).expect("UTF-8");
            let stdout = self.child.stdout.take().map(read).unwrap_or_default();
            let said = self.notes.all();
            self.child.wait().expect("it ends");
            (stdout.trim().parse().unwrap_or_else(|_| panic!("{stdout}{said}")), said)
        };
        spawn_blocking(end).await.expect("it ends")
    }
}

fn counts(line: &Value, side: &str) -> [u64; 3] {
    ["targets", "joined_later", "left"].map(|it| line[side][it].as_u64().expect("a number"))
}

#[test]
fn pods_that_a_rollout_brings_join_their_side_and_those_that_it_takes_away_keep_what_they_gave() {
    run(async {
        let scene = Scene::new().await;
        let mut old = Working::start(&scene, "old-1", "stable").await;
        let mut first = Working::start(&scene, "new-1", "canary").await;
        let compare = Comparing::start(&scene, "60s");
        for pod in [&old, &first] {
            pod.is_watched().await;
        }
        first.work(35).await;
        old.work(35).await;
        first.leave(&scene).await;
        let compare = compare.hears("k8s://shop/new-1: left after 3").await;
        let second = Working::start(&scene, "new-2", "canary").await;
        second.is_watched().await;
        let working = [second.work_to_the_end(), old.work_to_the_end()];
        let (line, said) = compare.comes_to().await;
        assert_eq!(line["verdict"], "same", "{line:#}{said}");
        assert_eq!((counts(&line, "canary"), counts(&line, "stable")), ([2, 1, 1], [1, 0, 0]), "{line:#}{said}");
        assert!(said.contains("Found 1 target of the canary; any other that appears is added."), "{said}");
        for it in working {
            it.await.expect("it works");
        }
    });
}

#[test]
fn a_rolling_restart_of_stable_is_no_loss() {
    run(async {
        let scene = Scene::new().await;
        let new = Working::start(&scene, "new-1", "canary").await;
        let mut first = Working::start(&scene, "old-1", "stable").await;
        let compare = Comparing::start(&scene, "60s");
        for pod in [&new, &first] {
            pod.is_watched().await;
        }
        first.work(40).await;
        let second = Working::start(&scene, "old-2", "stable").await;
        second.is_watched().await;
        first.leave(&scene).await;
        let compare = compare.hears("k8s://shop/old-1: left after ").await;
        let working = [new.work_to_the_end(), second.work_to_the_end()];
        let (line, said) = compare.comes_to().await;
        assert_eq!(line["verdict"], "same", "{line:#}{said}");
        assert_eq!(counts(&line, "stable"), [2, 1, 1], "{line:#}{said}");
        for it in working {
            it.await.expect("it works");
        }
    });
}

#[test]
fn a_pod_of_the_canary_that_fails_is_not_the_same_whoever_replaces_it() {
    run(async {
        let scene = Scene::new().await;
        let mut first = Working::start(&scene, "new-1", "canary").await;
        let old = Working::start(&scene, "old-1", "stable").await;
        let compare = Comparing::start(&scene, "60s");
        for pod in [&old, &first] {
            pod.is_watched().await;
        }
        first.work(35).await;
        first.fail(&scene).await;
        let compare = compare.hears("k8s://shop/new-1: left after 3").await;
        let second = Working::start(&scene, "new-2", "canary").await;
        second.is_watched().await;
        let working = [second.work_to_the_end(), old.work_to_the_end()];
        let (line, said) = compare.comes_to().await;
        assert_eq!(line["exit_code"], 3, "{line:#}{said}");
        let sentence = line["summary"].as_str().expect("a sentence");
        assert!(
            sentence.starts_with("NOT ENOUGH DATA (exit 3): a target of the canary was lost after 3"),
            "{sentence}"
        );
        for it in working {
            it.await.expect("it works");
        }
    });
}

#[test]
fn a_canary_that_is_taken_away_as_a_whole_is_not_the_same() {
    run(async {
        let scene = Scene::new().await;
        let mut new = Working::start(&scene, "new-1", "canary").await;
        let old = Working::start(&scene, "old-1", "stable").await;
        let compare = Comparing::start(&scene, "90s");
        for pod in [&old, &new] {
            pod.is_watched().await;
        }
        new.work(65).await;
        new.leave(&scene).await;
        let compare = compare.hears("k8s://shop/new-1: left after 1m 0").await;
        let working = old.work_to_the_end();
        let (line, said) = compare.comes_to().await;
        let sentence = line["summary"].as_str().expect("a sentence");
        let left = "NOT ENOUGH DATA (exit 3): every target of the canary left before its time was over";
        assert!(sentence.starts_with(left), "{sentence}{said}");
        working.await.expect("it works");
    });
}

#[test]
fn a_canary_that_comes_after_the_begin_is_compared() {
    run(async {
        let scene = Scene::new().await;
        let old = Working::start(&scene, "old-1", "stable").await;
        let compare = Comparing::start(&scene, "60s");
        old.is_watched().await;
        let compare = compare.hears("No target of the canary was found so far; any that appears is added.").await;
        let new = Working::start(&scene, "new-1", "canary").await;
        new.is_watched().await;
        let working = [new.work_to_the_end(), old.work_to_the_end()];
        let (line, said) = compare.comes_to().await;
        assert_eq!((&line["verdict"], counts(&line, "canary")), (&"same".into(), [1, 1, 0]), "{line:#}{said}");
        for it in working {
            it.await.expect("it works");
        }
    });
}

#[test]
fn every_pod_of_nothing_cannot_be_compared() {
    run(async {
        let scene = Scene::new().await;
        let (line, said) = Comparing::start(&scene, "1s").comes_to().await;
        assert_eq!(line["inconclusive_because"], serde_json::json!(["no_updates", "no_updates"]), "{line:#}");
        for side in ["the canary", "stable"] {
            let nothing = format!("No target of {side} was found so far; any that appears is added.");
            assert!(said.contains(&nothing), "{said}");
        }
        let no_pod = Outcome::of(&mut tool(&["compare", "--canary", "a:1", "--stable", "b:1", "--all-pods"]));
        assert!(no_pod.code == Some(2) && no_pod.stderr.contains("--all-pods is for pods"), "{no_pod:?}");
    });
}
