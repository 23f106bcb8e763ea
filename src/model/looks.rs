//! Looks at what runs: about once a second, which tasks are inside a poll that has already lasted long.
//!
//! A look meets a poll as often as the poll takes time, however many short ones the same tasks have besides.

use std::time::Duration;

use super::history::push_bounded;
use super::task::TaskKind;
use super::time::Timestamp;
use super::{Model, SiteKey, TaskKey};

/// Looks lie at least so far apart, so that one poll is not met often because updates are.
const APART: Duration = Duration::from_millis(900);
/// Looks and sightings that are kept.
const KEPT: usize = 64;
/// Polls that are younger than this are not worth a note.
const NOTEWORTHY: Duration = Duration::from_millis(5);
/// Nothing is looked at for so long after a stop of the process.
const AFTER_STOP: Duration = Duration::from_secs(4);
/// Polls of several sites that began within so long of each other may all be waiting for a processor.
const AT_ONCE: Duration = Duration::from_millis(10);

/// A poll that a look met.
#[derive(Debug, Clone, Copy)]
pub struct Caught {
    /// When the look was.
    pub at: Timestamp,
    /// How long the poll had been running by then, or how long it took in the end if that is less.
    pub age: Duration,
    /// The task.
    pub task: TaskKey,
}

/// A sighting whose poll has not been seen to take so long yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unconfirmed {
    site: SiteKey,
    caught: Caught,
    started: Timestamp,
    busy: Duration,
}

impl Model {
    /// Times of the looks that were taken lately, oldest first.
    pub fn looks(&self) -> impl DoubleEndedIterator<Item = Timestamp> {
        self.looks.iter().copied()
    }

    /// Takes a look, if one is due and what runs can be told.
    pub(super) fn look(&mut self) {
        let now = self.now();
        if self.looks.back().is_some_and(|last| now.since(*last) < APART) {
            return;
        }
        self.confirm();
        let just_stopped = self.clock.gaps().next_back().is_some_and(|gap| now.since(gap.to) < AFTER_STOP);
        if just_stopped || self.quality.is_lagging() {
            return;
        }
        push_bounded(&mut self.looks, now, KEPT);
        let seen = self.long_polls();
        let first = seen.first().map(|seen| (seen.site, seen.started));
        let starved = first.is_some_and(|(site, started)| {
            let apart = |other: &Unconfirmed| other.started.since(started).max(started.since(other.started));
            seen.iter().any(|other| other.site != site && apart(other) <= AT_ONCE)
        });
        if !starved {
            self.unconfirmed.extend(seen);
        }
    }

    fn long_polls(&self) -> Vec<Unconfirmed> {
        let now = self.now();
        // News of a `block_in_place` may be on their way still, where there are any.
        let blind = self.quality.lag.filter(|_| self.uses_block_in_place).unwrap_or_default();
        let polls = self.running().filter_map(|(key, task)| {
            let started = task.stats.poll.started?;
            let age = self.running_since(started);
            // What `block_on` runs may seem to be in a poll as long as the tasks of a `LocalSet` inside it.
            let counts = matches!(task.kind, TaskKind::Task | TaskKind::Local)
                && age >= NOTEWORTHY.max(blind)
                && !task.is_entered_elsewhere()
                && self.handovers.range(started..).next().is_none();
            let caught = Caught { at: now, age, task: key };
            counts.then_some(Unconfirmed { site: task.site, caught, started, busy: task.stats.poll.busy })
        });
        polls.collect()
    }

    /// Keeps those sightings whose tasks have spent that time in polls since: the counters of an update are older than its time says where
    /// there are many.
    fn confirm(&mut self) {
        let mut longest: Vec<(SiteKey, Caught)> = Vec::new();
        for seen in std::mem::take(&mut self.unconfirmed) {
            let Some(task) = self.tasks.get(seen.caught.task).filter(|task| !task.is_entered_elsewhere()) else {
                continue;
            };
            let goes_on = task.stats.poll.is_running() && task.stats.poll.started == Some(seen.started);
            let spent = task.stats.poll.busy.saturating_sub(seen.busy);
            let handed_over = self.handovers.range(seen.started..=seen.caught.at).next().is_some();
            if handed_over {
                continue;
            }
            let age = if goes_on { seen.caught.age } else { seen.caught.age.min(spent) };
            let caught = Caught { age, ..seen.caught };
            match longest.iter_mut().find(|(site, _)| *site == seen.site) {
                Some((_, known)) if known.age >= age => {}
                Some((_, known)) => *known = caught,
                None => longest.push((seen.site, caught)),
            }
        }
        for (site, caught) in longest {
            if let Some(site) = self.sites.get_mut(site) {
                let again = site
                    .caught
                    .back()
                    .is_some_and(|last| last.task == caught.task && caught.age >= caught.at.since(last.at));
                // A look that meets the poll of the look before says nothing new.
                if !again && caught.age >= NOTEWORTHY {
                    push_bounded(&mut site.caught, caught, KEPT);
                }
            }
        }
    }
}
