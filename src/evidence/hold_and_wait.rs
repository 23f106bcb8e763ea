//! Tasks that hold a permit of a semaphore and wait for another one of the same.

use std::rc::Rc;
use std::time::Duration;

use super::view::Evidence;
use crate::model::history::waits::{A_WAIT, Grant};
use crate::model::time::Timestamp;
use crate::model::tokio::ResourceKind;
use crate::model::{ResourceKey, TaskKey};

/// A task that asks for another permit so soon after it acquired one has not done its work and released it in between.
const SOON: Duration = Duration::from_millis(500);
/// A semaphore has stalled after this many times the longest interval between two grants.
const STALLED: u32 = 20;
/// Minimum number of grants that tell how long that interval is.
const GRANTS: usize = 20;

impl Evidence<'_> {
    /// The tasks that wait for a permit of a semaphore and most probably hold one: they acquired it just before, and since then nobody was given
    /// what another had released. Empty where a permit is left, or may be.
    pub fn hold_and_wait(&self, semaphore: ResourceKey) -> Rc<[TaskKey]> {
        self.nested.get(semaphore, || self.find_hold_and_wait(semaphore).into())
    }

    /// Whether no task has acquired a permit of a semaphore for far longer than the intervals between earlier grants.
    pub(super) fn grants_have_stalled(&self, semaphore: ResourceKey) -> bool {
        let Some(it) = self.resource(semaphore) else { return false };
        let grants: Vec<Timestamp> = it.grants.newest_first().map(|grant| grant.at).collect();
        let longest = grants.windows(2).map(|pair| pair[0].since(pair[1])).max().unwrap_or_default();
        grants.len() >= GRANTS && self.flow(semaphore).since_grant >= longest * STALLED
    }

    fn find_hold_and_wait(&self, semaphore: ResourceKey) -> Vec<TaskKey> {
        let Some(it) = self.resource(semaphore).filter(|it| it.kind == ResourceKind::Semaphore) else {
            return Vec::new();
        };
        if it.permits.now != Some(0) || it.permits.drifted {
            return Vec::new();
        }
        let was_free = |grant: &&Grant| grant.at.since(grant.since) < A_WAIT;
        let since_release: Vec<&Grant> = it.grants.newest_first().take_while(was_free).collect();
        let waits = self.waiters(semaphore).filter_map(|(_, op)| Some((op.task?, self.waiting_since(op))));
        let holds = |(task, since): &(TaskKey, Timestamp)| {
            let own = since_release.iter().find(|grant| grant.task == Some(*task));
            own.is_some_and(|grant| !grant.owned && *since >= grant.at && since.since(grant.at) <= SOON)
        };
        let mut tasks: Vec<TaskKey> = waits.filter(holds).map(|(task, _)| task).collect();
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }
}
