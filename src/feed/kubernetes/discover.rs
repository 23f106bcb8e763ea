//! Pods that come and go: all that match a target, each as a target of its own.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, WatchEvent};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::client::Clusters;
use super::refusal::{Refusal, RefusalKind};
use super::scope::Scope;
use super::{list, pod};
use crate::feed::discovery::{Discovered, Discovery};
use crate::feed::endpoint::{Address, Target};
use crate::feed::pod_target::{Kind, PodTarget};

/// How long to wait before asking again, at first and at most.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

/// How many things that were found wait to be taken.
const WAITING: usize = 64;

/// Follows the pods that a target means, as they come and go.
///
/// # Panics
/// Outside of a Tokio runtime.
#[must_use]
pub fn discover(target: PodTarget, clusters: Clusters) -> Discovery {
    let (sender, events) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let closed = sender.clone();
        let search = Search { target, clusters, sender, known: BTreeMap::new(), is_complete: false };
        tokio::select! {
            () = closed.closed() => {}
            () = search.run() => {}
        }
    });
    Discovery { events }
}

struct Search {
    target: PodTarget,
    clusters: Clusters,
    sender: mpsc::Sender<Discovered>,
    /// The pods that were said to be there: their names by their unique ids.
    known: BTreeMap<String, String>,
    is_complete: bool,
}

/// Nobody listens any more.
struct Gone;

impl Search {
    async fn run(mut self) {
        let mut wait = FIRST;
        loop {
            let (before, outcome) = (self.known.clone(), self.follow().await);
            match outcome {
                Ok(Err(refusal)) => {
                    if matches!(refusal.kind, RefusalKind::Credentials | RefusalKind::Unreachable) {
                        self.clusters.forget(&self.target.access).await;
                    }
                    if self.say(Discovered::Lost { reason: refusal.sentence }).await.is_err() {
                        return;
                    }
                }
                // A watch that ends is nothing unusual: it has a limit, and its version may be too old (410).
                Ok(Ok(())) => wait = if before == self.known { wait } else { FIRST },
                Err(Gone) => return,
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST);
        }
    }

    /// Lists the pods and watches them until the watch ends.
    async fn follow(&mut self) -> Result<Result<(), Refusal>, Gone> {
        let cluster = match self.clusters.cluster(&self.target.access).await {
            Ok(cluster) => cluster,
            Err(sentence) => return Ok(Err(Refusal { sentence, kind: RefusalKind::Credentials })),
        };
        let scope = match Scope::of(&cluster, &self.target).await {
            Ok(scope) => scope,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (pods, version) = match list(&cluster, &scope).await {
            Ok(listed) => listed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let there: Vec<_> = pods.iter().filter_map(uid).collect();
        let gone: Vec<_> = self.known.keys().filter(|key| !there.contains(&key.as_str())).cloned().collect();
        for key in gone {
            self.leave(&key).await?;
        }
        for pod in &pods {
            self.see(pod, &scope).await?;
        }
        if !std::mem::replace(&mut self.is_complete, true) {
            self.say(Discovered::Complete).await?;
        }
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &scope.namespace);
        let Ok(events) = api.watch(&scope.watch_params(), &version).await else { return Ok(Ok(())) };
        let mut events = pin!(events);
        while let Ok(Some(event)) = events.try_next().await {
            match event {
                WatchEvent::Added(pod) | WatchEvent::Modified(pod) => self.see(&pod, &scope).await?,
                WatchEvent::Deleted(pod) => self.leave(uid(&pod).unwrap_or_default()).await?,
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(_) => break,
            }
        }
        Ok(Ok(()))
    }

    /// Takes a pod in that runs, and lets one go that has finished. One that crashes is still there.
    async fn see(&mut self, pod: &Pod, scope: &Scope) -> Result<(), Gone> {
        let (Some(uid), Some(name)) = (uid(pod), pod.metadata.name.as_deref()) else { return Ok(()) };
        let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref()).unwrap_or_default();
        let is_known = self.known.contains_key(uid);
        match phase {
            "Succeeded" | "Failed" => self.leave(uid).await,
            "Running" if !is_known && !pod::is_deleting(pod) => {
                self.known.insert(uid.to_owned(), name.to_owned());
                let target = PodTarget {
                    namespace: Some(scope.namespace.clone()),
                    object: Some((Kind::Pod, name.to_owned())),
                    port: scope.port.clone(),
                    selector: None,
                    rollout: None,
                    ..self.target.clone()
                };
                let (key, name) = (uid.to_owned(), target.to_string());
                self.say(Discovered::Joined { key, name, target: Target::Live(Address::Pod(Box::new(target))) }).await
            }
            _ => Ok(()),
        }
    }

    async fn leave(&mut self, uid: &str) -> Result<(), Gone> {
        match self.known.remove(uid) {
            Some(_) => self.say(Discovered::Left { key: uid.to_owned() }).await,
            None => Ok(()),
        }
    }

    async fn say(&self, discovered: Discovered) -> Result<(), Gone> {
        self.sender.send(discovered).await.map_err(|_| Gone)
    }
}

fn uid(pod: &Pod) -> Option<&str> {
    pod.metadata.uid.as_deref()
}
