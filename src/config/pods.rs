//! What the command line says of pods, for all targets that are some.

use crate::feed::endpoint::{Address, Target};
use crate::feed::kubernetes::{Clusters, Rate};
use crate::feed::pod_target::{PodFlags, PodTarget};

/// What the command line says of pods.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pods {
    /// Which pods of which cluster.
    pub flags: PodFlags,
    /// How often API servers are asked things, if that is not left to the tool.
    pub rate: Option<Rate>,
    /// Whether every pod that is meant is watched, and not one of them.
    pub are_all: bool,
}

impl Pods {
    /// The first flag that was given.
    pub fn given(&self) -> Option<&'static str> {
        let rate = self.rate.map(|_| "--qps or --burst");
        self.flags.given().or(rate).or(self.are_all.then_some("--all-pods"))
    }

    /// The clusters of a run.
    pub fn clusters(&self) -> Clusters {
        self.rate.map(Clusters::new).unwrap_or_default()
    }

    /// The target that they mean by themselves.
    pub(super) fn target(&self) -> Option<Target> {
        self.flags.target().map(|pod| Target::Live(Address::Pod(Box::new(pod))))
    }

    /// Says what a target leaves open.
    pub fn fill(&self, target: &mut Target) {
        if let Target::Live(Address::Pod(pod)) = target {
            self.flags.fill(pod);
        }
    }

    /// Says what targets leave open, and takes those away of which every pod is meant.
    pub(super) fn take_whole(&self, targets: &mut Vec<Target>) -> Vec<PodTarget> {
        let mut whole = Vec::new();
        targets.retain_mut(|target| {
            self.fill(target);
            let Target::Live(Address::Pod(pod)) = target else { return true };
            whole.extend(self.are_all.then(|| (**pod).clone()));
            !self.are_all
        });
        whole
    }
}
