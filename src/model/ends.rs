//! How the tasks of a spawn site ended lately, one by one, and what those waited for that were dropped before they finished.

use std::collections::VecDeque;
use std::time::Duration;

use super::history::push_bounded;
use super::relations::SAME_POLL;
use super::resource::ResourceKind;
use super::task::TaskStats;
use super::text::Text;
use super::time::Timestamp;
use super::{Model, ResourceKey, SiteKey, TaskKey};

/// Ends that are kept, per site.
const ENDS: usize = 1_024;

/// What a task waited for when it was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWait {
    /// The lock, channel or timer; perhaps forgotten since.
    pub resource: ResourceKey,
    /// Its kind.
    pub kind: ResourceKind,
    /// Where it was made.
    pub location: Text,
}

/// The end of one task.
#[derive(Debug, Clone)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// How old it was.
    pub age: Duration,
    /// How often it had been polled, the drop included.
    pub polls: u64,
    /// Whether it is certain that it was dropped before it finished.
    pub cancelled: bool,
    /// Whether it ended as one does that was woken, polled and ready: so soon after a wake that it was hardly dropped by chance.
    pub looks_completed: bool,
    /// What it waited for then, if it was dropped and an op or a timer of it tells.
    pub wait: Option<LastWait>,
}

/// The last ends at a site. Those that are not known to be cancellations are kept from the first cancellation on: there is nothing
/// to compare them with before.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    ring: VecDeque<Ended>,
}

impl Ends {
    /// The ends at `from` or later, in the order in which they were told.
    pub fn since(&self, from: Timestamp) -> impl Iterator<Item = &Ended> {
        self.ring.iter().filter(move |ended| ended.at >= from)
    }

    pub(super) fn note(&mut self, ended: Ended) {
        push_bounded(&mut self.ring, ended, ENDS);
    }
}

/// A task that the present update tells to have been dropped before it finished.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) task: TaskKey,
    pub(super) site: SiteKey,
    /// Its last poll but the one that dropping it counts as.
    last_poll: (Timestamp, Timestamp),
    stats: TaskStats,
}

/// So soon after its last wake a task that completed is polled, ready and dropped.
const AT_ONCE: Duration = Duration::from_millis(5);

impl Ended {
    /// The end of a task that is not known to have been dropped before it finished.
    pub(super) fn by_itself(at: Timestamp, stats: &TaskStats) -> Self {
        let dropped = stats.poll.started.unwrap_or(at);
        let looks_completed = stats.last_wake.is_some_and(|wake| dropped.since(wake) <= AT_ONCE);
        let (age, polls) = (at.since(stats.created), stats.poll.polls);
        Self { at, age, polls, cancelled: false, looks_completed, wait: None }
    }
}

impl Cut {
    /// The end of a task whose counters were these before and are those now.
    pub(super) fn new(task: TaskKey, site: SiteKey, before: &TaskStats, stats: TaskStats) -> Self {
        let seen = before.poll.started.zip(before.poll.ended).filter(|_| before.poll.polls + 1 == stats.poll.polls);
        // Polled once and never woken: all the time between that poll and the drop counts as scheduled.
        let dropped = stats.poll.started.unwrap_or(stats.created);
        let first = (stats.poll.first.unwrap_or(stats.created), dropped.minus(stats.scheduled));
        Self { task, site, last_poll: seen.unwrap_or(first), stats }
    }
}

impl Model {
    /// Writes down the tasks that were dropped before they finished, once everything else of the update is known.
    pub(super) fn note_cuts(&mut self) {
        for cut in std::mem::take(&mut self.cuts) {
            let wait = self.last_wait(&cut);
            let at = cut.stats.dropped.unwrap_or(self.now());
            if let Some(site) = self.sites.get_mut(cut.site) {
                let (age, polls) = (at.since(cut.stats.created), cut.stats.poll.polls);
                site.ends.note(Ended { at, age, polls, cancelled: true, looks_completed: false, wait });
            }
        }
    }

    /// What a task waited for when it was dropped: an op that it polled in its last poll and that was not over, or a timer made then.
    fn last_wait(&self, cut: &Cut) -> Option<LastWait> {
        let (from, to) = (cut.last_poll.0.minus(SAME_POLL), cut.last_poll.1.plus(SAME_POLL));
        let dropped = cut.stats.poll.started.unwrap_or_default();
        let waiting = self.task(cut.task)?.ops.iter().find_map(|key| {
            let op = self.op(*key)?;
            let outlived = op.stats.dropped.is_none_or(|at| at >= dropped);
            let polled = op.stats.poll.started.is_some_and(|at| at >= from);
            let pending = op.ready != Some(true) && self.acquisition(*key).is_granted() != Some(true);
            (outlived && polled && pending).then(|| self.lock_of(*key)).flatten()
        });
        let born = self.sleeps.range((from, ResourceKey::default())..).take_while(|(created, _)| *created <= to);
        let with_it = |timer: &&(Timestamp, ResourceKey)| {
            let gone = self.resource(timer.1).and_then(|timer| timer.dropped);
            gone.is_some_and(|at| at >= dropped && cut.stats.dropped.is_none_or(|end| at <= end))
        };
        let resource = waiting.or_else(|| born.filter(with_it).map(|(_, key)| *key).next())?;
        let found = self.resource(resource)?;
        Some(LastWait { resource, kind: found.kind, location: found.location.clone() })
    }
}
