//! Poll samples: about once a second, which tasks are inside a poll that has already lasted long.
//!
//! A sample meets a poll as often as the poll takes time, however many short ones the same tasks have besides.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::model::history::push_bounded;
use crate::model::time::Timestamp;
use crate::model::{Model, SiteKey, TaskKey};

/// Samples lie at least this far apart, so that one poll is not met often because updates are.
const APART: Duration = Duration::from_millis(900);
/// Samples that are kept, and polls that were met, per site.
const KEPT: usize = 64;
/// Polls that are younger than this are not worth a note.
const NOTEWORTHY: Duration = Duration::from_millis(5);
/// No sample is taken for this long after a stop of the process.
const AFTER_STOP: Duration = Duration::from_secs(4);
/// Polls of several sites that began within this time of each other may all be waiting for a processor.
const AT_ONCE: Duration = Duration::from_millis(10);

/// A poll that a sample met.
#[derive(Debug, Clone, Copy)]
pub struct PollSample {
    /// When the sample was taken.
    pub at: Timestamp,
    /// How long the poll had been running by then, or how long it took in the end if that is less.
    pub age: Duration,
    /// The task.
    pub task: TaskKey,
}

/// A poll that a sample met and that has not been seen to take as long yet.
#[derive(Debug, Clone, Copy)]
struct PendingSample {
    site: SiteKey,
    sample: PollSample,
    started: Timestamp,
    busy: Duration,
}

/// The samples of a process.
#[derive(Debug, Clone, Default)]
pub struct PollSamples {
    times: VecDeque<Timestamp>,
    pending: Vec<PendingSample>,
    by_site: FxHashMap<SiteKey, VecDeque<PollSample>>,
}

impl PollSamples {
    /// Times of the samples that were taken lately, oldest first.
    pub fn times(&self) -> impl DoubleEndedIterator<Item = Timestamp> {
        self.times.iter().copied()
    }

    /// Long polls of a site that samples met, one a sample at most, oldest first.
    pub fn of_site(&self, site: SiteKey) -> impl Iterator<Item = &PollSample> {
        self.by_site.get(&site).into_iter().flatten()
    }

    /// Takes a sample, if one is due and what runs can be told.
    pub(super) fn take(&mut self, model: &Model) {
        let now = model.now();
        if self.times.back().is_some_and(|last| now.since(*last) < APART) {
            return;
        }
        self.confirm(model);
        let just_stopped = model.clock().gaps().next_back().is_some_and(|gap| now.since(gap.to) < AFTER_STOP);
        if just_stopped || model.quality().is_lagging() {
            return;
        }
        push_bounded(&mut self.times, now, KEPT);
        let met = long_polls(model);
        let first = met.first().map(|met| (met.site, met.started));
        let starved = first.is_some_and(|(site, started)| {
            let apart = |other: &PendingSample| other.started.since(started).max(started.since(other.started));
            met.iter().any(|other| other.site != site && apart(other) <= AT_ONCE)
        });
        if !starved {
            self.pending.extend(met);
        }
    }

    /// Forgets sites that are gone.
    pub(super) fn sweep(&mut self, model: &Model) {
        self.by_site.retain(|site, _| model.site(*site).is_some());
    }

    /// Keeps those whose tasks have spent that time in polls since: the counters of an update are older than its time says where there are many.
    fn confirm(&mut self, model: &Model) {
        let mut longest: BTreeMap<SiteKey, PollSample> = BTreeMap::new();
        for met in std::mem::take(&mut self.pending) {
            let task = model.task(met.sample.task).filter(|task| !task.is_span_entered_off_task());
            let Some(task) = task.filter(|_| !model.handed_over(met.started, met.sample.at)) else { continue };
            let goes_on = task.stats.poll.is_running() && task.stats.poll.started == Some(met.started);
            let spent = task.stats.poll.busy.saturating_sub(met.busy);
            let age = if goes_on { met.sample.age } else { met.sample.age.min(spent) };
            let sample = PollSample { age, ..met.sample };
            let known = longest.entry(met.site).or_insert(sample);
            if known.age < age {
                *known = sample;
            }
        }
        for (site, sample) in longest.into_iter().filter(|(_, sample)| sample.age >= NOTEWORTHY) {
            let known = self.by_site.entry(site).or_default();
            // A sample that meets the poll of the one before says nothing new.
            let is_same =
                known.back().is_some_and(|last| last.task == sample.task && sample.age >= sample.at.since(last.at));
            if !is_same {
                push_bounded(known, sample, KEPT);
            }
        }
    }
}

fn long_polls(model: &Model) -> Vec<PendingSample> {
    let now = model.now();
    // A `block_in_place` may not have been reported yet, where there are any.
    let blind = model.quality().lag.filter(|_| model.uses_block_in_place()).unwrap_or_default();
    let polls = model.running().filter_map(|(key, task)| {
        let started = task.stats.poll.started?;
        let age = model.running_since(started);
        // What `block_on` runs may seem to be in a poll as long as the tasks of a `LocalSet` inside it.
        let counts = task.kind.is_spawned()
            && age >= NOTEWORTHY.max(blind)
            && !task.is_span_entered_off_task()
            && !model.handed_over(started, now);
        let sample = PollSample { at: now, age, task: key };
        counts.then_some(PendingSample { site: task.site, sample, started, busy: task.stats.poll.busy })
    });
    polls.collect()
}
