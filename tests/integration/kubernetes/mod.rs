//! Pods of a cluster that stands in for a real one: every fault that a pod, its cluster and the rights of the user may have.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

mod choice;
mod compare;
mod discovery;
mod doctor;
mod faults;
mod golden;
mod leaks;
mod real;
mod rights;
mod secured;
mod slow_link;
mod tool;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use tokio_canary::feed::endpoint::{Address, Target};
use tokio_canary::feed::kubernetes::Clusters;
use tokio_canary::feed::live::{Options, open};
use tokio_canary::feed::pod_target::PodTarget;
use tokio_canary::feed::{FeedEvent, Status};

use crate::support::LIMIT;
use crate::support::cluster::{Audit, Cluster, PodSketch};
use crate::support::fake_service::{FakeService, Script};
use crate::support::reader::Reader;

/// A cluster, and a folder with a kubeconfig for it.
struct Scene {
    cluster: Cluster,
    folder: TempDir,
    _audit: Audit,
}

impl Scene {
    async fn new() -> Self {
        Self::of(Cluster::start().await, "    token: good\n", "")
    }

    /// One with these lines about the user and the cluster in its kubeconfig.
    fn of(cluster: Cluster, user: &str, lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        cluster.kubeconfig(folder.path(), user, lines);
        Self { _audit: cluster.audit(), cluster, folder }
    }

    fn kubeconfig(&self) -> std::path::PathBuf {
        self.folder.path().join("kubeconfig")
    }

    fn open(&self, target: &str) -> Reader {
        open_with(target, &self.kubeconfig())
    }
}

/// The lines that a run of the tool prints, as JSON.
fn lines_of(child: &mut Child) -> UnboundedReceiver<Value> {
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let (sender, receiver) = unbounded_channel();
    thread::spawn(move || lines.map(|line| line.parse().expect("JSON")).try_for_each(|line| sender.send(line)));
    receiver
}

/// The next line that is wanted; what comes before it is passed over.
async fn next_line(lines: &mut UnboundedReceiver<Value>, is_wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let line = timeout(LIMIT, lines.recv()).await.expect("it says nothing").expect("it runs");
        if is_wanted(&line) {
            return line;
        }
    }
}

/// What is named on the command line, in the cluster of a kubeconfig.
fn target(text: &str, kubeconfig: &Path) -> PodTarget {
    match text.parse().expect("a target") {
        Target::Live(Address::Pod(mut pod)) => {
            pod.access.kubeconfig = Some(kubeconfig.to_str().expect("UTF-8").to_owned());
            *pod
        }
        other => panic!("not a pod: {other}"),
    }
}

fn open_with(text: &str, kubeconfig: &Path) -> Reader {
    let address = Address::Pod(Box::new(target(text, kubeconfig)));
    let options = Options { pump: false, clusters: Clusters::default(), ..Options::default() };
    Reader { feed: open(address, options) }
}

async fn service() -> FakeService {
    FakeService::start(Script::default()).await
}

/// A pod that runs, of a service.
fn pod_of(name: &str, uid: &str, service: &FakeService) -> PodSketch {
    PodSketch::running(name, uid).serving(service.socket_addr())
}

/// What was chosen, and whether it is known to be new.
async fn chosen(reader: &mut Reader) -> (String, bool) {
    reader
        .find(|event| match event {
            FeedEvent::Status(Status::Chosen { place, is_new }) => Some((place, is_new)),
            _ => None,
        })
        .await
}

/// The first reason of a loss that has all of these parts.
async fn lost_with(reader: &mut Reader, parts: &[&str]) -> String {
    let mut seen = Vec::new();
    let search = async {
        loop {
            let reason = reader.lost().await;
            if parts.iter().all(|part| reason.contains(part)) {
                return reason;
            }
            if !seen.contains(&reason) {
                seen.push(reason);
            }
        }
    };
    let found = timeout(Duration::from_secs(20), search).await.ok();
    found.unwrap_or_else(|| panic!("{parts:?} was never said, but: {seen:#?}"))
}
