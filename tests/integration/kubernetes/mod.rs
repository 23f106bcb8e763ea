//! Pods of a cluster that stands in for a real one: every fault that a pod, its cluster and the rights of the user may have.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

mod choice;
mod compare;
mod discovery;
mod doctor;
mod faults;
mod golden;
mod leaks;
mod rights;
mod secured;
mod slow_link;
mod tool;

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio_canary::feed::endpoint::{Address, Target};
use tokio_canary::feed::kubernetes::Clusters;
use tokio_canary::feed::live::{Options, open};
use tokio_canary::feed::pod_target::PodTarget;
use tokio_canary::feed::{FeedEvent, Status};

use crate::support::cluster::{Cluster, PodSketch};
use crate::support::fake_service::{FakeService, Script};
use crate::support::reader::Reader;

/// A cluster, and a folder with a kubeconfig for it.
struct Scene {
    cluster: Cluster,
    folder: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let (cluster, folder) = (Cluster::start().await, tempfile::tempdir().expect("a folder"));
        cluster.kubeconfig(folder.path(), "    token: good\n", "");
        Self { cluster, folder }
    }

    fn kubeconfig(&self) -> std::path::PathBuf {
        self.folder.path().join("kubeconfig")
    }

    fn open(&self, target: &str) -> Reader {
        open_with(target, &self.kubeconfig())
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
    let found = tokio::time::timeout(Duration::from_secs(20), search).await.ok();
    found.unwrap_or_else(|| panic!("{parts:?} was never said, but: {seen:#?}"))
}
