//! A cluster that is far away: what the tool says over a line that is slow, and what it must not say.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::time::Duration;

use console_api::instrument::Update;
use prost::Message;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::time::interval;

use super::doctor::small_call;
use super::tool::with_kubeconfig;
use super::{Scene, pod_of};
use crate::support::cluster::Link;
use crate::support::fake_service::{FakeService, Script};
use crate::support::run;
use crate::support::updates::{large, working};
use crate::tool::Outcome;

/// A round trip of 100 ms, and 200 kB a second.
const FAR: Link = Link { delay: Duration::from_millis(50), rate: 200_000 };

/// When the process starts, in milliseconds.
const BEGUN: u64 = 1_000_000;

/// Findings that would take the line for the process.
const STALLED: &[&str] = &["process-paused", "quiet-feed", "runtime-stalled", "not-instrumented", "undriven-runtime"];

async fn far_away() -> (Scene, FakeService) {
    let script = Script { initial: Some(working(BEGUN, 0).encode_to_vec()), ..Script::default() };
    let (scene, service) = (Scene::new().await, FakeService::start(script).await);
    scene.cluster.set_pod(&pod_of("web-1", "u1", &service));
    scene.cluster.switch(|it| it.link = Some(FAR));
    (scene, service)
}

#[test]
fn the_doctor_says_how_long_a_small_call_takes() {
    run(async {
        let (scene, _service) = far_away().await;
        let mut command = with_kubeconfig(&scene, &["doctor", "pod/web-1", "--for", "1s"]);
        let outcome = spawn_blocking(move || Outcome::of(&mut command)).await.expect("it ran");
        let median = small_call(&outcome);
        assert!(median >= 2 * FAR.delay, "{median:?} is less than the line takes: {outcome:?}");
    });
}

/// Reads lines of a watch until one is as wanted, then ends it. Returns all of them.
fn lines_until(mut child: Child, is_wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut lines = Vec::new();
    for line in stdout.lines() {
        let line: Value = serde_json::from_str(&line.expect("UTF-8")).expect("JSON");
        let is_end = is_wanted(&line);
        lines.push(line);
        if is_end {
            kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
        }
    }
    child.wait().expect("it ends");
    lines
}

/// Publishes as much as is said each second, with the time that it is.
async fn publish(service: &FakeService, bytes: usize) {
    let mut ticks = interval(Duration::from_secs(1));
    for second in 1.. {
        ticks.tick().await;
        let update = working(BEGUN, second);
        service.publish(&Update { resource_update: large(0, bytes).resource_update, ..update });
    }
}

/// What a watch over the line says until something wanted comes, while so many bytes are published each second.
async fn watched(bytes: usize, is_wanted: impl Fn(&Value) -> bool + Send + 'static) -> Vec<Value> {
    let (scene, service) = far_away().await;
    let mut command = with_kubeconfig(&scene, &["watch", "pod/web-1", "--output", "ndjson", "--heartbeat", "1s"]);
    let child = command.spawn().expect("the tool");
    let lines = spawn_blocking(move || lines_until(child, is_wanted));
    tokio::select! {
        () = publish(&service, bytes) => panic!("it never ends"),
        lines = lines => lines.expect("it ends"),
    }
}

fn of_type(lines: &[Value], kind: &str) -> Vec<Value> {
    lines.iter().filter(|line| line["type"] == kind).cloned().collect()
}

/// Nothing is wrong with the process, and it stays connected.
fn assert_no_alarm(lines: &[Value]) {
    let alarms = of_type(lines, "finding");
    let is_alarm = |it: &&Value| it["severity"] != "info" && STALLED.iter().any(|detector| it["detector"] == *detector);
    let alarms: Vec<_> = alarms.iter().filter(is_alarm).collect();
    assert!(alarms.is_empty(), "{alarms:#?}");
    let states: Vec<_> = of_type(lines, "status").iter().map(|it| it["state"].clone()).collect();
    assert!(states.contains(&"live".into()) && !states.contains(&"lost".into()), "{states:?}");
}

#[test]
fn a_feed_that_fits_through_a_slow_line_is_as_any_other() {
    run(async {
        // Twenty heartbeats are twenty seconds: more than any of these findings takes.
        let beats = std::sync::atomic::AtomicU32::new(0);
        let is_long_enough = move |line: &Value| {
            line["type"] == "heartbeat" && beats.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 20
        };
        let lines = watched(50_000, is_long_enough).await;
        assert_no_alarm(&lines);
        let reasons = of_type(&lines, "quality");
        assert!(reasons.iter().all(|it| it["complete"] == true), "{reasons:#?}");
    });
}
