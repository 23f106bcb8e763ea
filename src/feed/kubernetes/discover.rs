//! Pods that come and go: all that match a target, each as a target of its own.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, WatchEvent};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::client::{Cluster, Clusters};
use super::pace::within;
use super::refusal::{self, Refusal, RefusalKind};
use super::scope::Scope;
use super::{WATCHING, list, pod};
use crate::feed::discovery::{Discovered, Discovery, WAITING};
use crate::feed::endpoint::{Address, Target};
use crate::feed::pod_target::{Kind, PodTarget};
use crate::words;

/// How long to wait before asking again, at first and at most.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(10);

/// How long an API server may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a watch may last: a little longer than the server keeps it open.
const WATCHED: Duration = Duration::from_secs(WATCHING as u64 + 10);

/// How long it may last where something else decides which pods are meant.
const MEANING: Duration = Duration::from_secs(15);

/// Follows the pods that a target means, as they come and go.
///
/// # Panics
/// Outside of a Tokio runtime.
#[must_use]
pub fn discover(target: PodTarget, clusters: Clusters) -> Discovery {
    let (sender, events) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let closed = sender.clone();
        let search = Search { target, clusters, sender, known: BTreeMap::new(), is_complete: false, fault: None };
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
    /// The pods reported so far by their unique ids, and whether each is terminating.
    known: BTreeMap<String, bool>,
    is_complete: bool,
    /// Why nothing could be found at the last attempt.
    fault: Option<String>,
}

/// Nobody listens any more.
struct Gone;

impl Search {
    async fn run(mut self) {
        let mut wait = FIRST;
        loop {
            let began = Instant::now();
            match self.follow().await {
                Ok(Err(reason)) => {
                    // A repeated reason is reported once.
                    if self.fault.as_ref() != Some(&reason) {
                        self.fault = Some(reason.clone());
                        if self.say(Discovered::Lost { reason }).await.is_err() {
                            return;
                        }
                    }
                }
                // A watch that ends is nothing unusual: it has a limit, and its version may be too old (410).
                Ok(Ok(())) => self.fault = None,
                Err(Gone) => return,
            }
            wait = if began.elapsed() > LONGEST { FIRST } else { wait };
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST);
        }
    }

    /// Lists the pods and watches them until the watch ends, or says why that cannot be.
    async fn follow(&mut self) -> Result<Result<(), String>, Gone> {
        let cluster = match self.clusters.cluster(&self.target.access).await {
            Ok(cluster) => cluster,
            Err(sentence) => return Ok(Err(sentence)),
        };
        let Some(listed) = within(ANSWER, self.list(&cluster)).await else {
            return Ok(Err(refusal::no_answer(&cluster.server, &words::limit(ANSWER))));
        };
        let (scope, pods, version) = match listed {
            Ok(listed) => listed,
            Err(refusal) => {
                if matches!(refusal.kind, RefusalKind::Credentials | RefusalKind::Unreachable) {
                    self.clusters.forget(&self.target.access, &cluster).await;
                }
                return Ok(Err(refusal.sentence));
            }
        };
        let there: Vec<_> = pods.iter().filter_map(uid).collect();
        let gone: Vec<_> = self.known.keys().filter(|key| !there.contains(&key.as_str())).cloned().collect();
        for key in gone {
            self.leave(&key, false).await?;
        }
        for pod in &pods {
            self.see(pod, &scope).await?;
        }
        if !std::mem::replace(&mut self.is_complete, true) {
            self.say(Discovered::Complete).await?;
        }
        // What a Rollout or a Service means can change while its pods do not.
        let means_other = self.target.rollout.is_some() || matches!(self.target.object, Some((Kind::Service, _)));
        let limit = if means_other { MEANING } else { WATCHED };
        timeout(limit, self.watch(&cluster, &scope, &version)).await.unwrap_or(Ok(()))?;
        Ok(Ok(()))
    }

    /// Which pods are meant now, and those that there are, with the version of the list.
    async fn list(&self, cluster: &Cluster) -> Result<(Scope, Vec<Pod>, String), Refusal> {
        let scope = Scope::of(cluster, &self.target).await;
        let scope = match scope {
            // A Rollout without a canary has no pods; that is not a fault.
            Err(refusal) if refusal.kind == RefusalKind::NoCanary => {
                return Ok((Scope::default(), Vec::new(), String::new()));
            }
            scope => scope?,
        };
        let (pods, version) = list(cluster, &scope).await?;
        Ok((scope, pods, version))
    }

    async fn watch(&mut self, cluster: &Cluster, scope: &Scope, version: &str) -> Result<(), Gone> {
        if *scope == Scope::default() {
            return Ok(());
        }
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &scope.namespace);
        let Ok(events) = api.watch(&scope.watch_params(), version).await else { return Ok(()) };
        let mut events = pin!(events);
        while let Ok(Some(event)) = events.try_next().await {
            match event {
                WatchEvent::Added(pod) | WatchEvent::Modified(pod) => self.see(&pod, scope).await?,
                WatchEvent::Deleted(pod) => self.leave(uid(&pod).unwrap_or_default(), false).await?,
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(_) => break,
            }
        }
        Ok(())
    }

    /// Takes a pod in that runs, and lets one go that has finished. One that crashes is still there.
    async fn see(&mut self, pod: &Pod, scope: &Scope) -> Result<(), Gone> {
        let (Some(uid), Some(name)) = (uid(pod), pod.metadata.name.as_deref()) else { return Ok(()) };
        let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref()).unwrap_or_default();
        let is_known = self.known.contains_key(uid);
        match phase {
            "Succeeded" | "Failed" => self.leave(uid, phase == "Failed" && !pod::is_deleting(pod)).await,
            _ if is_known && pod::is_deleting(pod) => match self.known.insert(uid.to_owned(), true) {
                Some(true) => Ok(()),
                _ => self.say(Discovered::Leaving { key: uid.to_owned() }).await,
            },
            "Running" if !is_known && !pod::is_deleting(pod) => {
                self.known.insert(uid.to_owned(), false);
                let target = PodTarget {
                    namespace: Some(scope.namespace.clone()),
                    object: Some((Kind::Pod, name.to_owned())),
                    port: scope.port.clone(),
                    selector: None,
                    rollout: None,
                    is_followed: true,
                    ..self.target.clone()
                };
                let (key, name) = (uid.to_owned(), target.to_string());
                self.say(Discovered::Joined { key, name, target: Target::Live(Address::Pod(Box::new(target))) }).await
            }
            _ => Ok(()),
        }
    }

    async fn leave(&mut self, uid: &str, has_failed: bool) -> Result<(), Gone> {
        match self.known.remove(uid) {
            // The process of a pod that is being deleted may end as it likes.
            Some(is_leaving) => {
                let has_failed = has_failed && !is_leaving;
                self.say(Discovered::Left { key: uid.to_owned(), has_failed }).await
            }
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
