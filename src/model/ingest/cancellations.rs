//! Tasks that were dropped before they finished, and what they waited for then.

use std::time::Duration;

use crate::model::entity::stats::TaskStats;
use crate::model::history::completions::{Completion, LastWait};
use crate::model::keys::{SiteKey, TaskKey};
use crate::model::store::Model;
use crate::model::time::Timestamp;

/// Two threads stamp the start of a task's poll and of its op's poll: disorder of this size is allowed.
const SAME_POLL: Duration = Duration::from_micros(100);

/// A task that the present update reports to have been dropped before it finished.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) struct Cancellation {
    task: TaskKey,
    site: SiteKey,
    /// Its last poll but the one that dropping it counts as.
    last_poll: (Timestamp, Timestamp),
    before: TaskStats,
    stats: TaskStats,
}

impl Cancellation {
    /// The end of a task whose counters were these before and are those now.
    pub(super) fn new(task: TaskKey, site: SiteKey, before: &TaskStats, stats: TaskStats) -> Self {
        let seen = before.poll.started.zip(before.poll.ended).filter(|_| before.poll.polls + 1 == stats.poll.polls);
        // Polled once and never woken: all the time between that poll and the drop counts as scheduled.
        let dropped = stats.poll.started.unwrap_or(stats.created);
        let first = (stats.poll.first.unwrap_or(stats.created), dropped.minus(stats.scheduled));
        Self { task, site, last_poll: seen.unwrap_or(first), before: *before, stats }
    }
}

impl Model {
    /// Writes down the tasks that were dropped before they finished, once everything else of the update is known.
    pub(super) fn note_cancellations(&mut self, cancellations: Vec<Cancellation>) {
        for cancellation in cancellations {
            let wait = self.last_wait(&cancellation);
            let stats = &cancellation.stats;
            let at = stats.dropped.unwrap_or(self.now());
            if let Some(site) = self.sites.get_mut(cancellation.site) {
                site.completions.note(Completion::cancelled(at, &cancellation.before, stats, wait));
            }
        }
    }

    /// What a task waited for when it was dropped: an op that it polled in its last poll and that was not over, or a timer made then.
    fn last_wait(&self, it: &Cancellation) -> Option<LastWait> {
        let (from, to) = (it.last_poll.0.minus(SAME_POLL), it.last_poll.1.plus(SAME_POLL));
        let dropped = it.stats.poll.started.unwrap_or_default();
        let waiting = self.task(it.task)?.ops.iter().find_map(|key| {
            let op = self.op(*key)?;
            let outlived = op.stats.dropped.is_none_or(|at| at >= dropped);
            let polled = op.stats.poll.started.is_some_and(|at| at >= from);
            let pending = op.ready != Some(true) && self.acquisition(*key).is_granted() != Some(true);
            (outlived && polled && pending).then(|| self.lock_of(*key)).flatten()
        });
        let dropped_with_it = |at: Timestamp| at >= dropped && it.stats.dropped.is_none_or(|end| at <= end);
        let timer = || {
            let mut made = self.timers_made(from, to);
            made.find(|(_, timer)| timer.dropped.is_some_and(dropped_with_it)).map(|(key, _)| key)
        };
        let resource = waiting.or_else(timer)?;
        let found = self.resource(resource)?;
        Some(LastWait { resource, kind: found.kind, location: found.location.clone() })
    }
}
