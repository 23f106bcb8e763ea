//! The present round of a barrier: who has come, and who may still come.

use std::collections::BTreeSet;
use std::time::Duration;

use super::view::Evidence;
use crate::model::entity::resource::Resource;
use crate::model::time::Timestamp;
use crate::model::{ResourceKey, SiteKey, TaskKey};

/// The round of a barrier that has begun and waits for more parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// How many parties it takes.
    pub size: u64,
    /// How many have come.
    pub arrived: u64,
    /// How many rounds were completed before.
    pub completed: u64,
    /// The longest wait of those rounds, of those that are remembered.
    pub longest: Option<Duration>,
    /// How long the first party has waited in this one.
    pub lasts: Duration,
}

impl Round {
    /// How many parties are missing.
    pub fn missing(&self) -> u64 {
        self.size - self.arrived
    }
}

impl Evidence<'_> {
    /// The present round of a barrier; nothing if it has not begun.
    ///
    /// `arrived` counts everybody since the barrier was made (Tokio's `Barrier` starts each round from zero without saying so), and a party
    /// that gave up waiting stays counted, there as here.
    pub fn round(&self, barrier: ResourceKey) -> Option<Round> {
        let it = self.resource(barrier)?;
        let (size, arrived) = (it.number("size").filter(|size| *size > 1)?, it.number("arrived")?);
        let kinds = it.waits.kinds();
        Some(Round {
            size,
            arrived: arrived % size,
            completed: arrived / size,
            longest: kinds.filter_map(|kind| it.waits.window(kind, Timestamp::default()).quantile(1.0)).max(),
            lasts: self.flow(barrier).oldest,
        })
        .filter(|round| round.arrived > 0 && !round.lasts.is_zero())
    }

    /// Whether a task is at work, within this time, that may be a missing party of a barrier, or somebody for whom such a task waits.
    pub fn a_party_may_come(&self, barrier: ResourceKey, within: Duration) -> bool {
        let waiting: BTreeSet<TaskKey> = self.waiters(barrier).filter_map(|(_, op)| op.task).collect();
        let Some(it) = self.resource(barrier) else { return false };
        let mut parties = self.parties(it, &waiting).filter(|task| !waiting.contains(task));
        parties.any(|task| self.goes_on(task, within))
    }

    /// Tasks that may be parties of a barrier: those that came in earlier rounds, and siblings of those that wait.
    fn parties(&self, barrier: &Resource, waiting: &BTreeSet<TaskKey>) -> impl Iterator<Item = TaskKey> {
        let earlier = barrier.grants.newest_first().filter_map(|grant| grant.task);
        let sites: BTreeSet<SiteKey> = waiting.iter().filter_map(|task| Some(self.task(*task)?.site)).collect();
        let siblings = sites.into_iter().filter_map(|site| self.site(site));
        earlier.chain(siblings.flat_map(|site| site.live.iter().map(|(_, task)| *task)))
    }
}
