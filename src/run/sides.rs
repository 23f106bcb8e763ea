//! The two sides of a comparison: the targets that are named, or every pod that they mean when it begins.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::exit::UsageError;
use super::notes::note;
use super::signals::Stop;
use crate::cli::Compare;
use crate::config::Config;
use crate::config::options::REDACT;
use crate::feed::discovery::Discovered;
use crate::feed::endpoint::{Address, Target};
use crate::feed::kubernetes::{Clusters, discover};
use crate::feed::pod_target::PodTarget;
use crate::words;

/// The targets of a comparison, those of the canary first.
pub(super) struct Sides {
    pub(super) targets: Vec<Target>,
    /// How many of them are the canary.
    pub(super) canaries: usize,
}

/// The search for the pods of targets.
struct Search {
    clusters: Clusters,
    limit: Duration,
    redacts: bool,
}

/// Pods cannot be found, which has been said.
struct NotFound;

impl Sides {
    /// The targets of a comparison; none if pods cannot be found, which is said, or if a signal comes before that.
    ///
    /// # Errors
    /// Every pod is asked for, and no target is one.
    pub(super) async fn of(args: &Compare, config: &Config, stop: &Stop) -> Result<Option<Self>, UsageError> {
        let (targets, canaries) = (config.targets(), args.canary.len());
        if !args.all_pods {
            return Ok(Some(Self { targets: targets.to_vec(), canaries }));
        }
        if !targets.iter().any(|target| matches!(target, Target::Live(Address::Pod(_)))) {
            let why = "--all-pods is for pods of Kubernetes, and no target is one. Name one, as in `deploy/NAME -n NAMESPACE`.";
            return Err(UsageError(why.to_owned()));
        }
        let (clusters, redacts) = (config.pods().clusters(), config.get(&REDACT));
        let search = Search { clusters, limit: args.limit(), redacts };
        let found = async {
            let (canary, stable) = targets.split_at(canaries.min(targets.len()));
            let (canary, stable) = (search.expand(canary).await?, search.expand(stable).await?);
            Ok::<_, NotFound>(Self { canaries: canary.len(), targets: [canary, stable].concat() })
        };
        tokio::select! {
            () = stop.asked() => Ok(None),
            found = found => Ok(found.ok()),
        }
    }
}

impl Search {
    /// These targets, with every pod that one means in its place.
    async fn expand(&self, targets: &[Target]) -> Result<Vec<Target>, NotFound> {
        let mut all = Vec::new();
        for target in targets {
            match target {
                Target::Live(Address::Pod(pod)) => all.extend(self.pods_of(pod).await?),
                other => all.push(other.clone()),
            }
        }
        Ok(all)
    }

    /// The pods that run now.
    async fn pods_of(&self, target: &PodTarget) -> Result<Vec<Target>, NotFound> {
        let mut discovery = discover(target.clone(), self.clusters.clone());
        let (deadline, mut pods) = (Instant::now() + self.limit, Vec::new());
        loop {
            match timeout_at(deadline, discovery.events.recv()).await {
                Ok(Some(Discovered::Joined { key, target, .. })) => pods.push((key, target)),
                Ok(Some(Discovered::Left { key })) => pods.retain(|(of, _)| *of != key),
                // It is tried again: an API server may be away for a moment.
                Ok(Some(Discovered::Lost { reason })) => self.say(&reason, "The search for pods failed."),
                Ok(Some(Discovered::Complete) | None) => break,
                Err(_) => {
                    let what = format!("were not listed within {}", words::limit(self.limit));
                    self.say(&format!("The pods of {target} {what}."), &format!("The pods of a target {what}."));
                    return Err(NotFound);
                }
            }
        }
        if pods.is_empty() {
            self.say(&format!("{target} means no pod that runs."), "A target means no pod that runs.");
            return Err(NotFound);
        }
        let pods_of = words::count(pods.len(), "pod");
        self.say(&format!("{target} means {pods_of}."), &format!("A target means {pods_of}."));
        Ok(pods.into_iter().map(|(_, target)| target).collect())
    }

    /// Says something, or the same without names.
    fn say(&self, sentence: &str, without_names: &str) {
        note(if self.redacts { without_names } else { sentence });
    }
}
