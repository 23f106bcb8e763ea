//! Which tasks belong to the runtime or to console-subscriber, and not to the service.

use super::view::Evidence;
use crate::model::SiteKey;
use crate::model::tokio::TaskKind;

impl Evidence<'_> {
    /// Whether the tasks of a site are the runtime's own threads, which look like jobs that never end, or belong to console-subscriber.
    pub fn is_of_runtime(&self, key: SiteKey) -> bool {
        let Some(site) = self.site(key) else { return false };
        let is_thread = || {
            let first = site.live.iter().next().and_then(|(_, task)| self.task(*task));
            first.is_some_and(|task| task.is_worker_thread() || task.is_block_in_place())
        };
        site.is_of_console || (site.id.kind == TaskKind::Blocking && is_thread())
    }

    /// Whether its tasks are no work of the service: parts of the runtime, or a future that `block_on` runs, the entry of a runtime.
    pub fn is_scaffolding(&self, key: SiteKey) -> bool {
        self.site(key).is_some_and(|site| site.id.kind == TaskKind::BlockOn) || self.is_of_runtime(key)
    }
}
