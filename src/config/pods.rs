//! What the command line says of pods, for all targets that are some.

use crate::feed::endpoint::{Address, Target};
use crate::feed::kubernetes::{Clusters, Rate};
use crate::feed::pod_target::PodFlags;

/// What the command line says of pods.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pods {
    /// Which pods of which cluster.
    pub flags: PodFlags,
    /// How often API servers are asked things, if that is not left to the tool.
    pub rate: Option<Rate>,
}

impl Pods {
    /// The first flag that was given.
    pub fn given(&self) -> Option<&'static str> {
        self.flags.given().or_else(|| self.rate.map(|_| "--qps or --burst"))
    }

    /// The clusters of a run.
    pub fn clusters(&self) -> Clusters {
        self.rate.map(Clusters::new).unwrap_or_default()
    }

    /// The target that they mean by themselves.
    pub(super) fn target(&self) -> Option<Target> {
        self.flags.target().map(|pod| Target::Live(Address::Pod(Box::new(pod))))
    }

    /// Says what targets leave open.
    pub(super) fn fill(&self, targets: &mut [Target]) {
        for target in targets {
            if let Target::Live(Address::Pod(pod)) = target {
                self.flags.fill(pod);
            }
        }
    }
}
